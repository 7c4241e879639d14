import ArgumentParser
import Foundation
import Simulation

/// Whole rings: real peers, clients on top, faults drawn from seeds.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Run whole peers with clients on top, and judge what these were told.",
        subcommands: [
            RingSwarmCommand.self, RingReplayCommand.self, RingFlawsCommand.self,
            RingScaleCommand.self,
        ]
    )
}

/// Reads the flaws of a whole peer named on the command line.
struct RingFlawOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Plant a known mistake; may be repeated.", valueName: "name")
    )
    var flaw: [String] = []

    var report: SwarmReport<RingRun> {
        get throws {
            let flaws = try flaw.map { name in
                guard let flaw = RingFlaw(name) else {
                    let known = RingFlaw.all.map(\.description).joined(separator: ", ")
                    throw ValidationError("there is no flaw \(name); there are \(known)")
                }
                return flaw
            }
            return SwarmReport(
                flaws: flaws,
                planted: flaw.map { " --flaw \($0)" }.joined(),
                replayPlan: "ring replay"
            )
        }
    }
}

struct RingSwarmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swarm",
        abstract: "Run seeds, each with the faults it draws; shrink what fails.",
        discussion: "The exit status is 0 when every law held, 1 when one was broken."
    )

    @OptionGroup
    var arguments: SwarmArguments

    @OptionGroup
    var flawOptions: RingFlawOptions

    func run() throws {
        var report = try flawOptions.report
        report.shrinks = !arguments.noShrink
        try report.run(arguments)
    }
}

struct RingReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Run one seed, or a plan of faults, as a failing swarm prints it."
    )

    @Argument(help: "The seed, or the file with the plan.")
    var subject: String

    @Flag(help: "Print every event.")
    var trace = false

    @Flag(help: "Do not shrink what fails.")
    var noShrink = false

    @OptionGroup
    var flawOptions: RingFlawOptions

    func run() throws {
        var report = try flawOptions.report
        report.shrinks = !noShrink && !trace
        if let seed = UInt64(subject) { return try report.run(seed: seed, isTraced: trace) }
        try report.run(file: subject, isTraced: trace)
    }
}

struct RingFlawsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flaws",
        abstract: "Plant each known mistake and say which seed of the swarm catches it.",
        discussion: """
            A mistake that no seed shows counts as caught where a test plants it in a crafted run; where \
            none does, five times as many seeds are tried.
            The exit status is 0 when each is caught, 1 when one is not.
            """
    )

    @Option(help: ArgumentHelp("Seeds that are tried for each.", valueName: "count"))
    var within: UInt64 = 100

    @Option(help: ArgumentHelp("Seeds that run at once.", valueName: "count"))
    var jobs = 2

    @Option(help: ArgumentHelp("This one only.", valueName: "name"))
    var flaw: String?

    func run() throws {
        var missing: [RingFlaw] = []
        for planted in RingFlaw.all where flaw == nil || planted.description == flaw {
            let seeds = max(1, planted.craftedRun == nil ? 5 * within : within)
            let swarm = Swarm<RingRun>(1...seeds, flaws: [planted], jobs: max(1, jobs))
            let outcome = swarm.run()
            if let finding = outcome.findings.first {
                let text = finding.failure.text.split(separator: "\n").first ?? ""
                print("\(planted): seed \(finding.seed), \(finding.failure.law): \(text)")
            } else if let test = planted.craftedRun {
                print("\(planted): not by \(outcome.seeds) seeds, by a crafted run of \(test)")
            } else {
                print("\(planted): not caught by \(outcome.seeds) seeds")
                missing.append(planted)
            }
            fflush(nil)
        }
        if !missing.isEmpty { throw ExitCode(1) }
    }
}
