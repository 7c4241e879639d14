/// Reads the parts of an address from its characters.
///
/// Of concrete types: agents read the addresses of all their pods again and again, and text that
/// stays generic from module to module is read far slower.
struct TextBytes {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    /// Runs `body` on the characters of a text; nil where it cannot read all of them.
    static func read<Value>(
        _ text: some StringProtocol,
        _ body: (inout TextBytes) -> Value?
    ) -> Value? {
        var text = String(text)
        return text.withUTF8 { bytes in
            var reader = TextBytes(bytes: bytes)
            guard let value = body(&reader), reader.isAtEnd else { return nil }
            return value
        }
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// Whether the next character is this one.
    func isNext(_ character: Unicode.Scalar) -> Bool {
        position < bytes.count && bytes[position] == UInt8(ascii: character)
    }

    /// Whether the next character is a digit.
    func isAtDigit(radix: UInt32) -> Bool {
        position < bytes.count && Self.digit(bytes[position]).map { $0 < radix } ?? false
    }

    /// Reads the character, and says whether it was there.
    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard isNext(character) else { return false }
        position += 1
        return true
    }

    /// Reads a number of one to `digitsMax` digits; nil where there are none, or more.
    ///
    /// With `allowsZeros` it may begin with a zero and have more digits.
    mutating func number(radix: UInt32, digitsMax: Int, allowsZeros: Bool) -> UInt32? {
        let start = position
        var value: UInt32 = 0
        while position < bytes.count, let digit = Self.digit(bytes[position]), digit < radix {
            guard position - start < digitsMax else { return nil }
            value = value * radix + digit
            position += 1
        }
        let count = position - start
        guard count > 0, allowsZeros || count == 1 || bytes[start] != UInt8(ascii: "0") else {
            return nil
        }
        return value
    }

    /// Reads two hexadecimal digits.
    mutating func byte() -> UInt8? {
        let start = position
        guard let value = number(radix: 16, digitsMax: 2, allowsZeros: true), position == start + 2
        else { return nil }
        return UInt8(value)
    }

    private static func digit(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(character - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}
