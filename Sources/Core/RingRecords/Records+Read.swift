package import Determinism

extension Records {
    /// A one-time question under way.
    struct Read: Sendable {
        let topic: Topic
        let level: Level
        var nextAt: Instant
        let expiresAt: Instant
        var answers = SortedMap<NodeID, Answer>()
        /// Former owners that hold what owners may not have taken over yet.
        var sources: [NodeID] = []
        /// What the read found, while replicas that lack some of it are given it.
        var repair: Repair?

        /// The newest set of each origin that any replica has shown.
        var newest: SortedMap<NodeID, OriginSet> {
            answers.values.flatMap(\.sets).reduce(into: SortedMap()) { newest, set in
                if set.version > newest[set.origin]?.version ?? .never { newest[set.origin] = set }
            }
        }
    }

    /// Which part of an answer a message is.
    struct AnswerPart: Sendable {
        let index: UInt32
        let isLast: Bool
    }

    /// What one replica has said.
    struct Answer: Sendable {
        var sets: [OriginSet] = []
        /// An answer counts only if all of its parts came, one after the other.
        var nextPart: UInt32 = 0
        var isWhole = false
        var isDone = false
    }

    /// Sets that too few replicas hold for a later read to be sure to see them.
    struct Repair: Sendable {
        let newest: [OriginSet]
        /// Owners that hold a set, by its origin.
        var holders: SortedMap<NodeID, [NodeID]>
        let needed: Int
        /// Those who owned the slot before: whoever is behind still reads from them (R3).
        let formers: [NodeID]
        let formersNeeded: Int

        /// Whether so many hold a set that nobody's later read can miss it.
        func isMended(_ origin: NodeID, owners: [NodeID]) -> Bool {
            let holding = holders[origin] ?? []
            return holding.count { owners.contains($0) } >= needed
                && holding.count { formers.contains($0) } >= formersNeeded
        }
    }

    /// Asks so many owners what is held under a topic that one of them holds what was acknowledged.
    package mutating func read(
        _ topic: Topic,
        level: Level = .quorum,
        request: UInt64,
        now: Instant
    ) {
        let read = Read(
            topic: topic,
            level: level,
            nextAt: now,
            expiresAt: now.advanced(by: parameters.requestTimeout)
        )
        retryRead(request, withOwnAnswer(read), now: now)
    }

    private func withOwnAnswer(_ read: Read) -> Read {
        guard holds(view.slot(of: read.topic)) else { return read }
        var answered = read
        let standing = standing(ofSlot: view.slot(of: read.topic))
        answered.answers[own] = Answer(
            sets: store.sets(read.topic),
            isWhole: standing.isWhole,
            isDone: true
        )
        answered.sources = standing.sources
        return answered
    }

    /// Owners that must answer: together with a write quorum they are more than there are (R + W >
    /// N).
    private func readQuorum(_ level: Level, of count: Int) -> Int {
        switch level {
        case .one: min(1, count)
        case .quorum: count - min(parameters.writeQuorum, count) + 1
        case .all: count
        }
    }

    /// A newer epoch: answers of the one before count no more.
    mutating func restartReads(now: Instant) {
        for (request, read) in reads {
            var fresh = read
            // What was being mended was counted among the owners of a closed epoch.
            fresh.repair = nil
            fresh.answers = SortedMap()
            fresh.sources = []
            reads[request] = fresh
            retryRead(request, withOwnAnswer(fresh), now: now)
        }
    }

    mutating func retryRead(_ request: UInt64, _ read: Read, now: Instant) {
        var next = read
        guard !finishRead(request, read, isOver: now >= read.expiresAt, now: now) else { return }
        if reads[request]?.repair != nil { return repairAgain(request, now: now) }
        next.nextAt = now.advanced(by: parameters.retryInterval)
        let owners = view.owners(of: read.topic)
        for replica in owners + read.sources.filter({ !owners.contains($0) })
        where replica != own && isUp(replica) && !(read.answers[replica]?.isDone ?? false) {
            // What has come of an answer stays: its last part may be on its way.
            let question = RecordMessage.read(
                epoch: view.epoch,
                request: request,
                topic: read.topic
            )
            effects.append(.send(question, to: replica))
        }
        reads[request] = next
    }

