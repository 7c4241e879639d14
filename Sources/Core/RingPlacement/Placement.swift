package import Determinism

/// Who owns which slot: a pure function of one ring configuration.
///
/// Every peer that holds the configuration computes the same table, so nothing but the
/// configuration ever has to be agreed on. Rules, in this order: a slot has as many owners as the
/// replication factor asks for (all members where they are fewer); they lie in distinct zones where
/// the zones suffice; no member owns more than 5/4 of its fair share; apart from that the ranking
/// of ``Rendezvous`` decides, so that a join or a leave moves little more than its own share.
package struct Placement: Sendable {
    /// The epoch of the configuration that the table follows from.
    package let epoch: UInt64
    /// The number of slots.
    package let slotCount: Int
    /// The number of owners that each slot has.
    package let ownerCount: Int

    private let ids: [NodeID]
    private let rendezvous: Rendezvous
    /// Member indices, `ownerCount` for each slot; 8,192 members fit in 16 bits.
    private let ownerTable: [UInt16]

    /// How far down a ranking owners are looked for before the whole of it is sorted.
    private static let frontCount = 24

    /// Computes the table.
    ///
    /// - Complexity: O(members x slots)
    package init(_ configuration: RingConfiguration) {
        epoch = configuration.epoch
        slotCount = configuration.slotCount
        ids = configuration.members.map(\.id)
        rendezvous = Rendezvous(configuration)
        ownerCount = min(configuration.replicationFactor, rendezvous.count)
        ownerTable = Self.table(
            OwnerSelection(configuration),
            rendezvous,
            slotCount: slotCount
        )
        precondition(ownerTable.count == slotCount * ownerCount)
    }

    /// The slot that `key` falls into.
    package func slot(of key: some Sequence<UInt8>) -> Slot {
        Slot(of: key, slotCount: slotCount)
    }

    /// The peers that keep a slot's records, the preferred one first; empty in a ring where no
    /// member has a weight.
    package func owners(of slot: Slot) -> [NodeID] {
        ownerIndices(of: slot).map { ids[Int($0)] }
    }

    /// Whether `node` keeps a slot's records.
    package func isOwner(_ node: NodeID, of slot: Slot) -> Bool {
        ownerIndices(of: slot).contains { ids[Int($0)] == node }
    }

    /// The owners of a slot and then every other member in the order in which they stand in.
    ///
    /// - Complexity: O(n log n); ``owners(of:)`` is a look-up.
    package func preferenceList(of slot: Slot) -> [NodeID] {
        let owners = ownerIndices(of: slot).map { Int($0) }
        let rest = rendezvous.ranking(for: slot).map(\.member).filter { !owners.contains($0) }
        return (owners + rest).map { ids[$0] }
    }

    /// The slots that `node` owns, ascending.
    package func slots(ownedBy node: NodeID) -> [Slot] {
        guard let index = ids.firstIndex(of: node) else { return [] }
        return (0..<slotCount).map(Slot.init(index:)).filter {
            ownerIndices(of: $0).contains(UInt16(index))
        }
    }

    /// A 64-bit summary of the whole table.
    package var digest: UInt64 {
        var hash = StableHash()
        for index in ownerTable {
            hash.combine(ids[Int(index)].high)
            hash.combine(ids[Int(index)].low)
        }
        return hash.value
    }

    private func ownerIndices(of slot: Slot) -> ArraySlice<UInt16> {
        precondition(slot.index < slotCount, "the slot belongs to a ring with more slots")
        return ownerTable[slot.index * ownerCount..<(slot.index + 1) * ownerCount]
    }

    private static func table(
        _ fresh: OwnerSelection,
        _ rendezvous: Rendezvous,
        slotCount: Int
    ) -> [UInt16] {
        guard rendezvous.count > 0 else { return [] }
        var selection = fresh
        var table: [UInt16] = []
        for slot in (0..<slotCount).map(Slot.init(index:)) {
            let front = rendezvous.best(min(frontCount, rendezvous.count), for: slot)
            let owners =
                selection.strictOwners(among: front)
                ?? selection.owners(among: rendezvous.ranking(for: slot))
            for owner in owners { table.append(UInt16(owner)) }
        }
        return table
    }
}
