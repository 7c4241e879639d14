package import Wire

/// What peers say to one another about records; carried in stream frames, fenced by epoch.
package enum RecordMessage: Hashable, Sendable {
    /// The origin, or another owner, hands over sets to keep. Answered by `stored`.
    case put(epoch: UInt64, sets: [OriginSet])
    /// These versions, or younger ones, are durable here.
    case stored(epoch: UInt64, summaries: [SetSummary])
    /// The speaker does not own the topic in its epoch; the asker should catch up or look
    /// elsewhere.
    case notOwner(epoch: UInt64, topic: Topic)
    /// Send what is younger than `known` under the topic now, and every change from now on.
    case watch(epoch: UInt64, topic: Topic, known: [SetSummary])
    /// The answer to `watch`: after these the watcher has all that the owner has.
    case snapshot(epoch: UInt64, topic: Topic, sets: [OriginSet])
    /// A change under a watched topic.
    case change(OriginSet)
    /// No more changes under the topic, please.
    case unwatch(topic: Topic)
    /// One-time question for all sets of a topic; answered by `contents`.
    case read(epoch: UInt64, request: UInt64, topic: Topic)
    /// The answer to `read`.
    case contents(request: UInt64, sets: [OriginSet])
    /// Digests of the slots that speaker and listener both own.
    case digests(epoch: UInt64, slots: [SlotDigest])
    /// What the speaker holds in slots whose digests differ.
    case summaries(epoch: UInt64, slots: [UInt32], summaries: [SetSummary])
    /// Please `put` these sets to me.
    case fetch(epoch: UInt64, summaries: [SetSummary])

    /// The digest of one slot.
    package struct SlotDigest: Hashable, Sendable {
        /// The slot's number.
        package let slot: UInt32
        /// The digest of what is held in it.
        package let digest: UInt64
    }

    /// The most sets in one message.
    static let setsMax = 8_192
    /// The most summaries in one message.
    static let summariesMax = 65_536
    /// The most slots in one message.
    static let slotsMax = 65_536

    /// The message's bytes: a kind, then its fields in the order of the case.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .put(let epoch, let sets):
            writer.write(kind: 1, epoch: epoch)
            writer.write(sets: sets)
        case .stored(let epoch, let summaries):
            writer.write(kind: 2, epoch: epoch)
            writer.write(summaries: summaries)
        case .notOwner(let epoch, let topic):
            writer.write(kind: 3, epoch: epoch)
            writer.write(topic.name)
        case .watch(let epoch, let topic, let known):
            writer.write(kind: 4, epoch: epoch)
            writer.write(topic.name)
            writer.write(summaries: known)
        case .snapshot(let epoch, let topic, let sets):
            writer.write(kind: 5, epoch: epoch)
            writer.write(topic.name)
            writer.write(sets: sets)
        case .change(let set):
            writer.write(UInt8(6))
            set.write(to: &writer)
        case .unwatch(let topic):
            writer.write(UInt8(7))
            writer.write(topic.name)
        case .read(let epoch, let request, let topic):
            writer.write(kind: 8, epoch: epoch)
            writer.write(request)
            writer.write(topic.name)
        case .contents(let request, let sets):
            writer.write(kind: 9, epoch: request)
            writer.write(sets: sets)
        case .digests(let epoch, let slots):
            writer.write(kind: 10, epoch: epoch)
            writer.write(list: slots) { writer, slot in
                writer.write(slot.slot)
                writer.write(slot.digest)
            }
        case .summaries(let epoch, let slots, let summaries):
            writer.write(kind: 11, epoch: epoch)
            writer.write(list: slots) { $0.write($1) }
            writer.write(summaries: summaries)
        case .fetch(let epoch, let summaries):
            writer.write(kind: 12, epoch: epoch)
            writer.write(summaries: summaries)
        }
        return writer.bytes
    }

    /// Reads a message that another peer wrote.
    package init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        let kind = try reader.readInteger("kind", as: UInt8.self)
        switch kind {
        case 6: self = .change(try OriginSet(from: &reader))
        case 7: self = .unwatch(topic: try reader.readTopic())
        default:
            let number = try reader.readInteger("epoch", as: UInt64.self)
            self = try Self.read(kind: kind, number: number, &reader)
        }
        try reader.finish()
    }

    private static func read(
        kind: UInt8,
        number: UInt64,
        _ reader: inout ByteReader
    ) throws(WireError) -> RecordMessage {
        switch kind {
        case 1: return .put(epoch: number, sets: try reader.readSets())
        case 2: return .stored(epoch: number, summaries: try reader.readSummaries())
        case 3: return .notOwner(epoch: number, topic: try reader.readTopic())
        case 4:
            let topic = try reader.readTopic()
            return .watch(epoch: number, topic: topic, known: try reader.readSummaries())
        case 5:
            let topic = try reader.readTopic()
            return .snapshot(epoch: number, topic: topic, sets: try reader.readSets())
        case 8:
            let request = try reader.readInteger("request", as: UInt64.self)
            return .read(epoch: number, request: request, topic: try reader.readTopic())
        case 9: return .contents(request: number, sets: try reader.readSets())
        case 10:
            let slots = try reader.readList("slots", max: slotsMax) { reader throws(WireError) in
                SlotDigest(
                    slot: try reader.readInteger("slot"),
                    digest: try reader.readInteger("digest")
                )
            }
            return .digests(epoch: number, slots: slots)
        case 11:
            let slots = try reader.readList("slots", max: slotsMax) { reader throws(WireError) in
                try reader.readInteger("slot", as: UInt32.self)
            }
            return .summaries(epoch: number, slots: slots, summaries: try reader.readSummaries())
        case 12: return .fetch(epoch: number, summaries: try reader.readSummaries())
        default: throw .malformed(field: "kind")
        }
    }
}

extension ByteWriter {
    fileprivate mutating func write(kind: UInt8, epoch: UInt64) {
        write(kind)
        write(epoch)
    }

    fileprivate mutating func write(sets: [OriginSet]) {
        write(list: sets) { $1.write(to: &$0) }
    }

    fileprivate mutating func write(summaries: [SetSummary]) {
        write(list: summaries) { $1.write(to: &$0) }
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
}
