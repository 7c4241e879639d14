package import Determinism
import RingRegisters
package import Wire

/// What turns one configuration into a later one: it travels instead of the whole table, so that a
/// change costs what changed.
///
/// It names the digest of what comes out. A delta may be tried on any epoch between its two, since
/// members are named as they are in the end; where that led to something else, the digest tells,
/// and the whole configuration is asked for.
package struct ConfigurationDelta: Hashable, Sendable {
    /// The ring.
    package let ringID: RingID
    /// The epoch that it was made from.
    package let fromEpoch: UInt64
    /// The epoch that it leads to.
    package let toEpoch: UInt64
    /// The digest of the configuration that it leads to.
    package let digest: UInt64
    /// Members that are new or differ, ascending by id.
    package let changed: [RingMember]
    /// Those that are members no longer, ascending.
    package let removed: [NodeID]

    private let stewards: StewardSet
    /// The tagged fields of the later configuration.
    private let tagged: [UInt8]

    private init(
        ringID: RingID,
        epochs: ClosedRange<UInt64>,
        digest: UInt64,
        changed: [RingMember],
        removed: [NodeID],
        stewards: StewardSet,
        tagged: [UInt8]
    ) {
        self.ringID = ringID
        fromEpoch = epochs.lowerBound
        toEpoch = epochs.upperBound
        self.digest = digest
        self.changed = changed
        self.removed = removed
        self.stewards = stewards
        self.tagged = tagged
    }

    /// Makes the delta between two configurations; nil where `earlier` is none before `later`.
    ///
    /// `digest` is that of `later`, which whoever calls has at hand.
    /// - Complexity: O(members)
    package init?(from earlier: RingConfiguration, to later: RingConfiguration, digest: UInt64) {
        guard earlier.ringID == later.ringID, earlier.epoch < later.epoch,
            earlier.slotCount == later.slotCount,
            earlier.replicationFactor == later.replicationFactor
        else { return nil }
        var changed: [RingMember] = []
        var removed: [NodeID] = []
        var old = earlier.members[...]
        for member in later.members {
            while let first = old.first, first.id < member.id {
                removed.append(first.id)
                old = old.dropFirst()
            }
            if let first = old.first, first.id == member.id {
                old = old.dropFirst()
                if first == member { continue }
            }
            changed.append(member)
        }
        removed += old.map(\.id)
        self.init(
            ringID: later.ringID,
            epochs: earlier.epoch...later.epoch,
            digest: digest,
            changed: changed,
            removed: removed,
            stewards: later.stewards,
            tagged: later.taggedFields
        )
    }

    /// This delta and then another one that begins where it ends.
    package func followed(by next: ConfigurationDelta) -> ConfigurationDelta {
        precondition(next.fromEpoch == toEpoch && next.ringID == ringID, "deltas follow in order")
        let later = SortedSet(next.changed.map(\.id))
        let gone = SortedSet(next.removed)
        let kept = changed.filter { !later.contains($0.id) && !gone.contains($0.id) }
        return ConfigurationDelta(
            ringID: ringID,
            epochs: fromEpoch...next.toEpoch,
            digest: next.digest,
            changed: (kept + next.changed).sorted { $0.id < $1.id },
            removed: SortedSet(removed.filter { !later.contains($0) } + next.removed).elements,
            stewards: next.stewards,
            tagged: next.tagged
        )
    }

    /// The bytes, as they travel.
    ///
    /// | field | bytes |
    /// |---|---|
    /// | ring id, from, to, digest | 16, 8, 8, 8 |
    /// | stewards | 12 and 32 each |
    /// | removed: count, ids | 4, 16 each |
    /// | changed: count, members | 4, as in a configuration |
    /// | tagged fields of the later configuration | to the end |
    package func write(to writer: inout ByteWriter) {
        writer.write(ringID.bits)
        writer.write(fromEpoch)
        writer.write(toEpoch)
        writer.write(digest)
        stewards.write(to: &writer)
        writer.write(list: removed) { $0.write($1) }
        writer.write(list: changed) { $1.write(to: &$0) }
        writer.write(raw: tagged)
    }

    /// Reads a delta that another peer wrote, to the last byte.
    package init(from reader: inout ByteReader) throws(WireError) {
        ringID = RingID(bits: try reader.readNodeID("ring id"))
        fromEpoch = try reader.readInteger("epoch")
        toEpoch = try reader.readInteger("epoch")
        guard fromEpoch < toEpoch else { throw .malformed(field: "epoch") }
        digest = try reader.readInteger("digest")
        stewards = try StewardSet(from: &reader)
        removed = try reader.readList("removed", max: RingConfiguration.memberCountMax) {
            reader throws(WireError) in
            try reader.readNodeID("member id")
        }
        changed = try reader.readList("members", max: RingConfiguration.memberCountMax) {
            reader throws(WireError) in
            try RingMember(from: &reader)
        }
        tagged = Array(try reader.readRaw(reader.remaining, "tagged fields"))
        guard zip(removed, removed.dropFirst()).allSatisfy({ $0 < $1 }),
            zip(changed, changed.dropFirst()).allSatisfy({ $0.id < $1.id })
        else { throw .malformed(field: "members") }
        _ = try RingConfiguration.readTagged(tagged[...], of: ringID)
    }

    /// The configuration that the delta leads to from `base`; nil where it does not fit.
    ///
    /// - Complexity: O(members)
    package func applied(to base: RingConfiguration) -> RingConfiguration? {
        guard base.ringID == ringID, fromEpoch <= base.epoch, base.epoch < toEpoch,
            let extras = try? RingConfiguration.readTagged(tagged[...], of: ringID)
        else { return nil }
        var members: [RingMember] = []
        members.reserveCapacity(base.members.count + changed.count)
        var gone = removed[...]
        var new = changed[...]
        for member in base.members {
            while let first = new.first, first.id < member.id {
                members.append(first)
                new = new.dropFirst()
            }
            while let first = gone.first, first < member.id { gone = gone.dropFirst() }
            if let first = new.first, first.id == member.id {
                members.append(first)
                new = new.dropFirst()
            } else if gone.first != member.id {
                members.append(member)
            }
        }
        members += new
        let result = RingConfiguration(
            ringID: ringID,
            epoch: toEpoch,
            slotCount: base.slotCount,
            replicationFactor: base.replicationFactor,
            ascending: members,
            stewards: stewards,
            extras: extras
        )
        return result.isConsistent && result.digest == digest ? result : nil
    }
}

