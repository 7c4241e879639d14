package import Determinism
package import Wire

/// The value of a block's register: who owns the block, and how often it changed hands.
package struct BlockOwner: Hashable, Sendable {
    /// The owner; nil while the block is free.
    package let node: NodeID?
    /// Grows by one each time the block is claimed, and never goes back.
    package let fence: UInt64

    /// Makes a value.
    package init(node: NodeID?, fence: UInt64) {
        self.node = node
        self.fence = fence
    }

    /// The value's bytes: 1 for owned, the owner 16, the fence 8.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(node != nil)
        writer.write(node?.high ?? 0)
        writer.write(node?.low ?? 0)
        writer.write(fence)
        return writer.bytes
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        let isOwned = try reader.readFlag("owned")
        let node = try reader.readNodeID("owner")
        guard isOwned || node == NodeID(high: 0, low: 0) else { throw .malformed(field: "owner") }
        self.node = isOwned ? node : nil
        fence = try reader.readInteger("fence")
        try reader.finish()
    }
}
