package import Determinism

extension Records {
    /// A topic that this peer follows.
    struct Watch: Sendable {
        var provider: NodeID?
        var askedAt: Instant?
        var answeredAt: Instant?
        var isSynced = false
        var attempt = 0
        /// The revision up to which the provider was followed; 0 before its first answer.
        var revision: UInt64 = 0
        /// Whether a set was refused because its origin is no member in the epoch in force here.
        var hasRefused = false
        /// An answer counts only if all of its parts came, one after the other.
        var nextPart: UInt32 = 0
        /// Former owners that hold what the owners may not have taken over yet.
        var sources: [NodeID] = []
    }

    /// Follows a topic: `.changed` for each set, `.synced` once all that an owner has is here.
    ///
    /// Of a topic that is followed already, what was told is told again.
    package mutating func watch(_ topic: Topic, now: Instant) {
        if let watch = watches[topic] {
            let told = store.sets(topic).map { Effect.changed($0) }
            effects.append(.afterWrites(told + (watch.isSynced ? [.synced(topic)] : [])))
            return
        }
        var watch = Watch()
        // Each peer begins elsewhere in the list, so that no owner serves them all.
        watch.attempt = Int(StableHash.of(topic.name.utf8, seed: own.low) % 64)
        watches[topic] = watch
        // Behind the writes under way: nothing is shown that a crash here may undo.
        effects.append(.afterWrites(store.sets(topic).map { .changed($0) }))
        chooseProvider(topic, now)
    }

    /// Follows a topic no longer; what is here for the watch's sake alone is dropped.
    package mutating func unwatch(_ topic: Topic) {
        guard let watch = watches.remove(topic) else { return }
        watchesDue.set(topic, at: nil)
        if let provider = watch.provider, provider != own {
            effects.append(.send(.unwatch(topic: topic), to: provider))
        }
        guard !holds(view.slot(of: topic)) else { return }
        for set in store.sets(topic) where set.origin != own { erase(topic, set.origin) }
    }

    /// Whether everything that an owner had of a watched topic has arrived.
    package func isSynced(_ topic: Topic) -> Bool { watches[topic]?.isSynced ?? false }

    /// Picks an owner that is up, another one at each attempt; this peer itself last, since another
    /// owner may hold what this one has missed.
    mutating func chooseProvider(_ topic: Topic, _ now: Instant) {
        guard var watch = watches[topic] else { return }
        let owners = view.owners(of: topic)
        let formers = watch.sources.filter { !owners.contains($0) }
        let candidates = (owners + formers).filter { $0 != own && isUp($0) }
        watch.attempt += 1
        watch.askedAt = now
        watch.revision = 0
        if candidates.isEmpty {
            watch.provider = owners.contains(own) ? own : nil
            // Right after a start nobody was met yet, and another owner may know more.
            let isAlone = owners.count == 1 || now.since(startedAt) >= parameters.requestTimeout
            if watch.provider == own, !watch.isSynced, isAlone {
                watch.isSynced = true
                watch.answeredAt = now
                effects.append(.afterWrites([.synced(topic)]))
            }
            watches[topic] = watch
            watchesDue.set(topic, at: now.advanced(by: parameters.watchTimeout))
        } else {
            watch.provider = candidates[watch.attempt % candidates.count]
            watches[topic] = watch
            ask(topic, now: now)
        }
    }

    /// Asks the provider for what is younger than what is here.
    mutating func ask(_ topic: Topic, now: Instant) {
        guard let watch = watches[topic], let provider = watch.provider, provider != own else {
            return
        }
        watches[topic, default: watch].askedAt = now
        watchesDue.set(topic, at: now.advanced(by: parameters.watchTimeout))
        let known =
            watch.revision == 0
            ? store.sets(topic).map { OriginVersion(origin: $0.origin, version: $0.version) } : []
        let question = RecordMessage.watch(
            epoch: view.epoch,
            topic: topic,
            after: watch.revision,
            known: known.count <= RecordMessage.originsMax ? known : []
        )
        effects.append(.send(question, to: provider))
    }

