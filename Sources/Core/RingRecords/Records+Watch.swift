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
        var attempt: Int
        var nextAt: Instant
        let expiresAt: Instant
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
            if watch.provider == own, !watch.isSynced {
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
        for set in sets where set.topic == topic { keep(set, thenAcknowledge: nil) }
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
        effects.append(
            .send(.snapshot(epoch: view.epoch, topic: topic, sets: younger), to: peer)
        )
    }

    mutating func expireWatchers(now: Instant) {
        for topic in watchers.keys {
            watchers[topic]?.removeAll { _, expiresAt in now >= expiresAt }
            if watchers[topic]?.isEmpty ?? false { watchers[topic] = nil }
        }
    }

    /// Asks an owner, or several in turn, what is held under a topic.
    package mutating func read(_ topic: Topic, request: UInt64, now: Instant) {
        if owns(topic) {
            effects.append(.finished(request: request, .contents(store.sets(topic))))
            return
        }
        let read = Read(
            topic: topic,
            attempt: 0,
            nextAt: now,
            expiresAt: now.advanced(by: parameters.requestTimeout)
        )
        retryRead(request, read, now: now)
    }

    mutating func retryRead(_ request: UInt64, _ read: Read, now: Instant) {
        var next = read
        let candidates = view.owners(of: read.topic).filter { isUp($0) && $0 != own }
        guard now < read.expiresAt else {
            reads[request] = nil
            effects.append(.finished(request: request, .unanswered))
            return
        }
        next.attempt += 1
        next.nextAt = now.advanced(by: parameters.retryInterval)
        reads[request] = next
        guard !candidates.isEmpty else { return }
        let target = candidates[read.attempt % candidates.count]
        effects.append(
            .send(.read(epoch: view.epoch, request: request, topic: read.topic), to: target)
        )
    }

    mutating func serveRead(_ topic: Topic, request: UInt64, to peer: NodeID) {
        guard owns(topic) else {
            effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
            return
        }
        effects.append(.send(.contents(request: request, sets: store.sets(topic)), to: peer))
    }

    mutating func finishRead(_ request: UInt64, _ sets: [OriginSet]) {
        guard reads.remove(request) != nil else { return }
        effects.append(.finished(request: request, .contents(sets)))
    }
}
