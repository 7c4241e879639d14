package import Determinism

/// One peer's share of the replicated records: as origin, as owner, as watcher.
///
/// A value that performs nothing. What depends on a write being durable sits inside that write's
/// `then`, so no caller can acknowledge too early.
///
/// Rules:
/// - R1 only the origin makes versions of its sets, and a younger version replaces an older one;
/// - R2 a replica acknowledges and serves only what it owns in its own epoch, and names that epoch;
/// - R3 a publication is acknowledged once `writeQuorum` owners of one epoch hold it durably, and,
///   while its slot moves, so many of the former owners;
/// - R4 the origin offers its sets to every owner until each has acknowledged the newest version;
/// - R5 owners of a slot compare digests and even out what they hold, the origin being gone or not;
/// - R6 a watcher applies sets by R1 and asks again, with what it knows, until it is answered;
/// - R7 a new owner is whole once it holds what a read quorum of the former owners held in its own
///   epoch; until then whoever reads asks the former owners as well, and these drop the slot only
///   when every owner holds what they hold;
/// - R8 records whose origin is no member are kept nowhere but at their origin.
package struct Records: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send to a peer over a stream.
        case send(RecordMessage, to: NodeID)
        /// Make the set durable, and only then carry out `then`.
        case persist(OriginSet, then: [Effect])
        /// Remove a set durably.
        case erase(Topic, NodeID)
        /// Remember durably that a node's sets of this boot and earlier ones were retired.
        case fence(NodeID, boot: UInt64)
        /// Forget durably what ``Records/pendingArrivals`` were.
        case arrivalsEnded
        /// Carry out `then` once all writes before are durable.
        case afterWrites([Effect])
        /// A set under a watched topic is new here.
        case changed(OriginSet)
        /// A set under a watched topic was retired with its origin.
        case retired(Topic, NodeID)
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
        /// Too few owners hold it in time; the publication goes on being offered to them.
        case tooFewOwners(Shortfall)
        /// The records break a bound; nothing was published.
        case refused(SetRefusal)
        /// What owners hold under the topic: at the level that was asked for, so that from a quorum
        /// on nothing is missing that was acknowledged among nodes that know of one epoch, and a
        /// later read there cannot see less.
        case contents([OriginSet])
        /// Too few owners answered in time; what those that did hold may lack something.
        case incomplete([OriginSet], Shortfall)
        /// The peer ended before there was an answer.
        case unanswered
    }

    /// How far a request stayed from its level.
    package struct Shortfall: Hashable, Sendable {
        /// The level that was asked for.
        package let level: Level
        /// The owners that answered, or hold the publication.
        package let answered: Int
        /// The owners that the level takes.
        package let wanted: Int
        /// The owners that did not answer, or are not known to hold what was published or found.
        package let missing: [NodeID]

        /// Makes a shortfall.
        package init(level: Level, answered: Int, wanted: Int, missing: [NodeID]) {
            self.level = level
            self.answered = answered
            self.wanted = wanted
            self.missing = missing
        }
    }

    /// What is under way between owners.
    package struct Status: Hashable, Sendable {
        /// Slots of which this peer became an owner, and whose contents it still takes over.
        package let slotsArriving: Int
        /// Slots that this peer owned, and keeps until their owners hold all of it.
        package let slotsLeaving: Int
        /// Sets that are kept for owners that are away.
        package let hints: Int
        /// The bytes of these sets.
        package let hintBytes: Int
        /// Own topics whose newest version some owner has not acknowledged.
        package let publicationsUnsettled: Int
    }

    /// This peer.
    package let own: NodeID
    /// This start of this peer: the first half of the versions that it makes.
    package let boot: UInt64
    /// What is held.
    package internal(set) var store: RecordStore
    /// Who owns what; set through ``adopt(_:now:)``.
    package internal(set) var view: OwnershipView
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []
    /// What was done so far, for people.
    package internal(set) var counters = RecordCounters()

    let parameters: Parameters
    var generator: SeededGenerator
    var share: OwnShare
    var publications = SortedMap<Topic, Publication>()
    /// Own topics that some owner lacks.
    var unsettled = SortedSet<Topic>()
    var waiting = SortedMap<UInt64, Waiting>()
    var reads = SortedMap<UInt64, Read>()
    var watches = SortedMap<Topic, Watch>()
    var watchesDue = DueQueue<Topic>()
    var watchers = SortedMap<Topic, SortedMap<NodeID, Instant>>()
    var watchCounts = SortedMap<NodeID, Int>()
    /// Who can be asked, and the boot of the process that answers there.
    var reachable = SortedMap<NodeID, UInt64>()
    var arriving = SortedMap<Int, Arrival>()
    /// Whether some of what is durable about ``arriving`` may be left.
    var hasPendingArrivals = false
    var leaving = SortedMap<Int, Departure>()
    var former = SortedMap<Int, FormerOwners>()
    var rounds = SortedMap<NodeID, Round>()
    var nextNeighbour = 0
    var hints = HintBook()
    var fences = SortedMap<NodeID, UInt64>()
    /// What may be handed over now, in bytes; filled with time, and overdrawn by one set at most.
    var handoverBudget: Int
    var budgetFilledAt: Instant
    var nextExchangeAt: Instant
    var nextHandoverAt: Instant
    var nextSweepAt: Instant
    var nextTickAt: Instant
    let startedAt: Instant

    /// Makes the records of a peer out of the sets that were durable before, the fences of nodes
    /// that were retired, and the hand-overs that were not done.
    package init(
        own: NodeID,
        boot: UInt64,
        stored: [OriginSet],
        fences: [(node: NodeID, boot: UInt64)] = [],
        arrivals: [PendingArrival] = [],
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
        share = OwnShare(view, of: own)
        store = RecordStore(slotCount: view.ownersBySlot.count, revision: boot << 32)
        handoverBudget = parameters.handoverBytesPerSecond
        budgetFilledAt = now
        nextExchangeAt = now.advanced(by: parameters.exchangeInterval)
        nextHandoverAt = now
        nextSweepAt = now.advanced(by: .seconds(3))
        nextTickAt = now
        startedAt = now
        for fence in fences { self.fences[fence.node] = fence.boot }
        for set in stored {
            guard mayHold(set.origin) else {
                effects.append(.erase(set.topic, set.origin))
                continue
            }
            _ = store.apply(set)
            // What this node published in an earlier life is offered again (R4).
            guard set.origin == own else { continue }
            publications[set.topic] = Publication(set: set)
            unsettled.insert(set.topic)
        }
        beginShare(now: now)
        resume(arrivals, now: now)
    }

    /// Whether this peer owns the topic in its epoch.
    package func owns(_ topic: Topic) -> Bool { view.owners(of: topic).contains(own) }

    /// When ``tick(now:)`` wants to be called next.
    package var deadline: Instant { nextTickAt }

    /// What is under way between owners.
    package var status: Status {
        Status(
            slotsArriving: arriving.count,
            slotsLeaving: leaving.count,
            hints: hints.count,
            hintBytes: hints.byteCount,
            publicationsUnsettled: unsettled.count
        )
    }

    /// Does what is due: offers, time-outs, renewals, exchange.
    ///
    /// What is settled costs nothing.
    package mutating func tick(now: Instant) {
        nextTickAt = now.advanced(by: parameters.tickInterval)
        offerPublications(now: now)
        expireRequests(now: now)
        renewWatches(now: now)
        fillBudget(now: now)
        deliverHints(now: now)
        if now >= nextSweepAt {
            nextSweepAt = now.advanced(by: .seconds(3))
            expireWatchers(now: now)
            hints.expire(now: now, age: parameters.hintAge)
            expireFormerOwners(now: now)
        }
        if now >= nextHandoverAt {
            nextHandoverAt = now.advanced(by: parameters.handoverInterval)
            continueHandovers(now: now)
        }
        if now >= nextExchangeAt {
            nextExchangeAt = now.advanced(by: parameters.exchangeInterval)
            startExchange(now: now)
        }
    }

    /// Takes over a newer ring configuration.
    package mutating func adopt(_ view: OwnershipView, now: Instant) {
        guard view.epoch > self.view.epoch else { return }
        let before = self.view
        self.view = view
        if view.ownersBySlot.count != before.ownersBySlot.count { rebuildStore() }
        share = OwnShare(view, of: own)
        // Whatever was said in an epoch that is closed ends here.
        rounds = SortedMap()
        retireFormerMembers(since: before)
        moveSlots(from: before, now: now)
        hasPendingArrivals = hasPendingArrivals || arriving.contains { !$0.value.isRestart }
        endArrivals()
        if !parameters.flaws.contains(.hintOfClosedEpochApplied) {
            hints.keepOnly { target, set in
                view.owners(of: set.topic).contains(target) && view.isMember(set.origin)
            }
        }
        reconsiderPublications(since: before)
        restartReads(now: now)
        reconsiderWatches(now: now)
        resyncEarlyWatchers(since: before)
        nextTickAt = now
        nextHandoverAt = now
    }

    /// A ring keeps its slot count for life; should another one come all the same, nothing is lost.
    private mutating func rebuildStore() {
        let sets = store.topicNames.flatMap { store.sets($0) }
        store = RecordStore(slotCount: view.ownersBySlot.count, revision: store.revision)
        for set in sets { _ = store.apply(set) }
        arriving = SortedMap()
        leaving = SortedMap()
        former = SortedMap()
    }

    /// Notes who can be asked, by membership's word; used to choose, never to own.
    package mutating func noteReachable(
        _ id: NodeID,
        _ isReachable: Bool,
        boot: UInt64 = 0,
        now: Instant
    ) {
        if isReachable {
            let known = reachable[id]
            guard known != boot else { return }
            reachable[id] = boot
            if fences[id] != nil { repeatRefused(now: now) }
            guard known == nil else { return }
            for topic in unsettled.elements {
                publications[topic, default: Publication(topic, own)].offeredAt[id] = nil
            }
            nextHandoverAt = now
        } else {
            guard reachable.remove(id) != nil else { return }
            rounds[id] = nil
            for (topic, watch) in watches where watch.provider == id { chooseProvider(topic, now) }
            if parameters.flaws.contains(.awayMemberRetired) { retire(id) }
        }
        nextTickAt = now
    }

    func isUp(_ id: NodeID) -> Bool { id == own || reachable[id] != nil }

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
        let isForced = parameters.flaws.contains(.versionByArrival)
        var answer = acknowledgement.map { [$0] } ?? []
        if parameters.flaws.contains(.acknowledgedBeforeDurable) {
            effects.append(contentsOf: answer)
            answer = []
        }
        let held = store.set(set.topic, set.origin)
        if let held, held.version >= set.version, !isForced {
            // Its write may still be under way: the answer waits behind it.
            if !answer.isEmpty { effects.append(.afterWrites(answer)) }
            return
        }
        let previous = revision(of: set.topic)
        _ = store.apply(set, isForced: isForced)
        var then = answer
        if let message = changeMessage(set, from: held, previous: previous) {
            for (watcher, _) in watchers[set.topic] ?? SortedMap() where watcher != own {
                then.append(.send(message, to: watcher))
            }
        }
        if watches[set.topic] != nil { then.append(.changed(set)) }
        // What came after an owner confirmed the slot is not covered by its word.
        let slot = view.slot(of: set.topic)
        if leaving[slot] != nil { leaving[slot, default: Departure()].confirmed = [] }
        effects.append(.persist(set, then: then))
    }
}

/// Things that are due at some time, the earliest first; each thing once.
struct DueQueue<Key: Comparable & Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        let at: Instant
        let key: Key

        static func < (lhs: Entry, rhs: Entry) -> Bool {
            lhs.at == rhs.at ? lhs.key < rhs.key : lhs.at < rhs.at
        }
    }

    private var entries = SortedSet<Entry>()
    private var times = SortedMap<Key, Instant>()

    /// Sets when a thing is due; nil forgets it.
    mutating func set(_ key: Key, at instant: Instant?) {
        if let old = times[key] { entries.remove(Entry(at: old, key: key)) }
        times[key] = instant
        if let instant { entries.insert(Entry(at: instant, key: key)) }
    }

    /// Takes out all that is due.
    mutating func take(now: Instant) -> [Key] {
        var due: [Key] = []
        while let first = entries.first, first.at <= now {
            due.append(first.key)
            set(first.key, at: nil)
        }
        return due
    }
}
