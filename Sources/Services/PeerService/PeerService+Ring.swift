package import Determinism
package import RingPeer
package import RingPlacement
package import RingRecords
package import RingRegisters

/// The ring as one peer knows it at one moment.
package struct RingView: Sendable {
    /// The configuration in force.
    package let configuration: RingConfiguration
    /// The slots that each member is among the owners of.
    package let slotCounts: SortedMap<NodeID, Int>
    /// The group of stewards in force, which may be younger than the configuration's.
    package let stewards: StewardSet
    /// These stewards, one by one.
    package let stewardViews: [StewardView]
    /// A change of the stewards under way.
    package let stewardChange: StewardChangeView?
    /// What is under way between owners of records.
    package let records: Records.Status
}

extension PeerService {
    /// Everything about the ring, read without the peer going on in between; nil before it belongs
    /// to one.
    ///
    /// - Complexity: O(members x slots); for people who ask, not for loops.
    package func ringView() -> RingView? {
        guard let peer else { return nil }
        return RingView(
            configuration: peer.configuration,
            slotCounts: peer.configuration.members.reduce(into: SortedMap()) {
                $0[$1.id] = peer.placement.slots(ownedBy: $1.id).count
            },
            stewards: peer.stewardsInForce,
            stewardViews: peer.stewardViews(now: now),
            stewardChange: peer.stewardChange,
            records: peer.records.status
        )
    }

    /// Finds out what is left of the registers, and with `givenUp` founds them anew; nil where the
    /// peer stopped midway, so that it is not known.
    package func recover(givenUp: [NodeID]?) async -> RecoveryOutcome? {
        let answer = await request { $0.recover(givenUp: givenUp, token: $1, now: $2) }
        guard case .recovery(let outcome) = answer else { return nil }
        return outcome
    }
}
