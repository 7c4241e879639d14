package import Addressing
package import Determinism

/// The failure detector and member table of one peer: SWIM with Lifeguard, as a value.
///
/// It performs nothing. Every entry point is told the time and appends what should happen to
/// ``effects``, which the caller drains and carries out; ``deadline`` says when to call
/// ``tick(now:)`` next. It decides who is reachable and never who owns what.
/// - Source: Das, Gupta, Motivala, "SWIM"; Dadgar, Phillips, Currey, "Lifeguard".
package struct Membership: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send a datagram.
        case send(MembershipDatagram, to: SocketAddress)
        /// Send a message over a stream; the other side gives it to ``receive(_:from:now:)``.
        case sync(MembershipSync, to: NodeID, at: SocketAddress)
        /// Ask a member over a stream for its own fact, which is given to
        /// ``streamAnswered(sequence:by:now:)``.
        case probeOverStream(sequence: UInt32, target: MemberFact)
        /// A member is new, fares differently, or may be used again.
        case changed(Member)
        /// A member answers over streams only: something on the way swallows datagrams.
        case datagramsBlocked(Member)
        /// A peer tells of a newer ring epoch than ``Membership/epoch``.
        case newerEpoch(UInt64, from: NodeID)
        /// The ring knows a later start of this node than this process is, or this one in another
        /// place: the disk is an old copy, or was copied.
        case identityTaken(boot: UInt64)
        /// The ring knows more of this very start than this process has said: another process runs
        /// under it. The next start is a later one than both.
        case twin(boot: UInt64)
    }

    /// A member as this peer sees it.
    package struct Member: Hashable, Sendable {
        /// The youngest fact about it.
        package internal(set) var fact: MemberFact
        /// When its status last changed here.
        package internal(set) var since: Instant
        /// The round trip of the last answered direct probe.
        package internal(set) var roundTrip: Span?
        /// The newest ring epoch that it has told of in a datagram; 0 before the first.
        package internal(set) var epoch: UInt64 = 0
        /// It comes and goes, and is not used before this, although it is present.
        package internal(set) var heldUntil: Instant?
        /// How often it was removed of late, and when for the last time.
        var removals = 0
        var removedAt: Instant?

        /// Whether requests should be sent to it.
        package var isReachable: Bool { !fact.status.isGone && heldUntil == nil }
    }

    /// This peer's own fact.
    package internal(set) var own: MemberFact
    /// The ring this peer belongs to.
    package let ring: NodeID
    /// The newest ring epoch that this peer holds; told to everyone with each datagram.
    package var epoch: UInt64 = 0
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []
    /// Lifeguard's local health: 0 is well, up to ``localHealthMax``; waits scale by it plus one.
    package internal(set) var localHealth = 0
    /// What was done so far, for people.
    package internal(set) var counters = MembershipCounters()

    let parameters: MembershipParameters
    var generator: SeededGenerator
    var table: MemberTable
    var suspicions = SortedMap<NodeID, Suspicion>()
    /// Not later than the first deadline in `suspicions`.
    var suspicionsDueAt: Instant?
    /// When members that were alive were first suspected or given up, oldest first.
    var missedAt: [Instant] = []
    /// Members that are held back, and until when.
    var held = SortedMap<NodeID, Instant>()
    var rumors = RumorQueue()
    var probes = SortedMap<UInt32, Probe>()
    var relays = SortedMap<UInt32, Relay>()
    var roundTrips = RoundTrips()
    /// When the last probes that failed were sent.
    var overdue = SortedMap<UInt32, Instant>()
    var nextSequence: UInt32
    var nextProbeAt: Instant
    var nextGossipAt: Instant
    var nextGoneProbeAt: Instant
    var accusesFrom: Instant
    var changedAt: Instant
    var syncedAt: Instant?
    /// Strangers are asked who they are not before this.
    var nextStrangerAt: Instant

    static let localHealthMax = 7

    /// A probe under way.
    struct Probe: Sendable {
        enum Purpose: Sendable {
            /// One of the round, or made to look into an accusation.
            case round
            /// The host said that the member's port is closed; silence confirms it.
            case closedPort
            /// The member is gone; silence changes nothing.
            case gone
        }

        let target: NodeID
        let purpose: Purpose
        let sentAt: Instant
        let indirectAt: Instant
        let failsAt: Instant
        var helpers: [NodeID]?
        var nacks = 0
        var isAnsweredOverStream = false
    }

    /// A probe made for somebody else.
    struct Relay: Sendable {
        let requester: SocketAddress
        let sequence: UInt32
        let nackAt: Instant
    }

    /// Makes the table of a peer that knows only itself and `facts`.
    package init(
        own: MemberFact,
        ring: NodeID,
        parameters: MembershipParameters = MembershipParameters(),
        knowing facts: [MemberFact] = [],
        seed: UInt64,
        now: Instant
    ) {
        precondition(
            parameters.suspicionTrusted <= parameters.suspicionPortClosed
                && parameters.suspicionPortClosed <= parameters.suspicionShortest
                && parameters.suspicionShortest <= parameters.suspicionLongest,
            "suspicions are ordered by length"
        )
        self.own = own
        self.ring = ring
        self.parameters = parameters
        generator = SeededGenerator(seed: seed)
        table = MemberTable(own: own)
        for fact in facts where fact.id != own.id {
            table.put(Member(fact: fact, since: now), using: &generator)
        }
        nextSequence = UInt32(truncatingIfNeeded: generator.next())
        // Drawn, so that a ring that starts as one does not probe in step for ever.
        let phase = Int64.random(in: 1...parameters.probeInterval.microseconds, using: &generator)
        nextProbeAt = now.advanced(by: Span(microseconds: phase))
        nextGossipAt = now
        nextGoneProbeAt = now.advanced(by: parameters.goneProbeInterval)
        accusesFrom = now
        changedAt = now
        nextStrangerAt = now
        if facts.isEmpty { rumors.add(own.id, accuser: own.id) }
    }

    /// Everyone but this peer, in an order that follows from the table's history.
    package var members: [Member] { table.members }

    /// The members that are dead or left, in an order that follows from the table's history.
    package var goneMembers: [Member] { table.goneMembers }

    /// What is known of one member; nil for strangers and for this peer itself.
    package func member(_ id: NodeID) -> Member? { table[id] }

    /// Whether requests should be sent to `id`: this peer itself, or a member that is present and
    /// not held back.
    package func isReachable(_ id: NodeID) -> Bool {
        id == own.id || table[id]?.isReachable ?? false
    }

    /// All facts, this peer's own included: what a welcome carries.
    package var facts: [MemberFact] { [own] + table.members.map(\.fact) }

    /// The digest of the table: equal digests mean equal sets of present (id, boot, incarnation).
    package var digest: UInt64 { table.digests.total }

    /// The members that are present, this peer included.
    package var presentCount: Int { table.presentCount + 1 }

    /// The lengths of the queues, each bounded by ``MembershipParameters``.
    package var queueLengths: MembershipQueueLengths {
        MembershipQueueLengths(
            rumors: rumors.count,
            probes: probes.count,
            relays: relays.count,
            suspicions: suspicions.count
        )
    }

    /// When ``tick(now:)`` wants to be called next.
    package var deadline: Instant {
        let hasNews = !rumors.isEmpty && table.presentCount > 0
        return hasNews ? min(nextDutyAt, nextGossipAt) : nextDutyAt
    }

    /// When something is due besides gossip, whose time may have come before there was any.
    var nextDutyAt: Instant {
        var earliest = min(nextProbeAt, nextGoneProbeAt)
        for (_, probe) in probes {
            earliest = min(earliest, probe.helpers == nil ? probe.indirectAt : probe.failsAt)
        }
        for (_, relay) in relays { earliest = min(earliest, relay.nackAt) }
        if let suspicionsDueAt { earliest = min(earliest, suspicionsDueAt) }
        for (_, instant) in held { earliest = min(earliest, instant) }
        return earliest
    }

    /// Says good-bye; the caller sends what is in ``effects`` and stops.
    ///
    /// A handful hear it from this peer and tell the rest.
    package mutating func leave(now: Instant) {
        guard own.status != .left else { return }
        let before = own
        own.status = .left
        table.replaceOwn(before, by: own)
        let farewell = Rumor(fact: own, accuser: own.id)
        for member in table.draw(parameters.farewellsMax, using: &generator) {
            send(.gossip, to: member, first: farewell)
        }
    }

    mutating func makeSequence() -> UInt32 {
        nextSequence &+= 1
        return nextSequence
    }
}

/// How much waits in a membership; each has a bound.
package struct MembershipQueueLengths: Hashable, Sendable {
    /// Rumors to be told: at most one per member and one of this peer.
    package let rumors: Int
    /// Probes under way: at most ``MembershipParameters/probesMax``.
    package let probes: Int
    /// Probes under way for others: at most ``MembershipParameters/relaysMax``.
    package let relays: Int
    /// Suspicions: at most one per member.
    package let suspicions: Int
}
