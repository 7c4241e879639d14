import Addressing
package import Wire

extension AddressPool.Block {
    /// The row's bytes: pool 8, first address 16, length 1, fence 8, and unless active the state 1.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(pool)
        writer.write(prefix.first)
        writer.write(UInt8(prefix.length))
        writer.write(fence)
        if state != .active { writer.write(state.rawValue) }
        return writer.bytes
    }

    /// Reads a row.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        let pool = try reader.readInteger("pool", as: UInt64.self)
        let first = try reader.readIPAddress("block")
        let length = Int(try reader.readInteger("block length", as: UInt8.self))
        // A wider one would have every address of it looked at.
        guard let prefix = Prefix(first: first, length: length),
            prefix.hostBits <= BlockPlan.hostBits
        else { throw .malformed(field: "block length") }
        let fence = try reader.readInteger("fence", as: UInt64.self)
        var state = AddressPool.Block.State.active
        if reader.remaining > 0 {
            guard let read = AddressPool.Block.State(rawValue: try reader.readInteger("state")),
                read != .active
            else { throw .malformed(field: "block state") }
            state = read
        }
        self.init(pool: pool, prefix: prefix, fence: fence, state: state)
        try reader.finish()
    }
}

extension AddressPool.Assignment {
    /// The row's bytes: pool 8, address 16, fence 8, container id, interface name.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(pool)
        writer.write(address)
        writer.write(fence)
        writer.write(holder.containerID)
        writer.write(holder.interfaceName)
        return writer.bytes
    }

    /// Reads a row.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        let pool = try reader.readInteger("pool", as: UInt64.self)
        let address = try reader.readIPAddress("address")
        let fence = try reader.readInteger("fence", as: UInt64.self)
        let holder = AddressHolder(
            containerID: try reader.readText("container id", max: 255),
            interfaceName: try reader.readText("interface", max: 15)
        )
        self.init(pool: pool, address: address, holder: holder, fence: fence)
        try reader.finish()
    }
}