    mutating func serveRead(_ topic: Topic, epoch: UInt64, request: UInt64, to peer: NodeID) {
        let slot = view.slot(of: topic)
        guard holds(slot) else {
            effects.append(.send(.notOwner(epoch: view.epoch, topic: topic), to: peer))
            return
        }
        // Who is behind is told so by the answer's epoch, and asks again.
        guard epoch <= view.epoch else { return }
        let standing = standing(ofSlot: slot)
        let batches = OriginSet.batches(store.sets(topic))
        // Behind the writes under way: what a read has shown is never lost.
        var answers: [Effect] = []
        for (index, sets) in (batches.isEmpty ? [[]] : batches).enumerated() {
            let answer = RecordMessage.contents(
                epoch: view.epoch,
                request: request,
                standing,
                part: UInt32(index),
                isLast: index + 1 >= batches.count,
                sets: sets
            )
            answers.append(.send(answer, to: peer))
        }
        effects.append(.afterWrites(answers))
    }

    mutating func takeContents(
        _ request: UInt64,
        _ standing: RecordMessage.Standing,
        _ sets: [OriginSet],
        _ part: AnswerPart,
        from replica: NodeID,
        now: Instant
    ) {
        guard var read = reads[request], read.repair == nil,
            !(read.answers[replica]?.isDone ?? false)
        else { return }
        var answer = part.index == 0 ? Answer() : read.answers[replica] ?? Answer()
        guard part.index == answer.nextPart else {
            // One was lost on the way: asked again, the replica begins anew.
            reads[request]?.answers[replica] = nil
            return
        }
        answer.nextPart += 1
        let isLast = part.isLast
        answer.sets += sets.filter { $0.topic == read.topic && mayHold($0.origin) }
        answer.isWhole = standing.isWhole
        answer.isDone = isLast
        read.answers[replica] = answer
        let isNew = standing.sources.contains { !read.sources.contains($0) }
        if isLast, isNew, !standing.isWhole {
            read.sources = SortedSet(read.sources + standing.sources).elements
            read.nextAt = now
        }
        reads[request] = read
        guard isLast else { return }
        if isNew, !standing.isWhole {
            retryRead(request, read, now: now)
        } else {
            _ = finishRead(request, read, isOver: false, now: now)
        }
    }

    /// Whether so many replicas answered that none of what was acknowledged can be missing.
    private func isEnough(_ read: Read) -> Bool {
        let owners = view.owners(of: read.topic)
        let done = read.answers.filter(\.value.isDone)
        let current = done.filter { owners.contains($0.key) }
        let wanted = readQuorum(read.level, of: owners.count)
        guard current.count >= wanted else { return false }
        if read.level == .one || current.count(where: \.value.isWhole) >= wanted { return true }
        // Some of them are new: what was acknowledged before is with those before them.
        // Who was removed for good answers nobody; all of the others are enough then.
        let sources = read.sources.filter { view.isMember($0) }
        let answered = done.count { sources.contains($0.key) }
        return answered >= min(sources.count, readQuorum(.quorum, of: read.sources.count))
    }

    /// Ends a read that enough replicas have answered, or whose time is over.
    private mutating func finishRead(
        _ request: UInt64,
        _ read: Read,
        isOver: Bool,
        now: Instant
    ) -> Bool {
        if read.repair != nil, !isOver { return false }
        let isComplete = isEnough(read)
        guard isComplete || isOver else { return false }
        reads[request] = nil
        let newest = read.newest
        let isMending = read.level != .one && !parameters.flaws.contains(.readRepairMissing)
        let repair = isMending ? repair(read, newest, now: now) : nil
        if !isOver, let repair {
            var waiting = read
            waiting.repair = repair
            counters.setsRepaired += UInt64(repair.newest.count)
            waiting.nextAt = now.advanced(by: parameters.retryInterval)
            reads[request] = waiting
            repairAgain(request, now: now)
            return true
        }
        // What the last moment showed is not on a write quorum either.
        let isServed = isComplete && read.repair == nil && repair == nil
        counters.readsComplete += isServed ? 1 : 0
        counters.readsIncomplete += isServed ? 0 : 1
        let outcome: Outcome =
            isServed ? .contents(newest.values) : .incomplete(newest.values, shortfall(read))
        effects.append(.afterWrites([.finished(request: request, outcome)]))
        return true
    }

