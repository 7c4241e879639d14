package import Determinism
package import RingRegisters
package import Wire

/// What every peer must agree on to find a key's owners: members, weights, zones, stewards.
///
/// Immutable: a change is a new value with the next epoch, and which value an epoch has is chosen
/// by compare-and-swap in a register. Members are kept ascending by id, so that two equal
/// configurations have equal bytes and equal digests.
package struct RingConfiguration: Hashable, Sendable {
    /// The ring this configuration belongs to.
    package let ringID: RingID
    /// Grows by one with each change; at most ``epochMax``.
    package let epoch: UInt64
    /// The number of slots: a power of two, fixed for the ring's life.
    package let slotCount: Int
    /// The number of owners that each slot has once there are so many members.
    package let replicationFactor: Int
    /// The members, ascending by id.
    package let members: [RingMember]
    /// The peers that hold the registers; each is a member.
    package let stewards: StewardSet
    /// The keys that datagrams are sealed with.
    package let gossipKeys: RingKeys
    /// The registry that holds what the ring agrees on.
    package let registry: Registry
    /// The members that are on their way out, ascending.
    package let leaving: [NodeID]
    /// What a later release says beyond this, kept and passed on.
    package let unknownFields: TaggedFields

    /// The slot count of a ring about which nothing was said; 4,096 suits above 500 members.
    package static let slotCountDefault = 1_024

    /// The most slots: an index fits in 16 bits.
    package static let slotCountMax = 65_536

    /// The number of owners in a ring about which nothing was said.
    package static let replicationFactorDefault = 3

    /// The most owners of one slot.
    package static let replicationFactorMax = 7

    /// The most members: half again the 5,000 nodes of the largest Kubernetes cluster.
    package static let memberCountMax = 8_192

    /// The largest epoch: what a signed 64-bit column can hold.
    package static let epochMax = UInt64(Int64.max)

    /// Makes a configuration, of the ring's first registry unless another is named; the order of
    /// `members` and `leaving` does not matter.
    package init(
        ringID: RingID,
        epoch: UInt64,
        slotCount: Int = Self.slotCountDefault,
        replicationFactor: Int = Self.replicationFactorDefault,
        members: [RingMember],
        stewards: StewardSet,
        gossipKeys: RingKeys = .fromSecret,
        registry: Registry? = nil,
        leaving: [NodeID] = [],
        unknownFields: TaggedFields = TaggedFields()
    ) {
        self.init(
            ringID: ringID,
            epoch: epoch,
            slotCount: slotCount,
            replicationFactor: replicationFactor,
            ascending: members.sorted { $0.id < $1.id },
            stewards: stewards,
            extras: Extras(
                gossipKeys: gossipKeys,
                registry: registry ?? .first(of: ringID),
                leaving: leaving.sorted(),
                unknownFields: unknownFields
            )
        )
        precondition(isConsistent, "members and stewards are unique and within their bounds")
    }

    /// Takes everything as it is; the caller holds the result against ``isConsistent``.
    init(
        ringID: RingID,
        epoch: UInt64,
        slotCount: Int,
        replicationFactor: Int,
        ascending members: [RingMember],
        stewards: StewardSet,
        extras: Extras
    ) {
        self.ringID = ringID
        self.epoch = epoch
        self.slotCount = slotCount
        self.replicationFactor = replicationFactor
        self.members = members
        self.stewards = stewards
        gossipKeys = extras.gossipKeys
        registry = extras.registry
        leaving = extras.leaving
        unknownFields = extras.unknownFields
    }

    /// The member with that identity; nil when there is none.
    ///
    /// - Complexity: O(log n)
    package func member(_ id: NodeID) -> RingMember? {
        let index = position(of: id)
        return index < members.count && members[index].id == id ? members[index] : nil
    }

    /// A 64-bit summary of everything in the configuration; peers compare it before they pull.
    ///
    /// - Complexity: O(n), so keep it rather than ask again.
    package var digest: UInt64 { StableHash.of(encoded) }

    func position(of id: NodeID) -> Int {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if members[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether every bound and rule above holds; bytes from outside are held against it as well.
    var isConsistent: Bool {
        epoch <= Self.epochMax
            && Self.isSlotCount(slotCount)
            && (1...Self.replicationFactorMax).contains(replicationFactor)
            && members.count <= Self.memberCountMax
            && zip(members, members.dropFirst()).allSatisfy { $0.id < $1.id }
            && stewards.members.allSatisfy { member($0.node) != nil }
            && gossipKeys.isConsistent(epoch: epoch)
            && (registry == .first(of: ringID)
                || (registry.recoveries > 0 && registry.isConsistent))
            && zip(leaving, leaving.dropFirst()).allSatisfy { $0 < $1 }
            && leaving.allSatisfy { member($0) != nil }
    }

    /// Whether a ring may have so many slots: a power of two up to ``slotCountMax``.
    package static func isSlotCount(_ count: Int) -> Bool {
        (1...slotCountMax).contains(count) && count & (count - 1) == 0
    }
}
