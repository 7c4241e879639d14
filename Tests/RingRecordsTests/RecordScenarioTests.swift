import Determinism
import RingRecords
import Testing

@Suite("Records in a ring with faults, where members come and go")
struct RecordScenarioTests {
    @Test("nothing acknowledged is lost, nothing retired returns, all owners end equal")
    func holds() {
        var acknowledgements = 0
        var reads = 0
        var epochs = 0
        for seed in UInt64(0)..<25 {
            let report = RecordScenario.run(seed: seed)
            for fault in report.faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
            acknowledgements += report.acknowledgements
            reads += report.reads
            epochs += report.epochs
        }
        // A run in which nothing happens would hold as well.
        #expect(acknowledgements > 2_000 && reads > 2_000 && epochs > 75)
    }

    @Test("records outlive a change of all their owners, their origin being away")
    func everyOwnerChanges() {
        for seed in UInt64(0)..<5 {
            let faults = DirectedScenario.everyOwnerChanges(seed: seed, flaws: [])
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    @Test("what a retired node said does not come back through whoever was away")
    func originIsRetired() {
        for seed in UInt64(0)..<8 {
            let faults = DirectedScenario.originIsRetired(seed: seed, flaws: [])
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    @Test("a node that was taken out while it ran, and is back, has its records at their owners")
    func originIsTakenOutAndBack() {
        for seed in UInt64(0)..<5 {
            let faults = DirectedScenario.originIsTakenOutAndBack(seed: seed)
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    @Test("what was acknowledged is there after the power failed everywhere")
    func powerFails() {
        for seed in UInt64(0)..<5 {
            let faults = DirectedScenario.powerFails(seed: seed, flaws: [])
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    @Test("what a quorum read has shown is shown by every later one")
    func soleHolderLeaves() {
        for seed in UInt64(0)..<8 {
            let faults = DirectedScenario.soleHolderLeaves(seed: seed, flaws: [])
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    @Test("a watcher of which many changes were lost asks for them")
    func changesAreLost() {
        for seed in UInt64(0)..<5 {
            let faults = DirectedScenario.changesAreLost(seed: seed, flaws: [])
            for fault in faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
        }
    }

    private static let directed: [@Sendable (UInt64, [RecordFlaw]) -> [String]] = [
        DirectedScenario.originIsRetired, DirectedScenario.everyOwnerChanges,
        DirectedScenario.powerFails, DirectedScenario.soleHolderLeaves,
        DirectedScenario.changesAreLost,
    ]

    @Test("each planted mistake is found", arguments: RecordFlaw.allCases)
    func findsFlaw(flaw: RecordFlaw) {
        for seed in UInt64(0)..<40 {
            let faults = Self.directed.lazy.flatMap { $0(seed, [flaw]) }
            let found = faults.first ?? RecordScenario.run(seed: seed, flaws: [flaw]).faults.first
            guard let found else { continue }
            print("\(flaw.rawValue): seed \(seed): \(found)")
            return
        }
        Issue.record("\(flaw.rawValue) is not found by 40 seeds")
    }
}
