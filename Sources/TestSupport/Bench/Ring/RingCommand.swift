import ArgumentParser
import Determinism
import Statistics

/// `genie-bench ring`.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Registers of genied beside etcd on one disk; endpoints and addresses of genied.",
        discussion: """
            Three members of each run in the same namespaces and take turns. Clients keep their \
            connections (unix sockets for both), are spread over the members and work without a \
            pause: "own" changes a register for each client, "hot" one for all of them, where a \
            change counts with all its attempts. etcd is asked over gRPC, which is faster than its \
            JSON gateway; genied over HTTP. Peers speak TLS in both, as Kubernetes has it for etcd.
            """
    )

    @OptionGroup var output: Output
    @Option(help: "The script that makes nodes.")
    var lab = "scripts/lab"
    @Option(help: "The lab's number, 1 to 99.")
    var labId = 61
    @Option(help: "Where genied and genie-ring are.")
    var bin = ".build/release"
    @Option(help: .hidden)
    var sim: String?
    @Option(help: "The program to compare with.")
    var etcd = "etcd"
    @Flag(help: "Ask etcd over its JSON gateway.")
    var gateway = false
    @Flag(inversion: .prefixedNo, help: "Let etcd's peers speak TLS.")
    var peerTLS = true
    @Flag(inversion: .prefixedNo, help: "Measure etcd.")
    var peer = true
    @Flag(inversion: .prefixedNo, help: "Measure the registers of genied.")
    var ours = true
    @Option(help: "Clients at once, case by case.")
    var clients: [Int] = [1, 8, 64]
    @Option(help: "Rounds of each case; the median counts.")
    var rounds = 3
    @Option(help: "Seconds of a round; 0 leaves registers out.")
    var seconds = 5
    @Option(help: "Endpoints that come and go; 0 leaves them out.")
    var endpoints = 60
    @Option(help: "Rounds of 64 parallel allocations; 0 leaves them out.")
    var allocations = 40
    @Option(help: "What pauses follow from.")
    var seed: UInt64 = 1

    private static let endpointMillisecondsMax = 50.0
    private static let allocationMillisecondsMax = 5.0
    private static let endpointNodes = 5

    func validate() throws {
        guard (1...99).contains(rounds), (0...600).contains(seconds), endpoints >= 0,
            (0...1_000).contains(allocations), !clients.isEmpty,
            clients.allSatisfy({ (1...512).contains($0) })
        else { throw ValidationError("a count is out of range; see --help") }
    }

    func run() throws {
        let directory = try Cleanup.shared.temporaryDirectory()
        Console.say("ring: \(Machine.summary)")
        Console.say("disk: \(try DiskProbe(directory: directory).summary)")
        let underlay = try Underlay(
            script: lab,
            id: labId,
            nodes: Self.endpointNodes,
            binaries: bin,
            directory: directory
        )
        let secret = "\(directory)/secret"
        try Command.run("\(bin)/genie-ring", ["secret", "new", secret])
        let genie = GenieRegisters(underlay: underlay, directory: directory, secretPath: secret)
        var figures: [Figure] = []
        if seconds > 0 { figures += try registers(genie, underlay, directory) }
        if endpoints > 0 { figures += try endpoints(genie, underlay) }
        if allocations > 0 {
            let bench = AllocationBench(directory: directory, rounds: allocations)
            figures += Self.figures("allocation", try bench.run(), Self.allocationMillisecondsMax)
        }
        try output.write(figures)
    }

    private func registers(
        _ genie: GenieRegisters,
        _ underlay: Underlay,
        _ directory: String
    ) throws -> [Figure] {
        var settings = RingSettings()
        settings.clientCounts = clients.sorted()
        settings.rounds = rounds
        settings.seconds = seconds
        settings.seed = seed
        var bench = RingBench(settings) { Console.say("  " + $0) }
        defer { bench.end() }
        if ours { try bench.start(genie) }
        if peer {
            if let program = Child.find(etcd) {
                let system = EtcdRegisters(
                    program: program,
                    underlay: underlay,
                    directory: directory,
                    usesGateway: gateway,
                    hasPeerTLS: peerTLS
                )
                try bench.start(system)
            } else {
                let package = "apt-get install etcd-server"
                Console.say("  there is no \(etcd): its figures are absent (\(package))")
            }
        }
        try bench.run()
        func results(_ name: String) -> RingResults? {
            bench.sides.first { $0.system.name == name }?.results
        }
        let figures = RingFigures(
            ours: results("genied"),
            peer: results(RingFigures.peerName),
            settings: settings
        )
        Console.say("noise: \(figures.noise)")
        return figures.all
    }

    private func endpoints(_ genie: GenieRegisters, _ underlay: Underlay) throws -> [Figure] {
        for node in 1...Self.endpointNodes {
            try underlay.run(["find", "/var/lib/genie", "-mindepth", "1", "-delete"], on: node)
        }
        let children = try genie.start(nodes: 1...Self.endpointNodes)
        defer { for child in children { child.send(9) } }
        let bench = EndpointBench(system: genie, underlay: underlay, count: Self.endpointNodes)
        let result = try bench.run(children: children, turns: endpoints)
        Console.say("endpoint.firstPacket, histogram of \(result.firstPacket.count):")
        for line in SpanHistogram(spans: result.firstPacket).lines { Console.say("  " + line) }
        // The ring's part is judged: making a pod's interface comes before it.
        return Self.figures(
            "endpoint.elsewhere",
            result.addedElsewhere,
            Self.endpointMillisecondsMax
        )
            + Self.figures(
                "endpoint.goneElsewhere",
                result.removedElsewhere,
                Self.endpointMillisecondsMax
            )
            + Self.figures(
                "endpoint.firstPacket",
                result.firstPacket,
                Self.endpointMillisecondsMax
            )
            + Self.figures("endpoint.everywhere", result.added, nil)
            + Self.figures("endpoint.answered", result.addAnswered, nil)
            + Self.figures("endpoint.gone", result.removed, nil)
    }

    /// p50 and p99 of spans; the bar is p99's.
    private static func figures(_ name: String, _ spans: [Span], _ bar: Double?) -> [Figure] {
        guard let all = Percentiles(milliseconds: spans) else { return [] }
        return [
            Figure("ring.\(name).p50", unit: "ms", ours: all.p50, runs: all.count),
            Figure("ring.\(name).p99", unit: "ms", ours: all.p99, atMost: bar, runs: all.count),
        ]
    }
}
