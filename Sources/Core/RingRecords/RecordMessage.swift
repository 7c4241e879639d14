package import Determinism

/// What peers say to one another about records; carried in stream frames, fenced by epoch.
///
/// No message is longer than about a mebibyte: what is more goes in several.
package enum RecordMessage: Hashable, Sendable {
    /// The origin, or another owner, hands over sets to keep. Answered by `stored`.
    case put(epoch: UInt64, sets: [OriginSet])
    /// The same for a set of which the listener holds the version before.
    case putDelta(epoch: UInt64, SetDelta)
    /// These versions, or younger ones, are durable here; a former owner says that it is none.
    case stored(epoch: UInt64, isOwner: Bool, summaries: [SetSummary])
    /// The speaker does not own the topic in its epoch; the asker should catch up or look
    /// elsewhere.
    case notOwner(epoch: UInt64, topic: Topic)
    /// Send what the asker lacks under the topic now, and every change from now on.
    ///
    /// `after` is the revision up to which the asker followed this very owner; where it is 0,
    /// `known` says what the asker has.
    case watch(epoch: UInt64, topic: Topic, after: UInt64, known: [OriginVersion])
    /// A part of the answer to `watch`, counted from 0; the revision is 0 but in the last, after
    /// which the watcher has all that the owner has.
    case snapshot(
        epoch: UInt64,
        topic: Topic,
        Standing,
        part: UInt32,
        revision: UInt64,
        sets: [OriginSet]
    )
    /// A change under a watched topic, and the revision of the one before it.
    case change(revision: UInt64, previous: UInt64, OriginSet)
    /// The same for a set of which the watcher holds the version before.
    case changeDelta(revision: UInt64, previous: UInt64, SetDelta)
    /// The owner cannot go on from the asker's revision: ask with what is known.
    case resync(topic: Topic)
    /// No more changes under the topic, please.
    case unwatch(topic: Topic)
    /// One-time question for all sets of a topic; answered by `contents`.
    case read(epoch: UInt64, request: UInt64, topic: Topic)
    /// A part of the answer to `read`, counted from 0.
    case contents(
        epoch: UInt64,
        request: UInt64,
        Standing,
        part: UInt32,
        isLast: Bool,
        sets: [OriginSet]
    )
    /// Digests of slots that the speaker holds; of those that both own, what is left out is empty.
    case digests(epoch: UInt64, slots: [SlotDigest])
    /// What comes of comparing, where nothing more is to be said about a slot.
    case verdicts(epoch: UInt64, slots: [SlotVerdict])
    /// Digests of the topics of a slot that differs: those above `after`, and no others up to the
    /// last one named, or to the end.
    case topics(
        epoch: UInt64,
        slot: UInt32,
        isWhole: Bool,
        after: Topic,
        isLast: Bool,
        topics: [TopicDigest]
    )
    /// Please name the versions that you hold under these topics.
    case compare(epoch: UInt64, topics: [Topic])
    /// All that the speaker holds under a topic that differs.
    case versions(epoch: UInt64, topic: Topic, versions: [OriginVersion])
    /// Please `put` these sets to me.
    case fetch(epoch: UInt64, summaries: [SetSummary])
    /// Sets that were kept for the listener while it was away; the epoch is that of the keeping.
    case hint(epoch: UInt64, sets: [OriginSet])

    /// Whether an owner has all that its slot held before it became an owner; where it has not, the
    /// former owners that do.
    package struct Standing: Hashable, Sendable {
        /// Whether it has.
        package let isWhole: Bool
        /// Whom to ask besides; empty for a whole owner.
        package let sources: [NodeID]

        /// Makes a standing.
        package init(isWhole: Bool, sources: [NodeID]) {
            self.isWhole = isWhole
            self.sources = sources
        }
    }

    /// The digest of one slot.
    package struct SlotDigest: Hashable, Sendable {
        /// The slot's number.
        package let slot: UInt32
        /// The digest of what is held in it.
        package let digest: UInt64

        /// Makes a digest.
        package init(slot: UInt32, digest: UInt64) {
            self.slot = slot
            self.digest = digest
        }
    }

    /// What comes of comparing one slot.
    package struct SlotVerdict: Hashable, Sendable {
        /// What was found.
        package enum Finding: UInt8, Hashable, Sendable {
            /// Both hold the same, and the speaker is whole.
            case same = 0
            /// Both hold the same, and the speaker is not whole itself.
            case samePart = 1
            /// The speaker does not hold the slot.
            case notHeld = 2
        }

        /// The slot's number.
        package let slot: UInt32
        /// What was found.
        package let finding: Finding

        /// Makes a verdict.
        package init(slot: UInt32, finding: Finding) {
            self.slot = slot
            self.finding = finding
        }
    }

    /// The digest of one topic.
    package struct TopicDigest: Hashable, Sendable {
        /// The topic.
        package let topic: Topic
        /// The digest of what is held under it.
        package let digest: UInt64

        /// Makes a digest.
        package init(topic: Topic, digest: UInt64) {
            self.topic = topic
            self.digest = digest
        }
    }

    /// The most sets in one message.
    static let setsMax = 8_192
    /// The most summaries in one message.
    static let summariesMax = 2_048
    /// The most origins in one message: half again the members of the largest ring.
    static let originsMax = 16_384
    /// The most slots in one message.
    static let slotsMax = 65_536
    /// The most topics in one message.
    static let topicsMax = 2_048
    /// The most former owners in one message.
    static let sourcesMax = 64
}

/// Which version of whose set; the topic is said elsewhere.
package struct OriginVersion: Hashable, Sendable {
    /// The origin.
    package let origin: NodeID
    /// The version that the speaker holds.
    package let version: RecordVersion

    /// Makes a pair.
    package init(origin: NodeID, version: RecordVersion) {
        self.origin = origin
        self.version = version
    }
}
