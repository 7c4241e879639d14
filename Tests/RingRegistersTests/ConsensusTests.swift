import Determinism
import RingRegisters
import Testing

/// Acceptors and proposers on a network that loses, doubles, delays and reorders, with acceptors that
/// crash and come back from their rows alone.
private struct RegisterNet {
    struct Faults {
        var lossPercent: UInt64 = 0
        var crashPercent: UInt64 = 0
        /// The planted bug: an acceptor that comes back without its promises.
        var forgetsPromises = false
    }

    let faults: Faults
    var now = Instant.zero
    var acceptors: [Acceptor]
    var disks: [SortedMap<String, AcceptorRow>]
    var isUp: [Bool]
    var proposers: [Proposer] = []
    var outcomes: [Int: [UInt64: RegisterOutcome]] = [:]
    private var generator: SeededGenerator
    private var packets: [(at: Instant, from: NodeID, to: NodeID, RegisterMessage)] = []

    static func steward(_ index: Int) -> NodeID { NodeID(high: 1, low: UInt64(index)) }
    static func client(_ index: Int) -> NodeID { NodeID(high: 2, low: UInt64(index)) }

    init(acceptors count: Int, proposers: Int, seed: UInt64, faults: Faults = Faults()) {
        self.faults = faults
        generator = SeededGenerator(seed: seed)
        acceptors = (0..<count).map { Acceptor(storage: Self.steward($0), epoch: 1, rows: []) }
        disks = Array(repeating: SortedMap(), count: count)
        isUp = Array(repeating: true, count: count)
        for index in 0..<proposers {
            self.proposers.append(
                Proposer(
                    own: Self.client(index),
                    boot: 1,
                    stewards: (0..<count).map(Self.steward),
                    epoch: 1,
                    seed: generator.next()
                )
            )
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
        for index in acceptors.indices where roll(faults.crashPercent, of: 10_000) {
            isUp[index].toggle()
            if isUp[index] { restart(index) }
        }
    }

    private mutating func restart(_ index: Int) {
        let rows = disks[index].values.map { row in
            faults.forgetsPromises
                ? AcceptorRow(key: row.key, promised: .zero, accepted: nil) : row
        }
        acceptors[index] = Acceptor(storage: Self.steward(index), epoch: 1, rows: rows)
    }

    private mutating func deliver(_ message: RegisterMessage, from: NodeID, to: NodeID) {
        if to.high == 1 {
            let index = Int(to.low)
            guard isUp[index], let step = acceptors[index].receive(message) else { return }
            if let row = step.row { disks[index][row.key] = row }
            send(step.answer, from: to, to: from)
        } else {
            let index = Int(to.low)
            proposers[index].receive(message, from: from, now: now)
            collect(index)
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
                #expect(outcomes[index]?[token] == nil)
                outcomes[index, default: [:]][token] = outcome
            }
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

/// Runs increments from several clients and holds what they were told against what is there.
private func violations(
    acceptors: Int,
    proposers: Int,
    seed: UInt64,
    faults: RegisterNet.Faults,
    rounds: Int = 12
) -> [String] {
    var net = RegisterNet(acceptors: acceptors, proposers: proposers, seed: seed, faults: faults)
    var found: [String] = []
    var owners: [UInt64: Int] = [:]
    var known = Array(repeating: UInt64(0), count: proposers)
    var highestTold: UInt64 = 0
    var token: UInt64 = 0
    for _ in 0..<rounds {
        token += 1
        for index in 0..<proposers {
            let operation = net.proposers[index].makeOperationID()
            let command = RegisterCommand.compareAndSet(
                key: "k",
                expectedVersion: known[index],
                payload: [UInt8(index)],
                operation
            )
            net.start(index, command, token: token)
        }
        for _ in 0..<4_000 where net.outcomes.values.count(where: { $0[token] != nil }) < proposers
        {
            net.step()
        }
        let toldBefore = highestTold
        for index in 0..<proposers {
            switch net.outcomes[index]?[token] {
            case .committed(let value):
                if owners[value.version] != nil {
                    found.append("version \(value.version) won twice")
                }
                owners[value.version] = index
                if value.version <= toldBefore { found.append("version went back") }
                known[index] = value.version
                highestTold = max(highestTold, value.version)
            case .conflict(let value):
                if value.version < toldBefore {
                    found.append("a later answer shows an older value")
                }
                known[index] = value.version
                highestTold = max(highestTold, value.version)
            case .indeterminate, .unavailable:
                break
            default: found.append("command of \(index) ended as none of its outcomes")
            }
        }
    }
    return found
}

@Suite("Registers among competing proposers: nothing lost, nothing doubled, nothing taken back")
struct ConsensusTests {
    @Test("competing increments on a lossy network with crashing acceptors", arguments: 0..<60)
    func competing(seed: UInt64) {
        let faults = RegisterNet.Faults(lossPercent: seed % 20, crashPercent: seed % 3 * 10)
        let acceptors = [1, 3, 5][Int(seed % 3)]
        let found = violations(
            acceptors: acceptors,
            proposers: 2 + Int(seed % 4),
            seed: seed,
            faults: faults
        )
        #expect(found.isEmpty, "seed \(seed)")
    }

    @Test("the check catches acceptors that forget their promises")
    func plantedBug() {
        let faults = RegisterNet.Faults(lossPercent: 10, crashPercent: 60, forgetsPromises: true)
        let caught = (0..<20).first { seed in
            !violations(acceptors: 3, proposers: 4, seed: UInt64(seed), faults: faults).isEmpty
        }
        #expect(caught != nil)
    }

    @Test("with a majority down nothing is promised that is not so")
    func majorityDown() {
        var net = RegisterNet(acceptors: 3, proposers: 1, seed: 1)
        net.isUp = [true, false, false]
        net.start(0, .read(key: "k"), token: 1)
        for _ in 0..<3_100 { net.step() }
        #expect(net.outcomes[0]?[1] == .unavailable)
        net.isUp = [true, true, false]
        net.start(0, .read(key: "k"), token: 2)
        for _ in 0..<1_000 { net.step() }
        #expect(net.outcomes[0]?[2] == .value(.never))
    }

    @Test("a repeated operation is committed once, however often it is sent")
    func idempotent() {
        var net = RegisterNet(acceptors: 3, proposers: 1, seed: 3)
        let operation = net.proposers[0].makeOperationID()
        let command = RegisterCommand.compareAndSet(
            key: "k",
            expectedVersion: 0,
            payload: [1],
            operation
        )
        for token in UInt64(1)...3 {
            net.start(0, command, token: token)
            for _ in 0..<500 { net.step() }
        }
        let expected = RegisterValue(version: 1, operation: operation, payload: [1])
        for token in UInt64(1)...3 { #expect(net.outcomes[0]?[token] == .committed(expected)) }
    }

    @Test("names and contents that are too long are refused before anything is sent")
    func bounds() {
        var net = RegisterNet(acceptors: 1, proposers: 1, seed: 1)
        net.start(0, .read(key: String(repeating: "k", count: 256)), token: 1)
        #expect(net.outcomes[0]?[1] == .refused(.keyTooLong))
        let operation = net.proposers[0].makeOperationID()
        let long = [UInt8](repeating: 0, count: (1 << 20) + 1)
        net.start(
            0,
            .compareAndSet(key: "k", expectedVersion: 0, payload: long, operation),
            token: 2
        )
        #expect(net.outcomes[0]?[2] == .refused(.payloadTooLong))
    }
}
