import Determinism
import RingRegisters
import Testing

/// Runs increments from several clients and holds what they were told against what is there.
private func violations(
    acceptors: Int,
    pool: Int? = nil,
    proposers: Int,
    seed: UInt64,
    faults: RegisterNet.Faults,
    rounds: Int = 12
) -> (found: [String], changes: Int) {
    var net = RegisterNet(
        acceptors: acceptors,
        pool: pool,
        proposers: proposers,
        seed: seed,
        faults: faults
    )
    var found: [String] = []
    var owners: [UInt64: Int] = [:]
    var known = Array(repeating: UInt64(0), count: proposers)
    var highestTold: UInt64 = 0
    for round in 1...rounds {
        let token = UInt64(round)
        for index in 0..<proposers {
            let operation = net.proposers[index].makeOperationID()
            let command: RegisterCommand =
                (index + round) % 4 == 0
                ? .read(key: "k")
                : .compareAndSet(
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
            case .conflict(let value), .value(let value):
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
    return (found, net.changeCount)
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
        ).found
        #expect(found.isEmpty, "seed \(seed)")
    }

    private static func changing(_ seed: UInt64, flaws: [RegisterFlaw] = []) -> [String] {
        let faults = RegisterNet.Faults(
            lossPercent: seed % 15,
            crashPercent: seed % 3 * 8,
            changeMilliseconds: 40 + seed % 5 * 60,
            flaws: flaws
        )
        return violations(
            acceptors: [1, 3][Int(seed % 2)],
            pool: 7,
            proposers: 2 + Int(seed % 4),
            seed: seed,
            faults: faults,
            rounds: 20
        ).found
    }

    @Test("the same while stewards change all the time, led by two at once", arguments: 0..<100)
    func changingStewards(seed: UInt64) {
        #expect(Self.changing(seed).isEmpty, "seed \(seed)")
    }

    @Test("stewards do change in these runs")
    func changesHappen() {
        let faults = RegisterNet.Faults(changeMilliseconds: 100)
        let run = violations(acceptors: 3, pool: 7, proposers: 3, seed: 1, faults: faults)
        #expect(run.changes >= 3)
    }

    /// Those that show in one crafted run only are planted elsewhere.
    static let flaws = RegisterFlaw.allCases.filter {
        $0 != .inheritedCountsAsChosen && $0 != .readFromDisagreement && $0 != .oldCopyServes
    }

    @Test("each planted mistake is caught", arguments: flaws)
    func planted(flaw: RegisterFlaw) {
        let caught = (0..<400).first { !Self.changing(UInt64($0), flaws: [flaw]).isEmpty }
        #expect(caught != nil, "\(flaw) goes unnoticed")
    }

    @Test("the check catches acceptors that forget their promises")
    func plantedBug() {
        let faults = RegisterNet.Faults(lossPercent: 10, crashPercent: 60, forgetsPromises: true)
        let caught = (0..<20).first { seed in
            !violations(acceptors: 3, proposers: 4, seed: UInt64(seed), faults: faults).found
                .isEmpty
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
