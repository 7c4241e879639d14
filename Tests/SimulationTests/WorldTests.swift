import Determinism
import Foundation
import RingMembership
import Synchronization
import Testing

@testable import Simulation

@Suite("The world: the same seed gives the same run, faults do what they say")
struct WorldTests {
    private static func hash(seed: UInt64) -> UInt64 {
        var run = PlanRun(SwarmOptions(seed: seed).plan())
        return run.run().hash
    }

    @Test("the same seed gives the same hash, another seed another", arguments: [1, 2, 4])
    func determinism(seed: UInt64) {
        #expect(Self.hash(seed: seed) == Self.hash(seed: seed))
        #expect(Self.hash(seed: seed) != Self.hash(seed: seed + 100))
    }

    @Test("the same seed gives the same hash in another process")
    func determinismAcrossProcesses() throws {
        let program = Bundle.main.executableURL?.deletingLastPathComponent()
            .appending(path: "genie-sim")
        let process = Process()
        process.executableURL =
            ProcessInfo.processInfo.environment["GENIE_BIN"]
            .map { URL(filePath: $0).appending(path: "genie-sim") } ?? program
        process.arguments = ["swarm", "--seed", "4"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(process.terminationStatus == 0)
        #expect(text.contains("hash \(String(Self.hash(seed: 4), radix: 16)),"), "\(text)")
    }

    @Test("a copy of a world goes its own way and ends where the original ends")
    func copies() {
        var world = MembershipWorld(nodes: 5, seed: 3)
        world.run(for: .seconds(2))
        var copy = world
        copy.crash(1)
        copy.run(for: .seconds(3))
        #expect(world.running.count == 5)
        var second = world
        world.run(for: .seconds(3))
        second.run(for: .seconds(3))
        #expect(world.world.log.value == second.world.log.value)
        #expect(world.world.log.value != copy.world.log.value)
    }

    @Test("plans are read back as they were written", arguments: 1..<60)
    func planText(seed: UInt64) {
        let plan = SwarmOptions(seed: seed).plan()
        #expect(FaultPlan(plan.description) == plan)
    }

    @Test(
        "what is no plan is refused",
        arguments: [
            "", "plan", "plan seed=x nodes=3", "plan nodes=0", "plan nodes=2\nat=1ms pause",
            "plan nodes=2\nat=1ms for=2ms stumble", "plan nodes=2\nat=1 for=2ms pause",
            "plan seed=1 faults=9ms", "plan =", "plan nodes=2 nodes=3", "plan nodes=100001",
            "plan nodes=2\n=", "plan nodes=2\nat=1ms for=2ms =", "plan nodes=2\nat=1ms for=2ms",
            "plan nodes=2\nat=1ms for=2ms nodes=1 pause",
            "plan nodes=2\nat=1ms for=2ms pause nodes=x",
            "plan nodes=2\nat=1ms for=2ms pause nodes=0,",
            "plan nodes=2\nat=1ms for=2ms pause nodes=",
            "plan nodes=2\nat=1ms for=2ms pause nodes=2",
            "plan nodes=2\nat=1ms for=2ms pause nodes=-1",
            "plan nodes=2\nat=1ms for=2ms pause nodes=0 nodes=1",
            "plan nodes=2\nat=1ms for=2ms pause crash nodes=0",
            "plan nodes=2\nat=1ms for=2ms link nodes=0 others=5 amount=100",
            "plan nodes=2\nat=1ms for=2ms loss amount=much",
            "plan nodes=2\nat=1ms for=2ms loss amount=1001",
            "plan nodes=2\nat=1ms for=2ms drift nodes=1 amount=-1000000",
            "plan nodes=2\nat=1ms for=2ms pause nodes=0 restart=kept",
            "plan nodes=2\nat=-1ms for=2ms pause nodes=0",
            "plan nodes=2\nat=1ms for=9223372036854775807ms pause nodes=0",
        ]
    )
    func noPlan(text: String) {
        #expect(FaultPlan(text) == nil)
    }

    @Test("a plan written by hand may leave out what has a usual value")
    func planByHand() throws {
        let plan = try #require(
            FaultPlan("# two\nplan nodes=2 faults=9ms\n at=1ms for=2ms crash nodes=1\n")
        )
        #expect(plan.nodes == 2)
        #expect(plan.faults.map(\.fault) == [Fault(.crash, nodes: [1])])
    }

    @Test("the options of a seed are printed for people")
    func optionsText() {
        let text = SwarmOptions(seed: 18).description
        #expect(text.contains("seed 18"))
        #expect(text.contains("nodes"))
    }

