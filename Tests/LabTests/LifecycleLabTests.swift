import Foundation
import LabNet
import LocalAPI
import Testing

/// A ping each millisecond and a TCP stream between two pods on two nodes, while things happen.
private final class SteadyTraffic {
    /// What was lost of it.
    struct Report {
        let pingsSent: Int
        let pingsLost: Int
        /// TCP segments that were sent again.
        let retransmits: Int
        /// Those of them that the receiver had had already, as it said (RFC 2883).
        let needless: Int
        /// The most of them in a tenth of a second.
        let burst: Int
        /// The fewest megabytes of a tenth of a second.
        let slowest: Double
        /// The median of these.
        let usual: Double
    }

    private let lab: Lab
    private let server: Process
    private let stream: Process
    private let ping: Process
    private let folder: URL
    private let sender: Pod

    init(_ lab: Lab, from: Pod, to: Pod) async throws {
        self.lab = lab
        sender = from
        folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        server = try Self.start(folder, "server", to, ["iperf3", "-s", "-1"])
        let isUp = try await lab.eventually(seconds: 5) {
            try lab.inPod(to, "ss", "-ltn").text.contains(":5201")
        }
        #expect(isUp)
        // A steady rate, so that a pause is seen and the machine is not filled; ended from outside.
        stream = try Self.start(
            folder,
            "stream",
            from,
            [
                "iperf3", "-c", to.address, "-b", "200M", "-i", "0.1", "-t", "3600", "-f", "m",
                "--forceflush",
            ]
        )
        ping = try Self.start(folder, "ping", from, ["ping", "-q", "-i", "0.001", to.address])
        try await Task.sleep(for: .seconds(1))
    }

    private static func start(
        _ folder: URL,
        _ name: String,
        _ pod: Pod,
        _ arguments: [String]
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/sbin/ip")
        process.arguments = ["netns", "exec", pod.namespace] + arguments
        let file = folder.appending(path: name)
        try Data().write(to: file)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: file)
        process.standardError = try FileHandle(forWritingTo: file)
        try process.run()
        return process
    }

    private func text(_ name: String) throws -> String {
        try String(contentsOf: folder.appending(path: name), encoding: .utf8)
    }

    /// What iperf3 says of each tenth of a second but the first and the last, which are cut:
    /// `[  5]   0.10-0.20   sec  2.38 MBytes   199 Mbits/sec    0   1.2 MBytes`.
    private func tenths() throws -> [(megabytes: Double, retransmits: Int)] {
        try text("stream").split(separator: "\n").compactMap { line in
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let unit = words.firstIndex(of: "MBytes"), unit > 0, words.contains("sec"),
                words.count > unit + 3, let megabytes = Double(words[unit - 1]),
                let retransmits = Int(words[unit + 3])
            else { return nil }
            return (megabytes, retransmits)
        }.dropFirst().dropLast()
    }

    /// What TCP of the sending pod counted: pairs of lines, names above numbers.
    private func counters() throws -> [String: Int] {
        let lines = try lab.inPod(sender, "cat", "/proc/net/snmp", "/proc/net/netstat").text
            .split(separator: "\n").map { $0.split(separator: " ") }
        var counters: [String: Int] = [:]
        for (names, numbers) in zip(lines, lines.dropFirst()) where names[0] == numbers[0] {
            for (name, number) in zip(names, numbers) { counters[String(name)] = Int(number) }
        }
        return counters
    }

    /// Ends the traffic and says what was lost.
    func end() async throws -> Report {
        try await Task.sleep(for: .seconds(1))
        ping.interrupt()
        ping.waitUntilExit()
        // What it has printed is enough, and its own end takes as long as it likes.
        for process in [stream, server] {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        defer { try? FileManager.default.removeItem(at: folder) }
        let words = try text("ping").split(whereSeparator: \.isWhitespace)
        guard let sentAt = words.firstIndex(of: "packets"), sentAt > 0,
            let sent = Int(words[sentAt - 1]), let receivedAt = words.firstIndex(of: "received,"),
            let received = Int(words[receivedAt - 1])
        else { throw Lab.Failure(description: "ping said: \(try text("ping"))") }
        let counted = try counters()
        let tenths = try tenths()
        let rates = tenths.map(\.megabytes).sorted()
        return Report(
            pingsSent: sent,
            // One may be under way when the ping is ended.
            pingsLost: max(0, sent - received - 1),
            retransmits: counted["RetransSegs"] ?? 0,
            needless: counted["TCPDSACKRecvSegs"] ?? 0,
            burst: tenths.map(\.retransmits).max() ?? 0,
            slowest: rates.first ?? 0,
            usual: rates.isEmpty ? 0 : rates[rates.count / 2]
        )
    }
}

