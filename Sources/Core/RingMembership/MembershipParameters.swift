package import Determinism

/// The knobs of the failure detector.
///
/// A blackholed node is found by all survivors after about: the wait until somebody probes it (with
/// five nodes 0.2 s on average), ``probeDeadlineShortest``, and the suspicion, which is 1 s once
/// three peers agree. The price is the pause that a healthy process may take before it is declared
/// dead: 1.25 s.
package struct MembershipParameters: Hashable, Sendable {
    /// One member is probed this often: 200 ms; more often costs bytes.
    package var probeInterval = Span.milliseconds(200)
    /// A direct ack is awaited this long, times local health, before round trips are known: 100 ms.
    package var ackTimeout = Span.milliseconds(100)
    /// The shortest wait for a direct ack that short round trips lead to: 30 ms.
    package var ackTimeoutShortest = Span.milliseconds(30)
    /// The longest wait for a direct ack that long round trips lead to: 200 ms.
    package var ackTimeoutLongest = Span.milliseconds(200)
    /// A probe that nobody vouched for fails after this, times local health: 250 ms.
    ///
    /// It is longer where twice the wait for an ack, and 50 ms, are.
    package var probeDeadlineShortest = Span.milliseconds(250)
    /// Members asked to probe indirectly: 3, as in SWIM.
    package var helpersMax = 3
    /// The shortest suspicion, reached once enough accusers agree: 1 s.
    package var suspicionShortest = Span.milliseconds(1_000)
    /// The longest suspicion, for a lone accuser: 2 s.
    package var suspicionLongest = Span.milliseconds(2_000)
    /// Others are believed that a member is dead once it was suspected here for so long: 150 ms.
    package var suspicionTrusted = Span.milliseconds(150)
    /// Before that, their word makes it a suspicion of this length: 500 ms.
    package var suspicionHearsay = Span.milliseconds(500)
    /// Suspicion after the member's host said that its port is closed: 200 ms.
    package var suspicionPortClosed = Span.milliseconds(200)
    /// Accusers beyond the first that shorten a suspicion to its floor: 2.
    package var confirmationsWanted = 2
    /// Peers that look into an accusation out of turn, on average over the ring: 4.
    package var inquirersWanted = 4
    /// Rumors are pushed this often while there are any, the first at once: 100 ms.
    package var gossipInterval = Span.milliseconds(100)
    /// Members that rumors are pushed to each time: 3.
    package var gossipFanout = 3
    /// The largest datagram before sealing: 1,200 bytes.
    package var datagramLengthMax = 1_200
    /// One gone member is probed this often, so that a healed partition heals: 5 s.
    package var goneProbeInterval = Span.seconds(5)
    /// A gone member is forgotten after this long: a day.
    package var goneRetention = Span.seconds(86_400)
    /// Unequal digests lead to a sync once the own table was quiet this long: 500 ms.
    package var syncQuiet = Span.milliseconds(500)
    /// At most one sync is started this often: 1 s.
    package var syncInterval = Span.seconds(1)
    /// Unequal digests lead to a sync after this long, quiet or not: 2 s.
    package var syncPatience = Span.seconds(2)
    /// A second removal within this after the first one is flapping: 10 min.
    package var flapMemory = Span.seconds(600)
    /// A flapping member is used again this long after its removal at the soonest: 60 s.
    ///
    /// Twice as long after each further one, up to ``flapHoldLongest``.
    package var flapHold = Span.seconds(60)
    /// The longest time that a flapping member is held back: 8 min.
    package var flapHoldLongest = Span.seconds(480)
    /// Removals within this of each other have one cause: 5 s.
    package var flapWindow = Span.seconds(5)
    /// Members that a leaving peer tells itself: 64.
    package var farewellsMax = 64
    /// A timer that comes later than this means that the process was stopped: 100 ms.
    package var stallShortest = Span.milliseconds(100)
    /// Planted mistakes, for tests only.
    package var flaws: [MembershipFlaw] = []

    /// The most members that a table holds.
    package static let membersMax = 8_192
    /// The most probes under way.
    package static let probesMax = 64
    /// The most failed probes of which a late answer is still noticed.
    package static let overdueMax = 16
    /// The most probes under way for others.
    package static let relaysMax = 1_024

    /// Makes the defaults for one data centre.
    package init() {}
}
