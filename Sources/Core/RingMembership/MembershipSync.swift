package import Determinism
package import Wire

/// What two peers whose tables differ tell each other over a stream.
///
/// One sends its summary; the other answers with what it knows of the members in the buckets that
/// differ, and asks for the same in return. So the cost follows the difference, not the ring.
package enum MembershipSync: Hashable, Sendable {
    /// "These are my sums, and this is me: where do yours differ?"
    case summary([UInt64], sender: MemberFact)
    /// "This is what I know of them; tell me of those in the wanted buckets."
    case facts([MemberFact], wanted: [UInt8])

    /// The message's bytes: a kind, then its fields.
    package func write(to writer: inout ByteWriter) {
        switch self {
        case .summary(let sums, let sender):
            writer.write(UInt8(1))
            for sum in sums { writer.write(sum) }
            sender.write(to: &writer)
        case .facts(let facts, let wanted):
            writer.write(UInt8(2))
            writer.write(list: facts) { $1.write(to: &$0) }
            writer.write(list: wanted) { $0.write($1) }
        }
    }

    /// Reads a message that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        switch try reader.readInteger("sync kind", as: UInt8.self) {
        case 1:
            var sums: [UInt64] = []
            for _ in 0..<MemberDigests.bucketCount { sums.append(try reader.readInteger("sum")) }
            self = .summary(sums, sender: try MemberFact(from: &reader))
        case 2:
            let facts = try reader.readList("facts", max: MembershipParameters.membersMax + 1) {
                reader throws(WireError) in
                try MemberFact(from: &reader)
            }
            let wanted = try reader.readList("buckets", max: MemberDigests.bucketCount) {
                reader throws(WireError) in
                try reader.readInteger("bucket", as: UInt8.self)
            }
            self = .facts(facts, wanted: wanted)
        default: throw .malformed(field: "sync kind")
        }
    }
}

extension Membership {
    /// So many facts at once are news; more are a table.
    private static let newsMax = 32

    /// What this peer's summary says now.
    package var summary: MembershipSync { .summary(table.digests.buckets, sender: own) }

    /// Takes in a message from a peer whose certificate was good.
    ///
    /// - Returns: false when the sender of a summary is not `peer`; nothing was done then.
    package mutating func receive(
        _ message: MembershipSync,
        from peer: NodeID,
        now: Instant
    ) -> Bool {
        switch message {
        case .summary(let sums, let sender):
            guard sender.id == peer else { return false }
            merge([sender], from: peer, now: now)
            let differing = table.digests.differing(from: sums)
            guard !differing.isEmpty else { return true }
            let facts = facts(inBuckets: differing)
            effects.append(.sync(.facts(facts, wanted: differing), to: peer, at: sender.address))
        case .facts(let facts, let wanted):
            merge(facts, from: peer, now: now)
            guard !wanted.isEmpty, let address = table[peer]?.fact.address else { return true }
            let answer = self.facts(inBuckets: wanted)
            effects.append(.sync(.facts(answer, wanted: []), to: peer, at: address))
        }
        return true
    }

    private func facts(inBuckets buckets: [UInt8]) -> [MemberFact] {
        let isOwnWanted = buckets.contains(UInt8(MemberDigests.bucket(of: own.id)))
        return (isOwnWanted ? [own] : []) + table.facts(inBuckets: buckets)
    }

    /// Takes in facts from another peer's table.
    ///
    /// A member that the other believes dead becomes a suspect here and not a dead one, so that it
    /// has time to refute what may be old news; one that is gone and was never known is nobody's
    /// news, since it would never be forgotten if tables passed it on.
    /// Those who are alive in a table of many are not passed on either: others know them, each told
    /// of itself, and digests find whom that missed. A node that is let into a ring of thousands
    /// would otherwise gossip the whole table for minutes.
    /// - Source: memberlist's merge rule for dead members.
    package mutating func merge(_ facts: [MemberFact], from peer: NodeID, now: Instant) {
        let isTable = facts.count > Self.newsMax
        for var fact in facts.prefix(MembershipParameters.membersMax) {
            if fact.id != own.id, fact.status.isGone {
                guard let known = table[fact.id]?.fact else { continue }
                let isTrusted = parameters.flaws.contains(.deathTakenFromTable)
                if fact.status == .dead, !known.status.isGone, !isTrusted { fact.status = .suspect }
            }
            let isPassedOn = !isTable || fact.status != .alive
            learn(Rumor(fact: fact, accuser: peer), isPassedOn: isPassedOn, now: now)
        }
    }

    /// Compares tables with a member over a stream where its digest differs, and goes on doing so
    /// at intervals while it does.
    mutating func compareDigest(of datagram: MembershipDatagram, now: Instant) {
        guard datagram.digest != digest, !datagram.sender.status.isGone,
            !parameters.flaws.contains(.digestNeverCompared),
            table.claim(of: datagram.sender.id) != nil
        else { return }
        let waited = syncedAt.map { now.since($0) } ?? parameters.syncPatience
        // A change that is just going round makes all digests differ for a moment.
        let isQuiet = now.since(changedAt) >= parameters.syncQuiet
        guard waited >= parameters.syncInterval, isQuiet || waited >= parameters.syncPatience
        else { return }
        guard let member = table[datagram.sender.id] else { return }
        syncedAt = now
        effects.append(.sync(summary, to: member.fact.id, at: member.fact.address))
    }
}
