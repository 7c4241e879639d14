package import Determinism

extension Proposer {
    /// Takes in a steward's answer; one to an abandoned phase changes nothing.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID, now: Instant) {
        if case .wrongEpoch(_, let group) = message { return adopt(group, now: now) }
        guard group.steward(on: steward) != nil else { return }
        switch message {
        case .promise(let round, let accepted):
            notePromise(round, accepted, from: steward, now: now)
        case .seen(let round, let accepted): noteSeen(round, accepted, from: steward, now: now)
        case .accepted(let round): noteAccepted(round, from: steward, now: now)
        case .keys(let round, let keys): noteKeys(round, keys, from: steward, now: now)
        case .rejected(let round, let promised):
            // A counter near the end of its range is nobody's honest one.
            if promised.epoch == group.epoch, promised.counter < UInt64.max / 2 {
                counter = max(counter, promised.counter)
            }
            noteRejected(round, from: steward, now: now)
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
        operations[round] = nil
        let newest = answers.values.compactMap(\.self).max { $0.ballot < $1.ballot }
        if isChosen(newest, by: answers.values) || parameters.flaws.contains(.readFromDisagreement)
        {
            finish(operation, .value(newest?.value ?? .never), now: now)
        } else {
            operation.hasLooked = true
            attempt(operation, now: now)
        }
    }

    /// Whether all of a majority show one value of this epoch, or nothing at all (D2, D5).
    private func isChosen(_ newest: AcceptedValue?, by shown: [AcceptedValue?]) -> Bool {
        guard shown.allSatisfy({ $0?.ballot == newest?.ballot }) else { return false }
        guard let newest else { return true }
        return newest.ballot.epoch == group.epoch
            || parameters.flaws.contains(.inheritedCountsAsChosen)
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
        guard promises.count >= majority else { return }
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
        switch operation.command {
        case .read:
            settle(operation, current, .value(current), isChosen: isChosen, now: now)
        case .compareAndSet(_, let expected, _, let id):
            if current.operation == id {
                settle(operation, current, .committed(current), isChosen: isChosen, now: now)
            } else if current.version == expected, expected < .max {
                change(operation, now: now)
            } else {
                // A change makes exactly the next version: somebody else's there disproves ours
                // (D3).
                let isDisproved =
                    expected < .max ? current.version == expected + 1 : current.version < expected
                let outcome: RegisterOutcome =
                    operation.mayHaveTakenEffect && !isDisproved
                    ? .indeterminate : .conflict(current)
                settle(operation, current, outcome, isChosen: isChosen, now: now)
            }
        case .list: preconditionFailure("listing needs no promises")
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
        let next = RegisterValue(version: expected + 1, operation: id, payload: payload)
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
        guard !isChosen else { return finish(operation, outcome, now: now) }
        var accepting = operation
        accepting.round = nextRound
        accepting.sentAt = now
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
        guard acknowledgements.count >= majority else { return }
        operations[round] = nil
        if promises.count >= parameters.promisesMax { promises = SortedMap() }
        promises[operation.command.key] = Promise(
            ballot: operation.nextBallot,
            value: accepted.value
        )
        finish(operation, outcome, now: now)
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

    /// Once a majority has answered and not all agreed, somebody else's ballot is in the way: tries
    /// again after a drawn pause, and does not wait for those that may never answer.
    private mutating func noteRejected(_ round: UInt64, from steward: NodeID, now: Instant) {
        guard var operation = operations[round] else { return }
        if case .pausing = operation.phase { return }
        operation.rejections.insert(steward)
        operations[round] = operation
        let agreed =
            switch operation.phase {
            case .preparing(let promises): promises.count
            case .accepting(_, _, let acknowledgements): acknowledgements.count
            case .waiting, .looking, .listing, .pausing: 0
            }
        guard agreed + operation.rejections.count >= majority else { return }
        let longest = parameters.backoff.milliseconds << Int64(min(operation.lostRaces, 5))
        let span = Span.milliseconds(Int64.random(in: 1...longest, using: &generator))
        operation.lostRaces += 1
        operation.phase = .pausing(until: now.advanced(by: span))
        operations[round] = operation
    }
}
