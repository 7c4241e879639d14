/// Writes one flat JSON object without an encoder.
///
/// The plugin starts for every call and must not load Foundation; the objects that it writes are
/// small and flat. Text is escaped as RFC 8259 section 7 asks.
package struct JSONObjectWriter: Sendable {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    /// Begins an object.
    package init() {}

    /// Adds a text.
    package mutating func add(_ key: String, _ text: String) {
        begin(key)
        quote(text)
    }

    /// Adds a number.
    package mutating func add(_ key: String, _ number: Int) {
        begin(key)
        bytes += String(number).utf8
    }

    /// Adds a list of texts.
    package mutating func add(_ key: String, _ texts: [String]) {
        begin(key)
        bytes.append(UInt8(ascii: "["))
        for (index, text) in texts.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            quote(text)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Ends the object and gives back its UTF-8.
    package consuming func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func begin(_ key: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        quote(key)
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func quote(_ text: String) {
        Self.quote(text, to: &bytes)
    }

    /// Writes a text with its quotation marks.
    static func quote(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            case UInt8(ascii: "\r"): bytes += "\\r".utf8
            case UInt8(ascii: "\t"): bytes += "\\t".utf8
            case 0..<0x20, 0x7f:
                let digits = String(byte, radix: 16)
                bytes += (byte < 16 ? "\\u000\(digits)" : "\\u00\(digits)").utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
