package import Determinism
package import Wire

/// What an acceptor keeps of one register, and must have kept before it answers.
package struct AcceptorRow: Hashable, Sendable {
    /// The register's name.
    package let key: String
    /// The highest ballot that was promised.
    package let promised: Ballot
    /// What was taken last.
    package let accepted: AcceptedValue?

    /// Makes a row.
    package init(key: String, promised: Ballot, accepted: AcceptedValue?) {
        self.key = key
        self.promised = promised
        self.accepted = accepted
    }

    /// Reads a row as ``encoded`` left it.
    package init(key: [UInt8], encoded: [UInt8]) throws(WireError) {
        guard let name = String(validating: key, as: UTF8.self) else {
            throw .malformed(field: "register name")
        }
        self.key = name
        var reader = ByteReader(encoded)
        promised = try Ballot(from: &reader)
        accepted = try reader.readFlag("has value") ? try AcceptedValue(from: &reader) : nil
        try reader.finish()
    }

    /// The row's bytes without its key.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        promised.write(to: &writer)
        writer.write(accepted != nil)
        accepted?.ballot.write(to: &writer)
        accepted?.value.write(to: &writer)
        return writer.bytes
    }
}

/// The memory of a steward: for each register a promise and the value taken last.
///
/// Rules:
/// - P1 a request of another steward epoch is refused;
/// - P2 a ballot below the promise is refused, and the answer tells the promise;
/// - P3 an answer may leave only after the row that comes with it is durable.
/// - Source: Rystsov, "CASPaxos", section 2.2.
package struct Acceptor: Sendable {
    /// The database that the rows are in: another database is another acceptor.
    package let storage: NodeID
    /// The epoch of the steward group that the acceptor serves.
    package let epoch: UInt64
    private var rows = SortedMap<String, AcceptorRow>()

    /// Makes the acceptor out of what was durable.
    package init(storage: NodeID, epoch: UInt64, rows: [AcceptorRow]) {
        self.storage = storage
        self.epoch = epoch
        for row in rows { self.rows[row.key] = row }
    }

    /// An answer, and the row that must be durable before it leaves.
    package struct Step: Hashable, Sendable {
        /// What to answer.
        package let answer: RegisterMessage
        /// What to write first; nil when nothing changed.
        package let row: AcceptorRow?
    }

    /// Takes in a request; nil for what is none.
    package mutating func receive(_ message: RegisterMessage) -> Step? {
        switch message {
        case .prepare(let round, let epoch, let key, let ballot):
            guard epoch == self.epoch else { return wrongEpoch(round) }
            return prepare(round, key, ballot)
        case .accept(let round, let epoch, let key, let accepted):
            guard epoch == self.epoch else { return wrongEpoch(round) }
            return accept(round, key, accepted)
        case .list(let round, let epoch, let prefix):
            guard epoch == self.epoch else { return wrongEpoch(round) }
            let keys = rows.suffix(from: prefix).prefix { $0.key.hasPrefix(prefix) }
                .filter { $0.value.accepted?.value.payload != nil }
                .prefix(RegisterMessage.keysMax).map(\.key)
            return Step(answer: .keys(round: round, keys), row: nil)
        case .promise, .accepted, .rejected, .wrongEpoch, .keys:
            return nil
        }
    }

    private func wrongEpoch(_ round: UInt64) -> Step {
        Step(answer: .wrongEpoch(round: round, current: epoch), row: nil)
    }

    private mutating func prepare(_ round: UInt64, _ key: String, _ ballot: Ballot) -> Step {
        let held = rows[key]
        let promised = held?.promised ?? .zero
        guard ballot >= promised, ballot > .zero else {
            return Step(answer: .rejected(round: round, promised: promised), row: nil)
        }
        let row = AcceptorRow(key: key, promised: ballot, accepted: held?.accepted)
        rows[key] = row
        return Step(answer: .promise(round: round, row.accepted), row: row)
    }

    private mutating func accept(
        _ round: UInt64,
        _ key: String,
        _ accepted: AcceptedValue
    ) -> Step {
        let promised = rows[key]?.promised ?? .zero
        guard accepted.ballot >= promised, accepted.ballot > .zero else {
            return Step(answer: .rejected(round: round, promised: promised), row: nil)
        }
        let row = AcceptorRow(key: key, promised: accepted.ballot, accepted: accepted)
        rows[key] = row
        return Step(answer: .accepted(round: round), row: row)
    }
}
