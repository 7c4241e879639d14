package import ArgumentParser
import Foundation
import RingMembership
import Simulation

/// Runs the ring in virtual time: many seeds, one seed, one plan, or a table of figures.
package struct GenieSimCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genie-sim",
        abstract: "Run the ring in virtual time, with faults drawn from seeds.",
        subcommands: [
            SwarmCommand.self, ReplayCommand.self, RingCommand.self, TableCommand.self,
        ]
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

    var report: SwarmReport<PlanRun> {
        get throws {
            SwarmReport(
                flaws: try flaws(),
                planted: flaw.map { " --flaw \($0)" }.joined(),
                replayPlan: "replay"
            )
        }
    }
}

struct SwarmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swarm",
        abstract: "Run bare memberships, each with the faults its seed draws; shrink what fails.",
        discussion: "The exit status is 0 when every law held, 1 when one was broken."
    )

    @OptionGroup
    var arguments: SwarmArguments

    @Option(help: ArgumentHelp("Run this one seed only.", valueName: "number"))
    var seed: UInt64?

    @Flag(help: "Print every event of the one seed.")
    var trace = false

    @OptionGroup
    var flawOptions: FlawOptions

    func run() throws {
        var report = try flawOptions.report
        report.shrinks = !arguments.noShrink
        if let seed { return try report.run(seed: seed, isTraced: trace) }
        try report.run(arguments)
    }
}

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Run a plan of faults on bare memberships, as a failing swarm prints it."
    )

    @Argument(help: "The file with the plan.")
    var file: String

    @Flag(help: "Print every event.")
    var trace = false

    @OptionGroup
    var flawOptions: FlawOptions

    func run() throws { try flawOptions.report.run(file: file, isTraced: trace) }
}