@Suite(
    "Nothing is lost while daemons, nodes and endpoints come and go",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct LifecycleLabTests {
    private func makeNetwork(_ lab: Lab) throws {
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        let group = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/16")
        #expect(group.status == 0)
    }

    /// No ping lost, no segment lost, and no tenth of a second without TCP.
    ///
    /// Where two processors have more to do than they can, an acknowledgement is late at times and a
    /// segment is sent again that has arrived: the receiver says so.
    private func expectNothingLost(_ report: SteadyTraffic.Report, _ what: String) {
        print(
            "lifecycle: \(what): \(report.pingsSent) pings, \(report.pingsLost) lost, "
                + "\(report.retransmits) segments again, \(report.needless) of them needlessly, "
                + "\(report.burst) at most in 0.1 s, "
                + "slowest 0.1 s \(report.slowest) MB, "
                + "usual \(report.usual)"
        )
        #expect(report.pingsSent > 1_000 && report.usual > 1)
        #expect(report.pingsLost == 0)
        #expect(report.retransmits <= report.needless)
        #expect(report.slowest > 0)
    }

    private func isAlive(_ lab: Lab, _ node: String, among count: Int) throws -> Bool {
        let members = try lab.ring(1, "members", as: MemberList.self).members
        return members.count == count
            && members.contains { $0.name == node && $0.state == "alive" }
    }

    private func programs(_ lab: Lab, _ node: Int) throws -> Set<UInt32> {
        Set(try lab.ring(node, "dataplane", as: DataplaneStatus.self).attachments.map(\.programID))
    }

    @Test("a daemon that is killed, stopped and started puts new programs in place of the old ones")
    func restart() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetwork(lab)
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            let before = try (programs(lab, 1), programs(lab, 2))
            let traffic = try await SteadyTraffic(lab, from: near, to: far)
            for (node, verb) in [(2, "kill"), (1, "kill"), (2, "stop"), (1, "stop")] {
                try lab.script(verb, "node\(node)")
                try lab.script(
                    "start",
                    "node\(node)",
                    environment: ["GENIE_LAB_XDP_NODES": "node2"]
                )
                let isBack = try await lab.eventually(seconds: 10) {
                    try lab.ring(node, "dataplane").status == 0
                }
                #expect(isBack)
            }
            expectNothingLost(try await traffic.end(), "restarts")
            let after = try (programs(lab, 1), programs(lab, 2))
            #expect(before.0.isDisjoint(with: after.0) && before.1.isDisjoint(with: after.1))
            #expect(after.0.count == 2 && after.1.count == 3)
        }
    }

    @Test("another node joins, leaves, comes back and is lost")
    func otherNode() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            try makeNetwork(lab)
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            _ = try lab.attach(3, "other", "red")
            let traffic = try await SteadyTraffic(lab, from: near, to: far)
            try lab.script("stop", "node3")
            try lab.script("start", "node3")
            #expect(try await lab.eventually(seconds: 15) { try isAlive(lab, "node3", among: 3) })
            try lab.script("crash", "node3")
            #expect(try await lab.eventually(seconds: 15) { try !isAlive(lab, "node3", among: 3) })
            // As soon as it is certain that nothing answers there.
            let isRemoved = try await lab.eventually(seconds: 15) {
                try lab.ring(1, "node", "remove", "node3").status == 0
            }
            #expect(isRemoved)
            try lab.script("start", "node3")
            _ = try await lab.eventually(seconds: 15) { try isAlive(lab, "node3", among: 3) }
            expectNothingLost(try await traffic.end(), "node leaves, joins, is lost")
        }
    }

    /// Calls the plugin for so many pods, one after the other.
    private static func script(_ verb: String, _ lab: Lab, _ node: Int, _ count: Int) -> String {
        """
        cd /run/genie
        export CNI_COMMAND=\(verb) CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
        for i in $(seq \(count)); do
            name=grlab\(lab.id)-node\(node)-m$i
            [[ $CNI_COMMAND == DEL ]] || ip netns add $name
            CNI_CONTAINERID=m$i CNI_NETNS=/var/run/netns/$name genie >out \
                <<<'{"cniVersion":"1.1.0","name":"red","type":"genie","vpc":"red","group":"web"}' ||
                { cat out >&2; exit 1; }
            [[ $CNI_COMMAND == ADD ]] || ip netns delete $name
        done
        """
    }

    /// `GENIE_TEST_ENDPOINTS` makes it the thousand that is asked for; it takes minutes.
    @Test("many endpoints are added and removed on both nodes")
    func endpoints() async throws {
        let count =
            ProcessInfo.processInfo.environment["GENIE_TEST_ENDPOINTS"].flatMap { Int($0) } ?? 60
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            try makeNetwork(lab)
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            let traffic = try await SteadyTraffic(lab, from: near, to: far)
            for verb in ["ADD", "DEL"] {
                for node in 1...2 {
                    let output = try lab.run(
                        on: node,
                        ["bash", "-c", Self.script(verb, lab, node, count / 2)]
                    )
                    #expect(output.status == 0, "\(output.errors)")
                }
                let wanted = verb == "ADD" ? count + 2 : 2
                let isThere = try await lab.eventually(seconds: 10) {
                    try (1...2).allSatisfy { node in
                        try lab.ring(node, "dataplane", as: DataplaneStatus.self).maps
                            .first { $0.name == "gr_endpoint_r2" }?.entries == wanted
                    }
                }
                #expect(isThere)
            }
            expectNothingLost(try await traffic.end(), "\(count) endpoints")
        }
    }
}

