package import Determinism
import Wire

/// The number of one attempt to decide a register; every attempt of every process has its own.
///
/// The epoch of the steward group decides first, so whatever a group was handed by the one before
/// it is older than anything it decides itself. The boot counter is part of it: a proposer that
/// restarts and counts from one again can never repeat a ballot of its earlier life with another
/// value.
/// - Source: Rystsov, "CASPaxos", section 2.2; Lamport, Malkhi, Zhou, "Vertical Paxos".
package struct Ballot: Hashable, Comparable, Sendable {
    /// The epoch of the steward group.
    package let epoch: UInt64
    /// Counts attempts.
    package let counter: UInt64
    /// The node that attempts.
    package let proposer: NodeID
    /// The start of its process: the boot counter, and 32 drawn bits below it, since an old copy of
    /// a disk counts on to a boot that its node already had.
    package let boot: UInt64

    /// Makes a ballot.
    package init(epoch: UInt64, counter: UInt64, proposer: NodeID, boot: UInt64) {
        self.epoch = epoch
        self.counter = counter
        self.proposer = proposer
        self.boot = boot
    }

    /// Lower than every ballot of a proposer: it never wins.
    package static let zero = Ballot(
        epoch: 0,
        counter: 0,
        proposer: NodeID(high: 0, low: 0),
        boot: 0
    )

    package static func < (lhs: Ballot, rhs: Ballot) -> Bool {
        (lhs.epoch, lhs.counter, lhs.proposer, lhs.boot)
            < (rhs.epoch, rhs.counter, rhs.proposer, rhs.boot)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(epoch)
        writer.write(counter)
        writer.write(proposer)
        writer.write(boot)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        epoch = try reader.readInteger("ballot epoch")
        counter = try reader.readInteger("ballot counter")
        proposer = try reader.readNodeID("ballot proposer")
        boot = try reader.readInteger("ballot boot")
    }
}
