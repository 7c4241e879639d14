import ArgumentParser
import Determinism

/// `genie-bench dataplane`.
struct DataplaneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dataplane",
        abstract: "Packets between pods: Genie Ring beside a straight veth, a bridge, and vxlan.",
        discussion: """
            Pods are namespaces on one node and on two; the two have a veth between them, as it is \
            ("veth", it hands over super-packets) and with every segmentation offload off ("wire", \
            which makes segments as a wire would), for every peer alike. Loads are threads of this \
            process, a sender and a receiver: one TCP stream and eight, datagrams of 64 and 1,400 \
            bytes, a datagram there and back. Paths take turns. Processor time is the whole \
            machine's: it means something only where nothing else runs.
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
    @Option(help: "Rounds of each case; the median counts.")
    var rounds = 5
    @Option(help: "The measured part of a run, in milliseconds.")
    var milliseconds = 1_000
    @Option(help: "Where the pods are: node, veth, wire.")
    var places = PathPlace.allCases
    @Option(help: "What is sent: tcp1, tcp8, udp64, udp1400, echo.")
    var cases = TrafficCase.allCases
    @Option(help: "How genied is told to receive: auto, tc or xdp.")
    var uplinkMode = "auto"

    func validate() throws {
        guard (1...99).contains(rounds), (50...60_000).contains(milliseconds),
            ["auto", "tc", "xdp"].contains(uplinkMode)
        else { throw ValidationError("a value is out of range; see --help") }
    }

    func run() throws {
        let directory = try Cleanup.shared.temporaryDirectory()
        Console.say("dataplane: \(Machine.summary)")
        let underlay = try Underlay(
            script: lab,
            id: labId,
            nodes: 4,
            binaries: bin,
            directory: directory
        )
        let secret = "\(directory)/secret"
        try Command.run("\(bin)/genie-ring", ["secret", "new", secret])
        let nodes = DataplaneLab(
            underlay: underlay,
            directory: directory,
            secretPath: secret,
            uplinkMode: uplinkMode
        )
        try nodes.connect()
        var children = try nodes.startGenie()
        let bench = DataplaneBench(paths: try paths(nodes), milliseconds: milliseconds) {
            Console.say("  " + $0)
        }
        var results = DataplaneResults()
        for place in PathPlace.allCases where places.contains(place) {
            try nodes.setProfile(place)
            // It chooses anew how its uplink receives; its pods stay as they are.
            children = try nodes.startGenie(replacing: children)
            if place != .node {
                Console.say("  \(place.rawValue): genied receives through \(nodes.receives(2))")
            }
            try bench.run(place, cases: cases, rounds: rounds, into: &results)
        }
        let figures = DataplaneFigures(results: results)
        Console.say("noise: \(figures.noise)")
        try output.write(figures.all)
        for child in children { child.send(15) }
    }

    /// The ends of every path; those of IPv6 are absent where groups cannot have it.
    private func paths(
        _ nodes: DataplaneLab
    ) throws -> [DataplanePath: (from: PathEnd, to: PathEnd)] {
        var paths: [DataplanePath: (from: PathEnd, to: PathEnd)] = [:]
        for (place, kinds) in try nodes.makePeers() {
            for (kind, ends) in kinds {
                paths[DataplanePath(place: place, kind: kind)] = ends
                // What IPv6 costs where nothing of ours is on the path.
                guard kind == .straight || kind == .vxlan, let from = ends.0.overIPv6,
                    let to = ends.1.overIPv6
                else { continue }
                paths[DataplanePath(place: place, kind: kind, isV6: true)] = (from, to)
            }
        }
        for (place, ends) in try nodes.makePods(group: "four", subnet: "10.4.0.0/16") {
            paths[DataplanePath(place: place, kind: .genie)] = ends
        }
        do {
            for (place, ends) in try nodes.makePods(group: "six", subnet: "fd00:4::/64") {
                paths[DataplanePath(place: place, kind: .genie, isV6: true)] = ends
            }
        } catch {
            Console.say("  IPv6 is absent: \(error)")
        }
        return paths
    }
}

extension PathPlace: ExpressibleByArgument {}
extension TrafficCase: ExpressibleByArgument {}