    mutating func renewWatches(now: Instant) {
        for topic in watchesDue.take(now: now) {
            guard let watch = watches[topic] else { continue }
            let asked = watch.askedAt ?? .zero
            let isAnswered = watch.answeredAt.map { $0 >= asked } ?? false
            if isAnswered, watch.isSynced, let provider = watch.provider, provider != own,
                isUp(provider), view.owners(of: topic).contains(provider)
            {
                ask(topic, now: now)
            } else {
                chooseProvider(topic, now)
            }
        }
    }

    mutating func takeSnapshot(
        _ topic: Topic,
        _ standing: RecordMessage.Standing,
        _ part: UInt32,
        _ revision: UInt64,
        _ sets: [OriginSet],
        from peer: NodeID,
        now: Instant
    ) {
        guard let watch = watches[topic], watch.provider == peer else { return }
        for set in sets where set.topic == topic { takeWatched(set, from: peer) }
        let isNext = part == 0 || part == watch.nextPart
        watches[topic, default: watch].nextPart = isNext ? part + 1 : 0
        // More parts of the answer follow, or one was lost and all that is missing is asked for.
        guard revision > 0, isNext else {
            let wait = isNext ? parameters.watchTimeout : parameters.retryInterval
            return watchesDue.set(topic, at: now.advanced(by: wait))
        }
        watches[topic, default: watch].answeredAt = now
        watches[topic, default: watch].revision = revision
        watches[topic, default: watch].sources = standing.sources
        let wait = standing.isWhole ? parameters.watchRenewal : parameters.watchTimeout
        watchesDue.set(topic, at: now.advanced(by: wait))
        guard standing.isWhole, !watch.isSynced else { return }
        watches[topic, default: watch].isSynced = true
        // Behind the writes of the snapshot's sets, hence behind their `.changed`.
        effects.append(.afterWrites([.synced(topic)]))
    }

    private mutating func takeWatched(_ set: OriginSet, from peer: NodeID) {
        guard mayTake(set.origin, set.version, from: peer) else {
            watches[set.topic]?.hasRefused = true
            return
        }
        keepFromOther(set, thenAcknowledge: nil)
    }

    /// A newer epoch: watches go on with owners of it, and what was refused is asked for again.
    mutating func reconsiderWatches(now: Instant) {
        for (topic, watch) in watches {
            if let provider = watch.provider, !view.owners(of: topic).contains(provider) {
                chooseProvider(topic, now)
            }
        }
        repeatRefused(now: now)
    }

    /// What was refused may be right by now: it is asked for again.
    mutating func repeatRefused(now: Instant) {
        for (topic, watch) in watches where watch.hasRefused {
            watches[topic, default: watch].hasRefused = false
            watches[topic, default: watch].revision = 0
            ask(topic, now: now)
        }
    }

    /// A change from the provider; where one before it did not arrive, what is missing is asked
    /// for.
    mutating func takeChange(
        _ topic: Topic,
        _ revision: UInt64,
        _ previous: UInt64,
        from peer: NodeID,
        now: Instant,
        _ set: (RecordStore) -> OriginSet?
    ) {
        guard let watch = watches[topic], watch.provider == peer else { return }
        let isNext = previous == watch.revision || parameters.flaws.contains(.gapUnnoticed)
        let changed = set(store)
        if let changed { takeWatched(changed, from: peer) }
        if isNext, changed != nil {
            watches[topic, default: watch].revision = revision
        } else if watch.answeredAt != nil, watch.revision > 0 {
            // Before the first answer a change is but early: the answer is on its way.
            if changed == nil { watches[topic, default: watch].revision = 0 }
            ask(topic, now: now)
        }
    }
}

/// The owner's part of a watch.
extension Records {
    /// The revision of the newest change under a topic; never 0.
    func revision(of topic: Topic) -> UInt64 { max(store.revision(of: topic), boot << 32, 1) }

