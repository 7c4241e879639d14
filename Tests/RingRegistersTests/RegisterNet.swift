import Determinism
import RingRegisters

/// Acceptors, proposers and leaders of steward changes on a network that loses, doubles, delays and
/// reorders, with acceptors that crash and come back from their rows alone.
struct RegisterNet {
    struct Faults {
        var lossPercent: UInt64 = 0
        var crashPercent: UInt64 = 0
        /// One change of stewards is begun in so many milliseconds on average; 0 for never.
        var changeMilliseconds: UInt64 = 0
        var flaws: [RegisterFlaw] = []
        /// The planted mistake: an acceptor that comes back without its promises.
        var forgetsPromises = false
    }

    let faults: Faults
    var now = Instant.zero
    var acceptors: [Acceptor] = []
    var disks: [[[UInt8]: [UInt8]]]
    var isUp: [Bool]
    var proposers: [Proposer] = []
    var outcomes: [Int: [UInt64: RegisterOutcome]] = [:]
    /// The successor of each group, chosen once.
    private(set) var chosen: [UInt64: StewardSet] = [:]
    private(set) var changes: [StewardChange?] = [nil, nil]
    private(set) var newest: StewardSet
    private(set) var changeCount = 0
    private let founding: StewardSet
    private var nextRound: UInt64 = 1
    private var generator: SeededGenerator
    /// The proposers that stewards have, which carry out what is handed on to them.
    private var helpers: [Proposer] = []
    private var helped: [UInt64: (peer: NodeID, round: UInt64)] = [:]
    /// How many commands were carried out for other proposers.
    private(set) var helpCount = 0
    private var packets: [(at: Instant, from: NodeID, to: NodeID, RegisterMessage)] = []

    /// Helpers and messages get lost here all the time, and a run waits for each of them.
    private static let helpPatience = Span.milliseconds(60)

    static func steward(_ index: Int) -> NodeID { NodeID(high: 1, low: UInt64(index)) }
    static func client(_ index: Int) -> NodeID { NodeID(high: 2, low: UInt64(index)) }
    static func leader(_ index: Int) -> NodeID { NodeID(high: 3, low: UInt64(index)) }

    static func group(_ epoch: UInt64, _ indices: some Sequence<Int>) -> StewardSet {
        StewardSet(
            epoch: epoch,
            members: indices.map { Steward(node: steward($0), storage: steward($0)) }
        )
    }

    /// `pool` acceptors of which the first `count` are the founding group.
    init(
        acceptors count: Int,
        pool: Int? = nil,
        proposers: Int,
        seed: UInt64,
        faults: Faults = Faults()
    ) {
        self.faults = faults
        generator = SeededGenerator(seed: seed)
        founding = Self.group(1, 0..<count)
        newest = founding
        disks = Array(repeating: [:], count: pool ?? count)
        isUp = Array(repeating: true, count: pool ?? count)
        for index in disks.indices {
            acceptors.append(makeAcceptor(index))
            helpers.append(makeHelper(index, boot: 1))
        }
        var parameters = Proposer.Parameters()
        parameters.flaws = faults.flaws
        parameters.helpPatience = Self.helpPatience
        for index in 0..<proposers {
            self.proposers.append(
                Proposer(
                    own: Self.client(index),
                    boot: 1,
                    group: founding,
                    parameters: parameters,
                    seed: generator.next()
                )
            )
        }
    }

    private mutating func makeHelper(_ index: Int, boot: UInt64) -> Proposer {
        var parameters = Proposer.Parameters()
        parameters.flaws = faults.flaws
        parameters.helpPatience = Self.helpPatience
        return Proposer(
            own: Self.steward(index),
            boot: boot,
            group: founding,
            parameters: parameters,
            seed: generator.next()
        )
    }

    private func makeAcceptor(_ index: Int) -> Acceptor {
        let rows = disks[index].sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .filter { !faults.forgetsPromises || $0.key.first == 0 }
            .map { AcceptorRow(key: $0.key, value: $0.value) }
        do {
            var acceptor = try Acceptor(
                storage: Self.steward(index),
                founding: founding.steward(on: Self.steward(index)) == nil ? nil : founding,
                rows: rows,
                flaws: faults.flaws
            )
            acceptor.trust()
            return acceptor
        } catch {
            preconditionFailure("an acceptor reads what it wrote: \(error)")
        }
    }

    mutating func start(_ index: Int, _ command: RegisterCommand, token: UInt64) {
        proposers[index].start(command, token: token, now: now)
        collect(index)
    }

