package import Determinism

/// The knobs of the failure detector.
///
/// A blackholed node is found by all survivors after about: the wait until somebody probes it,
/// ``probeDeadline``, and the suspicion. With five nodes these sum to 1.2 to 2.2 s. The price is
/// the pause that a healthy process may take before it is declared dead, about 1.4 s.
package struct MembershipParameters: Hashable, Sendable {
    /// One member is probed this often.
    ///
    /// The default is 200 ms; more often costs bytes.
    package var probeInterval = Span.milliseconds(200)
    /// A direct ack is awaited this long, times local health.
    ///
    /// The default is 100 ms.
    package var ackTimeout = Span.milliseconds(100)
    /// A probe that nobody vouched for fails after this long, times local health.
    ///
    /// Default 400 ms.
    package var probeDeadline = Span.milliseconds(400)
    /// Members asked to probe indirectly.
    ///
    /// The default is 3, as in SWIM.
    package var helpersMax = 3
    /// The shortest suspicion, reached once enough accusers agree.
    ///
    /// The default is 1 s.
    package var suspicionShortest = Span.milliseconds(1_000)
    /// The longest suspicion, for a lone accuser.
    ///
    /// The default is 2 s.
    package var suspicionLongest = Span.milliseconds(2_000)
    /// Suspicion after the member's host said that its port is closed.
    ///
    /// The default is 300 ms.
    package var suspicionPortClosed = Span.milliseconds(300)
    /// Accusers beyond the first that shorten a suspicion to its floor.
    ///
    /// The default is 2.
    package var confirmationsWanted = 2
    /// Rumors are pushed this often while there are any.
    ///
    /// The default is 100 ms.
    package var gossipInterval = Span.milliseconds(100)
    /// Members a rumor is pushed to each time.
    ///
    /// The default is 3.
    package var gossipFanout = 3
    /// The largest datagram before sealing, in bytes.
    ///
    /// The default is 1,200.
    package var datagramLengthMax = 1_200
    /// One gone member is probed this often, so that a healed partition heals.
    ///
    /// The default is 5 s.
    package var goneProbeInterval = Span.seconds(5)
    /// A gone member is forgotten after this long.
    ///
    /// The default is a day.
    package var goneRetention = Span.seconds(86_400)
    /// Unequal digests lead to an exchange once the own table was quiet this long.
    ///
    /// Default 500 ms.
    package var exchangeQuiet = Span.milliseconds(500)
    /// At most one exchange is started this often.
    ///
    /// The default is 1 s.
    package var exchangeInterval = Span.seconds(1)
    /// The most members that a table holds.
    package static let membersMax = 8_192

    /// Makes the defaults for one data centre.
    package init() {}
}
