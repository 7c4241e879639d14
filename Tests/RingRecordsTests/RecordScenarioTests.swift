import RingRecords
import Testing

@Suite("Records in a ring with faults, where members come and go")
struct RecordScenarioTests {
    @Test("nothing acknowledged is lost, nothing retired returns, all owners end equal")
    func holds() {
        var acknowledgements = 0
        var reads = 0
        var epochs = 0
        for seed in UInt64(0)..<50 {
            let report = RecordScenario.run(seed: seed)
            for fault in report.faults.prefix(3) { Issue.record("seed \(seed): \(fault)") }
            acknowledgements += report.acknowledgements
            reads += report.reads
            epochs += report.epochs
        }
        print("acknowledged \(acknowledgements), complete reads \(reads), epochs \(epochs)")
        #expect(acknowledgements > 5_000 && reads > 5_000 && epochs > 200)
    }

    @Test("each planted mistake is found", arguments: RecordFlaw.allCases)
    func findsFlaw(flaw: RecordFlaw) {
        for seed in UInt64(0)..<40 {
            guard let fault = RecordScenario.run(seed: seed, flaws: [flaw]).faults.first else {
                continue
            }
            print("\(flaw.rawValue): seed \(seed): \(fault)")
            return
        }
        Issue.record("\(flaw.rawValue) is not found by 40 seeds")
    }
}
