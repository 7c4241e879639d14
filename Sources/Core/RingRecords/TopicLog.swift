package import Determinism

/// What happened under one topic, record by record, for those who follow it from outside the ring:
/// the contents at a revision, and the newest changes after it.
///
/// The log is bounded: who fell behind what is kept learns so, and begins anew with the contents.
/// Changes of one origin keep the order of its versions, whichever replica told of them.
package struct TopicLog: Sendable {
    /// The most changes that are kept: one of every record that an origin may have, four times.
    package static let eventsMax = 4 * OriginSet.recordsMax
    /// The most bytes of content that kept changes speak of: 4 MiB.
    package static let eventBytesMax = 4 << 20

    /// Something that happened.
    package struct Event: Hashable, Sendable {
        /// Its number; younger ones have larger numbers.
        package let revision: UInt64
        /// When it was noted, as the caller counts.
        package let time: Int64
        /// What happened.
        package let change: Change
    }

    /// What can happen.
    package enum Change: Hashable, Sendable {
        /// An origin has a record that it had not before.
        case added(NodeID, OriginSet.Record)
        /// A record of an origin has another content.
        case changed(NodeID, OriginSet.Record)
        /// An origin has a record no longer; this is what it held.
        case removed(NodeID, OriginSet.Record)
        /// From here on nothing is missing that was acknowledged before the topic was followed.
        case complete
    }

    /// The number of the newest event; the contents are as of it.
    package private(set) var revision: UInt64
    /// Whether everything that an owner had has arrived.
    package private(set) var isComplete = false

    private let eventsMax: Int
    private var sets = SortedMap<NodeID, OriginSet>()
    private var events: [Event] = []
    private var eventBytes = 0
    /// Who has this revision, or a later one, has missed nothing.
    private var oldest: UInt64

    /// Makes an empty log; its events get larger numbers than `revision`.
    package init(after revision: UInt64, eventsMax: Int = TopicLog.eventsMax) {
        self.revision = revision
        self.eventsMax = eventsMax
        oldest = revision
    }

    /// The contents as of ``revision``, by origin.
    package var contents: [OriginSet] { sets.values }

    /// The events after a revision, oldest first.
    ///
    /// Nil when some of them are no longer here or the revision is not one of this log: who asked
    /// has to begin anew with ``contents``.
    package func events(after asked: UInt64) -> [Event]? {
        guard (oldest...revision).contains(asked) else { return nil }
        return Array(events.drop { $0.revision <= asked })
    }

    /// Takes in a set; one that is not younger than what was noted of its origin is no news.
    ///
    /// - Parameters:
    ///   - set: the set.
    ///   - time: when, as the caller counts.
    ///   - counter: the number given last, which is raised by those given here.
    package mutating func note(_ set: OriginSet, at time: Int64, counter: inout UInt64) {
        let held = sets[set.origin]
        if let held, held.version >= set.version { return }
        sets[set.origin] = set
        let before = (held?.records ?? []).reduce(into: SortedMap<String, OriginSet.Record>()) {
            $0[$1.key] = $1
        }
        var kept = SortedSet<String>()
        var changes: [Change] = []
        for record in set.records {
            kept.insert(record.key)
            switch before[record.key] {
            case nil: changes.append(.added(set.origin, record))
            case record: continue
            case .some: changes.append(.changed(set.origin, record))
            }
        }
        // First what goes: an address that moved to another record is never held twice.
        let removed = before.values.filter { !kept.contains($0.key) }
        for record in removed { append(.removed(set.origin, record), time, &counter) }
        for change in changes { append(change, time, &counter) }
    }

    /// Takes in that an origin is gone with all of its records.
    package mutating func noteRetired(_ origin: NodeID, at time: Int64, counter: inout UInt64) {
        guard let set = sets.remove(origin) else { return }
        for record in set.records { append(.removed(origin, record), time, &counter) }
    }

    /// Takes in that everything that an owner had has arrived.
    package mutating func noteComplete(at time: Int64, counter: inout UInt64) {
        guard !isComplete else { return }
        isComplete = true
        append(.complete, time, &counter)
    }

    private mutating func append(_ change: Change, _ time: Int64, _ counter: inout UInt64) {
        precondition(counter >= revision, "numbers of events only grow")
        counter += 1
        revision = counter
        events.append(Event(revision: revision, time: time, change: change))
        eventBytes += change.length
        // An eighth more at a time, so that a full log costs nothing for each further event.
        guard events.count > eventsMax || eventBytes > Self.eventBytesMax else { return }
        var dropped = 0
        while events.count - dropped > eventsMax - eventsMax / 8
            || eventBytes > Self.eventBytesMax - Self.eventBytesMax / 8
        {
            oldest = events[dropped].revision
            eventBytes -= events[dropped].change.length
            dropped += 1
        }
        events.removeFirst(dropped)
    }
}

extension TopicLog.Change {
    /// The bytes of content that it speaks of.
    fileprivate var length: Int {
        switch self {
        case .added(_, let record), .changed(_, let record), .removed(_, let record):
            record.key.utf8.count + record.content.count
        case .complete: 0
        }
    }
}
