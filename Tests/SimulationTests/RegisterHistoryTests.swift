import Determinism
import HistoryCheck
import RingRegisters
import Simulation
import Testing

@Suite("Registers of whole peers are linearizable whatever goes wrong")
struct RegisterHistoryTests {
    private static let kinds: [Fault.Kind] = [
        .crash, .crash, .blackhole, .pause, .partition, .partition, .oneway, .clog, .loss, .delay,
        .drift,
    ]

    private func check(
        seed: UInt64,
        flaws: [RegisterFlaw] = [],
        restarts: [Fault.Restart] = [.kept]
    ) throws -> RegisterCheck {
        var workload = RegisterWorkload(nodes: 5, seed: seed, flaws: flaws)
        workload.run(faultsFor: .seconds(6), kinds: Self.kinds, restarts: restarts)
        return RegisterCheck(try Operation.pair(workload.events), stepsMax: 2_000_000)
    }

    @Test(
        "crashes, pauses, partitions and growing stewards cost answers and nothing else",
        arguments: 1...50 as ClosedRange<UInt64>
    )
    func faults(seed: UInt64) throws {
        let check = try check(seed: seed)
        #expect(check.violations.map(\.text) == [], "seed \(seed)")
        #expect(check.undecided == [], "seed \(seed)")
        #expect(check.ok > 50, "seed \(seed)")
    }

    @Test("a read that is told although the stewards disagree is caught")
    func plantedFlaw() throws {
        let caught = try (1...100 as ClosedRange<UInt64>).first { seed in
            try !check(seed: seed, flaws: [.readFromDisagreement]).violations.isEmpty
        }
        #expect(caught != nil)
    }
}
