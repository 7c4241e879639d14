import Determinism

/// Several commands at one register: those that wait, and those that another proposer carries out.
extension Proposer {
    /// Has a command wait for the one that is at its register.
    mutating func wait(_ operation: Operation) {
        let key = operation.command.key
        setQueue((queues[key] ?? []) + [operation], at: key)
    }

    mutating func setQueue(_ queue: [Operation], at key: String) {
        waitingCount += queue.count - (queues[key]?.count ?? 0)
        queues[key] = queue.isEmpty ? nil : queue
    }

    /// Lets go on who waits at a register that is free; first who can begin with phase two.
    mutating func startNext(at key: String, now: Instant) {
        while !busyKeys.contains(key), var queue = queues[key] {
            let promised = promises[key]?.value
            let index = promised.flatMap { value in
                queue.firstIndex { judge($0, value) == nil }
            }
            if index == nil, let until = rests[key], now < until { return }
            let operation = queue.remove(at: index ?? 0)
            setQueue(queue, at: key)
            attempt(operation, now: now)
        }
    }

    /// Those that wait at the register of a command whose phase is about to be sent go along (D6).
    mutating func takeCompany(_ operation: inout Operation) {
        let key = operation.command.key
        guard let queue = queues[key] else { return }
        operation.company += queue
        queues[key] = nil
    }

    /// Tells those that went along what a majority agrees on; who is to change that waits again.
    ///
    /// After a change (`isRationed`) only the oldest of those that lost is told, and who has waited
    /// for long.
    mutating func tellCompany(
        _ operation: inout Operation,
        _ value: RegisterValue,
        isRationed: Bool = false,
        now: Instant
    ) {
        guard !operation.company.isEmpty else { return }
        let company = operation.company
        operation.company = []
        waitingCount -= company.count
        var left: [Operation] = []
        var hasToldOne = false
        for other in company {
            let waited = parameters.timeout - other.expiresAt.since(now)
            let isKept = isRationed && !other.isRead && hasToldOne && waited < parameters.restMax
            if !isKept, let outcome = judge(other, value) {
                effects.append(.finished(token: other.token, outcome))
                counters.note(other.command, outcome, took: waited)
                hasToldOne = hasToldOne || !other.isRead
            } else {
                left.append(other)
            }
        }
        setQueue(left + (queues[operation.command.key] ?? []), at: operation.command.key)
    }

    /// Those that went along wait again: the phase came to nothing.
    mutating func partWithCompany(_ operation: inout Operation) {
        guard !operation.company.isEmpty else { return }
        // They were there before those that came meanwhile.
        let key = operation.command.key
        queues[key] = operation.company + (queues[key] ?? [])
        operation.company = []
    }

    /// Ends those that went along and whose time is over.
    mutating func dropLateCompany(of round: UInt64, now: Instant) {
        guard let company = operations[round]?.company, !company.isEmpty else { return }
        let late = company.filter { now >= $0.expiresAt }
        guard !late.isEmpty, var operation = operations[round] else { return }
        operation.company.removeAll { now >= $0.expiresAt }
        operations[round] = operation
        waitingCount -= late.count
        for other in late { giveUp(other, now: now) }
    }

    /// Remembers that another proposer is at a register.
    mutating func noteContention(_ key: String, now: Instant) {
        if contended.count >= parameters.contentionsMax { contended = SortedMap() }
        contended[key] = now.advanced(by: parameters.contentionSpan)
    }

    /// The steward that a command is handed on to; nil where it is done here (D7).
    ///
    /// All proposers choose the same one, as long as it answers.
    func helper(_ operation: Operation, now: Instant) -> NodeID? {
        let key = operation.command.key
        guard !operation.wasHandedOn, let until = contended[key], now < until else { return nil }
        let candidates = group.members.map(\.node).filter { node in
            silent[node].map { now >= $0 } ?? true
        }
        let weights = candidates.map { StableHash.of(key.utf8, seed: $0.low ^ $0.high) }
        guard let most = weights.max(), let index = weights.firstIndex(of: most),
            candidates[index] != own
        else { return nil }
        return candidates[index]
    }

    mutating func handOn(
        _ operation: Operation,
        to steward: NodeID,
        hadCompany: Bool,
        now: Instant
    ) {
        var operation = operation
        let heldKey = operation.holdsKey
        operation.holdsKey = false
        operation.wasHandedOn = true
        operation.phase = .handedOn(to: steward)
        operation.asked = [steward]
        operations[operation.round] = operation
        sendRequests(operation)
        if heldKey { busyKeys.remove(operation.command.key) }
        // Only where somebody waits for this one: the others are not begun from inside of one.
        if heldKey || hadCompany { startNext(at: operation.command.key, now: now) }
    }

    /// Takes in how a command ended that was handed on.
    mutating func notePerformed(
        _ round: UInt64,
        _ outcome: RegisterOutcome,
        from steward: NodeID,
        now: Instant
    ) {
        guard let operation = operations[round], case .handedOn(steward) = operation.phase else {
            return
        }
        operations[round] = nil
        switch outcome {
        case .value(let value), .committed(let value), .conflict(let value):
            // What was begun here before it was handed on counts, too (D3).
            if let outcome = judge(operation, value) {
                return finish(operation, outcome, now: now)
            }
            doItself(operation, now: now)
        case .unavailable, .refused: attempt(operation, now: now)
        case .indeterminate, .keys: doItself(operation, now: now)
        }
    }

    /// Carries out here what another may have carried out already.
    mutating func doItself(_ operation: Operation, now: Instant) {
        var operation = operation
        if !operation.isRead { operation.mayHaveTakenEffect = true }
        attempt(operation, now: now)
    }
}
