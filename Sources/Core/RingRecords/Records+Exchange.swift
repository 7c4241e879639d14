import Determinism

/// Replicas of a slot even out what they hold (rules R5 and R7).
///
/// One peer asks: it sends digests of slots; the other answers with a verdict for what is equal,
/// and with the digests of the topics of what differs; the asker asks for the versions under topics
/// that differ, puts what is younger here and fetches what is younger there. Each answer leaves
/// behind all writes that are under way, so that what it names is durable. A round that stops in
/// the middle costs nothing: the next one finds less that differs.
extension Records {
    /// A comparison under way with one peer.
    struct Round: Sendable {
        var startedAt: Instant
        var slots = SortedMap<Int, SlotRound>()
    }

    /// What is known of one slot that differs.
    struct SlotRound: Sendable {
        var isWhole = false
        /// Whether the digests of all its topics have come.
        var isListed = false
        /// Topics whose versions were asked for.
        var asked = SortedSet<Topic>()
        var isBehindHere = false
        var isBehindThere = false
    }

    /// Compares with the next of the other owners.
    mutating func startExchange(now: Instant) {
        guard !parameters.flaws.contains(.digestNeverCompared) else { return }
        let others = share.shared.keys.filter { isUp($0) }
        guard !others.isEmpty else { return }
        let turns = max(
            1,
            parameters.exchangeRound.microseconds
                / max(1, parameters.exchangeInterval.microseconds)
        )
        let atATime = (others.count + Int(turns) - 1) / Int(turns)
        for _ in 0..<atATime {
            nextNeighbour = (nextNeighbour + 1) % others.count
            startRound(with: others[nextNeighbour], isHandover: false, now: now)
        }
    }

    /// Sends the digests of what this peer holds and the other should hold, too.
    mutating func startRound(with peer: NodeID, isHandover: Bool, now: Instant) {
        // One at a time, unless answers were lost.
        if let round = rounds[peer], now.since(round.startedAt) < parameters.retryInterval * 2,
            !round.slots.isEmpty
        {
            return
        }
        var slots = SortedSet<Int>()
        for (slot, arrival) in arriving
        where arrival.sources.contains(peer) && !arrival.synced.contains(peer) {
            slots.insert(slot)
        }
        for (slot, departure) in leaving
        where view.owners(ofSlot: slot).contains(peer) && !departure.confirmed.contains(peer) {
            slots.insert(slot)
        }
        if !isHandover {
            for slot in share.shared[peer] ?? [] where store.digest(ofSlot: slot) != 0 {
                slots.insert(slot)
            }
        }
        guard !isHandover || !slots.isEmpty else { return }
        rounds[peer] = Round(startedAt: now)
        let digests = slots.elements.prefix(RecordMessage.slotsMax).map {
            RecordMessage.SlotDigest(slot: UInt32($0), digest: store.digest(ofSlot: $0))
        }
        effects.append(.send(.digests(epoch: view.epoch, slots: digests), to: peer))
    }

    private func isShared(_ slot: Int, with peer: NodeID) -> Bool {
        let owners = view.owners(ofSlot: slot)
        return owners.contains(own) && owners.contains(peer)
    }

    /// The listener's part: a verdict on equal slots, the topics of a bounded number of others.
    mutating func compare(_ theirs: [RecordMessage.SlotDigest], from peer: NodeID) {
        guard !parameters.flaws.contains(.digestNeverCompared) || !arriving.isEmpty else { return }
        let other = theirs.reduce(into: SortedMap<Int, UInt64>()) { $0[Int($1.slot)] = $1.digest }
        var verdicts: [RecordMessage.SlotVerdict] = []
        var differing: [Int] = []
        for (slot, digest) in other {
            if !holds(slot) {
                verdicts.append(.init(slot: UInt32(slot), finding: .notHeld))
            } else if store.digest(ofSlot: slot) == digest {
                let finding: RecordMessage.SlotVerdict.Finding =
                    isWholeSource(slot) ? .same : .samePart
                verdicts.append(.init(slot: UInt32(slot), finding: finding))
            } else {
                differing.append(slot)
            }
        }
        // Of slots that both own, what is not named is empty there.
        for slot in share.shared[peer] ?? []
        where other[slot] == nil && store.digest(ofSlot: slot) != 0 {
            differing.append(slot)
        }
        counters.digestsCompared += UInt64(verdicts.count + differing.count)
        counters.digestsDiffering += UInt64(differing.count)
        var answers: [Effect] = []
        if !verdicts.isEmpty {
            let message = RecordMessage.verdicts(epoch: view.epoch, slots: verdicts)
            answers.append(.send(message, to: peer))
        }
        for slot in differing.prefix(parameters.handoversMax) {
            for message in topicMessages(slot) { answers.append(.send(message, to: peer)) }
        }
        if !answers.isEmpty { effects.append(.afterWrites(answers)) }
    }

