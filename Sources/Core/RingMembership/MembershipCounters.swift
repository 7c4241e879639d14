/// What a membership did since it was made; for people, nothing is decided by it.
package struct MembershipCounters: Hashable, Sendable {
    /// Probes that were sent.
    package internal(set) var probesSent: UInt64 = 0
    /// Probes that the target or a helper answered in time.
    package internal(set) var probesAnswered: UInt64 = 0
    /// Probes that nobody answered in time, those of gone members aside.
    package internal(set) var probesFailed: UInt64 = 0
    /// Times that a member became suspect here, whoever said so first.
    package internal(set) var suspicions: UInt64 = 0
    /// Times that a member was found dead here, or said to be by others.
    package internal(set) var deaths: UInt64 = 0
    /// Accusations of this very peer that it answered.
    package internal(set) var refutations: UInt64 = 0
    /// Times that this process found it had not run for a while.
    package internal(set) var stalls: UInt64 = 0

    /// Makes zeroes.
    package init() {}
}
