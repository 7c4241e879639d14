/// A known mistake in replicated records that can be planted, so that tests show it would be found.
///
/// Never set outside of tests: nothing reads one from a file, an option or the network.
package enum RecordFlaw: String, CaseIterable, Hashable, Sendable {
    /// What was kept for an absent replica is delivered and taken in whatever epoch.
    case hintOfClosedEpochApplied
    /// A replica keeps and acknowledges what it does not own.
    case wrongEpochAccepted
    /// Of two versions the one that arrives last wins.
    case versionByArrival
    /// An acknowledgement does not wait for the write.
    case acknowledgedBeforeDurable
    /// A former owner drops a slot at once.
    case ownerDropsTooEarly
    /// Replicas never compare what they hold.
    case digestNeverCompared
    /// Records of a node that is no longer a member are taken.
    case retiredSetAccepted
    /// A watcher does not look whether a change follows the one before.
    case gapUnnoticed
    /// A new owner answers as if it had all that the slot holds.
    case newOwnerServesAtOnce
    /// A quorum read answers before what it saw is on a write quorum.
    case readRepairMissing
    /// The records of a member that is merely away are dropped.
    case awayMemberRetired
    /// A change is applied to another version than the one that it was made to.
    case deltaOnWrongBase
}
