import ArgumentParser
import Determinism
import Foundation
import Simulation

/// Which seeds run, and how.
struct SwarmArguments: ParsableArguments {
    @Option(help: ArgumentHelp("How many seeds, or FROM..TO.", valueName: "range"))
    var seeds = "200"

    @Option(help: ArgumentHelp("The first seed.", valueName: "number"))
    var from: UInt64 = 1

    @Flag(help: "Do not shrink what fails.")
    var noShrink = false

    @Option(help: ArgumentHelp("Seeds that run at once.", valueName: "count"))
    var jobs = 2

    @Option(help: ArgumentHelp("Stop after so many failures.", valueName: "count"))
    var failures = 1

    func range() throws -> ClosedRange<UInt64> {
        if let count = UInt64(seeds), count > 0 {
            let (end, overflow) = from.addingReportingOverflow(count - 1)
            if !overflow { return from...end }
        }
        let parts = seeds.components(separatedBy: "..")
        guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]),
            first <= last
        else { throw ValidationError("--seeds takes COUNT or FROM..TO, not \(seeds)") }
        return first...last
    }
}

/// Runs seeds and plans of one kind, and says what became of them.
struct SwarmReport<Run: PlannedRun> {
    let flaws: [Run.Flaw]
    /// The words that plant the flaws again.
    let planted: String
    /// The command that runs a plan in a file.
    let replayPlan: String
    var shrinks = true

    /// Runs many seeds.
    ///
    /// - Throws: exit status 1 where a law was broken.
    func run(_ arguments: SwarmArguments) throws {
        let start = Date()
        let swarm = Swarm<Run>(
            try arguments.range(),
            flaws: flaws,
            jobs: max(1, arguments.jobs),
            findingsMax: max(1, arguments.failures)
        )
        let outcome = swarm.run { outcome in
            if outcome.seeds % 100 == 0 {
                // Also what is found on the way: a long run may be ended before its report.
                let broken = outcome.findings.map { "\($0.seed)" }.joined(separator: " ")
                report(
                    "\(outcome.seeds) seeds, \(outcome.events) events"
                        + (broken.isEmpty ? "" : ", laws broken by seed \(broken)")
                )
            }
        }
        let seconds = Date().timeIntervalSince(start)
        let rate = String(format: "%.1f", Double(outcome.seeds) / max(seconds, 0.001))
        print(
            "\(outcome.seeds) seeds, \(outcome.events) events, \(rate) seeds/s, "
                + "hash \(String(outcome.hash, radix: 16))"
        )
        if let (seed, after) = outcome.slowestHealing {
            print("slowest healing: \(after.milliseconds) ms, seed \(seed)")
        }
        let counts = outcome.counts.map { "\($0.value) \($0.key)" }
        if !counts.isEmpty { print(counts.joined(separator: ", ")) }
        guard !outcome.findings.isEmpty else { return print("every law held") }
        for finding in outcome.findings { explain(finding) }
        throw ExitCode(1)
    }

    /// Runs one seed.
    ///
    /// - Throws: exit status 1 where a law was broken.
    func run(seed: UInt64, isTraced: Bool) throws {
        print(Run.summary(seed: seed))
        let plan = Run.plan(seed: seed)
        guard let failure = run(plan, isTraced: isTraced) else { return print("every law held") }
        explain(SwarmFinding(seed: seed, plan: plan, failure: failure))
        throw ExitCode(1)
    }

    /// Runs a plan as a failing swarm prints it.
    ///
    /// - Throws: exit status 1 where a law was broken.
    func run(file: String, isTraced: Bool) throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        guard let plan = FaultPlan(text) else {
            throw ValidationError("\(file) has no plan: a line `plan ...`, then a line a fault")
        }
        guard let failure = run(plan, isTraced: isTraced) else { return print("every law held") }
        print(failure)
        throw ExitCode(1)
    }

    private func run(_ plan: FaultPlan, isTraced: Bool) -> RunFailure? {
        var run = Run(plan, flaws: flaws, write: isTraced ? printLine : nil)
        let verdict = run.run()
        print("hash \(String(verdict.hash, radix: 16)), \(verdict.events) events")
        if let after = verdict.healedAfter { print("healed after \(after.milliseconds) ms") }
        let counts = verdict.counts.map { "\($0.value) \($0.key)" }
        if !counts.isEmpty { print(counts.joined(separator: ", ")) }
        return verdict.failure
    }

    private func explain(_ finding: SwarmFinding) {
        let again = Run.replayCommand(seed: finding.seed)
        print("\n\(Run.summary(seed: finding.seed))\n  \(finding.failure)")
        print("  again: scripts/sim \(again)\(planted) --trace")
        guard shrinks else { return print(finding.plan) }
        var shrinker = Shrinker<Run>(finding.plan, failure: finding.failure, flaws: flaws)
        shrinker.shrink()
        print("  shrunk in \(shrinker.runs) runs: \(shrinker.failure)")
        print("  again: put these lines into a file, and")
        print("  scripts/sim \(replayPlan) FILE\(planted) --trace")
        print(shrinker.plan)
    }
}

@Sendable
private func printLine(_ text: String) { print(text) }

/// Tells how far things are, beside the result.
func report(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
