package import Determinism
package import Wire

/// The memory of a steward: for each register a promise and the value taken last.
///
/// Rules:
/// - P1 a request of another steward epoch is refused, and the answer names the group that follows;
/// - P2 a ballot below the promise is refused, and the answer tells the promise;
/// - P3 an answer may leave only after the rows that come with it are durable;
/// - P4 once sealed, nothing of that epoch is promised or taken any more, for ever;
/// - P6 an acceptor that was started, or was handed its first group, serves only after the others
///   were asked whether they know of a life of its database that it does not remember: an old copy
///   of a disk has forgotten promises;
/// - P7 a group of a later era comes from a recovery, whose word is final: it seals also what was
///   sealed for another group, and what waits to be vouched for;
/// - P5 a group is served from the moment all it was handed is there, and never twice begun.
/// - Source: Rystsov, "CASPaxos", section 2.2; Lamport, Malkhi, Zhou, "Vertical Paxos".
package struct Acceptor: Sendable {
    /// The database that the rows are in: another database is another acceptor.
    package private(set) var storage: NodeID
    private var memory: AcceptorMemory
    private var staged: Staged?
    /// Whether it may serve (P6).
    package private(set) var isTrusted: Bool
    private let flaws: [RegisterFlaw]

    /// A group that is being handed over, part by part.
    private struct Staged: Sendable {
        let group: StewardSet
        let coordinator: NodeID
        let round: UInt64
        var nextPart: UInt32 = 0
        var entries: [RegisterEntry] = []
    }

    /// Makes the acceptor out of what was durable; one without rows serves the founding group.
    package init(
        storage: NodeID,
        founding group: StewardSet?,
        rows: [AcceptorRow],
        flaws: [RegisterFlaw] = []
    ) throws(WireError) {
        self.flaws = flaws
        memory = try AcceptorMemory(rows: rows, founding: group)
        let storage = memory.storage ?? storage
        self.storage = storage
        let others = memory.current?.members.filter { $0.storage != storage } ?? []
        isTrusted = others.isEmpty || flaws.contains(.oldCopyServes)
    }

    /// Everything that it remembers, as rows.
    package var rows: [AcceptorRow] { memory.rows }

    /// The group that the acceptor serves; nil while it belongs to none.
    package var group: StewardSet? { memory.current }

    /// The group before, where the acceptor belonged to it: what it held is still there.
    package var previous: StewardSet? { memory.previous }

    /// What was taken last for a register, of the group that is served; it may not be chosen.
    package func accepted(_ key: String) -> RegisterValue? {
        memory.current.flatMap { memory[$0.epoch, key].accepted?.value }
    }

    /// The group that follows, once the present one is sealed.
    package var successor: StewardSet? { memory.next }

    /// Begins with asking the others for their word (P6).
    ///
    /// The question may leave only after the row is durable; there is none where too many starts
    /// in a row were not vouched for.
    package mutating func beginLife(
        drawn number: UInt64
    ) -> (question: LifeQuestion, row: AcceptorRow?) {
        let (life, row) = memory.beginLife(drawn: number)
        let question = LifeQuestion(
            life: life,
            last: memory.lastLife,
            attempts: memory.lastAttempts + memory.attempts.filter { $0 != life.number }
        )
        return (question, row)
    }

    /// The other stewards have vouched that this is the latest life of the database (P6); the row
    /// that remembers it, for which nothing has to wait.
    @discardableResult
    package mutating func trust() -> AcceptorRow? {
        isTrusted = true
        return memory.endLife()
    }

    /// An answer, and the rows that must be durable before it leaves.
    package struct Step: Hashable, Sendable {
        /// What to answer.
        package let answer: RegisterMessage
        /// What to write first; empty when nothing changed.
        package var rows: [AcceptorRow] = []
    }

    /// Takes in a request of `peer`; nil for what is none.
    package mutating func receive(_ message: RegisterMessage, from peer: NodeID) -> Step? {
        switch message {
        case .identify(let round):
            return Step(answer: .identity(round: round, storage: storage))
        case .vouch(let round, let storage, let question):
            let (isOutlived, row) = memory.noteLife(
                of: storage,
                question.life,
                last: question.last,
                attempts: question.attempts
            )
            let answer = RegisterMessage.vouched(round: round, knowsLaterLife: isOutlived)
            return Step(answer: answer, rows: [row].compactMap(\.self))
        default:
            guard isTrusted || isRecovery(message) else {
                return message.isAnswer ? nil : Step(answer: .notReady(round: message.round))
            }
            return serve(message, from: peer)
        }
    }

    private mutating func serve(_ message: RegisterMessage, from peer: NodeID) -> Step? {
        switch message {
        case .prepare(let round, let epoch, let key, let ballot):
            refusal(round, epoch) ?? prepare(round, epoch, key, ballot)
        case .accept(let round, let epoch, let key, let accepted, let next):
            refusal(round, epoch) ?? accept(round, epoch, key, accepted, next)
        case .look(let round, let epoch, let key):
            refusal(round, epoch)
                ?? Step(answer: .seen(round: round, memory[epoch, key].accepted))
        case .list(let round, let epoch, let prefix):
            refusal(round, epoch) ?? list(round, epoch, prefix)
        case .follow(let round, let epoch, let wanted):
            refusal(round, epoch) ?? news(round, epoch, wanted)
        case .seal(let round, let epoch, let next): seal(round, epoch, next)
        case .fetch(let round, let epoch, let after): fetch(round, epoch, after)
        case .install(let round, let group, let part, let entries, let isLast):
            install(round, group, part, entries, isLast: isLast, from: peer)
        default: nil
        }
    }

    /// Why a request of an epoch is not served; nil when it is (P1, P4).
    private func refusal(_ round: UInt64, _ epoch: UInt64) -> Step? {
        guard let group = memory.current else { return Step(answer: .notReady(round: round)) }
        if let next = memory.next, epoch <= group.epoch, !flaws.contains(.sealSkipped) {
            // The configuration tells of a recovered registry; until then it may come to nothing.
            guard !isOfLaterEra(next, than: group) else {
                return Step(answer: .notReady(round: round))
            }
            return Step(answer: .wrongEpoch(round: round, next))
        }
        if epoch < group.epoch, !flaws.contains(.wrongEpochTaken) {
            return Step(answer: .wrongEpoch(round: round, group))
        }
        return epoch > group.epoch ? Step(answer: .notReady(round: round)) : nil
    }

    private mutating func prepare(
        _ round: UInt64,
        _ epoch: UInt64,
        _ key: String,
        _ ballot: Ballot
    ) -> Step {
        var register = memory[epoch, key]
        guard ballot >= register.promised, ballot > .zero else {
            return Step(answer: .rejected(round: round, promised: register.promised))
        }
        register.promised = ballot
        let row = memory.set(register, epoch, key)
        return Step(answer: .promise(round: round, register.accepted), rows: [row])
    }

    private mutating func accept(
        _ round: UInt64,
        _ epoch: UInt64,
        _ key: String,
        _ accepted: AcceptedValue,
        _ next: Ballot
    ) -> Step {
        var register = memory[epoch, key]
        guard accepted.ballot >= register.promised, accepted.ballot > .zero else {
            return Step(answer: .rejected(round: round, promised: register.promised))
        }
        register.promised = max(accepted.ballot, next)
        register.accepted = accepted
        let row = memory.set(register, epoch, key)
        return Step(answer: .accepted(round: round), rows: [row])
    }

    private func list(_ round: UInt64, _ epoch: UInt64, _ prefix: String) -> Step {
        var keys: [String] = []
        var byteCount = 0
        for (key, register) in memory.registers(epoch).suffix(from: prefix) {
            guard key.hasPrefix(prefix) else { break }
            guard register.accepted?.value.payload != nil else { continue }
            byteCount += key.utf8.count + 2
            guard keys.count < RegisterMessage.keysMax, byteCount <= RegisterMessage.keyBytesMax
            else { break }
            keys.append(key)
        }
        return Step(answer: .keys(round: round, keys))
    }

    /// What is later here than what a follower knows.
    private func news(_ round: UInt64, _ epoch: UInt64, _ wanted: [FollowedVersion]) -> Step {
        var entries: [RegisterEntry] = []
        var weight = 0
        for follow in wanted {
            guard let accepted = memory[epoch, follow.key].accepted,
                accepted.value.version > follow.version
            else { continue }
            let entry = RegisterEntry(key: follow.key, accepted: accepted)
            guard entries.isEmpty || weight + entry.weight <= RegisterMessage.entryBytesMax else {
                return Step(answer: .news(round: round, entries, isLast: false))
            }
            entries.append(entry)
            weight += entry.weight
        }
        return Step(answer: .news(round: round, entries, isLast: true))
    }

    private mutating func seal(_ round: UInt64, _ epoch: UInt64, _ next: StewardSet) -> Step? {
        guard let group = memory.current, epoch <= group.epoch else {
            return Step(answer: .notReady(round: round))
        }
        guard next.epoch == epoch + 1 || isOfLaterEra(next, than: group) else { return nil }
        if epoch < group.epoch {
            // Whoever serves the group that follows has sealed this one by that.
            return memory.previous?.epoch == epoch
                ? Step(answer: .sealed(round: round))
                : Step(answer: .wrongEpoch(round: round, group))
        }
        if let successor = memory.next, !isOfLaterEra(next, than: successor) {
            if successor == next { return Step(answer: .sealed(round: round)) }
            return isOfLaterEra(successor, than: group)
                ? Step(answer: .notReady(round: round))
                : Step(answer: .wrongEpoch(round: round, successor))
        }
        return Step(answer: .sealed(round: round), rows: [memory.seal(next: next)])
    }

    private func isOfLaterEra(_ group: StewardSet, than other: StewardSet) -> Bool {
        RegistryEra.number(of: group.epoch) > RegistryEra.number(of: other.epoch)
    }

    /// Whether a message belongs to a recovery (P7).
    private func isRecovery(_ message: RegisterMessage) -> Bool {
        guard let group = memory.current else { return false }
        return switch message {
        case .seal(_, group.epoch, let next): isOfLaterEra(next, than: group)
        case .fetch(_, group.epoch, _):
            memory.next.map { isOfLaterEra($0, than: group) } ?? false
        default: false
        }
    }

    private func fetch(_ round: UInt64, _ epoch: UInt64, _ after: String?) -> Step {
        let isSealed = memory.current?.epoch == epoch && memory.next != nil
        guard isSealed || memory.previous?.epoch == epoch else {
            return Step(answer: .notReady(round: round))
        }
        var entries: [RegisterEntry] = []
        var weight = 0
        for (key, register) in memory.registers(epoch).suffix(from: after ?? "") {
            guard key != after, let accepted = register.accepted else { continue }
            let entry = RegisterEntry(key: key, accepted: accepted)
            let isFull =
                !entries.isEmpty && weight + entry.weight > RegisterMessage.entryBytesMax
            guard !isFull, entries.count < RegisterMessage.entriesMax else {
                return Step(answer: .entries(round: round, entries, isLast: false))
            }
            entries.append(entry)
            weight += entry.weight
        }
        return Step(answer: .entries(round: round, entries, isLast: true))
    }

    private mutating func install(
        _ round: UInt64,
        _ group: StewardSet,
        _ part: UInt32,
        _ entries: [RegisterEntry],
        isLast: Bool,
        from peer: NodeID
    ) -> Step? {
        // Epochs count from 1; a group before the first is nobody's.
        guard group.epoch > 0, group.members.contains(where: { $0.storage == storage }) else {
            return nil
        }
        let isServing = memory.current.map { $0.epoch >= group.epoch } ?? false
        guard !isServing else { return Step(answer: .installed(round: round, part: part)) }
        if part == 0 {
            staged = Staged(group: group, coordinator: peer, round: round)
        }
        guard var staged, staged.coordinator == peer, staged.round == round,
            staged.group == group, part <= staged.nextPart,
            staged.entries.count + entries.count <= RegisterMessage.registersMax
        else { return Step(answer: .notReady(round: round)) }
        guard part == staged.nextPart else {
            return Step(answer: .installed(round: round, part: part))
        }
        staged.nextPart += 1
        staged.entries += entries
        self.staged = staged
        guard isLast else { return Step(answer: .installed(round: round, part: part)) }
        self.staged = nil
        // Nobody has heard of this life of the database; were it lost, an old copy could be handed
        // the group once more.
        let isAlone = group.members.allSatisfy { $0.storage == storage }
        if memory.current == nil, !isAlone, !flaws.contains(.oldCopyServes) { isTrusted = false }
        let rows = memory.install(group, staged.entries)
        return Step(answer: .installed(round: round, part: part), rows: rows)
    }
}

