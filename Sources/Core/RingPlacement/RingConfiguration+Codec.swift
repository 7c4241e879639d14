import Determinism
import RingRegisters
package import Wire

extension RingConfiguration {
    /// The number of the layout without tagged fields, which the first release writes and reads.
    private static let layoutPlain: UInt8 = 1
    /// The number of the layout that ends in tagged fields; it is written only where there are any,
    /// so that a ring that uses nothing new stays readable to the first release.
    private static let layoutTagged: UInt8 = 2
    /// The longest tagged field: what thousands of members might need of it.
    private static let fieldBytesMax = 1 << 20

    /// The numbers of the tagged fields; those not listed here are kept as they are.
    private enum Field {
        static let gossipKeys: UInt16 = 1
        static let registry: UInt16 = 2
        static let leaving: UInt16 = 3
    }

    /// The bytes that registers and peers keep, equal exactly when the configurations are.
    ///
    /// | field | bytes |
    /// |---|---|
    /// | layout: 1, or 2 where tagged fields follow | 1 |
    /// | ring id, epoch | 16, 8 |
    /// | slot count, replication factor | 4, 1 |
    /// | stewards | 12 and 32 each |
    /// | member count | 4 |
    /// | member: id, name, zone, weight, address, port | 16, 2 + n, 2 + z, 2, 16, 2 |
    /// | layout 2: tagged fields: 1 gossip keys, 2 registry, 3 members that leave | to the end |
    ///
    /// Integers are big-endian, members ascend by id.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        let tagged = taggedFields
        writer.write(tagged.isEmpty ? Self.layoutPlain : Self.layoutTagged)
        writer.write(ringID.bits)
        writer.write(epoch)
        writer.write(UInt32(slotCount))
        writer.write(UInt8(replicationFactor))
        stewards.write(to: &writer)
        writer.write(list: members) { $1.write(to: &$0) }
        writer.write(raw: tagged)
        return writer.bytes
    }

    /// What travels in tagged fields.
    struct Extras: Hashable, Sendable {
        var gossipKeys: RingKeys
        var registry: Registry
        var leaving: [NodeID]
        var unknownFields: TaggedFields
    }

    /// The bytes of the tagged fields; none where there is nothing new.
    var taggedFields: [UInt8] {
        var fields = unknownFields
        if !gossipKeys.keys.isEmpty { fields[Field.gossipKeys] = gossipKeys.encoded }
        if registry.recoveries > 0 { fields[Field.registry] = registry.encoded }
        if !leaving.isEmpty { fields[Field.leaving] = Self.encode(leaving) }
        return fields.encoded
    }

    /// Reads what ``taggedFields`` leaves, of a ring.
    static func readTagged(
        _ bytes: ArraySlice<UInt8>,
        of ringID: RingID
    ) throws(WireError) -> Extras {
        var fields = try TaggedFields(bytes, lengthMax: fieldBytesMax)
        var extras = Extras(
            gossipKeys: .fromSecret,
            registry: .first(of: ringID),
            leaving: try decode(leaving: fields[Field.leaving]),
            unknownFields: TaggedFields()
        )
        if let keys = fields[Field.gossipKeys] { extras.gossipKeys = try RingKeys(encoded: keys) }
        if let bytes = fields[Field.registry] { extras.registry = try Registry(encoded: bytes) }
        for number in [Field.gossipKeys, Field.registry, Field.leaving] { fields[number] = nil }
        extras.unknownFields = fields
        return extras
    }

    /// Reads a configuration as ``encoded`` leaves it, to the last byte.
    ///
    /// - Throws: what the reader throws; `.malformed` for a number or an order that breaks a rule
    ///   of the configuration.
    package init(encoded bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        let layout = try reader.readInteger("layout", as: UInt8.self)
        guard layout == Self.layoutPlain || layout == Self.layoutTagged else {
            throw .malformed(field: "layout")
        }
        ringID = RingID(bits: try reader.readNodeID("ring id"))
        epoch = try reader.readInteger("epoch")
        slotCount = Int(try reader.readInteger("slot count", as: UInt32.self))
        replicationFactor = Int(try reader.readInteger("replication factor", as: UInt8.self))
        stewards = try StewardSet(from: &reader)
        members = try reader.readList("members", max: Self.memberCountMax) {
            reader throws(WireError) in
            try RingMember(from: &reader)
        }
        let rest = try reader.readRaw(reader.remaining, "tagged fields")
        // Layout 2 without fields would be a second form of the same configuration.
        guard rest.isEmpty == (layout == Self.layoutPlain) else {
            throw .malformed(field: "tagged fields")
        }
        let extras = try Self.readTagged(rest, of: ringID)
        gossipKeys = extras.gossipKeys
        registry = extras.registry
        leaving = extras.leaving
        unknownFields = extras.unknownFields
        try reader.finish()
        guard isConsistent else { throw .malformed(field: "ring configuration") }
    }

    private static func encode(_ leaving: [NodeID]) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(list: leaving) { $0.write($1) }
        return writer.bytes
    }

    private static func decode(leaving bytes: [UInt8]?) throws(WireError) -> [NodeID] {
        guard let bytes else { return [] }
        var reader = ByteReader(bytes)
        let nodes = try reader.readList("leaving", max: memberCountMax) {
            reader throws(WireError) in
            try reader.readNodeID("leaving member")
        }
        try reader.finish()
        // None at all is written as no field.
        guard !nodes.isEmpty else { throw .malformed(field: "leaving") }
        return nodes
    }
}
