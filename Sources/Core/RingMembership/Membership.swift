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
        /// Exchange whole tables with a member over a stream; the answer goes to ``merge(_:now:)``.
        case exchange(with: NodeID)
        /// A member is new, or fares differently than before.
        case changed(Member)
        /// A peer tells of a newer ring epoch than ``Membership/epoch``.
        case newerEpoch(UInt64, from: NodeID)
        /// Another process uses this node's identity with a higher boot counter.
        case identityTaken(boot: UInt64)
    }

    /// A member as this peer sees it.
    package struct Member: Hashable, Sendable {
        /// The youngest fact about it.
        package var fact: MemberFact
        /// When its status last changed here.
        package var since: Instant
        /// The round trip of the last answered direct probe.
        package var roundTrip: Span?
    }

    /// This peer's own fact.
    package internal(set) var own: MemberFact
    /// The ring this peer belongs to.
    package let ring: NodeID
    /// The newest ring epoch that this peer holds; told to everyone with each datagram.
    package var epoch: UInt64 = 0
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []

    let parameters: MembershipParameters
    var generator: SeededGenerator
    var table = SortedMap<NodeID, Member>()
    var suspicions = SortedMap<NodeID, Suspicion>()
    var rumors = RumorQueue()
    var probeOrder: [NodeID] = []
    var probes = SortedMap<UInt32, Probe>()
    var relays = SortedMap<UInt32, Relay>()
    var nextSequence: UInt32
    var nextProbeAt: Instant
    var nextGossipAt: Instant
    var nextGoneProbeAt: Instant
    var lastTickAt: Instant
    var accusesFrom: Instant
    var changedAt: Instant
    var exchangedAt: Instant?
    /// Lifeguard's local health: 0 is well, up to ``localHealthMax``; waits scale by it plus one.
    package internal(set) var localHealth = 0

    static let localHealthMax = 7

    /// A direct probe under way.
    struct Probe: Sendable {
        let target: NodeID
        let sentAt: Instant
        let indirectAt: Instant
        let failsAt: Instant
        var helpers: [NodeID]?
        var nacks = 0
    }

    /// A probe made for somebody else.
    struct Relay: Sendable {
        let requester: SocketAddress
        let sequence: UInt32
        let nackAt: Instant
    }

    /// Makes the table of a peer that knows only itself.
    package init(
        own: MemberFact,
        ring: NodeID,
        parameters: MembershipParameters = MembershipParameters(),
        seed: UInt64,
        now: Instant
    ) {
        self.own = own
        self.ring = ring
        self.parameters = parameters
        generator = SeededGenerator(seed: seed)
        nextSequence = UInt32(truncatingIfNeeded: generator.next())
        nextProbeAt = now.advanced(by: parameters.probeInterval)
        nextGossipAt = now.advanced(by: parameters.gossipInterval)
        nextGoneProbeAt = now.advanced(by: parameters.goneProbeInterval)
        lastTickAt = now
        accusesFrom = now
        changedAt = now
        rumors.add(Rumor(fact: own, accuser: own.id))
    }

    /// Everyone but this peer, by identity.
    package var members: [Member] { table.values }

    /// What is known of one member; nil for strangers and for this peer itself.
    package func member(_ id: NodeID) -> Member? { table[id] }

    /// Whether requests should be sent to `id`: this peer itself, or a member not known to be gone.
    package func isReachable(_ id: NodeID) -> Bool {
        id == own.id || (table[id].map { !$0.fact.status.isGone } ?? false)
    }

    /// All facts, this peer's own included: what an exchange carries.
    package var facts: [MemberFact] { [own] + table.values.map(\.fact) }

    /// The digest of the table: equal digests mean equal sets of live (id, boot, incarnation).
    ///
    /// Gone members and the difference between alive and suspect are left out: peers forget the
    /// gone at different times, and suspicions pass by themselves.
    package var digest: UInt64 {
        var hash = StableHash(seed: 1)
        var hasOwn = false
        func combine(_ fact: MemberFact) {
            hash.combine(fact.id.high)
            hash.combine(fact.id.low)
            hash.combine(fact.boot)
            hash.combine(fact.incarnation)
        }
        for (id, member) in table where !member.fact.status.isGone {
            if !hasOwn, own.id < id {
                combine(own)
                hasOwn = true
            }
            combine(member.fact)
        }
        if !hasOwn { combine(own) }
        return hash.value
    }

    /// When ``tick(now:)`` wants to be called next.
    package var deadline: Instant {
        var earliest = min(nextProbeAt, nextGoneProbeAt)
        if !rumors.isEmpty { earliest = min(earliest, nextGossipAt) }
        for probe in probes.values {
            earliest = min(earliest, probe.helpers == nil ? probe.indirectAt : probe.failsAt)
        }
        for suspicion in suspicions.values { earliest = min(earliest, suspicion.deadline) }
        for relay in relays.values { earliest = min(earliest, relay.nackAt) }
        return earliest
    }

    /// Says good-bye to everyone reachable; the caller then stops.
    package mutating func leave(now: Instant) {
        own.status = .left
        let farewell = Rumor(fact: own, accuser: own.id)
        for member in table.values where !member.fact.status.isGone {
            send(.gossip, to: member.fact, first: farewell)
        }
        rumors.add(farewell)
    }

    mutating func count() -> Int {
        1 + table.values.count { !$0.fact.status.isGone }
    }

    mutating func makeSequence() -> UInt32 {
        nextSequence &+= 1
        return nextSequence
    }
}
