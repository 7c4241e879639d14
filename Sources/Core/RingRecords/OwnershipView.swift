package import Determinism

/// Who owns which slot, as far as records need to know it: plain data made by placement.
package struct OwnershipView: Sendable {
    /// The epoch of the ring configuration behind the view.
    package let epoch: UInt64
    /// The owners of each slot, the preferred one first.
    package let ownersBySlot: [[NodeID]]
    /// The members of the configuration: nobody else's records are kept.
    ///
    /// Nil admits everybody.
    package let members: SortedSet<NodeID>?

    /// Makes a view; there is at least one slot.
    package init(
        epoch: UInt64,
        ownersBySlot: [[NodeID]],
        members: SortedSet<NodeID>? = nil
    ) {
        precondition(!ownersBySlot.isEmpty, "a ring has at least one slot")
        self.epoch = epoch
        self.ownersBySlot = ownersBySlot
        self.members = members
    }

    /// The slot of a topic: the top of its hash, scaled to the number of slots.
    package func slot(of topic: Topic) -> Int { topic.slot(of: ownersBySlot.count) }

    /// The owners of a topic, the preferred one first.
    package func owners(of topic: Topic) -> [NodeID] { ownersBySlot[slot(of: topic)] }

    /// The owners of a slot; none where there is no such slot.
    package func owners(ofSlot slot: Int) -> [NodeID] {
        ownersBySlot.indices.contains(slot) ? ownersBySlot[slot] : []
    }

    /// Whether a node's records may be kept.
    package func isMember(_ node: NodeID) -> Bool { members?.contains(node) ?? true }
}

extension Topic {
    /// The slot among so many: the top of the name's hash, scaled.
    func slot(of slotCount: Int) -> Int {
        Int(StableHash.of(name.utf8).multipliedFullWidth(by: UInt64(slotCount)).high)
    }
}

/// What follows from a view for one peer, so that nothing walks through all slots again.
struct OwnShare: Sendable {
    /// The slots that the peer owns, ascending.
    private(set) var slots: [Int] = []
    /// For each other owner the slots that both own, ascending.
    private(set) var shared = SortedMap<NodeID, [Int]>()

    /// - Complexity: O(slots)
    init(_ view: OwnershipView, of own: NodeID) {
        for (slot, owners) in view.ownersBySlot.enumerated() where owners.contains(own) {
            slots.append(slot)
            for owner in owners where owner != own { shared[owner, default: []].append(slot) }
        }
    }
}
