package import Determinism

extension Records {
    /// One topic of this peer as origin.
    struct Publication: Sendable {
        var set: OriginSet
        /// The set before, for owners that hold it: they are sent what changed.
        var previous: OriginSet?
        var storedAt = SortedMap<NodeID, Storage>()
        var offeredAt = SortedMap<NodeID, Instant>()

        init(set: OriginSet) { self.set = set }

        /// Nothing at all, older than anything.
        init(_ topic: Topic, _ origin: NodeID) {
            set = OriginSet(topic: topic, origin: origin, version: .never, records: [])
        }
    }

    /// What a replica has acknowledged.
    struct Storage: Sendable {
        var version = RecordVersion.never
        var epoch: UInt64 = 0
        var isOwner = false
    }

    /// A publication that somebody waits for.
    struct Waiting: Sendable {
        let topic: Topic
        let version: RecordVersion
        let level: Level
        let expiresAt: Instant
    }

    /// Replaces this peer's records under a topic.
    ///
    /// The request is answered by one `.finished` with `.stored`, `.tooFewOwners` or `.refused`.
    package mutating func publish(
        _ topic: Topic,
        _ records: [OriginSet.Record],
        level: Level = .quorum,
        request: UInt64,
        now: Instant
    ) {
        if let refusal = OriginSet.refusal(of: records) {
            effects.append(.finished(request: request, .refused(refusal)))
            return
        }
        let held = store.set(topic, own)
        let previous = held?.version ?? .never
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
            let shortfall = Shortfall(level: level, answered: 0, wanted: 1, missing: [own])
            effects.append(.finished(request: request, .tooFewOwners(shortfall)))
            return
        }
        publications[topic, default: Publication(set: set)].set = set
        publications[topic, default: Publication(set: set)].previous = held
        publications[topic, default: Publication(set: set)].offeredAt = SortedMap()
        unsettled.insert(topic)
        waiting[request] = Waiting(
            topic: topic,
            version: set.version,
            level: level,
            expiresAt: now.advanced(by: parameters.requestTimeout)
        )
        keep(set, thenAcknowledge: nil)
        keepHints(set, from: own, now: now)
        // The first offers leave behind the write: no owner holds a set before its origin does.
        offer(topic, now: now, afterWrite: true)
        if owns(topic) { appendAfterLastWrite([.send(storedByOwn(set), to: own)]) }
    }

    private func storedByOwn(_ set: OriginSet) -> RecordMessage {
        .stored(
            epoch: view.epoch,
            isOwner: true,
            summaries: [SetSummary(topic: set.topic, origin: own, version: set.version)]
        )
    }

    mutating func offerPublications(now: Instant) {
        for topic in unsettled.elements { offer(topic, now: now, afterWrite: false) }
    }

    /// Offers the newest set to the owners that have not acknowledged it, and while the slot moves
    /// to the former ones.
    private mutating func offer(_ topic: Topic, now: Instant, afterWrite: Bool) {
        guard var publication = publications[topic] else { return }
        let isWaitedFor = waiting.contains { $0.value.topic == topic }
        let owners = view.owners(of: topic)
        let formers = formerOwners(ofSlot: view.slot(of: topic), now: now).owners
        var offers: [Effect] = []
        var isSettled = true
        for owner in owners + formers.filter({ !owners.contains($0) }) where owner != own {
            let storage = publication.storedAt[owner] ?? Storage()
            let isCounted = !isWaitedFor || storage.epoch >= view.epoch
            if storage.version >= publication.set.version, isCounted { continue }
            isSettled = false
            guard isUp(owner) else { continue }
            if let last = publication.offeredAt[owner],
                now.since(last) < parameters.retryInterval
            {
                continue
            }
            // A second offer is whole: the first may have met another base.
            let isFirst = publication.offeredAt[owner] == nil
            publication.offeredAt[owner] = now
            let message = putMessage(publication, to: storage, isFirst: isFirst)
            offers.append(.send(message, to: owner))
        }
        publications[topic] = publication
        if isSettled, !isWaitedFor { unsettled.remove(topic) }
        if afterWrite {
            appendAfterLastWrite(offers)
        } else if !offers.isEmpty {
            // The first write may still be under way; writes are done in order.
            effects.append(.afterWrites(offers))
        }
    }

    private func putMessage(
        _ publication: Publication,
        to storage: Storage,
        isFirst: Bool
    ) -> RecordMessage {
        if isFirst, let previous = publication.previous, storage.version == previous.version {
            let delta = SetDelta(from: previous, to: publication.set)
            if delta.lengthEstimate < publication.set.lengthEstimate / 2 {
                return .putDelta(epoch: view.epoch, delta)
            }
        }
        return .put(epoch: view.epoch, sets: [publication.set])
    }

    private mutating func appendAfterLastWrite(_ more: [Effect]) {
        // The write of the set that was just kept, which nothing but hints has followed.
        guard case .persist(let set, let then) = effects.last else {
            effects.append(contentsOf: more)
            return
        }
        effects[effects.count - 1] = .persist(set, then: then + more)
    }

    /// A replica holds a set durably.
    mutating func noteStored(
        _ summary: SetSummary,
        epoch: UInt64,
        isOwner: Bool,
        at replica: NodeID,
        now: Instant
    ) {
        hints.noteStored(summary, at: replica)
        noteRepaired(summary, epoch: epoch, at: replica)
        guard summary.origin == own, var publication = publications[summary.topic] else { return }
        guard summary.version <= publication.set.version else {
            effects.append(.ownPastUnknown)
            return
        }
        var storage = publication.storedAt[replica] ?? Storage()
        guard summary.version >= storage.version else { return }
        storage = Storage(
            version: summary.version,
            epoch: max(epoch, storage.epoch),
            isOwner: isOwner
        )
        publication.storedAt[replica] = storage
        publications[summary.topic] = publication
        for (request, entry) in waiting where entry.topic == summary.topic {
            guard let count = acknowledgedCount(entry, now: now) else { continue }
            waiting[request] = nil
            counters.publicationsStored += 1
            effects.append(.finished(request: request, .stored(owners: count)))
        }
    }

    /// The number of owners that hold what a request waits for; nil while they are too few.
    ///
    /// The word of owners of one epoch counts together: those of two epochs need not meet a read
    /// quorum of either. While the slot moves, whoever is behind still reads from its former
    /// owners, so that a write quorum of them is needed, too.
    private func acknowledgedCount(_ entry: Waiting, now: Instant) -> Int? {
        guard let publication = publications[entry.topic] else { return nil }
        let owners = view.owners(of: entry.topic)
        let needed = needed(entry.level, of: owners.count)
        let holders = publication.storedAt.filter { $0.value.version >= entry.version }
        let current = holders.filter {
            $0.value.isOwner && $0.value.epoch == view.epoch && owners.contains($0.key)
        }
        guard current.count >= needed else { return nil }
        let slot = view.slot(of: entry.topic)
        let formers = formerOwners(ofSlot: slot, now: now)
        let formerHolders = holders.filter { formers.owners.contains($0.key) }
        let formersNeeded =
            entry.level == .one ? 0 : formers.needed(writeQuorum: parameters.writeQuorum)
        return formerHolders.count >= formersNeeded ? current.count : nil
    }

    func needed(_ level: Level, of ownerCount: Int) -> Int {
        switch level {
        case .one: min(1, ownerCount)
        case .quorum: min(parameters.writeQuorum, ownerCount)
        case .all: ownerCount
        }
    }

    /// Owners changed: what was settled with the earlier ones is offered to the new ones.
    ///
    /// While this peer was no member, nobody kept its sets (R8): what was stored then is nowhere.
    mutating func reconsiderPublications(since before: OwnershipView) {
        let isBack = !before.isMember(own) && view.isMember(own)
        for topic in publications.keys {
            if isBack { publications[topic]?.storedAt = SortedMap() }
            let slot = view.slot(of: topic)
            let isMoved = view.owners(ofSlot: slot) != before.owners(ofSlot: slot)
            guard isBack || isMoved || unsettled.contains(topic) else { continue }
            publications[topic, default: Publication(topic, own)].offeredAt = SortedMap()
            unsettled.insert(topic)
        }
    }

    /// A peer says that it owns a topic no longer: as a former owner it is not written to any more.
    mutating func noteNotOwner(_ topic: Topic, epoch: UInt64, peer: NodeID, now: Instant) {
        if watches[topic]?.provider == peer { chooseProvider(topic, now) }
        guard epoch == view.epoch else { return }
        former[view.slot(of: topic)]?.owners.removeAll { $0 == peer }
    }

    mutating func expireRequests(now: Instant) {
        for (request, entry) in waiting where now >= entry.expiresAt {
            waiting[request] = nil
            let owners = view.owners(of: entry.topic)
            let publication = publications[entry.topic]
            let missing = owners.filter { owner in
                (publication?.storedAt[owner]?.version ?? .never) < entry.version
            }
            let shortfall = Shortfall(
                level: entry.level,
                answered: owners.count - missing.count,
                wanted: needed(entry.level, of: owners.count),
                missing: missing
            )
            counters.publicationsShort += 1
            effects.append(.finished(request: request, .tooFewOwners(shortfall)))
        }
        for (request, read) in reads where now >= read.nextAt { retryRead(request, read, now: now) }
    }

    /// A replica's part of a publication or of an exchange.
    mutating func take(_ sets: [OriginSet], epoch: UInt64, from peer: NodeID, now: Instant) {
        noteEpoch(epoch, from: peer)
        for set in sets { take(set, epoch: epoch, from: peer, now: now) }
    }

    private mutating func take(
        _ set: OriginSet,
        epoch: UInt64,
        from peer: NodeID,
        now: Instant
    ) {
        let slot = view.slot(of: set.topic)
        let isOwner = owns(set.topic) || parameters.flaws.contains(.wrongEpochAccepted)
        guard isOwner || leaving[slot] != nil, mayTake(set.origin, set.version, from: peer)
        else {
            // Who is ahead is believed once this peer has caught up.
            guard epoch <= view.epoch else { return }
            effects.append(.send(.notOwner(epoch: view.epoch, topic: set.topic), to: peer))
            return
        }
        liftFence(set, from: peer)
        let held = store.set(set.topic, set.origin)?.version ?? .never
        // What is held may be younger: the origin must learn that, too.
        let summary = SetSummary(
            topic: set.topic,
            origin: set.origin,
            version: max(held, set.version)
        )
        let stored = RecordMessage.stored(
            epoch: view.epoch,
            isOwner: isOwner,
            summaries: [summary]
        )
        keepFromOther(set, thenAcknowledge: .send(stored, to: peer))
        keepHints(set, from: peer, now: now)
    }

    /// A change to a set: without its base the whole set is asked for.
    mutating func take(_ delta: SetDelta, epoch: UInt64, from peer: NodeID, now: Instant) {
        noteEpoch(epoch, from: peer)
        let isForced = parameters.flaws.contains(.deltaOnWrongBase)
        let held = store.set(delta.topic, delta.origin)
        if let held, let set = delta.applied(to: held, isForced: isForced) {
            take(set, epoch: epoch, from: peer, now: now)
        } else if let held, held.version >= delta.version {
            take(held, epoch: epoch, from: peer, now: now)
        } else {
            let missing = SetSummary(
                topic: delta.topic,
                origin: delta.origin,
                version: delta.version
            )
            effects.append(.send(.fetch(epoch: view.epoch, summaries: [missing]), to: peer))
        }
    }
}
