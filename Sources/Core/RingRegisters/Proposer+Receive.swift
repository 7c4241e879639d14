package import Determinism

extension Proposer {
    /// Takes in a steward's answer; one to an abandoned phase changes nothing.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID, now: Instant) {
        if case .wrongEpoch(_, let group) = message { return adopt(group, now: now) }
        guard group.steward(on: steward) != nil else { return }
        noteAnswer(of: steward)
        switch message {
        case .promise(let round, let accepted):
            notePromise(round, accepted, from: steward, now: now)
        case .seen(let round, let accepted): noteSeen(round, accepted, from: steward, now: now)
        case .accepted(let round): noteAccepted(round, from: steward, now: now)
        case .keys(let round, let keys): noteKeys(round, keys, from: steward, now: now)
        case .performed(let round, let outcome):
            notePerformed(round, outcome, from: steward, now: now)
        case .rejected(let round, let promised):
            // A counter near the end of its range is nobody's honest one.
            if promised.epoch == group.epoch, promised.counter < UInt64.max / 2 {
                counter = max(counter, promised.counter)
            }
            noteRejected(round, promised, from: steward, now: now)
        case .notReady(let round): noteNotReady(round, from: steward, now: now)
        default: break
        }
    }

    private mutating func noteSeen(
        _ round: UInt64,
        _ accepted: AcceptedValue?,
        from steward: NodeID,
        now: Instant
    ) {
        guard var operation = operations[round],
            case .looking(var answers) = operation.phase
        else { return }
        answers[steward] = .some(accepted)
        operation.phase = .looking(answers: answers)
        operations[round] = operation
        guard answers.count >= majority else { return }
        guard let value = agreed(answers.values) else {
            // One of the others may agree with one of these, but only on what is of this epoch.
            let mayAgree = answers.values.contains { $0.map { isOfThisEpoch($0) } ?? true }
            if !isWide(operation), mayAgree { return lookAtAll(operation, now: now) }
            guard !mayAgree || answers.count == group.members.count else { return }
            operations[round] = nil
            operation.hasLooked = true
            return attempt(operation, now: now)
        }
        operations[round] = nil
        tellCompany(&operation, value, now: now)
        if let outcome = judge(operation, value) { return finish(operation, outcome, now: now) }
        operation.hasLooked = true
        attempt(operation, now: now)
        startNext(at: operation.command.key, now: now)
    }

    /// Looks anew, at everybody: answers of two moments differ wherever a register changes quickly.
    private mutating func lookAtAll(_ operation: Operation, now: Instant) {
        var operation = operation
        operations[operation.round] = nil
        operation.round = nextRound
        operation.sentAt = now
        operation.asked = preference
        operation.phase = .looking(answers: SortedMap())
        nextRound += 1
        operations[operation.round] = operation
        sendRequests(operation)
    }

    private func isOfThisEpoch(_ accepted: AcceptedValue) -> Bool {
        accepted.ballot.epoch == group.epoch
            || parameters.flaws.contains(.inheritedCountsAsChosen)
    }

    /// What a majority shows at one ballot of this epoch, or nothing where a majority shows that
    /// (D2, D5).
    private func agreed(_ shown: [AcceptedValue?]) -> RegisterValue? {
        if parameters.flaws.contains(.readFromDisagreement) {
            let newest = shown.compactMap(\.self).max { $0.ballot < $1.ballot }
            return newest?.value ?? .never
        }
        for candidate in shown {
            let count = shown.count { $0?.ballot == candidate?.ballot }
            guard count >= majority else { continue }
            guard let candidate else { return .never }
            if isOfThisEpoch(candidate) { return candidate.value }
        }
        return nil
    }

    /// Whether all of a majority show one value of this epoch, or nothing at all (D2, D5).
    private func isChosen(_ newest: AcceptedValue?, by shown: [AcceptedValue?]) -> Bool {
        guard shown.allSatisfy({ $0?.ballot == newest?.ballot }) else { return false }
        guard let newest else { return true }
        return isOfThisEpoch(newest)
    }

    private mutating func notePromise(
        _ round: UInt64,
        _ accepted: AcceptedValue?,
        from steward: NodeID,
        now: Instant
    ) {
        guard var operation = operations[round],
            case .preparing(var promises) = operation.phase
        else { return }
        promises[steward] = .some(accepted)
        operation.phase = .preparing(promises: promises)
        operations[round] = operation
        guard promises.count >= majority else { return endIfLost(round, now: now) }
        operations[round] = nil
        decide(operation, promises.values, now: now)
    }

    /// A majority has promised: what the register holds decides what happens (D1).
    private mutating func decide(
        _ operation: Operation,
        _ promises: [AcceptedValue?],
        now: Instant
    ) {
        let newest = promises.compactMap(\.self).max { $0.ballot < $1.ballot }
        let current = newest?.value ?? .never
        let isChosen = isChosen(newest, by: promises)
        if let outcome = judge(operation, current) {
            settle(operation, current, outcome, isChosen: isChosen, now: now)
        } else {
            change(operation, now: now)
        }
    }

    /// How a command ends where the register holds this; nil where it is to be changed (D3).
    func judge(_ operation: Operation, _ current: RegisterValue) -> RegisterOutcome? {
        switch operation.command {
        case .read: return .value(current)
        case .compareAndSet(_, let expected, _, let id):
            if current.operation == id { return .committed(current) }
            if current.version == expected, expected < .max { return nil }
            // A change makes exactly the next version: somebody else's there disproves ours.
            let isDisproved =
                expected < .max
                ? current.version == RegistryEra.version(after: expected, in: group)
                : current.version < expected
            return operation.mayHaveTakenEffect && !isDisproved
                ? .indeterminate : .conflict(current)
        case .list: preconditionFailure("listing needs no value")
        }
    }

    /// Begins phase two at once where a majority has promised it with the last change (D4).
    mutating func acceptAtOnce(_ operation: Operation, now: Instant) -> Bool {
        let key = operation.command.key
        guard let promise = promises.remove(key),
            case .compareAndSet(_, let expected, _, let id) = operation.command,
            promise.value.version == expected, expected < .max, promise.value.operation != id
        else { return false }
        var operation = operation
        operation.ballot = promise.ballot
        change(operation, now: now)
        return true
    }

    private mutating func change(_ operation: Operation, now: Instant) {
        guard case .compareAndSet(_, let expected, let payload, let id) = operation.command else {
            preconditionFailure("only a change changes")
        }
        let version = RegistryEra.version(after: expected, in: group)
        let next = RegisterValue(version: version, operation: id, payload: payload)
        var changing = operation
        changing.mayHaveTakenEffect = true
        settle(changing, next, .committed(next), isChosen: false, now: now)
    }

    /// Tells the outcome at once where the value is chosen, else after phase two (D2).
    private mutating func settle(
        _ operation: Operation,
        _ value: RegisterValue,
        _ outcome: RegisterOutcome,
        isChosen: Bool,
        now: Instant
    ) {
        var accepting = operation
        guard !isChosen else {
            keepPromise(Promise(ballot: operation.ballot, value: value), operation.command.key)
            tellCompany(&accepting, value, now: now)
            return finish(accepting, outcome, now: now)
        }
        takeCompany(&accepting)
        accepting.round = nextRound
        accepting.sentAt = now
        // Who was asked besides may stand for one that has promised somebody else.
        accepting.asked = isWide(operation) ? preference : nextAsked(operation, now: now)
        accepting.rejections = SortedSet()
        nextRound += 1
        counter = max(counter, operation.ballot.counter) + 1
        accepting.nextBallot = makeBallot(counter)
        accepting.phase = .accepting(
            AcceptedValue(ballot: operation.ballot, value: value),
            outcome,
            acknowledgements: SortedSet()
        )
        operations[accepting.round] = accepting
        sendRequests(accepting)
    }

    private mutating func noteAccepted(_ round: UInt64, from steward: NodeID, now: Instant) {
        guard var operation = operations[round],
            case .accepting(let accepted, let outcome, var acknowledgements) = operation.phase
        else { return }
        acknowledgements.insert(steward)
        operation.phase = .accepting(accepted, outcome, acknowledgements: acknowledgements)
        operations[round] = operation
        guard acknowledgements.count >= majority else { return endIfLost(round, now: now) }
        operations[round] = nil
        leaveTrail(operation, now: now)
        keepPromise(
            Promise(ballot: operation.nextBallot, value: accepted.value),
            operation.command.key
        )
        if !operation.company.isEmpty || queues[operation.command.key] != nil {
            rests[operation.command.key] = now.advanced(by: parameters.restSpan)
        }
        tellCompany(&operation, accepted.value, isRationed: true, now: now)
        finish(operation, outcome, now: now)
    }

    private mutating func keepPromise(_ promise: Promise, _ key: String) {
        if promises.count >= parameters.promisesMax { promises = SortedMap() }
        promises[key] = promise
    }

    private mutating func noteKeys(
        _ round: UInt64,
        _ keys: [String],
        from steward: NodeID,
        now: Instant
    ) {
        guard var operation = operations[round], case .listing(var answers) = operation.phase
        else { return }
        answers[steward] = keys
        operation.phase = .listing(answers: answers)
        operations[round] = operation
        guard answers.count >= majority else { return }
        operations[round] = nil
        finish(operation, .keys(SortedSet(answers.values.joined()).elements), now: now)
    }

    /// Somebody else's ballot is in the way of this steward; others may yet agree.
    private mutating func noteRejected(
        _ round: UInt64,
        _ promised: Ballot,
        from steward: NodeID,
        now: Instant
    ) {
        guard var operation = operations[round] else { return }
        if case .pausing = operation.phase { return }
        operation.rejections.insert(steward)
        operation.hasRival = operation.hasRival || promised.proposer != own
        operations[round] = operation
        endIfLost(round, now: now)
    }

    /// Where one has refused, everybody is asked; once those that still may answer are too few,
    /// tries again after a drawn pause.
    private mutating func endIfLost(_ round: UInt64, now: Instant) {
        guard var operation = operations[round], !operation.rejections.isEmpty else { return }
        guard isWide(operation) else { return widen(operation, now: now) }
        // Those that are slow may never answer.
        let awaited = operation.asked.filter {
            request(operation, to: $0) != nil && !operation.rejections.contains($0)
                && !isSlow($0, now: now)
        }
        let agreed =
            switch operation.phase {
            case .preparing(let promises): promises.count
            case .accepting(_, _, let acknowledgements): acknowledgements.count
            case .looking, .listing, .pausing, .handedOn: 0
            }
        guard agreed + awaited.count < majority else { return }
        if operation.hasRival { noteContention(operation.command.key, now: now) }
        if helper(operation, now: now) != nil {
            operations[round] = nil
            return attempt(operation, now: now)
        }
        partWithCompany(&operation)
        let longest = parameters.backoff.milliseconds << Int64(min(operation.lostRaces, 5))
        let span = Span.milliseconds(Int64.random(in: 1...longest, using: &generator))
        operation.lostRaces += 1
        counters.ballotsLost += 1
        operation.phase = .pausing(until: now.advanced(by: span))
        operations[round] = operation
    }
}