    @Test("a crash loses what was not durable, a wipe all, a rollback the last life")
    func disks() throws {
        var world = MembershipWorld(nodes: 2, seed: 1)
        world.run(for: .seconds(1))
        let born = try #require(world.world.identity(1))
        world.crash(1)
        world.restart(1)
        #expect(world.world.identity(1)?.node == born.node)
        #expect(world.world.identity(1)?.boot == born.boot + 1)
        world.crash(1)
        world.restart(1, .rolledBack)
        #expect(world.world.identity(1)?.boot == born.boot + 1)
        let address = world.world.address(1)
        world.crash(1)
        world.restart(1, .moved)
        #expect(world.world.address(1) != address)
        #expect(world.world.identity(1)?.node == born.node)
        world.crash(1)
        world.restart(1, .wiped)
        #expect(world.world.identity(1)?.node != born.node)
        #expect(world.world.identity(1)?.boot == 1)
    }

    @Test("whenever a node crashes, what is under way to and from it is lost")
    func crashesBreakStreams() throws {
        let seen = Mutex<[String]>([])
        var world = World<MembershipProcess>(settings: MembershipProcess.Settings(), seed: 5)
        for node in 0..<2 {
            world.addNode()
            world.start(node)
        }
        world.log.write = { line in
            if line.contains("<=") && line.contains("probe 9") { seen.withLock { $0.append(line) } }
        }
        func say(_ sequence: UInt32, from source: Int, to target: Int) throws {
            let node = try #require(world.identity(target)?.node)
            let frame = MembershipProcess.Frame.probe(sequence: sequence)
            world.send(frame: frame, from: source, to: node, at: world.address(target))
        }
        for turn in UInt32(0)..<3 {
            world.run(for: .seconds(2))
            try say(900 + turn, from: 0, to: 1)
            try say(910 + turn, from: 1, to: 0)
            world.crash(1)
            world.start(1)
        }
        world.run(for: .seconds(2))
        #expect(seen.withLock { $0 } == [])
        try say(920, from: 0, to: 1)
        try say(921, from: 1, to: 0)
        world.run(for: .seconds(2))
        #expect(seen.withLock { $0.count } == 2, "without a crash both arrive")
    }

    @Test("a broken bound is told as one", arguments: [PlanRun.Law.bounded, .monotone])
    func lawOfViolation(law: PlanRun.Law) {
        let violation = MembershipWorld.Violation(law: law, at: .zero, node: 3, text: "too much")
        let failure = RunFailure(violation)
        #expect(failure.description == "\(law.rawValue) broken at 0 ms: n3: too much")
    }

    @Test("a paused process does nothing and then all that came", arguments: [1, 3])
    func pause(seconds: Int64) {
        var world = MembershipWorld(nodes: 3, seed: 2)
        world.run(for: .seconds(1))
        let before = world.membership(1)?.deadline
        world.pause(1, for: .seconds(seconds))
        world.run(for: .seconds(seconds) - .milliseconds(1))
        #expect(world.membership(1)?.deadline == before)
        world.run(for: .seconds(5))
        #expect(world.disagreement() == nil)
    }

    @Test("the shrinker leaves of a failing plan what makes it fail")
    func shrinking() throws {
        let outcome = Swarm<PlanRun>(1...40, flaws: [.goneNeverProbed]).run()
        let finding = try #require(outcome.findings.first)
        var shrinker = Shrinker<PlanRun>(
            finding.plan,
            failure: finding.failure,
            flaws: [.goneNeverProbed],
            runsMax: 150
        )
        shrinker.shrink()
        #expect(shrinker.failure.law == finding.failure.law)
        #expect(shrinker.plan.faults.count < finding.plan.faults.count)
        #expect(shrinker.plan.faults.count <= 3)
        #expect(shrinker.plan.nodes <= finding.plan.nodes)
        // The small plan is a value of its own: read back, it fails the same way.
        let again = try #require(FaultPlan(shrinker.plan.description))
        var run = PlanRun(again, flaws: [.goneNeverProbed])
        #expect(run.run().failure?.law == finding.failure.law)
        // And it is the flaw that makes it fail.
        var honest = PlanRun(again)
        #expect(honest.run().failure == nil)
    }

    @Test("every law holds over the first seeds")
    func swarm() {
        let outcome = Swarm<PlanRun>(1...40).run()
        #expect(outcome.seeds == 40)
        for finding in outcome.findings { Issue.record("seed \(finding.seed): \(finding.failure)") }
    }
}
