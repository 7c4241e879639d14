/// A known mistake in failure detectors that can be planted, so that tests show it would be found.
///
/// Never set outside of tests and the simulator: nothing in `genied` reads one from anywhere.
package enum MembershipFlaw: String, CaseIterable, Hashable, Sendable {
    /// A death at a higher incarnation does not raise the stored one: a late alive resurrects.
    case staleIncarnationHole
    /// A death of somebody unknown is dropped and never reaches whom it concerns.
    case accusationOfUnknownDropped
    /// A process that was stopped accuses everyone whose answers it slept through.
    case pauseUndetected
    /// Unequal tables are never noticed.
    case digestNeverCompared
    /// An accused member says nothing.
    case refutationMissing
    /// The gone are never probed: a healed partition stays.
    case goneNeverProbed
    /// A member that does not know of its own death is not told.
    case staleAliveUnanswered
    /// One accuser counts as often as it speaks.
    case confirmationsCountedTwice
    /// A suspicion never ends.
    case suspicionForgotten
    /// Facts are ordered by incarnation alone: a restarted process stays dead.
    case bootIgnored
    /// A member that comes and goes is taken back at once, each time.
    case flapUndamped
    /// A death that others tell of, in a rumor or in their table, is believed without a chance to
    /// refute.
    case deathTakenFromTable
    /// A probe that failed accuses although others reached the member.
    case indirectAnswerIgnored
}
