package import Determinism

/// What can be asked of registers.
package enum RegisterCommand: Hashable, Sendable {
    /// The value now, linearizable.
    case read(key: String)
    /// Sets the register if its version is still the expected one; nil deletes.
    case compareAndSet(key: String, expectedVersion: UInt64, payload: [UInt8]?, OperationID)
    /// The names of the registers that begin so and hold content.
    case list(prefix: String)
}

/// How a command ended.
package enum RegisterOutcome: Hashable, Sendable {
    /// What the register holds.
    case value(RegisterValue)
    /// The change took effect; the register held this then.
    case committed(RegisterValue)
    /// The change had no effect: the register holds this, of another version.
    case conflict(RegisterValue)
    /// The change may or may not have taken effect.
    case indeterminate
    /// No majority answered; nothing changed.
    case unavailable
    /// The command can never succeed.
    case refused(RegisterRefusal)
    /// The names that were asked for, ascending.
    case keys([String])
}

/// Why a command can never succeed.
package enum RegisterRefusal: Hashable, Sendable, CustomStringConvertible {
    /// The name is longer than a register's may be.
    case keyTooLong
    /// The content is longer than a register's may be.
    case payloadTooLong

    package var description: String {
        switch self {
        case .keyTooLong: "its name is longer than \(RegisterValue.keyLengthMax) bytes"
        case .payloadTooLong: "its content is longer than \(RegisterValue.payloadLengthMax) bytes"
        }
    }
}

