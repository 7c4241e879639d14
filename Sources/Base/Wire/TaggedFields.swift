/// The layout of records that outlive a release: fields by number, unknown ones kept.
///
/// Each field is a 16-bit number, a 32-bit length and its bytes, ascending by number. A reader that
/// meets a number it does not know keeps the bytes and writes them back, so an older peer that
/// passes a record on loses nothing of it.
package struct TaggedFields: Hashable, Sendable {
    private var fields: [(number: UInt16, content: [UInt8])] = []

    /// The most fields one record may have.
    package static let countMax = 256

    /// Makes a record without fields.
    package init() {}

    /// Reads a whole record.
    package init(_ bytes: ArraySlice<UInt8>, lengthMax: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        var previous = -1
        while reader.remaining > 0 {
            let number = try reader.readInteger("field number", as: UInt16.self)
            guard Int(number) > previous, fields.count < Self.countMax else {
                throw .malformed(field: "field number")
            }
            previous = Int(number)
            fields.append((number, Array(try reader.readCounted("field", max: lengthMax))))
        }
    }

    /// The content of one field; writing nil removes it.
    package subscript(number: UInt16) -> [UInt8]? {
        get { fields.first { $0.number == number }?.content }
        set {
            fields.removeAll { $0.number == number }
            guard let newValue else { return }
            let index = fields.firstIndex { $0.number > number } ?? fields.endIndex
            fields.insert((number, newValue), at: index)
        }
    }

    /// Stores text.
    package mutating func set(_ number: UInt16, text: String) {
        self[number] = Array(text.utf8)
    }

    /// Stores an integer, big-endian.
    package mutating func set(_ number: UInt16, integer: some FixedWidthInteger) {
        var writer = ByteWriter()
        writer.write(integer)
        self[number] = writer.bytes
    }

    /// Reads text, or `fallback` where the field is absent.
    package func text(
        _ number: UInt16,
        _ field: StaticName,
        default fallback: String? = nil
    ) throws(WireError) -> String {
        guard let content = self[number] else {
            guard let fallback else { throw .truncated(field: field, needed: 1, left: 0) }
            return fallback
        }
        guard let text = String(validating: content, as: UTF8.self) else {
            throw .malformed(field: field)
        }
        return text
    }

    /// Reads an integer, or `fallback` where the field is absent.
    package func integer<Integer: FixedWidthInteger>(
        _ number: UInt16,
        _ field: StaticName,
        default fallback: Integer? = nil
    ) throws(WireError) -> Integer {
        guard let content = self[number] else {
            guard let fallback else { throw .truncated(field: field, needed: 1, left: 0) }
            return fallback
        }
        var reader = ByteReader(content)
        let value = try reader.readInteger(field, as: Integer.self)
        try reader.finish()
        return value
    }

    /// The record's bytes.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        for field in fields {
            writer.write(field.number)
            writer.write(counted: field.content)
        }
        return writer.bytes
    }

    package static func == (lhs: TaggedFields, rhs: TaggedFields) -> Bool {
        lhs.encoded == rhs.encoded
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(encoded)
    }
}