/// The last changes of the configuration, so that whoever is a little behind is told what changed.
///
/// - Bounds: ``stepsMax`` steps, none older than ``age``, and not more members in all of them than
///   the ring has.
package struct ConfigurationHistory: Sendable {
    private struct Step: Sendable {
        let delta: ConfigurationDelta
        let at: Instant
    }

    /// The most steps.
    package static let stepsMax = 64
    /// How long a step is kept: 60 s.
    package static let age = Span.seconds(60)

    private var steps: [Step] = []

    /// Makes an empty history.
    package init() {}

    /// The number of steps.
    package var count: Int { steps.count }

    /// Adds the change from the configuration before; nil where it is not known, which empties the
    /// history.
    package mutating func add(_ delta: ConfigurationDelta?, memberCount: Int, now: Instant) {
        guard let delta else {
            steps = []
            return
        }
        if steps.last?.delta.toEpoch != delta.fromEpoch { steps = [] }
        steps.append(Step(delta: delta, at: now))
        var total = steps.reduce(0) { $0 + $1.delta.changed.count }
        while steps.count > Self.stepsMax || total > max(memberCount, 64) {
            total -= steps.removeFirst().delta.changed.count
        }
        dropOld(now: now)
    }

    /// Drops steps that nobody should need any more.
    package mutating func dropOld(now: Instant) {
        steps.removeAll { now.since($0.at) > Self.age }
    }

    /// All that changed since an epoch, as one delta; nil where that is not known.
    package func delta(since epoch: UInt64) -> ConfigurationDelta? {
        guard let first = steps.lastIndex(where: { $0.delta.fromEpoch <= epoch }),
            let last = steps.last, epoch < last.delta.toEpoch
        else { return nil }
        return steps[(first + 1)...].reduce(steps[first].delta) { $0.followed(by: $1.delta) }
    }
}
