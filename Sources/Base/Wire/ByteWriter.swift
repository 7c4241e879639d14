/// Appends fixed-layout fields to a byte array; every integer is big-endian.
///
/// Its code is open to other modules and public, since the compiler specializes nothing of a
/// `package` declaration elsewhere.
public struct ByteWriter: Sendable {
    @usableFromInline var content: [UInt8] = []

    /// What was written so far.
    @inlinable
    public var bytes: [UInt8] { content }

    /// Makes an empty writer.
    @inlinable
    public init() {}

    /// Appends an integer, most significant byte first.
    @inlinable
    public mutating func write(_ integer: some FixedWidthInteger) {
        withUnsafeBytes(of: integer.bigEndian) { content.append(contentsOf: $0) }
    }

    /// Appends one byte: 1 for true.
    @inlinable
    public mutating func write(_ flag: Bool) {
        content.append(flag ? 1 : 0)
    }

    /// Appends bytes as they are.
    @inlinable
    public mutating func write(raw bytes: some Sequence<UInt8>) {
        content.append(contentsOf: bytes)
    }

    /// Appends a 32-bit length and then the bytes.
    @inlinable
    public mutating func write(counted bytes: some Collection<UInt8>) {
        write(UInt32(bytes.count))
        content.append(contentsOf: bytes)
    }

    /// Appends a 16-bit length and then the text in UTF-8; at most 65,535 bytes.
    @inlinable
    public mutating func write(_ text: String) {
        precondition(text.utf8.count <= UInt16.max, "text fields hold at most 65,535 bytes")
        write(UInt16(text.utf8.count))
        content.append(contentsOf: text.utf8)
    }

    /// Appends a count and then each element as `body` writes it.
    @inlinable
    public mutating func write<Element>(
        list: some Collection<Element>,
        _ body: (inout ByteWriter, Element) -> Void
    ) {
        write(UInt32(list.count))
        for element in list { body(&self, element) }
    }
}