    mutating func step() {
        now = now.advanced(by: .milliseconds(1))
        let due = packets.filter { $0.at <= now }
        packets.removeAll { $0.at <= now }
        for (_, from, to, message) in due { deliver(message, from: from, to: to) }
        for index in proposers.indices {
            proposers[index].tick(now: now)
            collect(index)
        }
        for index in helpers.indices where isUp[index] {
            helpers[index].tick(now: now)
            collectHelper(index)
        }
        if faults.changeMilliseconds > 0, roll(1, of: faults.changeMilliseconds) { beginChange() }
        for index in changes.indices {
            changes[index]?.tick(now: now)
            collectChange(index)
        }
        guard faults.crashPercent > 0 else { return }
        for index in acceptors.indices {
            // Down for a tenth of a second on average.
            guard roll(isUp[index] ? faults.crashPercent : 100, of: 10_000) else { continue }
            isUp[index].toggle()
            guard isUp[index] else { continue }
            acceptors[index] = makeAcceptor(index)
            nextRound += 1
            helpers[index] = makeHelper(index, boot: nextRound)
        }
    }

    /// Begins a change from the newest group known, or joins in one that is under way; now and then
    /// a leader vanishes.
    private mutating func beginChange() {
        let index = Int.random(in: changes.indices, using: &generator)
        let size = [1, 3, 5].randomElement(using: &generator) ?? 3
        let members = acceptors.indices.shuffled(using: &generator).prefix(size)
        let next = chosen[newest.epoch] ?? Self.group(newest.epoch + 1, members)
        chosen[newest.epoch] = next
        nextRound += 1
        changes[index] = StewardChange(
            from: newest,
            to: next,
            round: nextRound,
            flaws: faults.flaws,
            now: now
        )
        collectChange(index)
    }

    private mutating func deliver(_ message: RegisterMessage, from: NodeID, to: NodeID) {
        let index = Int(to.low)
        switch to.high {
        case 1:
            guard isUp[index] else { return }
            if message.isAnswer {
                helpers[index].receive(message, from: from, now: now)
                return collectHelper(index)
            }
            if case .perform(let round, let command) = message {
                nextRound += 1
                helped[nextRound] = (from, round)
                helpers[index].start(command, token: nextRound, now: now)
                return collectHelper(index)
            }
            guard let step = acceptors[index].receive(message, from: from) else { return }
            for row in step.rows { disks[index][row.key] = row.value }
            acceptors[index].trust()
            send(step.answer, from: to, to: from)
        case 2:
            proposers[index].receive(message, from: from, now: now)
            collect(index)
        default:
            changes[index]?.receive(message, from: from)
            collectChange(index)
        }
    }

    private mutating func collect(_ index: Int) {
        let effects = proposers[index].effects
        proposers[index].effects = []
        for effect in effects {
            switch effect {
            case .send(let message, let target):
                send(message, from: Self.client(index), to: target)
            case .finished(let token, let outcome):
                precondition(outcomes[index]?[token] == nil, "a command ends once")
                outcomes[index, default: [:]][token] = outcome
            case .adopted: break
            }
        }
    }

    private mutating func collectHelper(_ index: Int) {
        let effects = helpers[index].effects
        helpers[index].effects = []
        for effect in effects {
            switch effect {
            case .send(let message, let target):
                send(message, from: Self.steward(index), to: target)
            case .finished(let token, let outcome):
                guard let asked = helped.removeValue(forKey: token) else { continue }
                helpCount += 1
                let answer = RegisterMessage.performed(round: asked.round, outcome)
                send(answer, from: Self.steward(index), to: asked.peer)
            case .adopted: break
            }
        }
    }

    private mutating func collectChange(_ index: Int) {
        guard var change = changes[index] else { return }
        for case .send(let message, let target) in change.effects {
            send(message, from: Self.leader(index), to: target)
        }
        change.effects = []
        changes[index] = change
        switch change.progress {
        case .active, .complete:
            if change.next.epoch > newest.epoch {
                newest = change.next
                changeCount += 1
            }
            if change.progress == .complete { changes[index] = nil }
        case .superseded(let group):
            if group.epoch > newest.epoch { newest = group }
            changes[index] = nil
        case .copying, .installing: break
        }
    }

    private mutating func send(_ message: RegisterMessage, from: NodeID, to: NodeID) {
        if roll(faults.lossPercent, of: 100) { return }
        for _ in 0..<(roll(faults.lossPercent, of: 100) ? 2 : 1) {
            let delay = Span.milliseconds(Int64.random(in: 1...15, using: &generator))
            packets.append((now.advanced(by: delay), from, to, message))
        }
    }

    private mutating func roll(_ chance: UInt64, of whole: UInt64) -> Bool {
        UInt64.random(in: 0..<whole, using: &generator) < chance
    }
}
