package import Determinism

/// The sets that a peer holds, whether it owns their slot, wrote them or watches them.
///
/// For each topic and origin the youngest set that was ever seen here; it never goes back.
package struct RecordStore: Sendable {
    private var topics = SortedMap<Topic, SortedMap<NodeID, OriginSet>>()

    /// Makes an empty store.
    package init() {}

    /// What became of a set.
    package enum Application: Hashable, Sendable {
        /// It is younger than what was held, and took its place.
        case applied
        /// The same version is held already.
        case known
        /// A younger version is held.
        case older(than: RecordVersion)
    }

    /// Offers a set to the store.
    package mutating func apply(_ set: OriginSet) -> Application {
        if let held = topics[set.topic]?[set.origin] {
            if held.version == set.version { return .known }
            guard held.version < set.version else { return .older(than: held.version) }
        }
        topics[set.topic, default: SortedMap()][set.origin] = set
        return .applied
    }

    /// The set of one origin under one topic.
    package func set(_ topic: Topic, _ origin: NodeID) -> OriginSet? { topics[topic]?[origin] }

    /// All sets under a topic, by origin.
    package func sets(_ topic: Topic) -> [OriginSet] { topics[topic]?.values ?? [] }

    /// All topics under which anything is held.
    package var topicNames: [Topic] { topics.keys }

    /// The versions held under a topic.
    package func summaries(_ topic: Topic) -> [SetSummary] {
        sets(topic).map { SetSummary(topic: topic, origin: $0.origin, version: $0.version) }
    }
}
