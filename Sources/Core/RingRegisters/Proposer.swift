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
///   at all: whatever was chosen before it began would show on one of them;
/// - D6 commands of this node that wait at a register when a phase is sent are told what that phase
///   finds, without one of their own;
/// - D7 after a race was lost to another proposer, commands at that register are handed on to one
///   steward for a while, the same from everywhere;
/// - D8 a phase is sent to a majority first, and to the others once one of those is slow, they
///   disagree or a race was lost; a chosen value follows to the others soon after, many at once.
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
        /// The stewards beyond a majority are asked too when it has not answered by then: 25 ms.
        package var hedgeSpan = Span.milliseconds(25)
        /// Chosen values follow to the stewards beyond a majority after this long: 20 ms.
        package var trailSpan = Span.milliseconds(20)
        /// They follow at once when there is more of them than this, which some 2,000 small ones
        /// are: 256 KiB.
        package var trailBytesMax = 256 << 10
        /// A steward that was slow is asked last for so long, and twice as long each time that it
        /// is slow again: 5 s.
        package var slowSpan = Span.seconds(5)
        /// And at the most for so long: 1 min.
        package var slowMax = Span.seconds(60)
        /// A read waits so long for the stewards beyond a majority that does not agree: 20 ms.
        package var lookPatience = Span.milliseconds(20)
        /// Those that lost against a change wait so long for the next one: 5 ms.
        package var restSpan = Span.milliseconds(5)
        /// Nobody is kept waiting for longer than this when it has lost: 100 ms.
        package var restMax = Span.milliseconds(100)
        /// Commands at a register are handed on for so long after a lost race: 2 s.
        package var contentionSpan = Span.seconds(2)
        /// What was handed on is done here when no answer came for so long: 1 s.
        ///
        /// Sooner, and one that has much to do loses races to those that it works for.
        package var helpPatience = Span.seconds(1)
        /// Nothing is handed on to a steward that did not answer for so long: 5 s.
        package var silenceSpan = Span.seconds(5)
        /// The longest pause after the first lost race; it doubles with each further one: 10 ms.
        package var backoff = Span.milliseconds(10)
        /// The most commands under way: 1,024.
        package var commandsMax = 1_024
        /// The most registers at which races are remembered: 1,024.
        package var contentionsMax = 1_024
        /// The most registers of which a promise is kept: 4,096.
        package var promisesMax = 4_096
        /// Planted mistakes, for tests only.
        package var flaws: [RegisterFlaw] = []

        /// Makes the defaults.
        package init() {}
    }

    enum Phase: Sendable {
        case looking(answers: SortedMap<NodeID, AcceptedValue?>)
        case preparing(promises: SortedMap<NodeID, AcceptedValue?>)
        case accepting(AcceptedValue, RegisterOutcome, acknowledgements: SortedSet<NodeID>)
        case listing(answers: SortedMap<NodeID, [String]>)
        case pausing(until: Instant)
        /// That steward was asked to carry it out (D7).
        case handedOn(to: NodeID)
    }

    struct Operation: Sendable {
        let token: UInt64
        let command: RegisterCommand
        let expiresAt: Instant
        var phase = Phase.pausing(until: .zero)
        var round: UInt64 = 0
        var ballot = Ballot.zero
        /// The ballot that stewards promise together with phase two (D4).
        var nextBallot = Ballot.zero
        var sentAt = Instant.zero
        /// The stewards that this phase was sent to (D8).
        var asked: [NodeID] = []
        var rejections = SortedSet<NodeID>()
        /// Whether one of those that refused has promised another proposer.
        var hasRival = false
        var lostRaces = 0
        var hasLooked = false
        var holdsKey = false
        var wasHandedOn = false
        /// Commands at the same register that are told what this one finds (D6).
        var company: [Operation] = []
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
    /// Drawn at the start: an answer to an earlier process of this node finds no round.
    var nextRound: UInt64
    var nextOperation: UInt64 = 1
    /// By round, so that an answer finds its operation.
    var operations = SortedMap<UInt64, Operation>()
    /// The registers that a command is at.
    var busyKeys = SortedSet<String>()
    /// Commands that wait for the one that is at their register, oldest first.
    var queues = SortedMap<String, [Operation]>()
    var waitingCount = 0
    /// Registers that were just changed, until when those that lost wait for the next change.
    var rests = SortedMap<String, Instant>()
    /// Registers at which a race was lost, until when their commands are handed on.
    var contended = SortedMap<String, Instant>()
    /// Stewards that did not answer what was handed on, until when they get nothing more of it.
    var silent = SortedMap<NodeID, Instant>()
    var promises = SortedMap<String, Promise>()
    /// The stewards in the order in which they are asked (D8).
    var preference: [NodeID]
    /// Stewards that were slow when they were asked last.
    var slow = SortedMap<NodeID, Slowness>()
    /// Until when the order holds.
    var preferenceEnd: Instant?
    /// What is yet to follow to stewards beyond a majority.
    var trail = Trail()
    /// What commands came to so far, for people.
    package internal(set) var counters = RegisterCounters()
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
        preference = Self.preference(own: own, group: group) { _ in false }
        generator = SeededGenerator(seed: seed)
        nextRound = generator.next() >> 1
    }

    /// Makes the name for a compare-and-set; keep it when the command is to be repeated.
    package mutating func makeOperationID() -> OperationID {
        defer { nextOperation += 1 }
        return OperationID(node: own, boot: boot, number: nextOperation)
    }

    /// The commands under way.
    package var commandCount: Int { operations.count + waitingCount }

    /// Starts a command.
    package mutating func start(_ command: RegisterCommand, token: UInt64, now: Instant) {
        if let refusal = Self.refusal(command) {
            counters.note(command, .refused(refusal), took: .zero)
            effects.append(.finished(token: token, .refused(refusal)))
            return
        }
        guard commandCount < parameters.commandsMax else {
            let refusal = RegisterRefusal.tooManyCommands(commandCount)
            counters.note(command, .refused(refusal), took: .zero)
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
        var earliest = trail.dueAt
        func note(_ due: Instant) { earliest = earliest.map { min($0, due) } ?? due }
        for (_, operation) in operations { note(min(due(operation), operation.expiresAt)) }
        for (key, queue) in queues {
            if let until = rests[key], !busyKeys.contains(key) { note(until) }
            for operation in queue { note(operation.expiresAt) }
        }
        return earliest
    }

    /// When something is to be done about a command that nobody answers.
    private func due(_ operation: Operation) -> Instant {
        switch operation.phase {
        case .pausing(let until): until
        case .looking(let answers) where answers.count >= majority:
            operation.sentAt.advanced(by: parameters.lookPatience)
        case .handedOn: operation.sentAt.advanced(by: parameters.helpPatience)
        case .looking, .preparing, .accepting, .listing:
            operation.sentAt.advanced(
                by: isWide(operation) && operation.rejections.isEmpty
                    ? parameters.resendInterval : parameters.hedgeSpan
            )
        }
    }

    /// Does what is due: gives up, goes on after a pause, asks the silent again.
    package mutating func tick(now: Instant) {
        if let dueAt = trail.dueAt, now >= dueAt { sendTrail() }
        for round in operations.keys {
            dropLateCompany(of: round, now: now)
            guard let operation = operations[round] else { continue }
            if now >= operation.expiresAt {
                operations[round] = nil
                giveUp(operation, now: now)
            } else if now >= due(operation) {
                operations[round] = nil
                goOn(operation, now: now)
            }
        }
        for (key, until) in rests where now >= until {
            rests[key] = nil
            startNext(at: key, now: now)
        }
        for (key, queue) in queues {
            let late = queue.filter { now >= $0.expiresAt }
            guard !late.isEmpty else { continue }
            setQueue(queue.filter { now < $0.expiresAt }, at: key)
            for operation in late { giveUp(operation, now: now) }
        }
    }

    mutating func giveUp(_ operation: Operation, now: Instant) {
        var operation = operation
        partWithCompany(&operation)
        // Whoever it was handed on to may have carried it out.
        if case .handedOn = operation.phase, !operation.isRead {
            operation.mayHaveTakenEffect = true
        }
        finish(operation, operation.mayHaveTakenEffect ? .indeterminate : .unavailable, now: now)
    }

    /// Goes on with a command that is due.
    private mutating func goOn(_ operation: Operation, now: Instant) {
        var operation = operation
        switch operation.phase {
        case .pausing: attempt(operation, now: now)
        case .looking(let answers) where answers.count >= majority:
            operation.hasLooked = true
            attempt(operation, now: now)
        case .handedOn(let steward):
            silent[steward] = now.advanced(by: parameters.silenceSpan)
            doItself(operation, now: now)
        case .looking, .preparing, .accepting, .listing:
            noteSlow(operation, now: now)
            guard isWide(operation) else { return widen(operation, now: now) }
            // The others may never answer: a higher ballot moves those that refused.
            guard operation.rejections.isEmpty else { return attempt(operation, now: now) }
            operation.sentAt = now
            operations[operation.round] = operation
            sendRequests(operation)
        }
    }

    /// The stewards are others from now on; what is under way begins anew with them.
    ///
    /// Nothing is done twice by that: a change is told by its operation.
    package mutating func adopt(_ group: StewardSet, now: Instant) {
        guard group.epoch > self.group.epoch else { return }
        self.group = group
        promises = SortedMap()
        // The group before is sealed: it takes nothing any more, and was copied from a majority.
        trail = Trail()
        order(now: now)
        effects.append(.adopted(group))
        let pending = operations
        for (round, operation) in pending {
            // What was handed on is learned there, or done here when no answer comes.
            if case .handedOn = operation.phase { continue }
            operations[round] = nil
            attempt(operation, now: now)
        }
    }

    /// Begins with what the command needs: names, a look, somebody else's help, phase two after an
    /// earlier promise, or phase one under a new ballot.
    mutating func attempt(_ operation: Operation, now: Instant) {
        var operation = operation
        let hadCompany = !operation.company.isEmpty
        partWithCompany(&operation)
        operation.round = nextRound
        operation.sentAt = now
        operation.rejections = SortedSet()
        operation.hasRival = false
        nextRound += 1
        operation.asked = nextAsked(operation, now: now)
        let key = operation.command.key
        if case .list = operation.command {
            operation.phase = .listing(answers: SortedMap())
        } else if !operation.hasLooked, wantsLook(operation) {
            operation.phase = .looking(answers: SortedMap())
            if !operation.isRead { takeCompany(&operation) }
        } else if let steward = helper(operation, now: now) {
            return handOn(operation, to: steward, hadCompany: hadCompany, now: now)
        } else {
            guard operation.holdsKey || !busyKeys.contains(key) else { return wait(operation) }
            busyKeys.insert(key)
            operation.holdsKey = true
            if acceptAtOnce(operation, now: now) { return }
            operation.ballot = makeBallot()
            operation.phase = .preparing(promises: SortedMap())
            takeCompany(&operation)
        }
        operations[operation.round] = operation
        sendRequests(operation)
    }

    /// A read looks first, and so does a change whose version is another than the one known.
    private func wantsLook(_ operation: Operation) -> Bool {
        guard !operation.isRead else { return true }
        guard let promise = promises[operation.command.key] else { return false }
        return judge(operation, promise.value) != nil
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
        for steward in operation.asked {
            guard let message = request(operation, to: steward) else { continue }
            effects.append(.send(message, to: steward))
        }
    }

    func request(_ operation: Operation, to steward: NodeID) -> RegisterMessage? {
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
        case .handedOn(steward): return .perform(round: round, operation.command)
        case .pausing, .looking, .preparing, .accepting, .listing, .handedOn:
            return nil
        }
    }

    /// Tells how a command ended, and lets the next one at its register.
    mutating func finish(_ operation: Operation, _ outcome: RegisterOutcome, now: Instant) {
        precondition(operation.company.isEmpty, "nobody is forgotten")
        effects.append(.finished(token: operation.token, outcome))
        let left = operation.expiresAt.since(now)
        counters.note(operation.command, outcome, took: parameters.timeout - left)
        if operation.holdsKey { busyKeys.remove(operation.command.key) }
        startNext(at: operation.command.key, now: now)
    }

    var majority: Int { group.quorum }
}

extension Proposer.Operation {
    var isRead: Bool {
        if case .read = command { true } else { false }
    }
}

extension RegisterCommand {
    /// The register's name, or what the names that are asked for begin with.
    var key: String {
        switch self {
        case .read(let key), .compareAndSet(let key, _, _, _), .list(let key): key
        }
    }
}
