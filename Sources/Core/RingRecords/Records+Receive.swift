package import Determinism

extension Records {
    /// Takes in what another peer says.
    package mutating func receive(_ message: RecordMessage, from peer: NodeID, now: Instant) {
        switch message {
        case .put(let epoch, let sets): take(sets, epoch: epoch, from: peer, now: now)
        case .putDelta(let epoch, let delta): take(delta, epoch: epoch, from: peer, now: now)
        case .stored(let epoch, let isOwner, let summaries):
            noteEpoch(epoch, from: peer)
            for summary in summaries {
                noteStored(summary, epoch: epoch, isOwner: isOwner, at: peer, now: now)
            }
        case .notOwner(let epoch, let topic):
            noteEpoch(epoch, from: peer)
            noteNotOwner(topic, epoch: epoch, peer: peer, now: now)
        case .read(let epoch, let request, let topic):
            noteEpoch(epoch, from: peer)
            serveRead(topic, epoch: epoch, request: request, to: peer)
        case .contents(let epoch, let request, let standing, let part, let isLast, let sets):
            noteEpoch(epoch, from: peer)
            guard epoch == view.epoch else { return }
            let parts = AnswerPart(index: part, isLast: isLast)
            takeContents(request, standing, sets, parts, from: peer, now: now)
        case .fetch(let epoch, let summaries):
            noteEpoch(epoch, from: peer)
            if epoch == view.epoch { serveFetch(summaries, to: peer) }
        case .hint(let epoch, let sets): takeHint(sets, epoch: epoch, from: peer, now: now)
        case .watch, .snapshot, .change, .changeDelta, .resync, .unwatch:
            receiveWatch(message, from: peer, now: now)
        case .digests, .verdicts, .topics, .compare, .versions:
            receiveComparison(message, from: peer, now: now)
        }
    }

    private mutating func receiveWatch(
        _ message: RecordMessage,
        from peer: NodeID,
        now: Instant
    ) {
        switch message {
        case .watch(let epoch, let topic, let after, let known):
            noteEpoch(epoch, from: peer)
            serveWatch(topic, after: after, known: known, to: peer, now: now)
        case .snapshot(let epoch, let topic, let standing, let part, let revision, let sets):
            noteEpoch(epoch, from: peer)
            takeSnapshot(topic, standing, part, revision, sets, from: peer, now: now)
        case .change(let revision, let previous, let set):
            takeChange(set.topic, revision, previous, from: peer, now: now) { _ in set }
        case .changeDelta(let revision, let previous, let delta):
            let isForced = parameters.flaws.contains(.deltaOnWrongBase)
            takeChange(delta.topic, revision, previous, from: peer, now: now) { store in
                store.set(delta.topic, delta.origin)
                    .flatMap { delta.applied(to: $0, isForced: isForced) }
            }
        case .resync(let topic):
            guard watches[topic]?.provider == peer else { return }
            watches[topic, default: Watch()].revision = 0
            ask(topic, now: now)
        case .unwatch(let topic): dropWatcher(peer, of: topic)
        default: break
        }
    }

    private mutating func receiveComparison(
        _ message: RecordMessage,
        from peer: NodeID,
        now: Instant
    ) {
        // A closed epoch's words lead to nothing but catching up.
        switch message {
        case .digests(let epoch, let slots):
            noteEpoch(epoch, from: peer)
            if epoch < view.epoch { tellEpoch(to: peer) }
            if isOpen(epoch) { compare(slots, from: peer) }
        case .verdicts(let epoch, let slots):
            noteEpoch(epoch, from: peer)
            if isOpen(epoch) { take(slots, from: peer, now: now) }
        case .topics(let epoch, let slot, let isWhole, let after, let isLast, let topics):
            noteEpoch(epoch, from: peer)
            guard isOpen(epoch) else { return }
            take(topics, slot: Int(slot), isWhole, after: after, isLast, from: peer, now: now)
        case .compare(let epoch, let topics):
            noteEpoch(epoch, from: peer)
            if isOpen(epoch) { nameVersions(topics, to: peer) }
        case .versions(let epoch, let topic, let versions):
            noteEpoch(epoch, from: peer)
            if isOpen(epoch) { even(topic, versions, with: peer, now: now) }
        default: break
        }
    }

    private func isOpen(_ epoch: UInt64) -> Bool { epoch == view.epoch }

    private mutating func tellEpoch(to peer: NodeID) {
        effects.append(.send(.verdicts(epoch: view.epoch, slots: []), to: peer))
    }
}
