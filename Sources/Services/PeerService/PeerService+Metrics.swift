import Determinism
package import RingMembership
package import RingPeer
package import RingPlacement
package import RingRecords

/// What a peer counts, as it is at one moment; the counters run since the process was started.
package struct PeerMetrics: Sendable {
    /// The ring configuration in force.
    package let configuration: RingConfiguration
    /// This peer's own fact.
    package let own: MemberFact
    /// Everyone else.
    package let members: [Membership.Member]
    /// What the failure detector did.
    package let membership: MembershipCounters
    /// Lifeguard's local health; 0 is well.
    package let localHealth: Int
    /// How much waits in the failure detector.
    package let queues: MembershipQueueLengths
    /// Registers and addresses.
    package let figures: PeerFigures
    /// What became of records.
    package let records: RecordCounters
    /// What is held of them.
    package let holdings: RecordHoldings
    /// What is under way between their owners.
    package let status: Records.Status
    /// Groups that are watched through the node API.
    package let topicsFollowed: Int
    /// Watches that had to begin anew.
    package let topicResyncs: UInt64
}

extension PeerService {
    /// What the peer counts; nil before it belongs to a ring.
    ///
    /// - Complexity: O(records); the cores count as they go, and all else is done here, when asked.
    package func metrics() -> PeerMetrics? {
        guard let peer else { return nil }
        return PeerMetrics(
            configuration: peer.configuration,
            own: peer.membership.own,
            members: peer.membership.members,
            membership: peer.membership.counters,
            localHealth: peer.membership.localHealth,
            queues: peer.membership.queueLengths,
            figures: peer.figures(now: now),
            records: peer.records.counters,
            holdings: peer.records.holdings,
            status: peer.records.status,
            topicsFollowed: topics.count,
            topicResyncs: topicResyncs
        )
    }

    /// Why the peer cannot do its work; nil while it can.
    package func trouble() -> String? {
        if let failure { return "\(failure)" }
        if isStopped { return "it is stopping" }
        return peer == nil ? "it belongs to no ring yet" : nil
    }
}
