/// Reads fixed-layout fields from bytes that anybody may have sent.
///
/// Its code is open to other modules and public, since the compiler specializes nothing of a
/// `package` declaration elsewhere.
///
/// Nothing is read past the end, and no length is believed before it is held against what is left
/// and against the bound that the caller names.
public struct ByteReader: Sendable {
    @usableFromInline let bytes: ArraySlice<UInt8>
    @usableFromInline var position: Int

    /// Makes a reader over `bytes`.
    @inlinable
    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Makes a reader over a whole array.
    @inlinable
    public init(_ bytes: [UInt8]) {
        self.init(bytes[...])
    }

    /// The bytes not read yet.
    @inlinable
    public var remaining: Int { bytes.endIndex - position }

    /// Reads a big-endian integer.
    @inlinable
    public mutating func readInteger<Integer: FixedWidthInteger>(
        _ field: StaticName,
        as type: Integer.Type = Integer.self
    ) throws(WireError) -> Integer {
        let slice = try take(Integer.bitWidth / 8, field)
        var integer = Integer.zero
        for byte in slice { integer = integer << 8 | Integer(truncatingIfNeeded: byte) }
        return integer
    }

    /// Reads one byte that must be 0 or 1.
    @inlinable
    public mutating func readFlag(_ field: StaticName) throws(WireError) -> Bool {
        switch try readInteger(field, as: UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw .malformed(field: field)
        }
    }

    /// Reads exactly `count` bytes.
    @inlinable
    public mutating func readRaw(
        _ count: Int,
        _ field: StaticName
    ) throws(WireError) -> ArraySlice<UInt8> {
        try take(count, field)
    }

    /// Reads a 32-bit length, at most `max`, and then so many bytes.
    @inlinable
    public mutating func readCounted(
        _ field: StaticName,
        max: Int
    ) throws(WireError) -> ArraySlice<UInt8> {
        let length = Int(try readInteger(field, as: UInt32.self))
        guard length <= max else { throw .oversized(field: field, length: length, max: max) }
        return try take(length, field)
    }

    /// Reads a 16-bit length, at most `max`, and then UTF-8 text that must be valid.
    @inlinable
    public mutating func readText(_ field: StaticName, max: Int) throws(WireError) -> String {
        let length = Int(try readInteger(field, as: UInt16.self))
        guard length <= max else { throw .oversized(field: field, length: length, max: max) }
        guard let text = String(validating: try take(length, field), as: UTF8.self) else {
            throw .malformed(field: field)
        }
        return text
    }

    /// Reads a count, at most `max`, and then each element as `body` reads it.
    @inlinable
    public mutating func readList<Element>(
        _ field: StaticName,
        max: Int,
        _ body: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count = Int(try readInteger(field, as: UInt32.self))
        guard count <= max else { throw .oversized(field: field, length: count, max: max) }
        var elements: [Element] = []
        // Not reserved: the count is a stranger's word until its elements have been read.
        for _ in 0..<count { elements.append(try body(&self)) }
        return elements
    }

    /// Checks that every byte was read.
    @inlinable
    public func finish() throws(WireError) {
        guard remaining == 0 else { throw .trailing(count: remaining) }
    }

    @inlinable
    mutating func take(
        _ count: Int,
        _ field: StaticName
    ) throws(WireError) -> ArraySlice<UInt8> {
        guard count <= remaining else {
            throw .truncated(field: field, needed: count, left: remaining)
        }
        defer { position += count }
        return bytes[position..<position + count]
    }
}
