import Determinism
import RingPeer
import Testing

@testable import Simulation

@Suite("Whole rings under faults drawn from a seed")
struct RingRunTests {
    private static func run(seed: UInt64, _ flaws: [RingFlaw] = []) -> RunVerdict {
        var run = RingRun(RingRun.plan(seed: seed), flaws: flaws)
        return run.run()
    }

    @Test("the same seed gives the same hash, another seed another")
    func determinism() {
        let verdict = Self.run(seed: 3)
        #expect(verdict.hash == Self.run(seed: 3).hash)
        #expect(verdict.hash != Self.run(seed: 4).hash)
    }

    @Test("every law holds over the first seeds, and much is done in them")
    func holds() {
        let outcome = Swarm<RingRun>(1...12, jobs: 2).run()
        for finding in outcome.findings { Issue.record("seed \(finding.seed): \(finding.failure)") }
        #expect(outcome.counts["registers.ok", default: 0] > 200)
        #expect(outcome.counts["addresses.held", default: 0] > 100)
        #expect(outcome.counts["records.acknowledged", default: 0] > 100)
    }

    @Test("plans are read back as they were written", arguments: 1..<80)
    func planText(seed: UInt64) {
        let plan = RingRun.plan(seed: seed)
        #expect(FaultPlan(plan.description) == plan)
    }

    @Test("flaws are read back as they are printed")
    func flawNames() {
        for flaw in RingFlaw.all { #expect(RingFlaw(flaw.description) == flaw) }
        #expect(RingFlaw("records.nothing") == nil)
    }

    @Test(
        "a process ends at the write it is told to, which is durable or not",
        arguments: [(0, false), (1, true), (2, false), (3, true)]
    )
    func crashAtWrite(amount: Int, isDurable: Bool) {
        var world = World<PeerProcess>(settings: PeerProcess.Settings(), seed: 5)
        world.addNode()
        world.start(0)
        world.run(for: .seconds(2))
        world.begin(Fault(.crashAtWrite, nodes: [0], amount: amount))
        func row(_ number: Int) -> DiskKey { DiskKey(space: 99, key: [UInt8(number)]) }
        for number in 0..<3 {
            world.persist([DiskRow(key: row(number), value: [1])], then: [], on: 0)
        }
        world.run(for: .milliseconds(100))
        #expect(!world.isRunning(0))
        let passed = amount / 2
        for number in 0..<passed { #expect(world.disk(0).rows[row(number)] != nil) }
        if isDurable { #expect(world.disk(0).rows[row(passed)] != nil) }
        world.healAll()
        #expect(world.isRunning(0))
    }

    @Test("a clock that leaps shows more, and the process is called for it")
    func leap() {
        var world = World<PeerProcess>(settings: PeerProcess.Settings(), seed: 5)
        world.addNode()
        world.start(0)
        let before = world.localTime(0)
        world.begin(Fault(.leap, nodes: [0], amount: 5_000))
        #expect(world.localTime(0).since(before) == .seconds(5))
        world.run(for: .milliseconds(1))
        #expect(world.process(0)?.deadline ?? .zero > world.localTime(0))
    }
}
