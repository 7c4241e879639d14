package import Determinism
package import Wire

/// The value of a block's register: who has the block, and how often it changed hands.
///
/// A block goes from free to owned to draining to free; the fence grows by one when it is claimed
/// and when it is taken from a lost node.
package struct BlockOwner: Hashable, Sendable {
    /// What the node has the block for.
    package enum State: UInt8, CaseIterable, Sendable {
        /// Nobody has it: it may be claimed.
        case free = 0
        /// The node gives out its addresses.
        case owned = 1
        /// Nobody gives out its addresses until the maps of all nodes have forgotten the old ones.
        case draining = 2
    }

    /// Who has it or had it last; nil while the block is free.
    package let node: NodeID?
    /// Grows by one each time the block changes hands, and never goes back.
    package let fence: UInt64
    /// What for.
    package let state: State
    /// The ``BootRecord/era`` of the node in which it claimed the block.
    package let era: UInt64

    /// Makes the value of a block that is owned, or free where there is no node.
    package init(node: NodeID?, fence: UInt64, era: UInt64 = 0) {
        self.node = node
        self.fence = fence
        state = node == nil ? .free : .owned
        self.era = node == nil ? 0 : era
    }

    private init(draining node: NodeID, fence: UInt64, era: UInt64) {
        self.node = node
        self.fence = fence
        state = .draining
        self.era = era
    }

    /// The value of a block that `node` had and that is not free yet.
    package static func draining(_ node: NodeID, fence: UInt64, era: UInt64) -> BlockOwner {
        BlockOwner(draining: node, fence: fence, era: era)
    }

    /// The value's bytes: the state 1, the owner 16, the fence 8, and unless it is zero the era 8.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(state.rawValue)
        writer.write(node?.high ?? 0)
        writer.write(node?.low ?? 0)
        writer.write(fence)
        if era != 0 { writer.write(era) }
        return writer.bytes
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        guard let state = State(rawValue: try reader.readInteger("block state")) else {
            throw .malformed(field: "block state")
        }
        let node = try reader.readNodeID("owner")
        guard state != .free || node == NodeID(high: 0, low: 0) else {
            throw .malformed(field: "owner")
        }
        self.state = state
        self.node = state == .free ? nil : node
        fence = try reader.readInteger("fence")
        guard reader.remaining > 0 else {
            era = 0
            return
        }
        era = try reader.readInteger("era")
        guard era != 0, state != .free else { throw .malformed(field: "era") }
        try reader.finish()
    }
}
