package import Wire

extension RingConfiguration {
    /// The number of the layout below; a peer that reads another number refuses the bytes.
    private static let layout: UInt8 = 1

    /// The bytes that registers and peers keep, equal exactly when the configurations are.
    ///
    /// | field | bytes |
    /// |---|---|
    /// | layout | 1 |
    /// | ring id, epoch | 16, 8 |
    /// | slot count, replication factor | 4, 1 |
    /// | stewards | 12 and 32 each |
    /// | member count | 4 |
    /// | member: id, name, zone, weight, address, port | 16, 2 + n, 2 + z, 2, 16, 2 |
    ///
    /// Integers are big-endian, members ascend by id.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.layout)
        writer.write(ringID.bits)
        writer.write(epoch)
        writer.write(UInt32(slotCount))
        writer.write(UInt8(replicationFactor))
        stewards.write(to: &writer)
        writer.write(list: members) { $1.write(to: &$0) }
        return writer.bytes
    }

    /// Reads a configuration as ``encoded`` leaves it, to the last byte.
    ///
    /// - Throws: what the reader throws; `.malformed` for a number or an order that breaks a rule
    ///   of the configuration.
    package init(encoded bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.readInteger("layout", as: UInt8.self) == Self.layout else {
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
        try reader.finish()
        guard isConsistent else { throw .malformed(field: "ring configuration") }
    }
}