    private func topicMessages(_ slot: Int) -> [RecordMessage] {
        var rest = store.topics(inSlot: slot)[...]
        var after = Topic("")
        var messages: [RecordMessage] = []
        repeat {
            let page = Array(rest.prefix(RecordMessage.topicsMax))
            rest = rest.dropFirst(page.count)
            messages.append(
                .topics(
                    epoch: view.epoch,
                    slot: UInt32(slot),
                    isWhole: isWholeSource(slot),
                    after: after,
                    isLast: rest.isEmpty,
                    topics: page.map { .init(topic: $0, digest: store.digest(of: $0)) }
                )
            )
            after = page.last ?? after
        } while !rest.isEmpty
        return messages
    }

    /// The asker's part: slots about which nothing more is to be said.
    mutating func take(
        _ verdicts: [RecordMessage.SlotVerdict],
        from peer: NodeID,
        now: Instant
    ) {
        for verdict in verdicts {
            let slot = Int(verdict.slot)
            switch verdict.finding {
            case .notHeld: noteNotHeld(slot, by: peer, now: now)
            case .same, .samePart:
                noteSynced(slot, with: peer, isWhole: verdict.finding == .same, now: now)
                noteConfirmed(slot, by: peer)
            }
        }
    }

    private mutating func noteConfirmed(_ slot: Int, by owner: NodeID) {
        guard let departure = leaving[slot], view.owners(ofSlot: slot).contains(owner),
            !departure.confirmed.contains(owner)
        else { return }
        leaving[slot, default: departure].confirmed.append(owner)
    }

    /// The asker's part: which topics of a slot differ.
    mutating func take(
        _ theirs: [RecordMessage.TopicDigest],
        slot: Int,
        _ isWhole: Bool,
        after: Topic,
        _ isLast: Bool,
        from peer: NodeID,
        now: Instant
    ) {
        guard rounds[peer] != nil, holds(slot) else { return }
        var round = rounds[peer]?.slots[slot] ?? SlotRound()
        if after == Topic("") { round = SlotRound() }
        round.isWhole = isWhole
        round.isListed = isLast
        let other = theirs.reduce(into: SortedMap<Topic, UInt64>()) { $0[$1.topic] = $1.digest }
        let end = theirs.last?.topic
        let here = store.topics(inSlot: slot).filter {
            $0 > after && (isLast || $0 <= end ?? after)
        }
        let topics = SortedSet(here + other.keys).elements.filter {
            view.slot(of: $0) == slot && other[$0] ?? 0 != store.digest(of: $0)
        }
        var lacking: [OriginSet] = []
        var asked: [Topic] = []
        for topic in topics {
            if other[topic] == nil {
                lacking += store.sets(topic)
            } else {
                asked.append(topic)
                round.asked.insert(topic)
            }
        }
        if !lacking.isEmpty {
            round.isBehindThere = true
            put(lacking, to: peer)
        }
        rounds[peer, default: Round(startedAt: now)].slots[slot] = round
        var rest = asked[...]
        while !rest.isEmpty {
            let page = Array(rest.prefix(RecordMessage.topicsMax))
            rest = rest.dropFirst(page.count)
            effects.append(.send(.compare(epoch: view.epoch, topics: page), to: peer))
        }
        conclude(slot, with: peer, now: now)
    }

