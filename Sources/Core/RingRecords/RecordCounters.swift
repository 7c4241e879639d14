import Determinism

/// What became of records at one peer since it was made; for people, nothing is decided by it.
package struct RecordCounters: Hashable, Sendable {
    /// Publications of this node that enough owners came to hold in time.
    package internal(set) var publicationsStored: UInt64 = 0
    /// Those that too few owners came to hold in time.
    package internal(set) var publicationsShort: UInt64 = 0
    /// Reads of this node that enough owners answered in time.
    package internal(set) var readsComplete: UInt64 = 0
    /// Those that too few owners answered in time.
    package internal(set) var readsIncomplete: UInt64 = 0
    /// Sets that a read found at too few owners, and gave to more.
    package internal(set) var setsRepaired: UInt64 = 0
    /// Slots whose digests were compared with another owner's, on its asking.
    package internal(set) var digestsCompared: UInt64 = 0
    /// Those that differed.
    package internal(set) var digestsDiffering: UInt64 = 0
    /// Sets that were handed to owners that lacked them.
    package internal(set) var setsHandedOver: UInt64 = 0
    /// About the bytes of these.
    package internal(set) var bytesHandedOver: UInt64 = 0
    /// Peers that had to begin anew to watch a topic here.
    package internal(set) var resyncsSent: UInt64 = 0

    /// Makes zeroes.
    package init() {}
}

/// How much a peer holds at one moment.
package struct RecordHoldings: Hashable, Sendable {
    /// The slots that it owns.
    package let slotsOwned: Int
    /// The topics under which it holds anything.
    package let topics: Int
    /// The sets.
    package let sets: Int
    /// The records in them.
    package let records: Int
    /// Topics that it follows.
    package let watches: Int
    /// Topics and peers that follow them here.
    package let watchers: Int
    /// Sets that were ever kept for owners that were away.
    package let hintsKept: UInt64
    /// Sets that were not, for lack of room, or no longer after too long.
    package let hintsDropped: UInt64
}

extension Records {
    /// How much is held.
    ///
    /// - Complexity: O(sets); for people who ask, not for loops.
    package var holdings: RecordHoldings {
        let topics = store.topicNames
        var setCount = 0
        var recordCount = 0
        for topic in topics {
            for set in store.sets(topic) {
                setCount += 1
                recordCount += set.records.count
            }
        }
        return RecordHoldings(
            slotsOwned: share.slots.count,
            topics: topics.count,
            sets: setCount,
            records: recordCount,
            watches: watches.count,
            watchers: watchCounts.values.reduce(0, +),
            hintsKept: hints.keptCount,
            hintsDropped: hints.droppedCount
        )
    }
}
