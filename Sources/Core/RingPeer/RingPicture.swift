import Determinism
package import RingPlacement
package import RingRecords

/// A configuration and what follows from it: plain values, the same at every peer.
///
/// A peer makes its own. Whoever runs thousands of peers in one process makes each once and gives
/// it to all of them by ``PeerParameters/picture``.
package struct RingPicture: Sendable {
    /// The configuration.
    package let configuration: RingConfiguration
    /// Who owns which slot.
    package let placement: Placement
    /// The same, as the records see it.
    package let view: OwnershipView
    /// The configuration's bytes.
    package let encoded: [UInt8]
    /// The configuration's digest.
    package let digest: UInt64

    /// Works everything out.
    ///
    /// - Complexity: O(members x slots)
    package init(_ configuration: RingConfiguration) {
        self.configuration = configuration
        placement = Placement(configuration)
        let placement = placement
        view = OwnershipView(
            epoch: placement.epoch,
            ownersBySlot: (0..<placement.slotCount).map { placement.owners(of: Slot(index: $0)) },
            members: SortedSet(configuration.members.map(\.id))
        )
        encoded = configuration.encoded
        digest = StableHash.of(encoded)
    }
}
