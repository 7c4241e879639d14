import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "IPv6 and dual stack in a lab (E21, E23)",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct DualStackLabTests {
    private func makeNetworks(_ lab: Lab) throws {
        let groups = [
            ["red/web", "--subnet", "10.20.0.0/24", "--subnet", "fd00:20::/64"],
            ["red/six", "--subnet", "fd00:21::/64"],
            ["red/tiny", "--subnet", "fd00:22::/64", "--subnet", "10.22.0.0/30"],
            ["blue/web", "--subnet", "10.20.0.0/24", "--subnet", "fd00:20::/64"],
        ]
        for vpc in ["red", "blue"] { #expect(try lab.ring(1, "vpcs", "create", vpc).status == 0) }
        for group in groups {
            let made = try lab.run(on: 1, ["genie-ring", "groups", "create"] + group)
            #expect(made.status == 0, "\(made.errors)")
        }
    }

    private func drops(_ lab: Lab, _ node: Int) throws -> [String: UInt64] {
        try lab.ring(node, "dataplane", as: DataplaneStatus.self).drops
            .reduce(into: [:]) { $0[$1.reason, default: 0] += $1.packets }
    }

    @Test("pods reach each other in both families, on one node and across, and in no other VPC")
    func connect() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetworks(lab)
            let red = try [1, 1, 2, 3].enumerated().map { try lab.attach($1, "r\($0)", "red") }
            let six = try [1, 2].map { try lab.attach($0, "s\($0)", "red", group: "six") }
            let blue = try [1, 2, 3].map { try lab.attach($0, "b\($0)", "blue") }
            for pod in red + blue {
                #expect(pod.addresses.map { $0.contains(":") } == [false, true])
            }
            for other in red[1...] {
                for address in other.addresses {
                    #expect(try lab.lostPings(red[0], to: address) == 0, "\(address)")
                }
                for address in red[0].addresses {
                    #expect(try lab.lostPings(other, to: address) == 0, "\(address)")
                }
            }
            // Across groups of one VPC, to and from pods that have IPv6 alone.
            for pod in six {
                #expect(pod.addresses.count == 1)
                #expect(try lab.lostPings(pod, to: red[0].addresses[1]) == 0)
                #expect(try lab.lostPings(red[3], to: pod.address) == 0)
                #expect(try lab.lostPings(pod, to: "fd00:21::1") == 0)
                #expect(try lab.inPod(pod, "ping", "-c", "1", red[0].address).status != 0)
            }
            try await checkTCP(lab, red[0], red[2])
            try await checkTCP(lab, red[2], red[3])

            // Both VPCs have the same subnets: what is alive in one alone is not reached.
            let blueOnes = Set(blue.flatMap(\.addresses))
            #expect(try lab.lostPings(blue[0], to: blue[1].addresses[1]) == 0)
            let redOnly = try #require(red.first { !blueOnes.contains($0.addresses[1]) })
            let before = try drops(lab, 1)["no_endpoint"] ?? 0
            #expect(try lab.lostPings(blue[0], to: redOnly.addresses[1], count: 3) == 3)
            #expect(try lab.lostPings(blue[0], to: six[1].address, count: 3) == 3)
            #expect(try drops(lab, 1)["no_endpoint"] ?? 0 >= before + 6)
            #expect(try drops(lab, 2)["nd_malformed"] == nil)
        }
    }

    private func checkTCP(_ lab: Lab, _ client: Pod, _ server: Pod) async throws {
        let listening = Task.detached {
            try lab.inPod(server, "timeout", "10", "iperf3", "-s", "-1")
        }
        let isUp = try await lab.eventually(seconds: 3) {
            try lab.inPod(server, "ss", "-ltn").text.contains(":5201")
        }
        #expect(isUp)
        let sent = try lab.inPod(
            client,
            "timeout",
            "10",
            "iperf3",
            "-c",
            server.addresses[1],
            "-n",
            "50M"
        )
        #expect(sent.status == 0, "\(sent.text)\(sent.errors)")
        _ = try await listening.value
    }

    @Test("where the uplink is too narrow for IPv6, ADD says how wide it must be")
    func narrowUplink() async throws {
        let environment = ["GENIE_LAB_NODES_ONLY": "1"]
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            #expect(try lab.run(on: 1, ["ip", "link", "set", "eth0", "mtu", "1329"]).status == 0)
            try lab.script("start", "node1")
            let isUp = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "vpcs", "list").status == 0
            }
            #expect(isUp)
            try makeNetworks(lab)
            try lab.script("pod", "add", "node1", "a")
            let refused = try lab.cni("ADD", 1, "a", "red", group: "six")
            #expect(refused.status != 0 && refused.text.contains("1330"), "\(refused.text)")
            let use = try lab.ring(1, "ipam", "--group", "red/six", as: IPAMStatus.self).subnets
            #expect(use.map(\.used) == [0])
        }
    }

    @Test(
        "a ring over an IPv6 underlay carries both families, and sees dataplanes live without daemons"
    )
    func overIPv6() async throws {
        let environment = ["GENIE_LAB_XDP_NODES": "node2", "GENIE_LAB_UNDERLAY": "6"]
        try await Lab.with(nodes: 3, id: Lab.testID, environment: environment) { lab in
            try makeNetworks(lab)
            let red = try [1, 2, 3].map { try lab.attach($0, "r\($0)", "red") }
            for from in red {
                for to in red where to.name != from.name {
                    for address in to.addresses {
                        #expect(
                            try lab.lostPings(from, to: address) == 0,
                            "\(from.name) \(address)"
                        )
                    }
                }
            }
            try await checkTCP(lab, red[0], red[1])
            let status = try lab.ring(2, "dataplane", as: DataplaneStatus.self)
            #expect(
                status.podMTU == 1430 && status.uplinks[0].mode == "xdp"
                    && status.vtep == "fd30:\(lab.id)::2"
            )
            let fits = try lab.inPod(
                red[0],
                "ping",
                "-c",
                "1",
                "-M",
                "do",
                "-s",
                "1402",
                red[1].address
            )
            #expect(fits.status == 0, "\(fits.text)")

            // The tunnel echo: the programs of a killed daemon answer.
            try lab.script("kill", "node2")
            let isSeen = try await lab.eventually(seconds: 5) {
                let members = try lab.ring(1, "members", as: MemberList.self).members
                return members.contains {
                    $0.name == "node2" && $0.state == "dead" && $0.dataplane == "alive"
                }
            }
            #expect(isSeen)
            #expect(try lab.lostPings(red[0], to: red[1].addresses[1]) == 0)
        }
    }

    @Test(
        "ADD gives addresses and routes of both families or nothing, CHECK sees both, DEL frees both"
    )
    func lifecycle() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try makeNetworks(lab)
            try lab.script("pod", "add", "node1", "a")
            let added = try lab.cni("ADD", 1, "a", "red", group: "tiny")
            for wanted in [
                "\"fd00:22::", "/128\"", "\"10.22.0.2/32\"", "\"::/0\"", "\"0.0.0.0/0\"",
            ] {
                #expect(added.text.contains(wanted), "\(wanted) in \(added.text)")
            }
            func inPod(_ arguments: String...) throws -> Lab.Output {
                let namespace = "grlab\(lab.id)-node1-a"
                return try Lab.run("/usr/sbin/ip", ["netns", "exec", namespace] + arguments)
            }
            func check() throws -> Int32 {
                try lab.cni("CHECK", 1, "a", "red", group: "tiny", prevResult: added.text).status
            }
            #expect(try check() == 0)
            // An address that must first be told apart from others is no use to a pod that starts.
            let shown = try inPod("ip", "-6", "address", "show", "dev", "eth0", "scope", "global")
            #expect(shown.text.contains("fd00:22::") && !shown.text.contains("tentative"))

            // The one address of 10.22.0.0/30 is taken: the pod gets none of IPv6 either.
            try lab.script("pod", "add", "node1", "b")
            let refused = try lab.cni("ADD", 1, "b", "red", group: "tiny")
            #expect(refused.status != 0 && refused.text.contains("10.22.0.0/30"), "\(refused.text)")
            let use = try lab.ring(1, "ipam", "--group", "red/tiny", as: IPAMStatus.self).subnets
            #expect(use.map(\.used) == [1, 1])
            #expect(try lab.ring(1, "ipam", "check").status == 0)

            let address = shown.text.split(separator: " ").first { $0.hasPrefix("fd00:22::") }
            let removed = try inPod("ip", "address", "del", "\(address ?? "")", "dev", "eth0")
            #expect(removed.status == 0)
            #expect(try check() != 0)
            for _ in 0..<2 { #expect(try lab.cni("DEL", 1, "a", "red", group: "tiny").status == 0) }
            let freed = try lab.ring(1, "ipam", "--group", "red/tiny", as: IPAMStatus.self).subnets
            #expect(freed.map(\.used) == [0, 0] && freed.map(\.resting) == [1, 1])
            #expect(try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.isEmpty)
        }
    }
}