// Beginning anew.
extension Acceptor {
    /// Begins to serve the first group of a registry, which only this acceptor belongs to.
    package mutating func found(
        _ group: StewardSet,
        _ entries: [RegisterEntry]
    ) -> [AcceptorRow] {
        precondition(group.members.map(\.storage) == [storage], "a registry has one founder")
        precondition(group.epoch > memory.current?.epoch ?? 0, "a registry begins a later era")
        staged = nil
        isTrusted = true
        return memory.install(group, entries)
    }

    /// Forgets every register, and is another acceptor from now on: the registry it served was
    /// given up.
    package mutating func retire(becoming storage: NodeID) -> [AcceptorRow] {
        staged = nil
        isTrusted = true
        self.storage = storage
        return memory.erase(becoming: storage)
    }
}

/// A known mistake in replicated registers that can be planted, so that tests show it is found.
package enum RegisterFlaw: String, CaseIterable, Hashable, Sendable {
    /// A sealed acceptor goes on serving the old group.
    case sealSkipped
    /// An acceptor serves requests of an epoch before its own.
    case wrongEpochTaken
    /// What a group was handed counts as chosen by it.
    case inheritedCountsAsChosen
    /// A new group begins without what the one before it held.
    case copySkipped
    /// A copy is taken from one steward instead of a majority.
    case copyFromOne
    /// A steward on an old copy of its disk serves at once.
    case oldCopyServes
    /// A read is told although the stewards disagree.
    case readFromDisagreement
}
