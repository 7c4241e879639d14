package import Determinism

/// A slot whose owners differ between two configurations.
package struct SlotMove: Hashable, Sendable {
    /// The slot.
    package let slot: Slot
    /// The nodes that own it only in the later configuration, in preference order.
    package let gainers: [NodeID]
    /// The nodes that own it only in the earlier configuration, in preference order.
    package let losers: [NodeID]

    /// Makes a move.
    package init(slot: Slot, gainers: [NodeID], losers: [NodeID]) {
        self.slot = slot
        self.gainers = gainers
        self.losers = losers
    }
}

extension Placement {
    /// The slots whose owners changed since `earlier`, ascending: what has to be handed over.
    ///
    /// `earlier` is the placement of an older epoch of the same ring.
    package func moves(since earlier: Placement) -> [SlotMove] {
        precondition(slotCount == earlier.slotCount, "a ring keeps its slot count for life")
        var moves: [SlotMove] = []
        for slot in (0..<slotCount).map(Slot.init(index:)) {
            let before = earlier.owners(of: slot)
            let after = owners(of: slot)
            let gainers = after.filter { !before.contains($0) }
            let losers = before.filter { !after.contains($0) }
            guard !gainers.isEmpty || !losers.isEmpty else { continue }
            moves.append(SlotMove(slot: slot, gainers: gainers, losers: losers))
        }
        return moves
    }
}
