package import ArgumentParser
import Determinism
import Foundation
import RingMembership
import Simulation

/// Runs the ring in virtual time: many seeds, one seed, one plan, or a table of figures.
package struct GenieSimCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genie-sim",
        abstract: "Run the ring's membership in virtual time, with faults drawn from seeds.",
        subcommands: [SwarmCommand.self, ReplayCommand.self, TableCommand.self]
    )

    package init() {}

    /// Parses the process's arguments, runs the command and ends the process.
    package static func runAndExit() -> Never {
        main()
        Foundation.exit(0)
    }
}

/// Reads the flaws named on the command line.
struct FlawOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Plant a known mistake; may be repeated. Some show in crafted runs only.",
            valueName: "name"
        )
    )
    var flaw: [String] = []

    func flaws() throws -> [MembershipFlaw] {
        try flaw.map { name in
            guard let flaw = MembershipFlaw(rawValue: name) else {
                let known = MembershipFlaw.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("there is no flaw \(name); there are \(known)")
            }
            return flaw
        }
    }
}

struct SwarmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swarm",
        abstract: "Run seeds, each with the faults it draws; shrink the first that fails.",
        discussion: "The exit status is 0 when every law held, 1 when one was broken."
    )

    @Option(help: ArgumentHelp("How many seeds from 1 on, or FROM..TO.", valueName: "range"))
    var seeds = "200"

    @Option(help: ArgumentHelp("Run this one seed only.", valueName: "number"))
    var seed: UInt64?

    @Flag(help: "Print every event of the one seed.")
    var trace = false

    @Flag(help: "Do not shrink what fails.")
    var noShrink = false

    @Option(help: ArgumentHelp("Seeds that run at once.", valueName: "count"))
    var jobs = 2

    @Option(help: ArgumentHelp("Stop after so many failures.", valueName: "count"))
    var failures = 1

    @OptionGroup
    var flawOptions: FlawOptions

    func run() throws {
        let flaws = try flawOptions.flaws()
        if let seed { return try runOne(seed, flaws) }
        guard let range = Self.range(seeds) else {
            throw ValidationError("--seeds takes COUNT or FROM..TO, not \(seeds)")
        }
        let start = Date()
        let swarm = Swarm(range, flaws: flaws, jobs: max(1, jobs), findingsMax: max(1, failures))
        let outcome = swarm.run { outcome in
            if outcome.seeds % 100 == 0 {
                report("\(outcome.seeds) seeds, \(outcome.events) events")
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
        guard !outcome.findings.isEmpty else { return print("every law held") }
        for finding in outcome.findings { explain(finding, flaws) }
        throw ExitCode(1)
    }

    private static func range(_ text: String) -> ClosedRange<UInt64>? {
        if let count = UInt64(text), count > 0 { return 1...count }
        let parts = text.components(separatedBy: "..")
        guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]),
            first <= last
        else { return nil }
        return first...last
    }

    private func runOne(_ seed: UInt64, _ flaws: [MembershipFlaw]) throws {
        let options = SwarmOptions(seed: seed)
        print(options)
        let plan = options.plan()
        var run = PlanRun(plan, flaws: flaws, write: trace ? printLine : nil)
        let verdict = run.run()
        print("hash \(String(verdict.hash, radix: 16)), \(verdict.events) events")
        if let after = verdict.healedAfter { print("healed after \(after.milliseconds) ms") }
        guard let failure = verdict.failure else { return print("every law held") }
        explain(Swarm.Finding(seed: seed, plan: plan, failure: failure), flaws)
        throw ExitCode(1)
    }

    private func explain(_ finding: Swarm.Finding, _ flaws: [MembershipFlaw]) {
        let planted = flaws.map { " --flaw \($0.rawValue)" }.joined()
        print("\n\(SwarmOptions(seed: finding.seed))\n  \(finding.failure)")
        print("  again: scripts/sim swarm --seed \(finding.seed)\(planted) --trace")
        guard !noShrink else { return print(finding.plan) }
        var shrinker = Shrinker(finding.plan, failure: finding.failure, flaws: flaws)
        shrinker.shrink()
        print("  shrunk in \(shrinker.runs) runs: \(shrinker.failure)")
        print("  again: put these lines into a file, and scripts/sim replay FILE\(planted) --trace")
        print(shrinker.plan)
    }
}

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Run a plan of faults, as a failing swarm prints it."
    )

    @Argument(help: "The file with the plan.")
    var file: String

    @Flag(help: "Print every event.")
    var trace = false

    @OptionGroup
    var flawOptions: FlawOptions

    func run() throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        guard let plan = FaultPlan(text) else {
            throw ValidationError("\(file) has no plan: a line `plan ...`, then a line a fault")
        }
        let flaws = try flawOptions.flaws()
        var run = PlanRun(plan, flaws: flaws, write: trace ? printLine : nil)
        let verdict = run.run()
        print("hash \(String(verdict.hash, radix: 16)), \(verdict.events) events")
        guard let failure = verdict.failure else { return print("every law held") }
        print(failure)
        throw ExitCode(1)
    }
}

@Sendable
private func printLine(_ text: String) { print(text) }

/// Tells how far things are, beside the result.
func report(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
