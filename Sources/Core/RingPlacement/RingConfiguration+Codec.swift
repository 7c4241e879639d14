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
    /// | layout 2: tagged fields, of which 1 is the gossip keys | to the end |
    ///
    /// Integers are big-endian, members ascend by id.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        var fields = unknownFields
        if !gossipKeys.keys.isEmpty { fields[Field.gossipKeys] = gossipKeys.encoded }
        let tagged = fields.encoded
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
        var fields = TaggedFields()
        if layout == Self.layoutTagged {
            let rest = try reader.readRaw(reader.remaining, "tagged fields")
            fields = try TaggedFields(rest, lengthMax: Self.fieldBytesMax)
            // Layout 2 without fields would be a second form of the same configuration.
            guard !rest.isEmpty else { throw .malformed(field: "tagged fields") }
        }
        if let keys = fields[Field.gossipKeys] {
            gossipKeys = try RingKeys(encoded: keys)
        } else {
            gossipKeys = .fromSecret
        }
        fields[Field.gossipKeys] = nil
        unknownFields = fields
        try reader.finish()
        guard isConsistent else { throw .malformed(field: "ring configuration") }
    }
}
