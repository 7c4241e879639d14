package import Determinism
package import Wire

/// What records are kept under: for Genie Ring a pod group, but the ring does not know that.
package struct Topic: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The topic's text; at most ``lengthMax`` bytes.
    package let name: String

    /// The longest topic, in bytes.
    package static let lengthMax = 255

    /// Makes a topic; the name is the caller's own, so its length is an invariant.
    package init(_ name: String) {
        precondition(name.utf8.count <= Self.lengthMax, "a topic is at most 255 bytes")
        self.name = name
    }

    package var description: String { name }

    package static func < (lhs: Topic, rhs: Topic) -> Bool { lhs.name < rhs.name }
}

/// The version of a set: its origin's boot counter and a count within that boot.
///
/// No clock takes part, and only the origin makes versions, so two are never concurrent.
package struct RecordVersion: Hashable, Comparable, Sendable {
    /// The boot counter of the origin.
    package let boot: UInt64
    /// The count of changes within the boot.
    package let sequence: UInt64

    /// Makes a version.
    package init(boot: UInt64, sequence: UInt64) {
        self.boot = boot
        self.sequence = sequence
    }

    /// Older than everything that was ever published.
    package static let never = RecordVersion(boot: 0, sequence: 0)

    package static func < (lhs: RecordVersion, rhs: RecordVersion) -> Bool {
        (lhs.boot, lhs.sequence) < (rhs.boot, rhs.sequence)
    }
}

/// All records of one origin under one topic, at one version.
///
/// The set is the unit of replication: a younger one replaces an older one whole. A record that the
/// origin deleted is simply not in the younger set, so there is no tombstone to expire and nothing
/// that a replica coming back from the dead could resurrect.
package struct OriginSet: Hashable, Sendable {
    /// What the records are kept under.
    package let topic: Topic
    /// Their only writer.
    package let origin: NodeID
    /// The set's place in the order of the origin's sets.
    package let version: RecordVersion
    /// The records by key, ascending; opaque to the ring.
    package let records: [Record]

    /// One record: a key that is unique in its set, and its content.
    package struct Record: Hashable, Sendable {
        /// The key.
        package let key: String
        /// The content.
        package let content: [UInt8]

        /// Makes a record.
        package init(key: String, content: [UInt8]) {
            self.key = key
            self.content = content
        }
    }

    /// The most records in one set: four times the pods that a node may run.
    package static let recordsMax = 1_024
    /// The largest content of one record, in bytes.
    package static let contentLengthMax = 4_096

    /// Makes a set; records are put in the order of their keys.
    package init(topic: Topic, origin: NodeID, version: RecordVersion, records: [Record]) {
        precondition(records.count <= Self.recordsMax, "a set holds at most 1,024 records")
        self.topic = topic
        self.origin = origin
        self.version = version
        self.records = records.sorted { $0.key < $1.key }
    }

    /// Appends the set: topic, origin 16, boot 8, sequence 8, then key and content of each record.
    package func write(to writer: inout ByteWriter) {
        writer.write(topic.name)
        writer.write(origin)
        writer.write(version.boot)
        writer.write(version.sequence)
        writer.write(list: records) { $1.write(to: &$0) }
    }

    /// Reads a set that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        let topic = try reader.readTopic()
        let origin = try reader.readNodeID("origin")
        let version = try reader.readVersion()
        let records = try reader.readList("records", max: Self.recordsMax) {
            reader throws(WireError) in try Record(from: &reader)
        }
        guard zip(records, records.dropFirst()).allSatisfy({ $0.key <= $1.key }) else {
            throw .malformed(field: "key")
        }
        self.init(topic: topic, origin: origin, version: version, records: records)
    }

    /// The set's bytes, as they are stored.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        write(to: &writer)
        return writer.bytes
    }
}

/// Which version of whose set under which topic: what peers compare before they send sets.
package struct SetSummary: Hashable, Sendable {
    /// The topic.
    package let topic: Topic
    /// The origin.
    package let origin: NodeID
    /// The version that the speaker holds.
    package let version: RecordVersion

    func write(to writer: inout ByteWriter) {
        writer.write(topic.name)
        writer.write(origin)
        writer.write(version.boot)
        writer.write(version.sequence)
    }

    /// Makes a summary.
    package init(topic: Topic, origin: NodeID, version: RecordVersion) {
        self.topic = topic
        self.origin = origin
        self.version = version
    }

    init(from reader: inout ByteReader) throws(WireError) {
        topic = try reader.readTopic()
        origin = try reader.readNodeID("origin")
        version = try reader.readVersion()
    }
}

extension ByteReader {
    mutating func readTopic() throws(WireError) -> Topic {
        Topic(try readText("topic", max: Topic.lengthMax))
    }
}
