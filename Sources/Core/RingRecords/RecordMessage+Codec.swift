import Determinism
package import Wire

extension RecordMessage {
    /// The message's bytes: a kind, then its fields in the order of the case.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .put(let epoch, let sets):
            writer.write(kind: 1, epoch)
            writer.write(sets: sets)
        case .stored(let epoch, let isOwner, let summaries):
            writer.write(kind: 2, epoch)
            writer.write(isOwner)
            writer.write(list: summaries) { $1.write(to: &$0) }
        case .notOwner(let epoch, let topic):
            writer.write(kind: 3, epoch)
            writer.write(topic.name)
        case .read(let epoch, let request, let topic):
            writer.write(kind: 8, epoch)
            writer.write(request)
            writer.write(topic.name)
        case .contents(let epoch, let request, let standing, let part, let isLast, let sets):
            writer.write(kind: 9, epoch)
            writer.write(request)
            writer.write(standing)
            writer.write(part)
            writer.write(isLast)
            writer.write(sets: sets)
        case .fetch(let epoch, let summaries):
            writer.write(kind: 12, epoch)
            writer.write(list: summaries) { $1.write(to: &$0) }
        case .hint(let epoch, let sets):
            writer.write(kind: 16, epoch)
            writer.write(sets: sets)
        case .putDelta(let epoch, let delta):
            writer.write(kind: 17, epoch)
            delta.write(to: &writer)
        case .watch, .snapshot, .change, .changeDelta, .resync, .unwatch: writeWatch(to: &writer)
        case .digests, .verdicts, .topics, .compare, .versions: writeComparison(to: &writer)
        }
        return writer.bytes
    }

    private func writeWatch(to writer: inout ByteWriter) {
        switch self {
        case .watch(let epoch, let topic, let after, let known):
            writer.write(kind: 4, epoch)
            writer.write(topic.name)
            writer.write(after)
            writer.write(versions: known)
        case .snapshot(let epoch, let topic, let standing, let part, let revision, let sets):
            writer.write(kind: 5, epoch)
            writer.write(topic.name)
            writer.write(standing)
            writer.write(part)
            writer.write(revision)
            writer.write(sets: sets)
        case .change(let revision, let previous, let set):
            writer.write(kind: 6, revision)
            writer.write(previous)
            set.write(to: &writer)
        case .changeDelta(let revision, let previous, let delta):
            writer.write(kind: 18, revision)
            writer.write(previous)
            delta.write(to: &writer)
        case .resync(let topic):
            writer.write(UInt8(19))
            writer.write(topic.name)
        case .unwatch(let topic):
            writer.write(UInt8(7))
            writer.write(topic.name)
        default: break
        }
    }

    private func writeComparison(to writer: inout ByteWriter) {
        switch self {
        case .digests(let epoch, let slots):
            writer.write(kind: 10, epoch)
            writer.write(list: slots) { writer, slot in
                writer.write(slot.slot)
                writer.write(slot.digest)
            }
        case .verdicts(let epoch, let slots):
            writer.write(kind: 11, epoch)
            writer.write(list: slots) { writer, slot in
                writer.write(slot.slot)
                writer.write(slot.finding.rawValue)
            }
        case .topics(let epoch, let slot, let isWhole, let after, let isLast, let topics):
            writer.write(kind: 13, epoch)
            writer.write(slot)
            writer.write(isWhole)
            writer.write(after.name)
            writer.write(isLast)
            writer.write(list: topics) { writer, topic in
                writer.write(topic.topic.name)
                writer.write(topic.digest)
            }
        case .compare(let epoch, let topics):
            writer.write(kind: 14, epoch)
            writer.write(list: topics) { $0.write($1.name) }
        case .versions(let epoch, let topic, let versions):
            writer.write(kind: 15, epoch)
            writer.write(topic.name)
            writer.write(versions: versions)
        default: break
        }
    }

    /// Reads a message that another peer wrote.
    package init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        let kind = try reader.readInteger("kind", as: UInt8.self)
        switch kind {
        case 7: self = .unwatch(topic: try reader.readTopic())
        case 19: self = .resync(topic: try reader.readTopic())
        case 4, 5, 6, 18: self = try Self.readWatch(kind, &reader)
        case 10, 11, 13, 14, 15: self = try Self.readComparison(kind, &reader)
        default: self = try Self.read(kind, &reader)
        }
        try reader.finish()
    }

    private static func read(
        _ kind: UInt8,
        _ reader: inout ByteReader
    ) throws(WireError) -> RecordMessage {
        let epoch = try reader.readInteger("epoch", as: UInt64.self)
        switch kind {
        case 1: return .put(epoch: epoch, sets: try reader.readSets())
        case 2:
            let isOwner = try reader.readFlag("is owner")
            return .stored(epoch: epoch, isOwner: isOwner, summaries: try reader.readSummaries())
        case 3: return .notOwner(epoch: epoch, topic: try reader.readTopic())
        case 8:
            let request = try reader.readInteger("request", as: UInt64.self)
            return .read(epoch: epoch, request: request, topic: try reader.readTopic())
        case 9:
            let request = try reader.readInteger("request", as: UInt64.self)
            let standing = try reader.readStanding()
            return .contents(
                epoch: epoch,
                request: request,
                standing,
                part: try reader.readInteger("part"),
                isLast: try reader.readFlag("is last"),
                sets: try reader.readSets()
            )
        case 12: return .fetch(epoch: epoch, summaries: try reader.readSummaries())
        case 16: return .hint(epoch: epoch, sets: try reader.readSets())
        case 17: return .putDelta(epoch: epoch, try SetDelta(from: &reader))
        default: throw .malformed(field: "kind")
        }
    }

    private static func readWatch(
        _ kind: UInt8,
        _ reader: inout ByteReader
    ) throws(WireError) -> RecordMessage {
        let number = try reader.readInteger("epoch", as: UInt64.self)
        switch kind {
        case 4:
            let topic = try reader.readTopic()
            let after = try reader.readInteger("after", as: UInt64.self)
            let known = try reader.readVersions()
            return .watch(epoch: number, topic: topic, after: after, known: known)
        case 5:
            let topic = try reader.readTopic()
            let standing = try reader.readStanding()
            return .snapshot(
                epoch: number,
                topic: topic,
                standing,
                part: try reader.readInteger("part"),
                revision: try reader.readInteger("revision"),
                sets: try reader.readSets()
            )
        case 6:
            let previous = try reader.readInteger("previous", as: UInt64.self)
            return .change(revision: number, previous: previous, try OriginSet(from: &reader))
        default:
            let previous = try reader.readInteger("previous", as: UInt64.self)
            return .changeDelta(revision: number, previous: previous, try SetDelta(from: &reader))
        }
    }

    private static func readComparison(
        _ kind: UInt8,
        _ reader: inout ByteReader
    ) throws(WireError) -> RecordMessage {
        let epoch = try reader.readInteger("epoch", as: UInt64.self)
        switch kind {
        case 10:
            let slots = try reader.readList("slots", max: slotsMax) { reader throws(WireError) in
                SlotDigest(
                    slot: try reader.readInteger("slot"),
                    digest: try reader.readInteger("digest")
                )
            }
            return .digests(epoch: epoch, slots: slots)
        case 11:
            let slots = try reader.readList("slots", max: slotsMax) { reader throws(WireError) in
                let slot = try reader.readInteger("slot", as: UInt32.self)
                guard let finding = SlotVerdict.Finding(rawValue: try reader.readInteger("finding"))
                else { throw .malformed(field: "finding") }
                return SlotVerdict(slot: slot, finding: finding)
            }
            return .verdicts(epoch: epoch, slots: slots)
        case 13:
            let slot = try reader.readInteger("slot", as: UInt32.self)
            let isWhole = try reader.readFlag("is whole")
            let after = try reader.readTopic()
            let isLast = try reader.readFlag("is last")
            let topics = try reader.readList("topics", max: topicsMax) { reader throws(WireError) in
                TopicDigest(
                    topic: try reader.readTopic(),
                    digest: try reader.readInteger("digest")
                )
            }
            return .topics(
                epoch: epoch,
                slot: slot,
                isWhole: isWhole,
                after: after,
                isLast: isLast,
                topics: topics
            )
        case 14:
            let topics = try reader.readList("topics", max: topicsMax) { reader throws(WireError) in
                try reader.readTopic()
            }
            return .compare(epoch: epoch, topics: topics)
        default:
            let topic = try reader.readTopic()
            return .versions(epoch: epoch, topic: topic, versions: try reader.readVersions())
        }
    }
}

