package import Determinism

extension Proposer {
    /// Takes in a steward's answer; one to an abandoned phase changes nothing.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID, now: Instant) {
        guard stewards.contains(steward) else { return }
        switch message {
        case .promise(let round, let accepted):
            notePromise(round, accepted, from: steward, now: now)
        case .accepted(let round): noteAccepted(round, from: steward)
        case .keys(let round, let keys): noteKeys(round, keys, from: steward)
        case .rejected(let round, let promised):
            // A counter near the end of its range is nobody's honest one.
            if promised.counter < UInt64.max / 2 { counter = max(counter, promised.counter) }
            pause(round, now: now)
        case .wrongEpoch(let round, _): pause(round, now: now)
        case .prepare, .accept, .list: break
        }
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
        // All of a majority hold it at one ballot: it is chosen, and nothing newer can be.
        let isChosen = promises.allSatisfy { $0?.ballot == newest?.ballot }
        switch operation.command {
        case .read:
            settle(operation, current, .value(current), isChosen: isChosen, now: now)
        case .compareAndSet(_, let expected, let payload, let id):
            if current.operation == id {
                settle(operation, current, .committed(current), isChosen: isChosen, now: now)
            } else if current.version == expected, expected < .max {
                let next = RegisterValue(version: expected + 1, operation: id, payload: payload)
                var changing = operation
                changing.mayHaveTakenEffect = true
                settle(changing, next, .committed(next), isChosen: false, now: now)
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

    /// Tells the outcome at once where the value is chosen, else after phase two (D2).
    private mutating func settle(
        _ operation: Operation,
        _ value: RegisterValue,
        _ outcome: RegisterOutcome,
        isChosen: Bool,
        now: Instant
    ) {
        operations[operation.round] = nil
        guard !isChosen else { return finish(operation, outcome) }
        var accepting = operation
        accepting.round = nextRound
        accepting.sentAt = now
        nextRound += 1
        accepting.phase = .accepting(
            AcceptedValue(ballot: operation.ballot, value: value),
            outcome,
            acknowledgements: SortedSet()
        )
        operations[accepting.round] = accepting
        sendRequests(accepting)
    }

    private mutating func noteAccepted(_ round: UInt64, from steward: NodeID) {
        guard var operation = operations[round],
            case .accepting(let value, let outcome, var acknowledgements) = operation.phase
        else { return }
        acknowledgements.insert(steward)
        operation.phase = .accepting(value, outcome, acknowledgements: acknowledgements)
        operations[round] = operation
        guard acknowledgements.count >= majority else { return }
        operations[round] = nil
        finish(operation, outcome)
    }

    private mutating func noteKeys(_ round: UInt64, _ keys: [String], from steward: NodeID) {
        guard var operation = operations[round], case .listing(var answers) = operation.phase
        else { return }
        answers[steward] = keys
        operation.phase = .listing(answers: answers)
        operations[round] = operation
        guard answers.count >= majority else { return }
        operations[round] = nil
        finish(operation, .keys(SortedSet(answers.values.joined()).elements))
    }

    /// Somebody else's ballot is in the way: tries again after a drawn pause.
    private mutating func pause(_ round: UInt64, now: Instant) {
        guard var operation = operations[round] else { return }
        if case .pausing = operation.phase { return }
        let longest = parameters.backoff.milliseconds << Int64(min(operation.lostRaces, 5))
        let span = Span.milliseconds(Int64.random(in: 1...longest, using: &generator))
        operation.lostRaces += 1
        operation.phase = .pausing(until: now.advanced(by: span))
        operations[round] = operation
    }
}