/// Drives commands through the stewards: prepare, decide, accept; many at once.
///
/// A value: it sends nothing itself and is told the time. Every command ends in exactly one
/// ``Effect/finished(token:_:)``.
///
/// Rules:
/// - D1 a change is decided on the value of the highest ballot that a majority of promises shows;
/// - D2 a value that not all of that majority show at one ballot is carried through phase two
///   before it is told to anybody, so nothing told is ever taken back;
/// - D3 once phase two of a change was begun, its own operation in the register proves success, and
///   another operation at the very version that it would have made proves failure; any later
///   version proves nothing, and the outcome is indeterminate.
package struct Proposer: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send a request to a steward.
        case send(RegisterMessage, to: NodeID)
        /// A command ended.
        case finished(token: UInt64, RegisterOutcome)
    }

    /// Timing.
    package struct Parameters: Hashable, Sendable {
        /// A command gives up after this long.
        ///
        /// The default is 3 s.
        package var timeout = Span.seconds(3)
        /// Stewards that have not answered are asked again after this long.
        ///
        /// The default is 300 ms.
        package var resendInterval = Span.milliseconds(300)
        /// The longest pause after the first lost race; it doubles with each further one.
        ///
        /// The default is 10 ms.
        package var backoff = Span.milliseconds(10)
        /// The most commands under way.
        ///
        /// The default is 1,024.
        package var commandsMax = 1_024

        /// Makes the defaults.
        package init() {}
    }

    enum Phase: Sendable {
        case preparing(promises: SortedMap<NodeID, AcceptedValue?>)
        case accepting(AcceptedValue, RegisterOutcome, acknowledgements: SortedSet<NodeID>)
        case listing(answers: SortedMap<NodeID, [String]>)
        case pausing(until: Instant)
    }

    struct Operation: Sendable {
        let token: UInt64
        let command: RegisterCommand
        let expiresAt: Instant
        var phase: Phase
        var round: UInt64 = 0
        var ballot = Ballot.zero
        var sentAt = Instant.zero
        var lostRaces = 0
        var mayHaveTakenEffect = false
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
    /// The group of stewards, and the epoch that its members serve.
    var stewards: [NodeID]
    var epoch: UInt64
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []

    /// Makes a proposer.
    package init(
        own: NodeID,
        boot: UInt64,
        stewards: [NodeID],
        epoch: UInt64,
        parameters: Parameters = Parameters(),
        seed: UInt64
    ) {
        self.own = own
        self.boot = boot
        self.stewards = stewards
        self.epoch = epoch
        self.parameters = parameters
        generator = SeededGenerator(seed: seed)
    }

    /// Makes the name for a compare-and-set; keep it when the command is to be repeated.
    package mutating func makeOperationID() -> OperationID {
        defer { nextOperation += 1 }
        return OperationID(node: own, boot: boot, number: nextOperation)
    }

    /// The stewards are others from now on; what is under way goes on with them.
    package mutating func adopt(stewards: [NodeID], epoch: UInt64) {
        guard epoch > self.epoch else { return }
        self.stewards = stewards
        self.epoch = epoch
    }

    /// Starts a command.
    package mutating func start(_ command: RegisterCommand, token: UInt64, now: Instant) {
        if let refusal = Self.refusal(command) {
            effects.append(.finished(token: token, .refused(refusal)))
            return
        }
        guard operations.count < parameters.commandsMax, !stewards.isEmpty else {
            effects.append(.finished(token: token, .unavailable))
            return
        }
        let operation = Operation(
            token: token,
            command: command,
            expiresAt: now.advanced(by: parameters.timeout),
            phase: .pausing(until: now)
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
        operations.values.map { operation in
            let due: Instant =
                if case .pausing(let until) = operation.phase {
                    until
                } else {
                    operation.sentAt.advanced(by: parameters.resendInterval)
                }
            return min(due, operation.expiresAt)
        }.min()
    }

    /// Does what is due: gives up, goes on after a pause, asks the silent again.
    package mutating func tick(now: Instant) {
        for (round, operation) in operations {
            if now >= operation.expiresAt {
                operations[round] = nil
                finish(operation, operation.mayHaveTakenEffect ? .indeterminate : .unavailable)
            } else if case .pausing(let until) = operation.phase {
                guard now >= until else { continue }
                operations[round] = nil
                attempt(operation, now: now)
            } else if now.since(operation.sentAt) >= parameters.resendInterval {
                operations[round]?.sentAt = now
                if let current = operations[round] { sendRequests(current) }
            }
        }
    }

    /// Begins phase one under a new ballot, or asks for names.
    private mutating func attempt(_ operation: Operation, now: Instant) {
        var operation = operation
        operation.round = nextRound
        operation.sentAt = now
        nextRound += 1
        if case .list = operation.command {
            operation.phase = .listing(answers: SortedMap())
        } else {
            counter += 1
            operation.ballot = Ballot(counter: counter, proposer: own, boot: boot)
            operation.phase = .preparing(promises: SortedMap())
        }
        operations[operation.round] = operation
        sendRequests(operation)
    }

    func key(_ command: RegisterCommand) -> String {
        switch command {
        case .read(let key), .compareAndSet(let key, _, _, _), .list(let key): key
        }
    }

    /// Asks those stewards that have not answered in this phase.
    mutating func sendRequests(_ operation: Operation) {
        let key = key(operation.command)
        for steward in stewards {
            let message: RegisterMessage
            switch operation.phase {
            case .preparing(let promises):
                guard promises[steward] == nil else { continue }
                message = .prepare(
                    round: operation.round,
                    epoch: epoch,
                    key: key,
                    ballot: operation.ballot
                )
            case .accepting(let accepted, _, let acknowledgements):
                guard !acknowledgements.contains(steward) else { continue }
                message = .accept(round: operation.round, epoch: epoch, key: key, accepted)
            case .listing(let answers):
                guard answers[steward] == nil else { continue }
                message = .list(round: operation.round, epoch: epoch, prefix: key)
            case .pausing: continue
            }
            effects.append(.send(message, to: steward))
        }
    }

    mutating func finish(_ operation: Operation, _ outcome: RegisterOutcome) {
        effects.append(.finished(token: operation.token, outcome))
    }

    var majority: Int { stewards.count / 2 + 1 }
}
