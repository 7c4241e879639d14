import Determinism

/// Rule R7: how slots pass from owners to owners when the epoch changes.
extension Records {
    /// A slot of which this peer became an owner, and what it still needs for being whole.
    struct Arrival: Sendable {
        /// Those who may hold what this peer lacks.
        var sources: [NodeID] = []
        /// So many whole ones of them are enough.
        var needed = 1
        /// Those of which this peer holds all that they held.
        var synced: [NodeID] = []
        /// Those among them that are whole themselves.
        var syncedWhole: [NodeID] = []
        /// Whether this peer owned the slot before it was started anew in the same epoch.
        var isRestart = false
        var since = Instant.zero
    }

    /// A slot that this peer keeps for its new owners.
    struct Departure: Sendable {
        /// Whether all that was acknowledged before may be asked of this peer.
        var isWhole = false
        /// The owners that hold all that this peer holds of the slot.
        var confirmed: [NodeID] = []
        var since = Instant.zero
    }

    /// Who owned a slot before the epoch in force.
    struct FormerOwners: Sendable {
        /// Those that may still answer for the slot to whoever is behind.
        var owners: [NodeID]
        /// How many there were; who was removed, or has seen the change, answers nobody any more.
        let count: Int
        let until: Instant

        static let none = FormerOwners(owners: [], count: 0, until: .zero)

        /// How many of those left must hold a set for each of their read quorums to meet it.
        ///
        /// A read took `count - writeQuorum + 1` answers, so that all but one fewer are needed.
        func needed(writeQuorum: Int) -> Int {
            max(0, owners.count - count + min(writeQuorum, count))
        }
    }

    /// Whether this peer has something to say about a slot: as an owner or as a former one.
    func holds(_ slot: Int) -> Bool {
        view.owners(ofSlot: slot).contains(own) || leaving[slot] != nil
    }

    /// Whether this peer may answer for a slot alone, and who else is to be asked where not.
    func standing(ofSlot slot: Int) -> RecordMessage.Standing {
        if let arrival = arriving[slot] {
            let isWhole = parameters.flaws.contains(.newOwnerServesAtOnce)
            return RecordMessage.Standing(
                isWhole: isWhole,
                sources: isWhole ? [] : Array(arrival.sources.prefix(RecordMessage.sourcesMax))
            )
        }
        return RecordMessage.Standing(isWhole: leaving[slot]?.isWhole ?? true, sources: [])
    }

    /// The word of this peer counts for a new owner: it holds the slot since before the epoch.
    func isWholeSource(_ slot: Int) -> Bool {
        if let arrival = arriving[slot] { return arrival.isRestart }
        return leaving[slot]?.isWhole ?? true
    }

    func formerOwners(ofSlot slot: Int, now: Instant) -> FormerOwners {
        guard var entry = former[slot], now < entry.until else { return .none }
        entry.owners.removeAll { !view.isMember($0) }
        return entry
    }

    mutating func expireFormerOwners(now: Instant) {
        former.removeAll { now >= $1.until }
    }

    /// After a start the peer looks at the other owners before it answers for itself: its disk may
    /// be an older one than it knows.
    mutating func beginShare(now: Instant) {
        for slot in share.slots {
            let others = view.owners(ofSlot: slot).filter { $0 != own }
            guard !others.isEmpty else { continue }
            arriving[slot] = Arrival(
                sources: others,
                needed: others.count,
                isRestart: true,
                since: now
            )
        }
        // What was kept for new owners before, or was watched, is offered to the owners.
        for slot in store.slotNumbers where !view.owners(ofSlot: slot).contains(own) {
            leaving[slot] = Departure(since: now)
        }
    }

    /// Finds out what has to be handed over since an earlier view.
    ///
    /// - Complexity: O(slots), and nothing for a slot whose owners stay.
    mutating func moveSlots(from before: OwnershipView, now: Instant) {
        let isNext = view.epoch == before.epoch + 1
        guard view.ownersBySlot.count == before.ownersBySlot.count else {
            return beginShare(now: now)
        }
        for slot in view.ownersBySlot.indices {
            let earlier = before.ownersBySlot[slot]
            let later = view.ownersBySlot[slot]
            // Nothing is to be done for most slots of most peers.
            if earlier == later, isNext || !later.contains(own) { continue }
            if earlier != later {
                let until = now.advanced(by: parameters.formerOwnerGrace)
                former[slot] = FormerOwners(
                    owners: earlier,
                    count: earlier.count,
                    until: until
                )
            }
            let isMoved = SortedSet(earlier) != SortedSet(later)
            switch (earlier.contains(own), later.contains(own)) {
            case (_, true): arrive(slot, earlier, later, isNext: isNext, isMoved, now: now)
            case (true, false):
                let isWhole = isWholeSource(slot)
                arriving[slot] = nil
                leaving[slot] = Departure(isWhole: isWhole, since: now)
                if parameters.flaws.contains(.ownerDropsTooEarly) { depart(slot) }
            case (false, false):
                if isMoved, leaving[slot] != nil {
                    leaving[slot, default: Departure()].confirmed = []
                }
            }
        }
    }

