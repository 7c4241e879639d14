package import Determinism
import Wire

/// What changed from one version of a set to the next: all that travels where the base is held.
package struct SetDelta: Hashable, Sendable {
    /// What the records are kept under.
    package let topic: Topic
    /// Their only writer.
    package let origin: NodeID
    /// The version that the change is made to; whoever holds another asks for the whole set.
    package let base: RecordVersion
    /// The version that results.
    package let version: RecordVersion
    /// The keys that are gone, ascending.
    package let removed: [String]
    /// The records that are new or differ, ascending by key.
    package let written: [OriginSet.Record]

    /// The difference between two versions of one set.
    package init(from base: OriginSet, to set: OriginSet) {
        precondition(base.topic == set.topic && base.origin == set.origin)
        let before = base.records.reduce(into: SortedMap<String, OriginSet.Record>()) {
            $0[$1.key] = $1
        }
        let after = SortedSet(set.records.map(\.key))
        topic = set.topic
        origin = set.origin
        self.base = base.version
        version = set.version
        removed = before.keys.filter { !after.contains($0) }
        written = set.records.filter { before[$0.key] != $0 }
    }

    /// The set that results; nil where `held` is not the base, or the result breaks a bound.
    package func applied(to held: OriginSet, isForced: Bool = false) -> OriginSet? {
        guard held.version == base || isForced else { return nil }
        var records = held.records.reduce(into: SortedMap<String, OriginSet.Record>()) {
            $0[$1.key] = $1
        }
        for key in removed { records[key] = nil }
        for record in written { records[record.key] = record }
        guard OriginSet.refusal(of: records.values) == nil else { return nil }
        return OriginSet(topic: topic, origin: origin, version: version, records: records.values)
    }

    /// About as many bytes as it takes.
    var lengthEstimate: Int {
        removed.reduce(topic.name.utf8.count + 80) { $0 + $1.utf8.count + 2 }
            + written.reduce(0) { $0 + $1.lengthEstimate }
    }

    func write(to writer: inout ByteWriter) {
        writer.write(topic.name)
        writer.write(origin)
        writer.write(base.boot)
        writer.write(base.sequence)
        writer.write(version.boot)
        writer.write(version.sequence)
        writer.write(list: removed) { $0.write($1) }
        writer.write(list: written) { $1.write(to: &$0) }
    }

    init(from reader: inout ByteReader) throws(WireError) {
        topic = try reader.readTopic()
        origin = try reader.readNodeID("origin")
        base = try reader.readVersion()
        version = try reader.readVersion()
        removed = try reader.readList("removed", max: OriginSet.recordsMax) {
            reader throws(WireError) in try reader.readText("key", max: OriginSet.keyLengthMax)
        }
        written = try reader.readList("written", max: OriginSet.recordsMax) {
            reader throws(WireError) in try OriginSet.Record(from: &reader)
        }
        guard base < version else { throw .malformed(field: "base") }
    }
}

/// Why a set cannot be published.
package enum SetRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// It has more records than a set may have.
    case tooManyRecords(count: Int)
    /// A record's key or content is longer than it may be.
    case recordTooLong(key: String)
    /// All records together are more than a message takes.
    case tooManyBytes(count: Int)
    /// Two records have one key.
    case keyTwice(String)

    package var description: String {
        switch self {
        case .tooManyRecords(let count):
            "\(count) records under one topic are more than the \(OriginSet.recordsMax) that a node may "
                + "have there; spread them over more topics"
        case .recordTooLong(let key):
            "record \(key) is longer than \(OriginSet.contentLengthMax) bytes, or its key than "
                + "\(OriginSet.keyLengthMax); make it smaller"
        case .tooManyBytes(let count):
            "\(count) bytes under one topic are more than the \(OriginSet.bytesMax) that a node may have "
                + "there; spread them over more topics"
        case .keyTwice(let key): "two records have the key \(key); give each its own"
        }
    }
}

extension OriginSet {
    /// The longest key of a record, in bytes.
    package static let keyLengthMax = 255
    /// The most bytes of all records of one set together: what a message of a mebibyte takes.
    package static let bytesMax = (1 << 20) - 4_096

    /// What keeps records from being a set; nil where nothing does.
    package static func refusal(of records: [Record]) -> SetRefusal? {
        guard records.count <= recordsMax else { return .tooManyRecords(count: records.count) }
        var byteCount = 0
        var keys = SortedSet<String>()
        for record in records {
            guard record.key.utf8.count <= keyLengthMax, record.content.count <= contentLengthMax
            else { return .recordTooLong(key: record.key) }
            byteCount += record.lengthEstimate
            guard !keys.contains(record.key) else { return .keyTwice(record.key) }
            keys.insert(record.key)
        }
        return byteCount <= bytesMax ? nil : .tooManyBytes(count: byteCount)
    }

    /// The bytes that the set takes, or a few more.
    var lengthEstimate: Int {
        records.reduce(topic.name.utf8.count + 64) { $0 + $1.lengthEstimate }
    }

    /// Cuts a list where a message would grow past a mebibyte; a larger set is alone in its batch.
    static func batches(_ sets: [OriginSet]) -> [[OriginSet]] {
        var batches: [[OriginSet]] = []
        var byteCount = 0
        for set in sets {
            let length = set.lengthEstimate
            if batches.isEmpty || byteCount + length > 1 << 20 {
                batches.append([])
                byteCount = 0
            }
            batches[batches.count - 1].append(set)
            byteCount += length
        }
        return batches
    }
}

extension OriginSet.Record {
    var lengthEstimate: Int { key.utf8.count + content.count + 8 }

    func write(to writer: inout ByteWriter) {
        writer.write(key)
        writer.write(counted: content)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let key = try reader.readText("key", max: OriginSet.keyLengthMax)
        let content = try reader.readCounted("content", max: OriginSet.contentLengthMax)
        self.init(key: key, content: Array(content))
    }
}

extension ByteReader {
    mutating func readVersion() throws(WireError) -> RecordVersion {
        RecordVersion(
            boot: try readInteger("boot"),
            sequence: try readInteger("sequence")
        )
    }
}
