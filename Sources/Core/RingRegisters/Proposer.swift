package import Determinism

/// Drives commands through the stewards: prepare, decide, accept; many at once.
///
/// A value: it sends nothing itself and is told the time. Every command ends in exactly one
/// ``Effect/finished(token:_:)``.
///
/// Rules:
/// - D1 a change is decided on the value of the highest ballot that a majority of promises shows;
/// - D2 a value that not all of that majority show at one ballot of this epoch is carried through
///   phase two before it is told to anybody, so nothing told is ever taken back. A value that the
///   group was handed by the one before it always is: two stewards may have been handed different
///   ones, as long as neither was ever told;
/// - D3 once phase two of a change was begun, its own operation in the register proves success, and
///   another operation at the very version that it would have made proves failure; any later
///   version proves nothing, and the outcome is indeterminate;
/// - D4 with phase two a majority also promises the next ballot, so the next change of the same
///   register by this proposer begins with phase two, unless somebody came between;
/// - D5 a read is told without a write where a majority shows one ballot of this epoch, or nothing
///   at all: whatever was chosen before it began would show on one of them.
/// - Source: Rystsov, "CASPaxos", sections 2.2 and 2.2.1 (one round trip).
package struct Proposer: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send a request to a steward.
        case send(RegisterMessage, to: NodeID)
        /// A command ended.
        case finished(token: UInt64, RegisterOutcome)
        /// A steward told of a younger group, which is asked from now on.
        case adopted(StewardSet)
    }

    /// Timing and bounds.
    package struct Parameters: Hashable, Sendable {
        /// A command gives up after this long: 3 s.
        package var timeout = Span.seconds(3)
        /// Stewards that have not answered are asked again after this long: 300 ms.
        package var resendInterval = Span.milliseconds(300)
        /// The longest pause after the first lost race; it doubles with each further one: 10 ms.
        package var backoff = Span.milliseconds(10)
        /// The most commands under way: 1,024.
        package var commandsMax = 1_024
        /// The most registers of which a promise is kept: 4,096.
        package var promisesMax = 4_096
        /// Planted mistakes, for tests only.
        package var flaws: [RegisterFlaw] = []

        /// Makes the defaults.
        package init() {}
    }

    enum Phase: Sendable {
        /// Another command of this proposer is at the same register.
        case waiting
        case looking(answers: SortedMap<NodeID, AcceptedValue?>)
        case preparing(promises: SortedMap<NodeID, AcceptedValue?>)
        case accepting(AcceptedValue, RegisterOutcome, acknowledgements: SortedSet<NodeID>)
        case listing(answers: SortedMap<NodeID, [String]>)
        case pausing(until: Instant)
    }

    struct Operation: Sendable {
        let token: UInt64
        let command: RegisterCommand
        let expiresAt: Instant
        var phase = Phase.waiting
        var round: UInt64 = 0
        var ballot = Ballot.zero
        /// The ballot that stewards promise together with phase two (D4).
        var nextBallot = Ballot.zero
        var sentAt = Instant.zero
        var rejections = SortedSet<NodeID>()
        var lostRaces = 0
        var hasLooked = false
        var holdsKey = false
        var mayHaveTakenEffect = false
    }

    /// What a majority has promised after the last change (D4).
    struct Promise: Sendable {
        let ballot: Ballot
        let value: RegisterValue
    }

    let own: NodeID
    let boot: UInt64
    let parameters: Parameters
    var generator: SeededGenerator
    var counter: UInt64 = 0
    var nextRound: UInt64 = 1
    var nextOperation: UInt64 = 1
    /// By round, so that an answer finds its operation.
    var operations = SortedMap<UInt64, Operation>()
    /// The registers that a command is at.
    var busyKeys = SortedSet<String>()
    var promises = SortedMap<String, Promise>()
    /// The stewards that are asked.
    package internal(set) var group: StewardSet
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []

    /// Makes a proposer.
    package init(
        own: NodeID,
        boot: UInt64,
        group: StewardSet,
        parameters: Parameters = Parameters(),
        seed: UInt64
    ) {
        self.own = own
        self.boot = boot
        self.group = group
        self.parameters = parameters
        generator = SeededGenerator(seed: seed)
    }

    /// Makes the name for a compare-and-set; keep it when the command is to be repeated.
    package mutating func makeOperationID() -> OperationID {
        defer { nextOperation += 1 }
        return OperationID(node: own, boot: boot, number: nextOperation)
    }

    /// The commands under way.
    package var commandCount: Int { operations.count }

    /// Starts a command.
    package mutating func start(_ command: RegisterCommand, token: UInt64, now: Instant) {
        if let refusal = Self.refusal(command) {
            effects.append(.finished(token: token, .refused(refusal)))
            return
        }
        guard operations.count < parameters.commandsMax else {
            let refusal = RegisterRefusal.tooManyCommands(operations.count)
            effects.append(.finished(token: token, .refused(refusal)))
            return
        }
        guard !group.members.isEmpty else {
            effects.append(.finished(token: token, .unavailable))
            return
        }
        let operation = Operation(
            token: token,
            command: command,
            expiresAt: now.advanced(by: parameters.timeout)
        )
        attempt(operation, now: now)
    }

    private static func refusal(_ command: RegisterCommand) -> RegisterRefusal? {
        switch command {
        case .read(let key), .list(let key):
            return key.utf8.count > RegisterValue.keyLengthMax ? .keyTooLong : nil
        case .compareAndSet(let key, _, let payload, _):
            if key.utf8.count > RegisterValue.keyLengthMax { return .keyTooLong }
            return (payload?.count ?? 0) > RegisterValue.payloadLengthMax ? .payloadTooLong : nil
        }
    }

    /// When ``tick(now:)`` wants to be called next; nil while nothing is under way.
    package var nextDeadline: Instant? {
        var earliest: Instant?
        for (_, operation) in operations {
            let due: Instant =
                switch operation.phase {
                case .waiting: operation.expiresAt
                case .pausing(let until): min(until, operation.expiresAt)
                case .looking, .preparing, .accepting, .listing:
                    min(
                        operation.sentAt.advanced(by: parameters.resendInterval),
                        operation.expiresAt
                    )
                }
            earliest = earliest.map { min($0, due) } ?? due
        }
        return earliest
    }

    /// Does what is due: gives up, goes on after a pause, asks the silent again.
    package mutating func tick(now: Instant) {
        for (round, operation) in operations {
            guard operations[round] != nil else { continue }
            if now >= operation.expiresAt {
                operations[round] = nil
                let isUncertain = operation.mayHaveTakenEffect
                finish(operation, isUncertain ? .indeterminate : .unavailable, now: now)
            } else if case .pausing(let until) = operation.phase {
                guard now >= until else { continue }
                operations[round] = nil
                attempt(operation, now: now)
            } else if now.since(operation.sentAt) >= parameters.resendInterval {
                guard operation.rejections.isEmpty else {
                    // The others may never answer: a higher ballot moves those that refused.
                    operations[round] = nil
                    attempt(operation, now: now)
                    continue
                }
                operations[round]?.sentAt = now
                if let current = operations[round] { sendRequests(current) }
            }
        }
    }

    /// The stewards are others from now on; what is under way begins anew with them.
    ///
    /// Nothing is done twice by that: a change is told by its operation.
    package mutating func adopt(_ group: StewardSet, now: Instant) {
        guard group.epoch > self.group.epoch else { return }
        self.group = group
        promises = SortedMap()
        effects.append(.adopted(group))
        let pending = operations
        for (round, operation) in pending {
            if case .waiting = operation.phase { continue }
            operations[round] = nil
            attempt(operation, now: now)
        }
    }

    /// Begins with what the command needs: names, a look, phase two after an earlier promise, or
    /// phase one under a new ballot.
    mutating func attempt(_ operation: Operation, now: Instant) {
        var operation = operation
        operation.round = nextRound
        operation.sentAt = now
        operation.rejections = SortedSet()
        nextRound += 1
        switch operation.command {
        case .list: operation.phase = .listing(answers: SortedMap())
        case .read where !operation.hasLooked: operation.phase = .looking(answers: SortedMap())
        case .read(let key), .compareAndSet(let key, _, _, _):
            guard operation.holdsKey || !busyKeys.contains(key) else {
                operation.phase = .waiting
                break
            }
            busyKeys.insert(key)
            operation.holdsKey = true
            if acceptAtOnce(operation, now: now) { return }
            operation.ballot = makeBallot()
            operation.phase = .preparing(promises: SortedMap())
        }
        operations[operation.round] = operation
        sendRequests(operation)
    }

    func makeBallot(_ counter: UInt64) -> Ballot {
        Ballot(epoch: group.epoch, counter: counter, proposer: own, boot: boot)
    }

    mutating func makeBallot() -> Ballot {
        counter += 1
        return makeBallot(counter)
    }

    /// Asks those stewards that have not answered in this phase.
    mutating func sendRequests(_ operation: Operation) {
        for steward in group.members.map(\.node) {
            guard let message = request(operation, to: steward) else { continue }
            effects.append(.send(message, to: steward))
        }
    }

    private func request(_ operation: Operation, to steward: NodeID) -> RegisterMessage? {
        let key = operation.command.key
        let (round, epoch) = (operation.round, group.epoch)
        switch operation.phase {
        case .looking(let answers) where answers[steward] == nil:
            return .look(round: round, epoch: epoch, key: key)
        case .preparing(let promises) where promises[steward] == nil:
            return .prepare(round: round, epoch: epoch, key: key, ballot: operation.ballot)
        case .accepting(let accepted, _, let acknowledgements)
        where !acknowledgements.contains(steward):
            return .accept(
                round: round,
                epoch: epoch,
                key: key,
                accepted,
                next: operation.nextBallot
            )
        case .listing(let answers) where answers[steward] == nil:
            return .list(round: round, epoch: epoch, prefix: key)
        case .waiting, .pausing, .looking, .preparing, .accepting, .listing:
            return nil
        }
    }

    /// Tells how a command ended, and lets the next one at its register.
    mutating func finish(_ operation: Operation, _ outcome: RegisterOutcome, now: Instant) {
        effects.append(.finished(token: operation.token, outcome))
        guard operation.holdsKey else { return }
        let key = operation.command.key
        busyKeys.remove(key)
        let next = operations.first { _, other in
            guard case .waiting = other.phase else { return false }
            return other.command.key == key
        }
        guard let next else { return }
        operations[next.key] = nil
        attempt(next.value, now: now)
    }

    var majority: Int { group.quorum }
}

extension RegisterCommand {
    /// The register's name, or what the names that are asked for begin with.
    var key: String {
        switch self {
        case .read(let key), .compareAndSet(let key, _, _, _), .list(let key): key
        }
    }
}
