package import Determinism

extension Records {
    /// One topic of this peer as origin.
    struct Publication: Sendable {
        var set: OriginSet
        var storedAt = SortedMap<NodeID, RecordVersion>()
        var offeredAt = SortedMap<NodeID, Instant>()
    }

    /// A publication that somebody waits for.
    struct Waiting: Sendable {
        let topic: Topic
        let version: RecordVersion
        let expiresAt: Instant
    }

    /// Replaces this peer's records under a topic.
    ///
    /// The request is answered by one `.finished` with `.stored` or `.tooFewOwners`.
    package mutating func publish(
        _ topic: Topic,
        _ records: [OriginSet.Record],
        request: UInt64,
        now: Instant
    ) {
        let previous = store.set(topic, own)?.version ?? .never
        // At the last version it is the version that was held, which is refused below.
        let following = previous.sequence < .max ? previous.sequence + 1 : .max
        let sequence = previous.boot == boot ? following : 1
        let set = OriginSet(
            topic: topic,
            origin: own,
            version: RecordVersion(boot: boot, sequence: sequence),
            records: records
        )
        guard previous < set.version else {
            effects.append(.ownPastUnknown)
            effects.append(.finished(request: request, .tooFewOwners(stored: 0, wanted: 1)))
            return
        }
        publications[topic] = Publication(set: set)
        waiting[request] = Waiting(
            topic: topic,
            version: set.version,
            expiresAt: now.advanced(by: parameters.requestTimeout)
        )
        keep(set, thenAcknowledge: nil)
        // The first offers leave with the write; an owner may hold a set before its origin does,
        // but the origin makes no younger version until it can read this one back.
        offer(topic, now: now, afterWrite: true)
        if owns(topic) { appendAfterLastWrite([.send(storedByOwn(set), to: own)]) }
    }

    private func storedByOwn(_ set: OriginSet) -> RecordMessage {
        .stored(
            epoch: view.epoch,
            summaries: [SetSummary(topic: set.topic, origin: own, version: set.version)]
        )
    }

    mutating func offerPublications(now: Instant) {
        for topic in publications.keys { offer(topic, now: now, afterWrite: false) }
    }

    private mutating func offer(_ topic: Topic, now: Instant, afterWrite: Bool) {
        guard var publication = publications[topic] else { return }
        var offers: [Effect] = []
        for owner in view.owners(of: topic) where owner != own && isUp(owner) {
            guard publication.storedAt[owner] != publication.set.version else { continue }
            if let last = publication.offeredAt[owner],
                now.since(last) < parameters.retryInterval
            {
                continue
            }
            publication.offeredAt[owner] = now
            offers.append(.send(.put(epoch: view.epoch, sets: [publication.set]), to: owner))
        }
        publications[topic] = publication
        if afterWrite {
            appendAfterLastWrite(offers)
        } else if !offers.isEmpty {
            // The first write may still be under way; writes are done in order.
            effects.append(.persist(publication.set, then: offers))
        }
    }

    private mutating func appendAfterLastWrite(_ more: [Effect]) {
        guard case .persist(let set, let then) = effects.last else {
            effects.append(contentsOf: more)
            return
        }
        effects[effects.count - 1] = .persist(set, then: then + more)
    }

    /// An owner holds a set durably.
    mutating func noteStored(_ summary: SetSummary, at owner: NodeID) {
        guard summary.origin == own, var publication = publications[summary.topic] else { return }
        guard summary.version <= publication.set.version else {
            effects.append(.ownPastUnknown)
            return
        }
        let known = publication.storedAt[owner] ?? .never
        publication.storedAt[owner] = max(known, summary.version)
        publications[summary.topic] = publication
        let needed = min(parameters.writeQuorum, view.owners(of: summary.topic).count)
        for (request, entry) in waiting where entry.topic == summary.topic {
            let count = storedCount(entry)
            guard count >= needed else { continue }
            waiting[request] = nil
            effects.append(.finished(request: request, .stored(owners: count)))
        }
    }

    private func storedCount(_ entry: Waiting) -> Int {
        let publication = publications[entry.topic]
        return view.owners(of: entry.topic).count { owner in
            (publication?.storedAt[owner] ?? .never) >= entry.version
        }
    }

    mutating func expireRequests(now: Instant) {
        for (request, entry) in waiting where now >= entry.expiresAt {
            waiting[request] = nil
            let outcome = Outcome.tooFewOwners(
                stored: storedCount(entry),
                wanted: min(parameters.writeQuorum, view.owners(of: entry.topic).count)
            )
            effects.append(.finished(request: request, outcome))
        }
        for (request, read) in reads where now >= read.nextAt { retryRead(request, read, now: now) }
    }

    /// An owner's part of a publication or of an exchange.
    mutating func take(_ sets: [OriginSet], epoch: UInt64, from peer: NodeID) {
        noteEpoch(epoch, from: peer)
        for set in sets {
            guard owns(set.topic) else {
                effects.append(
                    .send(.notOwner(epoch: view.epoch, topic: set.topic), to: peer)
                )
                continue
            }
            let held = store.set(set.topic, set.origin)?.version ?? .never
            // What is held may be younger: the origin must learn that, too.
            let summary = SetSummary(
                topic: set.topic,
                origin: set.origin,
                version: max(held, set.version)
            )
            keepFromOther(
                set,
                thenAcknowledge: .send(.stored(epoch: view.epoch, summaries: [summary]), to: peer)
            )
        }
    }
}