    /// This peer owns a slot in the new epoch.
    private mutating func arrive(
        _ slot: Int,
        _ earlier: [NodeID],
        _ later: [NodeID],
        isNext: Bool,
        _ isMoved: Bool,
        now: Instant
    ) {
        let wasOwner = earlier.contains(own)
        let unfinished = arriving[slot]
        leaving[slot] = nil
        if isNext, wasOwner, unfinished == nil { return }
        if isNext, !isMoved { return }
        if isNext, unfinished == nil {
            let needed = earlier.count - min(parameters.writeQuorum, earlier.count) + 1
            arriving[slot] = Arrival(sources: earlier, needed: needed, since: now)
            return
        }
        // Epochs were passed over, or the last hand-over is not done: who owned the slot in
        // between is not known here, so everybody who may hold some of it is looked at.
        let all = SortedSet(earlier + later + (unfinished?.sources ?? [])).elements
        let sources = all.filter { $0 != own }
        arriving[slot] =
            sources.isEmpty
            ? nil : Arrival(sources: sources, needed: sources.count, since: now)
    }

    /// This peer holds all that a source held of an arriving slot.
    mutating func noteSynced(_ slot: Int, with source: NodeID, isWhole: Bool, now: Instant) {
        guard var arrival = arriving[slot], arrival.sources.contains(source) else { return }
        if !arrival.synced.contains(source) { arrival.synced.append(source) }
        if isWhole, !arrival.syncedWhole.contains(source) { arrival.syncedWhole.append(source) }
        arriving[slot] = arrival
        settleArrival(slot, now: now)
    }

    /// A source holds nothing of a slot any more.
    mutating func noteNotHeld(_ slot: Int, by source: NodeID, now: Instant) {
        guard arriving[slot] != nil else { return }
        arriving[slot, default: Arrival()].sources.removeAll { $0 == source }
        settleArrival(slot, now: now)
    }

    /// Ends a hand-over to this peer where enough of the sources were seen, or where those that
    /// were not have stayed away for too long.
    private mutating func settleArrival(_ slot: Int, now: Instant) {
        guard let arrival = arriving[slot] else { return }
        let isLate = now.since(arrival.since) >= parameters.handoverPatience
        // What a node held that was removed for good comes from nobody.
        let left = arrival.sources.filter { view.isMember($0) && !arrival.synced.contains($0) }
        let isDone =
            arrival.syncedWhole.count >= arrival.needed || left.isEmpty
            || (isLate && !left.contains { isUp($0) })
        guard isDone else { return }
        arriving[slot] = nil
        endArrivals()
    }

    /// Takes hand-overs in both directions a step further, a few slots with each peer.
    mutating func continueHandovers(now: Instant) {
        guard !arriving.isEmpty || !leaving.isEmpty else { return }
        for slot in arriving.keys { settleArrival(slot, now: now) }
        for (slot, departure) in leaving {
            let owners = view.owners(ofSlot: slot)
            guard owners.allSatisfy({ departure.confirmed.contains($0) }), !owners.isEmpty,
                now.since(departure.since) >= parameters.formerOwnerGrace
            else { continue }
            depart(slot)
        }
        var peers = SortedSet<NodeID>()
        for (_, arrival) in arriving {
            for source in arrival.sources where !arrival.synced.contains(source) {
                peers.insert(source)
            }
        }
        for (slot, departure) in leaving {
            for owner in view.owners(ofSlot: slot) where !departure.confirmed.contains(owner) {
                peers.insert(owner)
            }
        }
        for peer in peers.elements where peer != own && isUp(peer) {
            startRound(with: peer, isHandover: true, now: now)
        }
    }

    /// Drops a slot whose owners hold all of it; what is watched or this node's own stays.
    private mutating func depart(_ slot: Int) {
        leaving[slot] = nil
        for topic in store.topics(inSlot: slot) {
            for peer in watchers[topic]?.keys ?? [] {
                effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
                dropWatcher(peer, of: topic)
            }
            guard watches[topic] == nil else { continue }
            for set in store.sets(topic) where set.origin != own { erase(topic, set.origin) }
        }
    }

    /// Fills what may be handed over, up to one second's worth.
    mutating func fillBudget(now: Instant) {
        let passed = now.since(budgetFilledAt).milliseconds
        guard passed > 0 else { return }
        budgetFilledAt = now
        let most = parameters.handoverBytesPerSecond
        let more = Int(min(passed, 1_000)) * (most / 1_000)
        handoverBudget = min(most, handoverBudget + more)
    }
}