    mutating func serveWatch(
        _ topic: Topic,
        after revision: UInt64,
        known: [OriginVersion],
        to peer: NodeID,
        now: Instant
    ) {
        let slot = view.slot(of: topic)
        guard holds(slot) else {
            effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
            return
        }
        let isNew = watchers[topic]?[peer] == nil
        guard !isNew || watchCounts[peer] ?? 0 < parameters.watchesPerPeerMax else { return }
        if isNew { watchCounts[peer, default: 0] += 1 }
        watchers[topic, default: SortedMap()][peer] = now.advanced(by: parameters.watchExpiry)
        let younger: [OriginSet]
        if revision == 0 {
            let versions = known.reduce(into: SortedMap<NodeID, RecordVersion>()) {
                $0[$1.origin] = $1.version
            }
            younger = store.sets(topic).filter { $0.version > versions[$0.origin] ?? .never }
        } else if revision >> 32 == boot, revision <= store.revision, !isNew {
            younger = store.sets(topic, after: revision)
        } else {
            // From another life of this process, or dropped meanwhile.
            return resync(peer, of: topic)
        }
        fetchUnknown(topic, known, from: peer)
        // What a stream would not take in one message goes ahead in parts, over the same one.
        var batches = OriginSet.batches(younger)
        let last = batches.popLast() ?? []
        let standing = standing(ofSlot: slot)
        var parts = batches.enumerated().map { part, sets in
            snapshot(topic, standing, part: part, revision: 0, sets, to: peer)
        }
        let end = self.revision(of: topic)
        parts.append(snapshot(topic, standing, part: parts.count, revision: end, last, to: peer))
        // Behind the writes under way: a watcher never has what a crash here may undo.
        effects.append(.afterWrites(parts))
    }

    private mutating func resync(_ peer: NodeID, of topic: Topic) {
        dropWatcher(peer, of: topic)
        counters.resyncsSent += 1
        effects.append(.send(.resync(topic: topic), to: peer))
    }

    /// A newer epoch made this peer an owner: watchers that knew of it first told what they have
    /// while this peer had no right to it, and tell it once more.
    mutating func resyncEarlyWatchers(since before: OwnershipView) {
        for (topic, entries) in watchers
        where owns(topic) && !before.owners(ofSlot: view.slot(of: topic)).contains(own) {
            for peer in entries.keys { resync(peer, of: topic) }
        }
    }

    /// Asks a watcher for what it has heard and no owner holds: the owner that it was told by lost
    /// its disk before another had the set, and its origin may be gone as well.
    private mutating func fetchUnknown(
        _ topic: Topic,
        _ known: [OriginVersion],
        from peer: NodeID
    ) {
        guard owns(topic) else { return }
        let unknown = known.filter { one in
            one.origin != own && one.origin != peer && mayHold(one.origin)
                && one.version > store.set(topic, one.origin)?.version ?? .never
        }
        guard !unknown.isEmpty else { return }
        let summaries = unknown.map {
            SetSummary(topic: topic, origin: $0.origin, version: $0.version)
        }
        effects.append(.send(.fetch(epoch: view.epoch, summaries: summaries), to: peer))
    }

    private func snapshot(
        _ topic: Topic,
        _ standing: RecordMessage.Standing,
        part: Int,
        revision: UInt64,
        _ sets: [OriginSet],
        to peer: NodeID
    ) -> Effect {
        let snapshot = RecordMessage.snapshot(
            epoch: view.epoch,
            topic: topic,
            standing,
            part: UInt32(part),
            revision: revision,
            sets: sets
        )
        return .send(snapshot, to: peer)
    }

    /// What watchers are told of a change that was just applied; nil where nobody watches.
    func changeMessage(
        _ set: OriginSet,
        from held: OriginSet?,
        previous: UInt64
    ) -> RecordMessage? {
        guard watchers[set.topic] != nil else { return nil }
        let revision = revision(of: set.topic)
        if let held, held.version < set.version {
            let delta = SetDelta(from: held, to: set)
            if delta.lengthEstimate < set.lengthEstimate / 2 {
                return .changeDelta(revision: revision, previous: previous, delta)
            }
        }
        return .change(revision: revision, previous: previous, set)
    }

    mutating func dropWatcher(_ peer: NodeID, of topic: Topic) {
        guard watchers[topic]?[peer] != nil else { return }
        watchers[topic, default: SortedMap()][peer] = nil
        if watchers[topic]?.isEmpty ?? false { watchers[topic] = nil }
        let count = watchCounts[peer] ?? 0
        watchCounts[peer] = count > 1 ? count - 1 : nil
    }

    mutating func expireWatchers(now: Instant) {
        for (topic, entries) in watchers {
            for (peer, expiresAt) in entries where now >= expiresAt {
                dropWatcher(peer, of: topic)
            }
        }
    }
}
