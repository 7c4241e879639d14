package import ArgumentParser
import Determinism
import Foundation
import Glibc

/// `genie-bench`: measures Genie Ring beside another program, in one run on one machine.
package struct BenchCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genie-bench",
        abstract: "Measures Genie Ring beside other programs, in one run on one machine.",
        discussion: "scripts/bench builds what is measured and starts this with the right paths.",
        subcommands: [
            MembershipCommand.self, RingCommand.self, DataplaneCommand.self, CNICommand.self,
            CNILoadCommand.self,
        ]
    )

    package init() {}

    /// Parses the process's arguments and measures; leaves nothing behind.
    package static func runAndExit() -> Never {
        Cleanup.shared.catchSignals()
        do {
            var command = try parseAsRoot()
            try command.run()
            Cleanup.shared.run()
            Glibc.exit(0)
        } catch {
            Cleanup.shared.run()
            exit(withError: error)
        }
    }
}

/// Standard output, written at once: a bench takes minutes, and somebody is watching.
enum Console {
    static func say(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
}

/// Where figures go.
struct Output: ParsableArguments {
    @Option(help: "Also write the figures to this file, as a JSON array.")
    var json: String?

    func write(_ figures: [Figure], showing shown: [Figure]? = nil) throws {
        Console.say(Figure.table(shown ?? figures))
        guard let json else { return }
        try Data(Figure.json(figures).utf8).write(to: URL(filePath: json))
    }
}

/// `genie-bench membership`.
struct MembershipCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "membership",
        abstract: "Failure detection of genied beside serf (LAN profile), in the same namespaces."
    )

    @OptionGroup var output: Output
    @Option(help: "The script that makes nodes.")
    var lab = "scripts/lab"
    @Option(help: "The lab's number, 1 to 99.")
    var labId = 61
    @Option(help: "Where genied and genie-ring are.")
    var bin = ".build/release"
    @Option(help: "The simulator, whose table is appended when there is one.")
    var sim: String?
    @Flag(
        name: .customLong("simulated"),
        inversion: .prefixedNo,
        help: "Simulate large rings as well."
    )
    var isSimulated = true
    @Option(help: "The program to compare with.")
    var serf = "serf"
    @Flag(inversion: .prefixedNo, help: "Measure serf.")
    var peer = true
    @Flag(inversion: .prefixedNo, help: "Measure genied.")
    var ours = true
    @Option(help: "Blackholes, and crashes, per program.")
    var kills = 15
    @Option(help: "Blackholes in the flood of garbage; 0 leaves it out.")
    var floodKills = 8
    @Option(help: "Garbage datagrams a second, in total.")
    var floodRate = 20_000
    @Flag(help: "Flood serf as well.")
    var floodPeer = false
    @Option(help: "Packets lost on each path, in percent, while pauses must be forgiven.")
    var loss = 5.0
    @Option(help: "Seconds under loss with pauses; 0 leaves it out.")
    var soak = 60
    @Option(help: "Seconds in which idle cost is measured; 0 leaves it out.")
    var steady = 20
    @Option(help: "What random phases and victims follow from.")
    var seed: UInt64 = 1

    func validate() throws {
        guard (0...1_000).contains(kills), (0...1_000).contains(floodKills), soak >= 0, steady >= 0,
            (1...200_000).contains(floodRate), (0...50).contains(loss)
        else { throw ValidationError("a count is out of range; see --help") }
    }

    func run() throws {
        let directory = try Cleanup.shared.temporaryDirectory()
        let settings = settings
        Console.say("membership: \(Machine.summary)")
        let underlay = try Underlay(
            script: lab,
            id: labId,
            nodes: settings.members + 1,
            binaries: bin,
            directory: directory
        )
        var bench = MembershipBench(settings, underlay) { Console.say("  " + $0) }
        var oursResults: MembershipResults?
        var peerResults: MembershipResults?
        if ours {
            let secret = "\(directory)/secret"
            try Command.run("\(bin)/genie-ring", ["secret", "new", secret])
            let system = GenieSystem(secretPath: secret, underlay: underlay)
            oursResults = try bench.run(system, floods: true)
        }
        if peer {
            if let program = Child.find(serf) {
                let system = SerfSystem(program: program, underlay: underlay)
                peerResults = try bench.run(system, floods: floodPeer)
            } else {
                Console.say("  there is no \(serf): its figures are absent (apt-get install serf)")
            }
        }
        let figures = MembershipFigures(ours: oursResults, peer: peerResults, settings: settings)
        Console.say("noise: \(figures.noise)")
        Console.say(
            "loss: \(loss) % of the packets that arrive at a node, at random: per path, each way"
        )
        Console.say(
            "bytes: nftables counters of the ring's port on eth0, Ethernet headers included"
        )
        try output.write(figures.all)
        guard let simulated = try simulated(directory) else { return }
        // What was measured is written already, should the simulation not come to its end.
        try output.write(figures.all + simulated, showing: simulated)
    }

    private var settings: MembershipSettings {
        var settings = MembershipSettings()
        settings.kills = kills
        settings.floodKills = floodKills
        settings.floodRate = floodRate
        settings.lossPercent = loss
        settings.soakSeconds = soak
        settings.steadySeconds = steady
        settings.seed = seed
        return settings
    }

    /// The simulator's own table, in the same form.
    private func simulated(_ directory: String) throws -> [Figure]? {
        guard isSimulated else { return nil }
        guard let sim, let program = Child.find(sim) else {
            Console.say("there is no simulator: its figures are absent")
            return nil
        }
        Console.say(
            "simulated: rings of 5 to 5,000 nodes, some minutes (--no-simulated leaves it out)"
        )
        let path = "\(directory)/simulated.json"
        try Command.run(program, ["table", "--json", path], within: .seconds(3_600))
        let text = try String(contentsOfFile: path, encoding: .utf8)
        do {
            return try Figure.read(text)
        } catch {
            throw BenchError.unreadable(what: "the table of \(sim)", text: String(text.prefix(400)))
        }
    }
}
