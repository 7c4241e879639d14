package import Determinism
import RingIPAM
package import RingRegisters

/// What a peer's registers and addresses came to, for people.
package struct PeerFigures: Sendable {
    /// What commands on registers came to.
    package let registers: RegisterCounters
    /// The stewards that are asked.
    package let stewards: StewardSet
    /// Whether this peer serves as one of them.
    package let isSteward: Bool
    /// Commands under way.
    package let commandsUnderWay: Int
    /// Registers that this peer follows.
    package let registersFollowed: Int
    /// Nodes that follow registers here.
    package let followers: Int
    /// Blocks of addresses that this node has.
    package let blocks: Int
    /// Addresses that are in use.
    package let addressesUsed: Int
    /// Addresses that rest.
    package let addressesResting: Int
    /// Addresses that could be given out without another block.
    package let addressesFree: Int
    /// Claims that brought a block.
    package let claimsMade: UInt64
    /// Claims that brought none.
    package let claimsFailed: UInt64
}

extension Peer {
    /// What registers and addresses came to.
    ///
    /// - Complexity: O(addresses); for people who ask, not for loops.
    package func figures(now: Instant) -> PeerFigures {
        PeerFigures(
            registers: proposer.counters,
            stewards: proposer.group,
            isSteward: acceptor.group?.members.contains { $0.storage == acceptor.storage } ?? false,
            commandsUnderWay: proposer.commandCount,
            registersFollowed: following.keys.count,
            followers: followers.count,
            blocks: pool.blocks.count,
            addressesUsed: pool.inUse.count,
            addressesResting: pool.resting(now: now).count,
            addressesFree: allocator.plans.values.reduce(0) {
                $0 + pool.freeCount($1, now: now)
            },
            claimsMade: allocator.claimsMade,
            claimsFailed: allocator.claimsFailed
        )
    }
}