extension ByteWriter {
    fileprivate mutating func write(kind: UInt8, _ number: UInt64) {
        write(kind)
        write(number)
    }

    fileprivate mutating func write(sets: [OriginSet]) {
        write(list: sets) { $1.write(to: &$0) }
    }

    fileprivate mutating func write(versions: [OriginVersion]) {
        write(list: versions) { writer, entry in
            writer.write(entry.origin)
            writer.write(entry.version.boot)
            writer.write(entry.version.sequence)
        }
    }

    fileprivate mutating func write(_ standing: RecordMessage.Standing) {
        write(standing.isWhole)
        write(list: standing.sources) { $0.write($1) }
    }
}

extension ByteReader {
    fileprivate mutating func readSets() throws(WireError) -> [OriginSet] {
        try readList("sets", max: RecordMessage.setsMax) { reader throws(WireError) in
            try OriginSet(from: &reader)
        }
    }

    fileprivate mutating func readSummaries() throws(WireError) -> [SetSummary] {
        try readList("summaries", max: RecordMessage.summariesMax) { reader throws(WireError) in
            try SetSummary(from: &reader)
        }
    }

    fileprivate mutating func readVersions() throws(WireError) -> [OriginVersion] {
        try readList("versions", max: RecordMessage.originsMax) { reader throws(WireError) in
            let origin = try reader.readNodeID("origin")
            return OriginVersion(origin: origin, version: try reader.readVersion())
        }
    }

    fileprivate mutating func readStanding() throws(WireError) -> RecordMessage.Standing {
        let isWhole = try readFlag("is whole")
        let sources = try readList("sources", max: RecordMessage.sourcesMax) {
            reader throws(WireError) in try reader.readNodeID("source")
        }
        return RecordMessage.Standing(isWhole: isWhole, sources: sources)
    }
}
