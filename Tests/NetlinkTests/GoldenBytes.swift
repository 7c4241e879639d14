/// Bytes as a person writes them: hexadecimal pairs, with a comment behind `#` on each line.
struct GoldenBytes: ExpressibleByStringLiteral {
    let bytes: [UInt8]

    init(stringLiteral text: String) {
        let pairs = text.split(whereSeparator: \.isNewline)
            .flatMap { $0.prefix { $0 != "#" }.split(separator: " ") }
        bytes = pairs.map { pair in
            guard pair.utf8.count == 2, let byte = UInt8(pair, radix: 16) else {
                preconditionFailure("\(pair) is not a hexadecimal pair")
            }
            return byte
        }
    }
}

/// Shows the first difference in a way that a person can find in the golden text.
func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}
