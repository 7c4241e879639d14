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
    }

    /// What one replica has said.
    struct Answer: Sendable {
        var sets: [OriginSet] = []
        var isWhole = false
        var isDone = false
    }

    /// Sets that too few replicas hold for a later read to be sure to see them.
    struct Repair: Sendable {
        let newest: [OriginSet]
        var holders: SortedMap<NodeID, [NodeID]>
        let needed: Int
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
        for (request, read) in reads where read.repair == nil {
            var fresh = read
            fresh.answers = SortedMap()
            fresh.sources = []
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
            next.answers[replica] = nil
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
        isLast: Bool,
        from replica: NodeID,
        now: Instant
    ) {
        guard var read = reads[request], read.repair == nil,
            !(read.answers[replica]?.isDone ?? false)
        else { return }
        var answer = read.answers[replica] ?? Answer()
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
        let answered = done.count { read.sources.contains($0.key) }
        return answered >= readQuorum(.quorum, of: read.sources.count)
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
        guard read.answers.contains(where: \.value.isDone) else {
            effects.append(.finished(request: request, .unanswered))
            return true
        }
        var newest = SortedMap<NodeID, OriginSet>()
        for set in read.answers.values.flatMap(\.sets)
        where set.version > newest[set.origin]?.version ?? .never {
            newest[set.origin] = set
        }
        if !isOver, read.level == .quorum, !parameters.flaws.contains(.readRepairMissing),
            let repair = repair(read, newest)
        {
            var waiting = read
            waiting.repair = repair
            waiting.nextAt = now.advanced(by: parameters.retryInterval)
            reads[request] = waiting
            repairAgain(request, now: now)
            return true
        }
        let isRepaired = read.repair == nil
        let outcome = Outcome.contents(newest.values, isComplete: isComplete && isRepaired)
        effects.append(.afterWrites([.finished(request: request, outcome)]))
        return true
    }

    /// What is to be mended before the read may be answered; nil where nothing is.
    private func repair(_ read: Read, _ newest: SortedMap<NodeID, OriginSet>) -> Repair? {
        let owners = view.owners(of: read.topic)
        let needed = needed(.quorum, of: owners.count)
        var lacking: [OriginSet] = []
        var holders = SortedMap<NodeID, [NodeID]>()
        for set in newest.values {
            let holding = owners.filter { owner in
                read.answers[owner]?.sets.contains {
                    $0.origin == set.origin && $0.version >= set.version
                } ?? false
            }
            guard holding.count < needed else { continue }
            lacking.append(set)
            holders[set.origin] = holding
        }
        return lacking.isEmpty ? nil : Repair(newest: lacking, holders: holders, needed: needed)
    }

    /// Gives owners what they lack of what a read has found.
    private mutating func repairAgain(_ request: UInt64, now: Instant) {
        guard let read = reads[request], let repair = read.repair else { return }
        reads[request]?.nextAt = now.advanced(by: parameters.retryInterval)
        for owner in view.owners(of: read.topic) where isUp(owner) {
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
        guard epoch == view.epoch else { return }
        for (request, read) in reads where read.topic == summary.topic {
            guard var repair = read.repair,
                let set = repair.newest.first(where: { $0.origin == summary.origin }),
                summary.version >= set.version
            else { continue }
            var holding = repair.holders[set.origin] ?? []
            if !holding.contains(owner) { holding.append(owner) }
            repair.holders[set.origin] = holding
            reads[request]?.repair = repair
            let isDone = repair.newest.allSatisfy {
                (repair.holders[$0.origin]?.count ?? 0) >= repair.needed
            }
            guard isDone else { continue }
            reads[request] = nil
            var newest = SortedMap<NodeID, OriginSet>()
            for set in read.answers.values.flatMap(\.sets)
            where set.version > newest[set.origin]?.version ?? .never {
                newest[set.origin] = set
            }
            let outcome = Outcome.contents(newest.values, isComplete: true)
            effects.append(.afterWrites([.finished(request: request, outcome)]))
        }
    }
}
