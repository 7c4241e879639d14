import Determinism

/// Sets that are kept for owners that are away, bounded by count, bytes and age.
///
/// A convenience and no promise: comparing digests finds whatever was dropped here.
struct HintBook: Sendable {
    struct Place: Comparable, Sendable {
        let target: NodeID
        let topic: Topic
        let origin: NodeID

        static func < (lhs: Place, rhs: Place) -> Bool {
            (lhs.target, lhs.topic, lhs.origin) < (rhs.target, rhs.topic, rhs.origin)
        }
    }

    struct Hint: Sendable {
        let set: OriginSet
        /// The epoch in which it was kept.
        let epoch: UInt64
        let keptAt: Instant
        var sentAt: Instant?
    }

    private var hints = SortedMap<Place, Hint>()
    private(set) var byteCount = 0

    /// Sets that were kept, and that there was no room or no time for.
    private(set) var keptCount: UInt64 = 0
    private(set) var droppedCount: UInt64 = 0

    var count: Int { hints.count }
    var isEmpty: Bool { hints.isEmpty }

    /// Keeps a set in the place of an older one.
    mutating func keep(
        _ set: OriginSet,
        for target: NodeID,
        epoch: UInt64,
        now: Instant,
        _ parameters: Records.Parameters
    ) {
        let place = Place(target: target, topic: set.topic, origin: set.origin)
        if let held = hints[place], held.set.version >= set.version { return }
        remove(place)
        let length = set.lengthEstimate
        guard hints.count < parameters.hintsMax, byteCount + length <= parameters.hintBytesMax
        else {
            droppedCount += 1
            return
        }
        keptCount += 1
        byteCount += length
        hints[place] = Hint(set: set, epoch: epoch, keptAt: now)
    }

    mutating func remove(_ place: Place) {
        guard let hint = hints.remove(place) else { return }
        byteCount -= hint.set.lengthEstimate
    }

    /// The target holds a set durably.
    mutating func noteStored(_ summary: SetSummary, at target: NodeID) {
        guard !hints.isEmpty else { return }
        let place = Place(target: target, topic: summary.topic, origin: summary.origin)
        guard let hint = hints[place], hint.set.version <= summary.version else { return }
        remove(place)
    }

    mutating func keepOnly(_ isWanted: (NodeID, OriginSet) -> Bool) {
        for (place, hint) in hints where !isWanted(place.target, hint.set) { remove(place) }
    }

    mutating func expire(now: Instant, age: Span) {
        for (place, hint) in hints where now.since(hint.keptAt) >= age {
            droppedCount += 1
            remove(place)
        }
    }

    /// Hints whose targets can be reached, and that were not sent within `pause`.
    mutating func take(
        now: Instant,
        pause: Span,
        _ isUp: (NodeID) -> Bool
    ) -> [(target: NodeID, hint: Hint)] {
        var due: [(NodeID, Hint)] = []
        for (place, hint) in hints where isUp(place.target) {
            if let last = hint.sentAt, now.since(last) < pause { continue }
            hints[place]?.sentAt = now
            due.append((place.target, hint))
        }
        return due
    }
}

extension Records {
    /// Keeps a set that came from its origin for owners that are away: the first owner that is not
    /// does so.
    mutating func keepHints(_ set: OriginSet, from peer: NodeID, now: Instant) {
        guard peer == set.origin, owns(set.topic) else { return }
        let owners = view.owners(of: set.topic)
        guard owners.first(where: { isUp($0) }) == own else { return }
        for owner in owners where owner != peer && !isUp(owner) {
            hints.keep(set, for: owner, epoch: view.epoch, now: now, parameters)
        }
    }

    /// Sends what was kept for owners that are back.
    mutating func deliverHints(now: Instant) {
        guard !hints.isEmpty else { return }
        let pause = parameters.retryInterval * 2
        let reachable = reachable
        for (target, hint) in hints.take(now: now, pause: pause, { reachable[$0] != nil }) {
            guard handoverBudget > 0 else { return }
            handoverBudget -= hint.set.lengthEstimate
            let message = RecordMessage.hint(epoch: hint.epoch, sets: [hint.set])
            effects.append(.afterWrites([.send(message, to: target)]))
        }
    }

    /// Takes in what another peer has kept for this one, unless a closed epoch has made it void.
    mutating func takeHint(
        _ sets: [OriginSet],
        epoch: UInt64,
        from peer: NodeID,
        now: Instant
    ) {
        if parameters.flaws.contains(.hintOfClosedEpochApplied) {
            for set in sets { keepFromOther(set, thenAcknowledge: nil) }
            return
        }
        take(sets, epoch: epoch, from: peer, now: now)
    }
}
