import Determinism

/// One of the equal arcs that a ring's 64-bit hash space is cut into.
package struct Slot: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The position of the slot: 0 up to the ring's slot count, exclusive.
    package let index: Int

    /// Makes a slot from its position.
    package init(index: Int) {
        precondition(index >= 0, "slots are counted from zero")
        self.index = index
    }

    /// The slot that `key` falls into: the top bits of its stable hash.
    ///
    /// `slotCount` is a power of two, so that every slot covers as much of the hash space.
    package init(of key: some Sequence<UInt8>, slotCount: Int) {
        precondition(slotCount > 0 && slotCount & (slotCount - 1) == 0)
        let shift = UInt64.bitWidth - slotCount.trailingZeroBitCount
        self.init(index: Int(StableHash.of(key) >> UInt64(shift)))
    }

    package static func < (lhs: Slot, rhs: Slot) -> Bool { lhs.index < rhs.index }

    package var description: String { String(index) }
}
