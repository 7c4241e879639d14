/// Appends fixed-layout fields to a byte array; every integer is big-endian.
package struct ByteWriter: Sendable {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    /// Makes an empty writer.
    package init() {}

    /// Appends an integer, most significant byte first.
    package mutating func write(_ integer: some FixedWidthInteger) {
        var shift = integer.bitWidth
        while shift > 0 {
            shift -= 8
            bytes.append(UInt8(truncatingIfNeeded: integer >> shift))
        }
    }

    /// Appends one byte: 1 for true.
    package mutating func write(_ flag: Bool) {
        bytes.append(flag ? 1 : 0)
    }

    /// Appends bytes as they are.
    package mutating func write(raw content: some Sequence<UInt8>) {
        bytes.append(contentsOf: content)
    }

    /// Appends a 32-bit length and then the bytes.
    package mutating func write(counted content: some Collection<UInt8>) {
        write(UInt32(content.count))
        bytes.append(contentsOf: content)
    }

    /// Appends a 16-bit length and then the text in UTF-8; at most 65,535 bytes.
    package mutating func write(_ text: String) {
        precondition(text.utf8.count <= UInt16.max, "text fields hold at most 65,535 bytes")
        write(UInt16(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// Appends a count and then each element as `body` writes it.
    package mutating func write<Element>(
        list: some Collection<Element>,
        _ body: (inout ByteWriter, Element) -> Void
    ) {
        write(UInt32(list.count))
        for element in list { body(&self, element) }
    }
}
