import ArgumentParser
import Determinism
import Foundation
import Statistics
import Synchronization

/// `genie-bench cni`: ADD and DEL of genie beside bridge and host-local.
struct CNICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni",
        abstract: "ADD and DEL beside bridge with host-local, from the same caller in one node."
    )

    @OptionGroup var output: Output
    @Option(help: "The script that makes nodes.")
    var lab = "scripts/lab"
    @Option(help: "The lab's number, 1 to 99.")
    var labId = 61
    @Option(help: "Where genied, genie and genie-ring are.")
    var bin = ".build/release"
    @Option(help: .hidden)
    var sim: String?
    @Option(help: "Where bridge and host-local are.")
    var plugins = "/usr/lib/cni"
    @Option(help: "Rounds of each case; the two take turns.")
    var rounds = 3

    /// One way of calling: how many pods, how many at once, how many interfaces.
    private struct Case {
        let name: String
        let pods: Int
        let parallel: Int
        let interfaces: Int
    }

    private static let cases = [
        Case(name: "1", pods: 40, parallel: 1, interfaces: 1),
        Case(name: "16", pods: 110, parallel: 16, interfaces: 1),
        Case(name: "110", pods: 110, parallel: 110, interfaces: 1),
        Case(name: "three.1", pods: 30, parallel: 1, interfaces: 3),
        Case(name: "three.16", pods: 60, parallel: 16, interfaces: 3),
    ]

    func validate() throws {
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds is 1 to 100") }
    }

    func run() throws {
        let directory = try Cleanup.shared.temporaryDirectory()
        Console.say("cni: \(Machine.summary)")
        let underlay = try Underlay(
            script: lab,
            id: labId,
            nodes: 1,
            binaries: bin,
            directory: directory
        )
        let daemon = try start(underlay, directory)
        for pod in 0..<110 { _ = try underlay.addPod("pod\(pod)", on: 1) }
        var results: [String: (ours: [CNILoadResult], peer: [CNILoadResult])] = [:]
        for round in 0..<rounds {
            for one in Self.cases {
                let ours = try load(one, underlay, directory, isOurs: true)
                let peer = try load(one, underlay, directory, isOurs: false)
                results[one.name, default: ([], [])].ours.append(ours)
                results[one.name, default: ([], [])].peer.append(peer)
            }
            Console.say("  round \(round + 1) of \(rounds) is done")
        }
        var figures = Self.cases.flatMap { one in
            results[one.name].map { Self.figures(one, $0.ours, $0.peer) } ?? []
        }
        if let peak = Self.peakMegabytes(of: daemon.pid) {
            figures.append(Figure("cni.genied.peak", unit: "MB", ours: peak, runs: 1))
        }
        let (peak, seen) = try pluginPeakMegabytes(underlay, directory)
        figures.append(Figure("cni.genie.peak", unit: "MB", ours: peak, runs: seen))
        try output.write(figures)
    }

    private func start(_ underlay: Underlay, _ directory: String) throws -> Child {
        let secret = "\(directory)/secret"
        try Command.run("\(bin)/genie-ring", ["secret", "new", secret])
        let daemon = try underlay.start(
            [
                "genied", "--bootstrap", "--secret", secret, "--data-dir", "/var/lib/genie",
                "--uplink", "eth0", "--node-name", "node1",
            ],
            on: 1
        )
        let isUp = try Monotonic.wait(.seconds(20)) {
            let asked = try underlay.start(["genie-ring", "vpcs", "create", "red"], on: 1)
            return asked.waitForEnd(within: .seconds(10)) == .exited(0)
        }
        guard isUp else { throw BenchError.timedOut(waitingFor: "genied", seconds: 20) }
        for number in 0..<3 {
            let made = try underlay.start(
                [
                    "genie-ring", "groups", "create", "red/g\(number)", "--subnet",
                    "10.\(60 + number).0.0/16",
                ],
                on: 1
            )
            _ = made.waitForEnd(within: .seconds(10))
        }
        return daemon
    }

    private func load(
        _ one: Case,
        _ underlay: Underlay,
        _ directory: String,
        isOurs: Bool
    ) throws -> CNILoadResult {
        let program = isOurs ? "\(bin)/genie" : "\(plugins)/bridge"
        var arguments = [
            URL(filePath: CommandLine.arguments[0]).path, "cni-load", "--plugin",
            URL(filePath: program).path, "--path", plugins, "--lock-file", "\(directory)/lock",
            "--prefix", "\(underlay.namespace(1))-pod", "--first", "0", "--pods", "\(one.pods)",
            "--parallel", "\(one.parallel)",
        ]
        if isOurs, one.interfaces > 1 {
            // One call, in which the pod's annotation names them.
            let networks = (0..<one.interfaces).map { "red/g\($0)" }.joined(separator: ",")
            arguments += ["--call", #"eth0={"cniVersion":"1.0.0","name":"n","type":"genie"}"#]
            arguments += ["--arguments", #"K8S_ANNOT={"cni":"\#(networks)"}"#]
        } else {
            for number in 0..<one.interfaces {
                arguments += ["--call", "eth\(number)=\(configuration(number, isOurs: isOurs))"]
            }
        }
        let child = try underlay.start(arguments, on: 1)
        let end = child.waitForEnd(within: .seconds(300))
        let lines = child.lines()
        guard end == .exited(0), let text = lines.last(where: { !$0.isError })?.text else {
            throw BenchError.failed(
                command: child.command,
                reason: "ended with \(end.map { "\($0)" } ?? "nothing")",
                output: lines.map(\.text).joined(separator: "\n")
            )
        }
        return try JSONDecoder().decode(CNILoadResult.self, from: Data(text.utf8))
    }

    private func configuration(_ number: Int, isOurs: Bool) -> String {
        isOurs
            ? #"{"cniVersion":"1.0.0","name":"n","type":"genie","vpc":"red","group":"g\#(number)"}"#
            : """
            {"cniVersion":"1.0.0","name":"b\(number)","type":"bridge","bridge":"bench\(number)",\
            "isGateway":true,"ipam":{"type":"host-local","subnet":"10.\(70 + number).0.0/16"}}
            """
    }

    private static func figures(
        _ one: Case,
        _ ours: [CNILoadResult],
        _ peer: [CNILoadResult]
    ) -> [Figure] {
        var figures: [Figure] = []
        func add(
            _ name: String,
            _ samples: (CNILoadResult) -> [Double],
            _ statistic: (Percentiles) -> Double,
            isBarred: Bool = false
        ) {
            let left = Percentiles(ours.flatMap(samples))
            let right = Percentiles(peer.flatMap(samples))
            figures.append(
                Figure(
                    "cni.\(name)",
                    unit: "ms",
                    ours: left.map(statistic),
                    peer: right.map(statistic),
                    peerName: "bridge+host-local",
                    atMost: isBarred ? right.map(statistic) : nil,
                    runs: left?.count ?? 0
                )
            )
        }
        add("add.\(one.name).p50", \.add, \.p50, isBarred: true)
        add("add.\(one.name).p99", \.add, \.p99)
        add("del.\(one.name).p50", \.delete, \.p50, isBarred: true)
        add("del.\(one.name).p99", \.delete, \.p99)
        if one.name == "1" { add("start.p50", \.start, \.p50) }
        if one.parallel == 110 {
            let seconds = Percentiles(ours.map(\.addSeconds))
            figures.append(
                Figure(
                    "cni.add.110.all",
                    unit: "s",
                    ours: seconds?.p50,
                    peer: Percentiles(peer.map(\.addSeconds))?.p50,
                    peerName: "bridge+host-local",
                    atMost: 5,
                    runs: seconds?.count ?? 0
                )
            )
        }
        return figures
    }

    /// The most memory that one of 110 calls at once had in use, and how many looks that is of.
    ///
    /// In a run that is not measured otherwise, since looking takes time from it.
    private func pluginPeakMegabytes(
        _ underlay: Underlay,
        _ directory: String
    ) throws -> (peak: Double, seen: Int) {
        let found = Mutex((peak: 0.0, seen: 0))
        let isOver = Mutex(false)
        let watch = Thread {
            while !isOver.withLock({ $0 }) {
                for peak in Self.processes(named: "genie").compactMap(Self.peakMegabytes) {
                    found.withLock { $0 = (max($0.peak, peak), $0.seen + 1) }
                }
                Monotonic.sleep(.milliseconds(2))
            }
        }
        watch.start()
        defer { isOver.withLock { $0 = true } }
        let all = Case(name: "watched", pods: 110, parallel: 110, interfaces: 1)
        _ = try load(all, underlay, directory, isOurs: true)
        return found.withLock { $0 }
    }

    private static func processes(named name: String) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { process in
            let text = try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)
            return text == "\(name)\n"
        }
    }

    /// The most memory that a process has had in use.
    private static func peakMegabytes(of process: Int32) -> Double? {
        let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = text?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").compactMap { Double($0) }.first.map { $0 / 1_000 }
    }
}
