import Determinism

/// The round trips of the last direct probes, from which the wait for an ack follows.
///
/// - Bounds: the last 64.
struct RoundTrips: Sendable {
    private var latest: [Span] = []
    private var next = 0

    private static let countMax = 64
    /// Before so many were seen, the default wait holds.
    private static let countMin = 8

    /// Notes one.
    mutating func add(_ roundTrip: Span) {
        if latest.count < Self.countMax {
            latest.append(roundTrip)
        } else {
            latest[next] = roundTrip
            next = (next + 1) % Self.countMax
        }
    }

    /// Four times what nine of ten of the last ones did not exceed, within bounds.
    ///
    /// The slowest tenth is left out: a few answers that waited in a queue should not slow
    /// everything down for a whole round.
    func ackTimeout(_ parameters: MembershipParameters) -> Span {
        guard latest.count >= Self.countMin else { return parameters.ackTimeout }
        let slow = latest.sorted()[latest.count * 9 / 10]
        return min(max(slow * 4, parameters.ackTimeoutShortest), parameters.ackTimeoutLongest)
    }
}
