package import Determinism

/// Who owns which slot, as far as records need to know it: plain data made by placement.
package struct OwnershipView: Sendable {
    /// The epoch of the ring configuration behind the view.
    package let epoch: UInt64
    /// The owners of each slot, the preferred one first.
    package let ownersBySlot: [[NodeID]]

    /// Makes a view; there is at least one slot.
    package init(epoch: UInt64, ownersBySlot: [[NodeID]]) {
        precondition(!ownersBySlot.isEmpty, "a ring has at least one slot")
        self.epoch = epoch
        self.ownersBySlot = ownersBySlot
    }

    /// The slot of a topic: the top of its hash, scaled to the number of slots.
    package func slot(of topic: Topic) -> Int {
        let hash = StableHash.of(topic.name.utf8)
        return Int(hash.multipliedFullWidth(by: UInt64(ownersBySlot.count)).high)
    }

    /// The owners of a topic, the preferred one first.
    package func owners(of topic: Topic) -> [NodeID] { ownersBySlot[slot(of: topic)] }
}

/// One peer's share of the replicated records: as origin, as owner, as watcher.
///
/// A value that performs nothing. What depends on a write being durable sits inside that write's
/// `then`, so no caller can acknowledge too early.
///
/// Rules:
/// - R1 only the origin makes versions of its sets, and a younger version replaces an older one;
/// - R2 a replica takes and serves only what it owns in its own epoch;
/// - R3 a publication is acknowledged once `writeQuorum` owners hold it durably;
/// - R4 the origin offers its sets to every owner until each has acknowledged the newest version;
/// - R5 owners of a slot compare digests and even out what they hold, the origin being gone or not;
/// - R6 a watcher applies sets by R1 and asks again, with what it knows, until it is answered.
package struct Records: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send to a peer over a stream.
        case send(RecordMessage, to: NodeID)
        /// Make the set durable, and only then carry out `then`.
        case persist(OriginSet, then: [Effect])
        /// A set under a watched topic is new here.
        case changed(OriginSet)
        /// The watched topic now holds all that an owner had.
        case synced(Topic)
        /// A publication or a read came to its end.
        case finished(request: UInt64, Outcome)
        /// A peer speaks of a newer epoch.
        case newerEpoch(UInt64, from: NodeID)
        /// A peer holds a set of this node's that is younger than any that this node remembers: its
        /// database is an old copy, and it must stop.
        case ownPastUnknown
    }

    /// How a request ended.
    package enum Outcome: Hashable, Sendable {
        /// The publication is durable on so many owners.
        case stored(owners: Int)
        /// Too few owners answered in time; the publication goes on being offered to them.
        case tooFewOwners(stored: Int, wanted: Int)
        /// What owners hold under the topic; complete when so many answered that one of them holds
        /// whatever was acknowledged.
        case contents([OriginSet], isComplete: Bool)
        /// No owner answered in time.
        case unanswered
    }

    /// Timing and quorums.
    package struct Parameters: Hashable, Sendable {
        /// What is due is looked for this often; everything urgent is done at once.
        ///
        /// The default is 250 ms.
        package var tickInterval = Span.milliseconds(250)
        /// Owners that must hold a publication before it counts.
        ///
        /// The default is 2 of 3.
        package var writeQuorum = 2
        /// An unacknowledged set is offered again after this long.
        ///
        /// The default is 500 ms.
        package var retryInterval = Span.milliseconds(500)
        /// A publication or read gives up after this long.
        ///
        /// The default is 2 s.
        package var requestTimeout = Span.seconds(2)
        /// A watch is renewed this often.
        ///
        /// The default is 3 s.
        package var watchRenewal = Span.seconds(3)
        /// A watcher that does not renew is dropped after this long.
        ///
        /// The default is 12 s.
        package var watchExpiry = Span.seconds(12)
        /// An owner that leaves a watch unanswered this long is passed over.
        ///
        /// The default is 1 s.
        package var watchTimeout = Span.seconds(1)
        /// Digests are compared with one other owner this often.
        ///
        /// The default is 1 s.
        package var exchangeInterval = Span.seconds(1)

        /// Makes the defaults.
        package init() {}
    }

    /// This peer.
    package let own: NodeID
    /// This start of this peer: the first half of the versions that it makes.
    package let boot: UInt64
    /// What is held.
    package internal(set) var store = RecordStore()
    /// Who owns what; set through ``adopt(_:now:)``.
    package internal(set) var view: OwnershipView
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []

    let parameters: Parameters
    var generator: SeededGenerator
    var publications = SortedMap<Topic, Publication>()
    var waiting = SortedMap<UInt64, Waiting>()
    var reads = SortedMap<UInt64, Read>()
    var watches = SortedMap<Topic, Watch>()
    var watchers = SortedMap<Topic, SortedMap<NodeID, Instant>>()
    var reachable = SortedSet<NodeID>()
    var nextExchangeAt: Instant
    var nextTickAt: Instant
    let startedAt: Instant

    /// Makes the records of a peer out of the sets that were durable before.
    package init(
        own: NodeID,
        boot: UInt64,
        stored: [OriginSet],
        view: OwnershipView,
        parameters: Parameters = Parameters(),
        seed: UInt64,
        now: Instant
    ) {
        self.own = own
        self.boot = boot
        self.view = view
        self.parameters = parameters
        generator = SeededGenerator(seed: seed)
        nextExchangeAt = now.advanced(by: parameters.exchangeInterval)
        nextTickAt = now
        startedAt = now
        for set in stored {
            _ = store.apply(set)
            // What this node published in an earlier life is offered again (R4).
            if set.origin == own { publications[set.topic] = Publication(set: set) }
        }
    }

    /// Whether this peer owns the topic in its epoch.
    package func owns(_ topic: Topic) -> Bool { view.owners(of: topic).contains(own) }

    /// When ``tick(now:)`` wants to be called next.
    package var deadline: Instant { nextTickAt }

    /// Does what is due: offers, time-outs, renewals, exchange.
    package mutating func tick(now: Instant) {
        nextTickAt = now.advanced(by: parameters.tickInterval)
        offerPublications(now: now)
        expireRequests(now: now)
        renewWatches(now: now)
        expireWatchers(now: now)
        if now >= nextExchangeAt {
            nextExchangeAt = now.advanced(by: parameters.exchangeInterval)
            startExchange()
        }
    }

    /// Takes over a newer ring configuration.
    package mutating func adopt(_ view: OwnershipView, now: Instant) {
        guard view.epoch > self.view.epoch else { return }
        self.view = view
        for topic in publications.keys { publications[topic]?.offeredAt = SortedMap() }
        nextTickAt = now
    }

    /// Notes who can be asked, by membership's word; used to choose, never to own.
    package mutating func noteReachable(_ id: NodeID, _ isReachable: Bool, now: Instant) {
        if isReachable {
            reachable.insert(id)
            for topic in publications.keys { publications[topic]?.offeredAt[id] = nil }
        } else {
            reachable.remove(id)
            for (topic, watch) in watches where watch.provider == id { chooseProvider(topic, now) }
        }
        nextTickAt = now
    }

    /// Takes in what another peer says.
    package mutating func receive(_ message: RecordMessage, from peer: NodeID, now: Instant) {
        switch message {
        case .put(let epoch, let sets): take(sets, epoch: epoch, from: peer)
        case .stored(let epoch, let summaries):
            noteEpoch(epoch, from: peer)
            for summary in summaries { noteStored(summary, at: peer) }
        case .notOwner(let epoch, let topic):
            noteEpoch(epoch, from: peer)
            if watches[topic]?.provider == peer { chooseProvider(topic, now) }
        case .watch(let epoch, let topic, let known):
            noteEpoch(epoch, from: peer)
            serveWatch(topic, known: known, to: peer, now: now)
        case .snapshot(let epoch, let topic, let sets):
            noteEpoch(epoch, from: peer)
            takeSnapshot(topic, sets, from: peer, now: now)
        case .change(let set):
            if watches[set.topic] != nil { keepFromOther(set, thenAcknowledge: nil) }
        case .unwatch(let topic): watchers[topic]?[peer] = nil
        case .read(let epoch, let request, let topic):
            noteEpoch(epoch, from: peer)
            serveRead(topic, request: request, to: peer)
        case .contents(let request, let sets): takeContents(request, sets, from: peer)
        case .digests(let epoch, let slots):
            compare(slots, epoch: epoch, from: peer)
        case .summaries(let epoch, let slots, let summaries):
            even(slots, summaries, epoch: epoch, with: peer)
        case .fetch(let epoch, let summaries):
            noteEpoch(epoch, from: peer)
            serveFetch(summaries, to: peer)
        }
    }

    func isUp(_ id: NodeID) -> Bool { id == own || reachable.contains(id) }

    mutating func noteEpoch(_ epoch: UInt64, from peer: NodeID) {
        if epoch > view.epoch { effects.append(.newerEpoch(epoch, from: peer)) }
    }

    /// Takes a set from another peer, unless it is this node's own and younger than what is held.
    ///
    /// This node's own sets are durable here before anybody else gets them (R4).
    mutating func keepFromOther(_ set: OriginSet, thenAcknowledge acknowledgement: Effect?) {
        let held = store.set(set.topic, set.origin)?.version ?? .never
        if set.origin == own, set.version > held {
            effects.append(.ownPastUnknown)
        } else {
            keep(set, thenAcknowledge: acknowledgement)
        }
    }

    /// Applies a set, makes it durable and tells watchers; `acknowledgement` leaves after the
    /// write.
    mutating func keep(_ set: OriginSet, thenAcknowledge acknowledgement: Effect?) {
        let answer = acknowledgement.map { [$0] } ?? []
        if let held = store.set(set.topic, set.origin), held.version >= set.version {
            // Its write may still be under way: the answer waits behind it.
            if !answer.isEmpty { effects.append(.persist(held, then: answer)) }
            return
        }
        _ = store.apply(set)
        var then = answer
        for (watcher, _) in watchers[set.topic] ?? SortedMap() where watcher != own {
            then.append(.send(.change(set), to: watcher))
        }
        if watches[set.topic] != nil { then.append(.changed(set)) }
        effects.append(.persist(set, then: then))
    }
}