    /// The listener's part: all versions under topics, behind the writes under way.
    mutating func nameVersions(_ topics: [Topic], to peer: NodeID) {
        var answers: [Effect] = []
        for topic in SortedSet(topics).elements where holds(view.slot(of: topic)) {
            let versions = store.sets(topic).prefix(RecordMessage.originsMax).map {
                OriginVersion(origin: $0.origin, version: $0.version)
            }
            let message = RecordMessage.versions(
                epoch: view.epoch,
                topic: topic,
                versions: Array(versions)
            )
            answers.append(.send(message, to: peer))
        }
        if !answers.isEmpty { effects.append(.afterWrites(answers)) }
    }

    /// The asker's part: sends what is younger here, fetches what is younger there.
    mutating func even(
        _ topic: Topic,
        _ theirs: [OriginVersion],
        with peer: NodeID,
        now: Instant
    ) {
        let slot = view.slot(of: topic)
        guard holds(slot), var round = rounds[peer]?.slots[slot], round.asked.contains(topic)
        else { return }
        let other = theirs.reduce(into: SortedMap<NodeID, RecordVersion>()) {
            $0[$1.origin] = $1.version
        }
        let younger = store.sets(topic).filter { $0.version > other[$0.origin] ?? .never }
        let wanted = theirs.filter {
            mayTake($0.origin, $0.version, from: peer)
                && $0.version > store.set(topic, $0.origin)?.version ?? .never
        }
        round.asked.remove(topic)
        if !younger.isEmpty { round.isBehindThere = true }
        if !wanted.isEmpty { round.isBehindHere = true }
        rounds[peer, default: Round(startedAt: now)].slots[slot] = round
        if view.owners(ofSlot: slot).contains(peer) { put(younger, to: peer) }
        if owns(topic) {
            var rest = wanted[...]
            while !rest.isEmpty {
                let page = rest.prefix(RecordMessage.summariesMax)
                rest = rest.dropFirst(page.count)
                let summaries = page.map {
                    SetSummary(topic: topic, origin: $0.origin, version: $0.version)
                }
                effects.append(.send(.fetch(epoch: view.epoch, summaries: summaries), to: peer))
            }
        }
        conclude(slot, with: peer, now: now)
    }

    /// Draws from a comparison what follows for hand-overs, once all of it is in.
    private mutating func conclude(_ slot: Int, with peer: NodeID, now: Instant) {
        guard let round = rounds[peer]?.slots[slot], round.isListed, round.asked.isEmpty else {
            return
        }
        rounds[peer]?.slots[slot] = nil
        if !round.isBehindHere { noteSynced(slot, with: peer, isWhole: round.isWhole, now: now) }
        if !round.isBehindThere { noteConfirmed(slot, by: peer) }
        // There is more to be moved, or to be found equal: look again soon.
        if round.isBehindHere || round.isBehindThere { nextHandoverAt = min(nextHandoverAt, now) }
    }

    mutating func serveFetch(_ wanted: [SetSummary], to peer: NodeID) {
        // Once each: a short question must not make a long answer.
        var asked = SortedMap<Topic, SortedSet<NodeID>>()
        for summary in wanted {
            asked[summary.topic, default: SortedSet()].insert(summary.origin)
        }
        var sets: [OriginSet] = []
        for (topic, origins) in asked {
            sets += origins.elements.compactMap { store.set(topic, $0) }
        }
        put(sets, to: peer)
    }

    /// Hands over sets as far as the budget goes; the next round asks for the rest.
    private mutating func put(_ sets: [OriginSet], to peer: NodeID) {
        var affordable: [OriginSet] = []
        for set in sets {
            guard handoverBudget > 0 else { break }
            handoverBudget -= set.lengthEstimate
            counters.setsHandedOver += 1
            counters.bytesHandedOver += UInt64(set.lengthEstimate)
            affordable.append(set)
        }
        let puts = OriginSet.batches(affordable).map {
            Effect.send(.put(epoch: view.epoch, sets: $0), to: peer)
        }
        if !puts.isEmpty { effects.append(.afterWrites(puts)) }
    }
}
