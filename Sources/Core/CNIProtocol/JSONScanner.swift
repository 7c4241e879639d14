/// Walks JSON text without building it, for a process that has no decoder.
///
/// Every rule of RFC 8259 is checked. Nesting is counted and not recursed into, so no input can
/// exhaust the stack.
struct JSONScanner {
    /// The deepest nesting that is followed.
    static let depthMax = 128

    /// What was wrong, and where.
    struct Fault: Error {
        let offset: Int
    }

    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset == bytes.count }

    /// What was stepped over since `start`.
    func text(from start: Int) -> String {
        String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    /// The next byte that is not white space; nil at the end.
    mutating func peek() -> UInt8? {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0a, 0x0d: offset += 1
            default: return bytes[offset]
            }
        }
        return nil
    }

    /// Steps over `byte`, which must come next.
    mutating func expect(_ byte: UInt8) throws(Fault) {
        guard peek() == byte else { throw Fault(offset: offset) }
        offset += 1
    }

    /// Steps over `byte` if it comes next, and tells whether it did.
    mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        offset += 1
        return true
    }

    /// Reads a text and undoes its escapes.
    mutating func readString() throws(Fault) -> String {
        try expect(UInt8(ascii: "\""))
        let start = offset
        var text: [UInt8] = []
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw Fault(offset: start)
                }
                return string
            case UInt8(ascii: "\\"): try readEscape(into: &text)
            case 0..<0x20: throw Fault(offset: offset - 1)
            default: text.append(byte)
            }
        }
        throw Fault(offset: offset)
    }

    /// Steps over one value of any kind.
    mutating func skipValue() throws(Fault) {
        var isObject: [Bool] = []
        repeat {
            if try openOrSkipScalar(&isObject) { continue }
            // A value has ended: close what ends with it, or step over the comma behind it.
            while let inObject = isObject.last {
                if take(UInt8(ascii: inObject ? "}" : "]")) {
                    isObject.removeLast()
                    continue
                }
                try expect(UInt8(ascii: ","))
                if inObject { try skipKey() }
                break
            }
        } while !isObject.isEmpty
    }

    /// Enters a list or object that is not empty, or steps over anything else.
    private mutating func openOrSkipScalar(_ isObject: inout [Bool]) throws(Fault) -> Bool {
        switch peek() {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            let opensObject = bytes[offset] == UInt8(ascii: "{")
            offset += 1
            if take(UInt8(ascii: opensObject ? "}" : "]")) { return false }
            guard isObject.count < Self.depthMax else { throw Fault(offset: offset) }
            isObject.append(opensObject)
            if opensObject { try skipKey() }
            return true
        case UInt8(ascii: "\""): _ = try readString()
        case UInt8(ascii: "t"): try skipLiteral("true")
        case UInt8(ascii: "f"): try skipLiteral("false")
        case UInt8(ascii: "n"): try skipLiteral("null")
        default: try skipNumber()
        }
        return false
    }

    private mutating func skipKey() throws(Fault) {
        _ = try readString()
        try expect(UInt8(ascii: ":"))
    }

    private mutating func skipLiteral(_ literal: StaticString) throws(Fault) {
        let end = offset + literal.utf8CodeUnitCount
        guard end <= bytes.count, bytes[offset..<end].elementsEqual("\(literal)".utf8) else {
            throw Fault(offset: offset)
        }
        offset = end
    }

    private mutating func skipNumber() throws(Fault) {
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "-") { offset += 1 }
        let first = offset
        guard skipDigits() else { throw Fault(offset: offset) }
        if bytes[first] == UInt8(ascii: "0"), offset > first + 1 { throw Fault(offset: first) }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
            offset += 1
            guard skipDigits() else { throw Fault(offset: offset) }
        }
        if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if offset < bytes.count, bytes[offset] == 0x2b || bytes[offset] == 0x2d { offset += 1 }
            guard skipDigits() else { throw Fault(offset: offset) }
        }
    }

    /// Steps over digits and tells whether there was one.
    private mutating func skipDigits() -> Bool {
        let start = offset
        while offset < bytes.count, (0x30...0x39).contains(bytes[offset]) { offset += 1 }
        return offset > start
    }

    private mutating func readEscape(into text: inout [UInt8]) throws(Fault) {
        guard offset < bytes.count else { throw Fault(offset: offset) }
        let byte = bytes[offset]
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text += String(try readUnicodeEscape()).utf8
        default: throw Fault(offset: offset - 1)
        }
    }

    /// A surrogate without its other half reads as U+FFFD, as other readers have it.
    private mutating func readUnicodeEscape() throws(Fault) -> Character {
        let replacement: Character = "\u{fffd}"
        let high = try readHexadecimal()
        if let scalar = Unicode.Scalar(high) { return Character(scalar) }
        guard (0xd800..<0xdc00).contains(high), offset + 1 < bytes.count,
            bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
        else { return replacement }
        let mark = offset
        offset += 2
        let low = try readHexadecimal()
        guard (0xdc00..<0xe000).contains(low),
            let scalar = Unicode.Scalar(0x1_0000 + (high - 0xd800) << 10 + (low - 0xdc00))
        else {
            offset = mark
            return replacement
        }
        return Character(scalar)
    }

    private mutating func readHexadecimal() throws(Fault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard offset < bytes.count else { throw Fault(offset: offset) }
            switch bytes[offset] {
            case 0x30...0x39: value = value << 4 | UInt32(bytes[offset] - 0x30)
            case 0x41...0x46: value = value << 4 | UInt32(bytes[offset] - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt32(bytes[offset] - 0x61 + 10)
            default: throw Fault(offset: offset)
            }
            offset += 1
        }
        return value
    }
}
