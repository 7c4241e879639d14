package import Determinism

/// The sets that a peer holds, whether it owns their slot, wrote them or watches them.
///
/// For each topic and origin the youngest set that was ever seen here; it never goes back. Digests
/// of slots and topics are sums over the sets' versions, kept up to date with each change, so that
/// comparing costs nothing for what is equal.
package struct RecordStore: Sendable {
    /// A set and the place of its arrival among all changes here.
    struct Held: Sendable {
        let set: OriginSet
        let revision: UInt64
    }

    /// All sets under one topic.
    struct Shelf: Sendable {
        var digest: UInt64 = 0
        /// The revision of the newest change.
        var revision: UInt64 = 0
        var sets = SortedMap<NodeID, Held>()
    }

    /// All topics of one slot.
    struct SlotShelf: Sendable {
        var digest: UInt64 = 0
        var topics = SortedMap<Topic, Shelf>()
    }

    private var slots = SortedMap<Int, SlotShelf>()
    private let slotCount: Int
    /// The revision of the newest change to anything.
    private(set) var revision: UInt64

    /// Makes an empty store for a ring with so many slots.
    ///
    /// Revisions begin after `revision`; a peer starts each boot above all earlier ones.
    package init(slotCount: Int = 1, revision: UInt64 = 0) {
        self.slotCount = slotCount
        self.revision = revision
    }

    /// What became of a set.
    package enum Application: Hashable, Sendable {
        /// It is younger than what was held, and took its place.
        case applied
        /// The same version is held already.
        case known
        /// A younger version is held.
        case older(than: RecordVersion)
    }

    /// Offers a set to the store; `isForced` takes it whatever is held, a mistake for tests.
    package mutating func apply(_ set: OriginSet, isForced: Bool = false) -> Application {
        let slot = set.topic.slot(of: slotCount)
        let held = slots[slot]?.topics[set.topic]?.sets[set.origin]?.set
        if let held, !isForced {
            if held.version == set.version { return .known }
            guard held.version < set.version else { return .older(than: held.version) }
        }
        revision += 1
        let change = set.digest &- (held?.digest ?? 0)
        let entry = Held(set: set, revision: revision)
        Self.put(entry, change, &slots[slot, default: SlotShelf()])
        return .applied
    }

    private static func put(_ entry: Held, _ change: UInt64, _ shelf: inout SlotShelf) {
        shelf.digest &+= change
        put(entry, change, &shelf.topics[entry.set.topic, default: Shelf()])
    }

    private static func put(_ entry: Held, _ change: UInt64, _ shelf: inout Shelf) {
        shelf.digest &+= change
        shelf.revision = entry.revision
        shelf.sets[entry.set.origin] = entry
    }

    /// Takes a set out; false when there was none.
    package mutating func remove(_ topic: Topic, _ origin: NodeID) -> Bool {
        let slot = topic.slot(of: slotCount)
        guard let held = set(topic, origin) else { return false }
        slots[slot, default: SlotShelf()].digest &-= held.digest
        slots[slot, default: SlotShelf()].topics[topic, default: Shelf()].digest &-= held.digest
        slots[slot, default: SlotShelf()].topics[topic, default: Shelf()].sets[origin] = nil
        if slots[slot]?.topics[topic]?.sets.isEmpty ?? false {
            slots[slot, default: SlotShelf()].topics[topic] = nil
        }
        if slots[slot]?.topics.isEmpty ?? false { slots[slot] = nil }
        return true
    }

    /// The set of one origin under one topic.
    package func set(_ topic: Topic, _ origin: NodeID) -> OriginSet? {
        shelf(topic)?.sets[origin]?.set
    }

    /// All sets under a topic, by origin.
    package func sets(_ topic: Topic) -> [OriginSet] {
        shelf(topic)?.sets.map(\.value.set) ?? []
    }

    /// All topics under which anything is held.
    package var topicNames: [Topic] { slots.flatMap { $0.value.topics.keys } }

    /// The versions held under a topic.
    package func summaries(_ topic: Topic) -> [SetSummary] {
        sets(topic).map { SetSummary(topic: topic, origin: $0.origin, version: $0.version) }
    }

    /// The numbers of the slots in which anything is held, ascending.
    var slotNumbers: [Int] { slots.keys }

    /// The topics of a slot under which anything is held, ascending.
    func topics(inSlot slot: Int) -> [Topic] { slots[slot]?.topics.keys ?? [] }

    /// The sum over what is held in a slot; 0 where nothing is.
    func digest(ofSlot slot: Int) -> UInt64 { slots[slot]?.digest ?? 0 }

    /// The sum over what is held under a topic; 0 where nothing is.
    func digest(of topic: Topic) -> UInt64 { shelf(topic)?.digest ?? 0 }

    /// The revision of the newest change under a topic; 0 where nothing is held.
    func revision(of topic: Topic) -> UInt64 { shelf(topic)?.revision ?? 0 }

    /// The sets of a topic that arrived after a revision, the earliest first.
    func sets(_ topic: Topic, after revision: UInt64) -> [OriginSet] {
        guard let shelf = shelf(topic), shelf.revision > revision else { return [] }
        return shelf.sets.map(\.value).filter { $0.revision > revision }
            .sorted { $0.revision < $1.revision }
            .map(\.set)
    }

    private func shelf(_ topic: Topic) -> Shelf? {
        slots[topic.slot(of: slotCount)]?.topics[topic]
    }
}

extension OriginSet {
    /// What the set adds to the sums that peers compare.
    fileprivate var digest: UInt64 {
        var hash = StableHash(seed: 2)
        hash.combine(topic.name.utf8)
        hash.combine(origin.high)
        hash.combine(origin.low)
        hash.combine(version.boot)
        hash.combine(version.sequence)
        return hash.value
    }
}
