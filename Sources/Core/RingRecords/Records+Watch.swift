package import Determinism

extension Records {
    /// A topic that this peer follows.
    struct Watch: Sendable {
        var provider: NodeID?
        var askedAt: Instant?
        var answeredAt: Instant?
        var isSynced = false
        var attempt = 0
    }

    /// A one-time question under way.
    struct Read: Sendable {
        let topic: Topic
        var nextAt: Instant
        let expiresAt: Instant
        var answers = SortedMap<NodeID, [OriginSet]>()
    }

    /// Follows a topic: `.changed` for each set, `.synced` once all that an owner has is here.
    package mutating func watch(_ topic: Topic, now: Instant) {
        guard watches[topic] == nil else { return }
        watches[topic] = Watch()
        for set in store.sets(topic) { effects.append(.changed(set)) }
        chooseProvider(topic, now)
    }

    /// Follows a topic no longer.
    package mutating func unwatch(_ topic: Topic) {
        guard let watch = watches.remove(topic) else { return }
        if let provider = watch.provider, provider != own {
            effects.append(.send(.unwatch(topic: topic), to: provider))
        }
    }

    /// Whether everything that an owner had of a watched topic has arrived.
    package func isSynced(_ topic: Topic) -> Bool { watches[topic]?.isSynced ?? false }

    /// Picks an owner that is up, another one at each attempt; this peer itself last, since another
    /// owner may hold what this one has missed.
    mutating func chooseProvider(_ topic: Topic, _ now: Instant) {
        guard var watch = watches[topic] else { return }
        let owners = view.owners(of: topic)
        let candidates = owners.filter { $0 != own && isUp($0) }
        watch.attempt += 1
        watch.askedAt = now
        if candidates.isEmpty {
            watch.provider = owners.contains(own) ? own : nil
            // Right after a start nobody was met yet, and another owner may know more.
            let isAlone = owners.count == 1 || now.since(startedAt) >= parameters.requestTimeout
            if watch.provider == own, !watch.isSynced, isAlone {
                watch.isSynced = true
                watch.answeredAt = now
                effects.append(.synced(topic))
            }
        } else {
            let provider = candidates[watch.attempt % candidates.count]
            watch.provider = provider
            effects.append(.send(question(topic), to: provider))
        }
        watches[topic] = watch
    }

    private func question(_ topic: Topic) -> RecordMessage {
        .watch(epoch: view.epoch, topic: topic, known: store.summaries(topic))
    }

    mutating func renewWatches(now: Instant) {
        for (topic, watch) in watches {
            let asked = watch.askedAt ?? .zero
            let isAnswered = watch.answeredAt.map { $0 >= asked } ?? false
            if !isAnswered, now.since(asked) >= parameters.watchTimeout {
                chooseProvider(topic, now)
            } else if isAnswered, now.since(asked) >= parameters.watchRenewal {
                renew(topic, watch, now: now)
            }
        }
    }

    private mutating func renew(_ topic: Topic, _ watch: Watch, now: Instant) {
        guard let provider = watch.provider, provider != own, isUp(provider),
            view.owners(of: topic).contains(provider)
        else { return chooseProvider(topic, now) }
        watches[topic]?.askedAt = now
        effects.append(.send(question(topic), to: provider))
    }

    mutating func takeSnapshot(
        _ topic: Topic,
        _ sets: [OriginSet],
        from peer: NodeID,
        now: Instant
    ) {
        guard let watch = watches[topic], watch.provider == peer else { return }
        for set in sets where set.topic == topic { keepFromOther(set, thenAcknowledge: nil) }
        watches[topic]?.answeredAt = now
        guard !watch.isSynced else { return }
        watches[topic]?.isSynced = true
        // Behind the writes of the snapshot's sets, hence behind their `.changed`.
        if case .persist(let set, let then) = effects.last {
            effects[effects.count - 1] = .persist(set, then: then + [.synced(topic)])
        } else {
            effects.append(.synced(topic))
        }
    }

    /// The owner's part of a watch.
    mutating func serveWatch(
        _ topic: Topic,
        known: [SetSummary],
        to peer: NodeID,
        now: Instant
    ) {
        guard owns(topic) else {
            effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
            return
        }
        watchers[topic, default: SortedMap()][peer] = now.advanced(by: parameters.watchExpiry)
        let versions = known.reduce(into: SortedMap<NodeID, RecordVersion>()) {
            $0[$1.origin] = $1.version
        }
        let younger = store.sets(topic).filter { $0.version > versions[$0.origin] ?? .never }
        // What a stream would not take in one message goes ahead as changes, over the same one.
        var batches = OriginSet.batches(younger)
        let last = batches.popLast() ?? []
        for set in batches.joined() { effects.append(.send(.change(set), to: peer)) }
        effects.append(.send(.snapshot(epoch: view.epoch, topic: topic, sets: last), to: peer))
    }

    mutating func expireWatchers(now: Instant) {
        for topic in watchers.keys {
            watchers[topic]?.removeAll { _, expiresAt in now >= expiresAt }
            if watchers[topic]?.isEmpty ?? false { watchers[topic] = nil }
        }
    }

    /// Asks so many owners what is held under a topic that one of them holds what was acknowledged.
    package mutating func read(_ topic: Topic, request: UInt64, now: Instant) {
        var read = Read(
            topic: topic,
            nextAt: now,
            expiresAt: now.advanced(by: parameters.requestTimeout)
        )
        if owns(topic) { read.answers[own] = store.sets(topic) }
        retryRead(request, read, now: now)
    }

    /// Owners that must answer: together with a write quorum they are more than there are (R + W >
    /// N).
    private func readQuorum(_ topic: Topic) -> Int {
        let count = view.owners(of: topic).count
        return count - min(parameters.writeQuorum, count) + 1
    }

    mutating func retryRead(_ request: UInt64, _ read: Read, now: Instant) {
        var next = read
        guard !finishRead(request, read, isOver: now >= read.expiresAt) else { return }
        next.nextAt = now.advanced(by: parameters.retryInterval)
        reads[request] = next
        for owner in view.owners(of: read.topic)
        where owner != own && isUp(owner) && read.answers[owner] == nil {
            effects.append(
                .send(.read(epoch: view.epoch, request: request, topic: read.topic), to: owner)
            )
        }
    }

    mutating func serveRead(_ topic: Topic, request: UInt64, to peer: NodeID) {
        guard owns(topic) else {
            effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
            return
        }
        effects.append(.send(.contents(request: request, sets: store.sets(topic)), to: peer))
    }

    mutating func takeContents(_ request: UInt64, _ sets: [OriginSet], from owner: NodeID) {
        guard var read = reads[request] else { return }
        read.answers[owner] = sets
        reads[request] = read
        _ = finishRead(request, read, isOver: false)
    }

    /// Ends a read that enough owners have answered, or whose time is over.
    private mutating func finishRead(_ request: UInt64, _ read: Read, isOver: Bool) -> Bool {
        let wanted = readQuorum(read.topic)
        guard read.answers.count >= wanted || isOver else { return false }
        reads[request] = nil
        guard !read.answers.isEmpty else {
            effects.append(.finished(request: request, .unanswered))
            return true
        }
        var newest = SortedMap<NodeID, OriginSet>()
        for set in read.answers.values.joined()
        where set.version > newest[set.origin]?.version ?? .never {
            newest[set.origin] = set
        }
        let outcome = Outcome.contents(
            newest.values,
            isComplete: read.answers.count >= wanted
        )
        effects.append(.finished(request: request, outcome))
        return true
    }
}