    /// Who has not answered; where enough have, who is not known to hold what they showed.
    private func shortfall(_ read: Read) -> Shortfall {
        let owners = view.owners(of: read.topic)
        let silent = owners.filter { !(read.answers[$0]?.isDone ?? false) }
        let unmended = owners.filter { owner in
            read.repair?.holders.contains { !$0.value.contains(owner) } ?? false
        }
        return Shortfall(
            level: read.level,
            answered: owners.count - silent.count,
            wanted: readQuorum(read.level, of: owners.count),
            missing: silent + unmended.filter { !silent.contains($0) }
        )
    }

    /// What is to be mended before the read may be answered; nil where nothing is.
    private func repair(
        _ read: Read,
        _ newest: SortedMap<NodeID, OriginSet>,
        now: Instant
    ) -> Repair? {
        let owners = view.owners(of: read.topic)
        let formers = formerOwners(ofSlot: view.slot(of: read.topic), now: now)
        var whole = Repair(
            newest: [],
            holders: SortedMap(),
            needed: needed(.quorum, of: owners.count),
            formers: formers.owners,
            formersNeeded: formers.needed(writeQuorum: parameters.writeQuorum)
        )
        var lacking: [OriginSet] = []
        for set in newest.values {
            whole.holders[set.origin] = SortedSet(owners + formers.owners).elements.filter {
                replica in
                read.answers[replica]?.sets.contains {
                    $0.origin == set.origin && $0.version >= set.version
                } ?? false
            }
            if !whole.isMended(set.origin, owners: owners) { lacking.append(set) }
        }
        guard !lacking.isEmpty else { return nil }
        return Repair(
            newest: lacking,
            holders: whole.holders,
            needed: whole.needed,
            formers: whole.formers,
            formersNeeded: whole.formersNeeded
        )
    }

    /// Gives owners what they lack of what a read has found.
    private mutating func repairAgain(_ request: UInt64, now: Instant) {
        guard let read = reads[request], let repair = read.repair else { return }
        reads[request]?.nextAt = now.advanced(by: parameters.retryInterval)
        let replicas = SortedSet(view.owners(of: read.topic) + repair.formers).elements
        for owner in replicas where isUp(owner) {
            let lacking = repair.newest.filter {
                !(repair.holders[$0.origin]?.contains(owner) ?? false)
            }
            for batch in OriginSet.batches(lacking) {
                let put = RecordMessage.put(epoch: view.epoch, sets: batch)
                effects.append(.send(put, to: owner))
            }
        }
    }

    /// An owner acknowledges a set; reads that waited for that end.
    mutating func noteRepaired(_ summary: SetSummary, epoch: UInt64, at owner: NodeID) {
        let owners = view.owners(of: summary.topic)
        for (request, read) in reads where read.topic == summary.topic {
            // The word of an owner counts in this epoch only, that of a former one in its own.
            guard var repair = read.repair,
                (epoch == view.epoch && owners.contains(owner)) || repair.formers.contains(owner),
                let set = repair.newest.first(where: { $0.origin == summary.origin }),
                summary.version >= set.version
            else { continue }
            var holding = repair.holders[set.origin] ?? []
            if !holding.contains(owner) { holding.append(owner) }
            repair.holders[set.origin] = holding
            reads[request]?.repair = repair
            let isDone = repair.newest.allSatisfy {
                repair.isMended($0.origin, owners: owners)
            }
            guard isDone else { continue }
            reads[request] = nil
            counters.readsComplete += 1
            let outcome = Outcome.contents(read.newest.values)
            effects.append(.afterWrites([.finished(request: request, outcome)]))
        }
    }
}
