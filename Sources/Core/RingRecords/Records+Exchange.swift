import Determinism

/// Where a set is held.
private struct Place: Hashable, Comparable {
    let topic: Topic
    let origin: NodeID

    static func < (lhs: Place, rhs: Place) -> Bool {
        (lhs.topic, lhs.origin) < (rhs.topic, rhs.origin)
    }
}

extension OriginSet {
    /// Cuts a list where a message would grow past a mebibyte; a larger set is alone in its batch.
    static func batches(_ sets: [OriginSet]) -> [[OriginSet]] {
        var batches: [[OriginSet]] = []
        var byteCount = 0
        for set in sets {
            let length = set.lengthEstimate
            if batches.isEmpty || byteCount + length > 1 << 20 {
                batches.append([])
                byteCount = 0
            }
            batches[batches.count - 1].append(set)
            byteCount += length
        }
        return batches
    }

    /// The bytes that the set takes, or a few more.
    private var lengthEstimate: Int {
        records.reduce(topic.name.utf8.count + 64) { $0 + $1.key.utf8.count + $1.content.count + 8 }
    }
}

/// Owners of a slot even out what they hold (rule R5): digests first, then versions, then sets.
extension Records {
    /// Sends one other owner, drawn at random, the digests of the slots that both own.
    mutating func startExchange() {
        let neighbours = SortedSet(view.ownersBySlot.filter { $0.contains(own) }.joined())
        let others = neighbours.elements.filter { $0 != own && isUp($0) }
        guard let peer = others.randomElement(using: &generator) else { return }
        let held = slotDigests(sharedWith: peer)
        effects.append(.send(.digests(epoch: view.epoch, slots: held), to: peer))
    }

    /// The digests of all non-empty slots that both own, by slot.
    private func slotDigests(sharedWith peer: NodeID) -> [RecordMessage.SlotDigest] {
        var hashes = SortedMap<Int, StableHash>()
        for topic in store.topicNames {
            let slot = view.slot(of: topic)
            guard isShared(slot, with: peer) else { continue }
            var hash = hashes[slot] ?? StableHash(seed: 2)
            for summary in store.summaries(topic) {
                hash.combine(topic.name.utf8)
                hash.combine(summary.origin.high)
                hash.combine(summary.origin.low)
                hash.combine(summary.version.boot)
                hash.combine(summary.version.sequence)
            }
            hashes[slot] = hash
        }
        return hashes.map {
            RecordMessage.SlotDigest(slot: UInt32($0.key), digest: $0.value.value)
        }
    }

    private func isShared(_ slot: Int, with peer: NodeID) -> Bool {
        guard view.ownersBySlot.indices.contains(slot) else { return false }
        let owners = view.ownersBySlot[slot]
        return owners.contains(own) && owners.contains(peer)
    }

    /// The listener's part: answers with its versions in every slot where the two differ.
    mutating func compare(
        _ theirs: [RecordMessage.SlotDigest],
        epoch: UInt64,
        from peer: NodeID
    ) {
        noteEpoch(epoch, from: peer)
        guard epoch == view.epoch else { return }
        let other = theirs.reduce(into: SortedMap<UInt32, UInt64>()) { $0[$1.slot] = $1.digest }
        let held = slotDigests(sharedWith: peer)
            .reduce(into: SortedMap<UInt32, UInt64>()) { $0[$1.slot] = $1.digest }
        let slots = SortedSet(other.keys + held.keys).elements
            .filter { other[$0] != held[$0] && isShared(Int($0), with: peer) }
        guard !slots.isEmpty else { return }
        effects.append(
            .send(
                .summaries(epoch: view.epoch, slots: slots, summaries: summaries(in: slots)),
                to: peer
            )
        )
    }

    private func summaries(in slots: [UInt32]) -> [SetSummary] {
        store.topicNames.filter { slots.contains(UInt32(view.slot(of: $0))) }
            .flatMap { store.summaries($0) }
    }

    /// The asker's part: sends what is younger here, fetches what is younger there.
    mutating func even(
        _ slots: [UInt32],
        _ theirs: [SetSummary],
        epoch: UInt64,
        with peer: NodeID
    ) {
        noteEpoch(epoch, from: peer)
        guard epoch == view.epoch else { return }
        var other = SortedMap<Place, RecordVersion>()
        for summary in theirs {
            other[Place(topic: summary.topic, origin: summary.origin)] = summary.version
        }
        let shared = slots.filter { isShared(Int($0), with: peer) }
        let younger = store.topicNames.filter { shared.contains(UInt32(view.slot(of: $0))) }
            .flatMap { store.sets($0) }
            .filter {
                $0.version > other[Place(topic: $0.topic, origin: $0.origin)] ?? .never
            }
        put(younger, to: peer)
        let wanted = theirs.filter {
            owns($0.topic) && $0.version > store.set($0.topic, $0.origin)?.version ?? .never
        }
        if !wanted.isEmpty {
            effects.append(.send(.fetch(epoch: view.epoch, summaries: wanted), to: peer))
        }
    }

    mutating func serveFetch(_ wanted: [SetSummary], to peer: NodeID) {
        // Once each: a short question must not make a long answer.
        let places = SortedSet(wanted.map { Place(topic: $0.topic, origin: $0.origin) })
        put(places.elements.compactMap { store.set($0.topic, $0.origin) }, to: peer)
    }

    /// Hands over sets in messages that are well below what a stream takes.
    private mutating func put(_ sets: [OriginSet], to peer: NodeID) {
        for batch in OriginSet.batches(sets) {
            effects.append(.send(.put(epoch: view.epoch, sets: batch), to: peer))
        }
    }
}
