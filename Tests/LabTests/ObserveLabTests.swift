import Foundation
import LabNet
import LocalAPI
import MetricsText
import Testing

@Suite(
    "What people see of the dataplane: traffic, drops, hooks and why",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct ObserveLabTests {
    private func makeNetwork(_ lab: Lab) throws {
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        let group = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/24")
        #expect(group.status == 0)
    }

    private func status(_ lab: Lab, _ node: Int) throws -> DataplaneStatus {
        try lab.ring(node, "dataplane", as: DataplaneStatus.self)
    }

    private func totals(_ lab: Lab, _ pod: Pod) throws -> TrafficTotals {
        let endpoints = try status(lab, pod.node).endpoints
        return try #require(endpoints.first { $0.containerID == pod.name }).totals
    }

    @Test("what a pod sends is what another gets, on one node and across, through tc and XDP")
    func traffic() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetwork(lab)
            let sender = try lab.attach(1, "a", "red")
            for other in [try lab.attach(1, "b", "red"), try lab.attach(2, "c", "red")] {
                // ARP and what the stack says by itself is over.
                #expect(try lab.lostPings(sender, to: other.address, count: 2) == 0)
                let before = (try totals(lab, sender), try totals(lab, other))
                #expect(try lab.lostPings(sender, to: other.address, count: 50) == 0)
                let after = (try totals(lab, sender), try totals(lab, other))
                // An echo request and its answer are 98 bytes each with the Ethernet header.
                for (before, after) in [(before.0, after.0), (before.1, after.1)] {
                    #expect((50...60).contains(after.sentPackets - before.sentPackets))
                    #expect((50...60).contains(after.receivedPackets - before.receivedPackets))
                    #expect((4_900...5_900).contains(after.sentBytes - before.sentBytes))
                    #expect((4_900...5_900).contains(after.receivedBytes - before.receivedBytes))
                }
            }
            let vpc = try #require(try status(lab, 1).vpcs.first { $0.vpc == "red" })
            #expect(vpc.totals.sentPackets >= 150)
            // A pod that goes leaves its VPC's totals as they are.
            #expect(try lab.cni("DEL", 1, "a", "red").status == 0)
            let left = try #require(try status(lab, 1).vpcs.first { $0.vni == vpc.vni })
            #expect(left.totals.sentPackets >= vpc.totals.sentPackets)
        }
    }

    @Test("every hook names the program that this daemon has loaded, and says why it is that hook")
    func hooks() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try makeNetwork(lab)
            _ = try lab.attach(1, "a", "red")
            let status = try status(lab, 1)
            let uplink = try #require(status.uplinks.first)
            #expect(uplink.mode == "tc" && uplink.modeReason.contains("super-packets"))
            #expect(status.hook == "tcx" && status.hookReason == "the kernel has tcx")
            let loaded = Dictionary(uniqueKeysWithValues: status.programs.map { ($0.name, $0.id) })
            #expect(Set(loaded.keys) == ["pod_egress", "uplink_ingress", "uplink_xdp"])
            // The pod, the uplink, and the guard of the device that merges packets.
            #expect(status.attachments.count == 3)
            #expect(status.merging.hasPrefix("genie-merge, a "))
            for attachment in status.attachments {
                #expect(loaded[attachment.program] == attachment.programID)
            }
            #expect(status.maps.allSatisfy { ($0.memoryBytes ?? 0) > 0 })
        }
    }

    @Test("watch drops tells of a pod's drops as they happen, with the reason")
    func watchDrops() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try makeNetwork(lab)
            let pod = try lab.attach(1, "a", "red")
            // What the pod's own stack sends by itself over IPv6 is not what this is about.
            _ = try lab.inPod(pod, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            try await Task.sleep(for: .milliseconds(200))
            let watch = try Background(
                lab,
                on: 1,
                ["genie-ring", "watch", "drops", "--interval", "100", "--count", "1", "-o", "json"]
            )
            // It takes its first look some time after it was started.
            let hasSeen = try await lab.eventually(seconds: 20) {
                _ = try lab.lostPings(pod, to: "10.20.0.99", count: 3)
                return watch.hasEnded
            }
            #expect(hasSeen)
            struct Line: Decodable {
                let vpc: String
                let pod: String
                let reason: String
                let packets: Int
            }
            let line = try JSONDecoder().decode(Line.self, from: Data(try watch.end().utf8))
            #expect(line.vpc == "red" && line.pod == "a:eth0" && line.packets > 0)
            #expect(["no_endpoint", "arp_no_target"].contains(line.reason))
        }
    }
}

/// A command in a node that goes on while a test does something.
final class Background {
    private let process = Process()
    private let output: URL

    init(_ lab: Lab, on node: Int, _ arguments: [String]) throws {
        output = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try Data().write(to: output)
        process.executableURL = Lab.root.appending(path: "scripts/lab")
        process.arguments = ["--id", "\(lab.id)", "exec", "node\(node)"] + arguments
        var variables = ProcessInfo.processInfo.environment
        variables["GENIE_BIN"] = Lab.binaries
        process.environment = variables
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        try process.run()
    }

    var hasEnded: Bool { !process.isRunning }

    /// Ends it if it still runs, and gives back what it printed.
    func end() throws -> String {
        if process.isRunning { process.interrupt() }
        process.waitUntilExit()
        defer { try? FileManager.default.removeItem(at: output) }
        return try String(contentsOf: output, encoding: .utf8)
    }
}