@Suite(
    "A node is cleared",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct UninstallLabTests {
    @Test("uninstall refuses while it could do harm, then removes every trace and says so")
    func uninstall() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node1"])
        { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            #expect(
                try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/24").status
                    == 0
            )
            let pod = try lab.attach(1, "a", "red")
            let running = try lab.run(on: 1, ["genied", "uninstall"])
            #expect(running.status == 1 && running.errors.contains("stop it first"))
            try lab.script("stop", "node1")
            let attached = try lab.run(on: 1, ["genied", "uninstall"])
            #expect(attached.status == 1 && attached.errors.contains("a:eth0"))
            #expect(try lab.lostPings(pod, to: "10.20.0.1", count: 2) == 0)

            let done = try lab.run(on: 1, ["genied", "uninstall", "--force", "--data"])
            #expect(done.status == 0, "\(done.errors)")
            for word in [
                "from tcx ingress of eth0", "from native XDP of eth0", "removed map gr_endpoint_r2",
                "removed interface gr", "removed /sys/fs/bpf/genie", "genie.db",
            ] {
                #expect(done.text.contains(word), "\(word) in \(done.text)")
            }
            let links = try lab.run(on: 1, ["ip", "-d", "link"]).text
            #expect(!links.contains(": gr") && !links.contains("xdp"))
            #expect(try lab.run(on: 1, ["ls", "/sys/fs/bpf/genie"]).status != 0)
            #expect(
                try lab.run(on: 1, ["ls", "/var/lib/genie", "/run/genie"]).text
                    .contains("genie.db") == false
            )
            #expect(try lab.inPod(pod, "ip", "route").text.isEmpty)
            let again = try lab.run(on: 1, ["genied", "uninstall", "--data"])
            #expect(again.status == 0, "\(again.errors)")
            // What a start finds then is a fresh node.
            try lab.script("start", "node1")
            let isBack = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "members").status == 0
            }
            #expect(isBack)
        }
    }
}
