package import Addressing
import Determinism

/// The highest fence seen of each address block: receivers ignore what has a lower one (rule A5).
///
/// A node that was taken out of the ring and does not know it goes on telling of its pods. As soon
/// as a new owner of a block has told of one pod, all that the old one says of the block is void,
/// also of addresses that the new one has not given out, and also after its pods are gone again.
package struct FenceLedger: Sendable {
    private struct Key: Comparable {
        let vni: VNI
        let block: Prefix
        static func < (lhs: Key, rhs: Key) -> Bool {
            (lhs.vni, lhs.block) < (rhs.vni, rhs.block)
        }
    }

    private var highest = SortedMap<Key, UInt64>()

    /// Makes a ledger that has seen nothing.
    package init() {}

    /// Takes note of a fence.
    package mutating func note(_ vni: VNI, _ block: Prefix, fence: UInt64) {
        let key = Key(vni: vni, block: block)
        highest[key] = max(highest[key] ?? 0, fence)
    }

    /// Whether no higher fence was seen of the block.
    package func isCurrent(_ vni: VNI, _ block: Prefix, fence: UInt64) -> Bool {
        fence >= highest[Key(vni: vni, block: block)] ?? 0
    }

    /// Forgets the VPCs for which `isFollowed` does not hold, so that the ledger stays bounded.
    package mutating func forget(unless isFollowed: (VNI) -> Bool) {
        highest.removeAll { key, _ in !isFollowed(key.vni) }
    }
}
