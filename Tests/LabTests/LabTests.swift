import Foundation
import LabNet
import LocalAPI
import Testing

private let isRoot = getuid() == 0

@Suite("A lab of real daemons", .serialized, .enabled(if: isRoot, "namespaces and BPF need root"))
struct LabTests {
    private func drops(_ lab: Lab, _ node: Int, _ reason: String) throws -> UInt64 {
        try lab.ring(node, "dataplane", as: DataplaneStatus.self).drops
            .filter { $0.reason == reason }.reduce(0) { $0 + $1.packets }
    }

    private func member(_ lab: Lab, _ node: Int, _ name: String) throws -> MemberList.Item? {
        try lab.ring(node, "members", as: MemberList.self).members.first { $0.name == name }
    }

    private func makeNetworks(_ lab: Lab) throws {
        for vpc in ["red", "blue"] {
            #expect(try lab.ring(1, "vpcs", "create", vpc).status == 0)
            let group = try lab.ring(
                1,
                "groups",
                "create",
                "\(vpc)/web",
                "--subnet",
                "10.20.0.0/24"
            )
            #expect(group.status == 0)
        }
    }

    @Test(
        "pods connect in their VPC, on one node and across, through tc and through XDP, and nowhere else"
    )
    func connectAndIsolate() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetworks(lab)
            let red = try [1, 1, 2, 3].enumerated().map { try lab.attach($1, "r\($0)", "red") }
            let blue = try [1, 2, 3].enumerated().map { try lab.attach($1, "b\($0)", "blue") }
            for other in red[1...] {
                #expect(try lab.lostPings(red[0], to: other.address) == 0)
                #expect(try lab.lostPings(other, to: red[0].address) == 0)
            }
            #expect(try lab.lostPings(blue[0], to: blue[1].address) == 0)
            let modes = try [1, 2].map {
                try lab.ring($0, "dataplane", as: DataplaneStatus.self).uplinks[0].mode
            }
            #expect(modes == ["tc", "xdp"])

            // Three of four blocks each: at least two addresses are alive in both VPCs.
            let shared = Set(red.map(\.address)).intersection(blue.map(\.address))
            #expect(shared.count >= 2)
            let redOnly = try #require(red.first { pod in !shared.contains(pod.address) })
            let before = try drops(lab, 1, "no_endpoint")
            #expect(try lab.lostPings(blue[0], to: redOnly.address, count: 3) == 3)
            #expect(try drops(lab, 1, "no_endpoint") >= before + 3)

            // A source that is not the pod's.
            let spoofs = try drops(lab, 1, "spoofed_address")
            _ = try lab.inPod(red[0], "ip", "address", "add", "10.20.0.250/32", "dev", "eth0")
            let spoof = try lab.inPod(
                red[0],
                "ping",
                "-c",
                "3",
                "-i",
                "0.05",
                "-W",
                "1",
                "-I",
                "10.20.0.250",
                red[1].address
            )
            #expect(spoof.status != 0)
            #expect(try drops(lab, 1, "spoofed_address") >= spoofs + 3)

            // TCP with whole segments in both directions.
            try await checkTCP(lab, red[0], red[2])
            try await checkTCP(lab, red[2], red[3])
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
            server.address,
            "-n",
            "50M"
        )
        #expect(sent.status == 0, "\(sent.text)\(sent.errors)")
        _ = try await listening.value
    }

    @Test("a killed daemon loses no packet of its pods, and takes them over when it is back")
    func killAndRestart() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetworks(lab)
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            let ping = Task.detached { try lab.lostPings(near, to: far.address, count: 500) }
            try await Task.sleep(for: .milliseconds(300))
            try lab.script("kill", "node2")
            #expect(
                try await lab.eventually(seconds: 5) {
                    try member(lab, 1, "node2")?.state == "dead"
                }
            )
            #expect(try member(lab, 1, "node2")?.dataplane == "alive")
            let new = try lab.attach(3, "new", "red")
            #expect(try lab.lostPings(near, to: new.address) == 0)

            // The plugin of a node without its daemon: ADD is to be tried again, DEL is kept.
            let add = try lab.cni("ADD", 2, "later", "red")
            #expect(add.status != 0 && add.text.contains("\"code\":11"))
            let delete = try lab.cni("DEL", 2, "far", "red")
            #expect(delete.status == 0)
            #expect(try await ping.value == 0)

            try lab.script("start", "node2")
            #expect(
                try await lab.eventually(seconds: 8) {
                    try member(lab, 1, "node2")?.state == "alive"
                }
            )
            // The kept DEL was replayed: the pod is gone from the ring.
            let isGone = try await lab.eventually(seconds: 5) {
                try !lab.ring(1, "endpoints", as: EndpointList.self).endpoints
                    .contains { $0.containerID == "far" }
            }
            #expect(isGone)
            let again = try lab.attach(2, "again", "red")
            #expect(try lab.lostPings(again, to: new.address) == 0)
            #expect(try lab.lostPings(again, to: near.address) == 0)
        }
    }

    private func isLost(_ lab: Lab) throws -> Bool {
        let lost = try member(lab, 1, "node3")
        return lost?.state == "dead" && lost?.dataplane == "dead"
    }

    private func endpointRows(_ lab: Lab) throws -> Int? {
        try lab.ring(1, "dataplane", as: DataplaneStatus.self).maps
            .first { $0.name == "gr_endpoint_r2" }?.entries
    }

    /// What a node lists is what the replicas hold; each finds out by itself who is gone.
    private func reachability(_ lab: Lab, of node: String) throws -> [Bool] {
        try lab.ring(2, "endpoints", as: EndpointList.self).endpoints
            .filter { $0.node == node }.map(\.isReachable)
    }

    @Test("a lost node leaves the tables, its records stay, and its addresses are not given out")
    func loseNode() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, loseNode)
    }

    private func loseNode(_ lab: Lab) async throws {
        try makeNetworks(lab)
        var pods: [Pod] = []
        for (number, node) in [1, 2, 3, 3].enumerated() {
            pods.append(try lab.attach(node, "p\(number)", "red"))
        }
        try lab.script("crash", "node3")
        let isFound = try await lab.eventually(seconds: 6) { try isLost(lab) }
        #expect(isFound)
        let isWithdrawn = try await lab.eventually(seconds: 3) { try endpointRows(lab) == 2 }
        #expect(isWithdrawn)
        // For half a minute after a node came, reads want the word of the owners before it as well.
        let isListed = try await lab.eventually(seconds: 40) {
            (try? reachability(lab, of: "node3")) == [false, false]
        }
        #expect(isListed)
        var fresh: [Pod] = []
        for number in 0..<3 { fresh.append(try lab.attach(1 + number % 2, "n\(number)", "red")) }
        #expect(Set(fresh.map(\.address)).isDisjoint(with: pods.map(\.address)))
        let lost = try lab.lostPings(fresh[0], to: pods[1].address)
        #expect(lost == 0)
    }

    @Test("ADD, CHECK and DEL keep to the rules: no second ADD, damage found, nothing left")
    func pluginRules() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try makeNetworks(lab)
            try lab.script("pod", "add", "node1", "a")
            let add = try lab.cni("ADD", 1, "a", "red")
            #expect(add.status == 0)
            // It begins with what is there at once, and gets what is quicker for its packets.
            func hook() throws -> String? {
                try lab.ring(1, "dataplane", as: DataplaneStatus.self).attachments
                    .first { $0.interface.hasPrefix("gr") }?.hook
            }
            #expect(try hook() == "clsact ingress")
            let gateway = try #require(AddResult(add).ips.first?.gateway)
            let ping = Task.detached {
                let words = "ping -q -i 0.01 -c 450 -W 1 \(gateway)".split(separator: " ")
                let pod = ["netns", "exec", "grlab\(lab.id)-node1-a"]
                return try Lab.run("/usr/sbin/ip", pod + words.map(String.init)).text
            }
            let hasLink = try await lab.eventually(seconds: 8) { try hook() == "tcx ingress" }
            #expect(hasLink)
            let said = try await ping.value
            #expect(said.contains("450 received"), "\(said)")
            let second = try lab.cni("ADD", 1, "a", "red")
            #expect(second.status != 0 && second.text.contains("has interface eth0 already"))
            #expect(try lab.cni("CHECK", 1, "a", "red", prevResult: add.text).status == 0)
            try await expectDamageFound(lab, add.text)
            for _ in 0..<3 { #expect(try lab.cni("DEL", 1, "a", "red").status == 0) }
            let status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
            #expect(status.attachments.map(\.interface).sorted() == ["eth0", "genie-merge"])
            let left = status.maps.filter {
                ["gr_port_r2", "gr_endpoint_r2", "gr_vni_r1"].contains($0.name)
            }
            #expect(left.allSatisfy { $0.entries == 0 })
            #expect(try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.isEmpty)
            let links = try lab.run(on: 1, ["ip", "-br", "link"]).text
            #expect(!links.contains("gr"), "\(links)")
            try expectNoInterfaceTaken(lab)
        }
    }

    /// C11, C12: CHECK finds what is missing, and takes no offence at what is there besides.
    private func expectDamageFound(_ lab: Lab, _ result: String) async throws {
        func check() throws -> Lab.Output {
            try lab.cni("CHECK", 1, "a", "red", prevResult: result)
        }
        func ip(_ words: String) throws {
            let words =
                ["-n", "grlab\(lab.id)-node1-a"] + words.split(separator: " ").map(String.init)
            let output = try Lab.run("/usr/sbin/ip", words)
            #expect(output.status == 0, "\(words): \(output.errors)")
        }
        let address = try #require(
            AddResult(text: result).ips.first
        )
        #expect(try check().status == 0)
        try ip("route add 192.0.2.0/24 dev eth0")
        try ip("address add 192.0.2.1/32 dev lo")
        #expect(try check().status == 0)
        let gateway = try #require(address.gateway)
        try ip("route delete default")
        let lost = try check()
        #expect(lost.status != 0 && lost.text.contains("its route 0.0.0.0/0 via \(gateway)"))
        try ip("route add default via \(gateway) dev eth0")
        #expect(try check().status == 0)
        let host = String(address.address.prefix { $0 != "/" })
        try ip("address delete \(host) dev eth0")
        let bare = try check()
        #expect(bare.status != 0 && bare.text.contains(host), "\(bare.text)")
        try ip("link set eth0 down")
        let damaged = try check()
        #expect(damaged.status != 0 && damaged.text.contains("is down"))
        try lab.script("kill", "node1")
        let silent = try check()
        #expect(silent.status != 0 && silent.text.contains("\"code\":11"), "\(silent.text)")
        try lab.script("start", "node1")
        let isBack = try await lab.eventually(seconds: 15) {
            try lab.ring(1, "endpoints").status == 0
        }
        #expect(isBack)
    }

    /// C8, C10: an ADD over an interface of somebody else fails, and keeps no address.
    private func expectNoInterfaceTaken(_ lab: Lab) throws {
        try lab.script("pod", "add", "node1", "b")
        let taken = try Lab.run(
            "/usr/sbin/ip",
            ["-n", "grlab\(lab.id)-node1-b", "link", "add", "eth0", "type", "veth", "peer", "x"]
        )
        #expect(taken.status == 0)
        let added = try lab.cni("ADD", 1, "b", "red")
        #expect(added.status != 0 && added.text.contains("eth0"), "\(added.text)")
        #expect(try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.isEmpty)
        #expect(try lab.ring(1, "ipam", "check").status == 0)
        #expect(try lab.cni("DEL", 1, "b", "red").status == 0)
    }
}

@Suite(
    "What an attack found, on real daemons",
    .serialized,
    .enabled(if: isRoot, "namespaces and BPF need root")
)
struct RegressionLabTests {
    private func create(_ lab: Lab, _ group: String, _ subnet: String) throws {
        _ = try lab.ring(1, "vpcs", "create", String(group.prefix { $0 != "/" }))
        let output = try lab.ring(1, "groups", "create", group, "--subnet", subnet)
        #expect(output.status == 0, "\(output.errors)")
    }

    @Test("a second interface leads to its own network, and both answer")
    func twoInterfaces() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            try create(lab, "red/web", "10.20.0.0/24")
            try create(lab, "blue/web", "10.30.0.0/24")
            let pod = try lab.attach(1, "pod", "red")
            let second = try lab.cni("ADD", 1, "pod", "blue", interface: "net1")
            #expect(second.status == 0, "\(second.text)")
            let red = try lab.attach(2, "red", "red")
            let blue = try lab.attach(2, "blue", "blue")
            let lostRed = try lab.lostPings(pod, to: red.address)
            let lostBlue = try lab.lostPings(pod, to: blue.address)
            #expect(lostRed == 0 && lostBlue == 0)
            #expect(try lab.cni("DEL", 1, "pod", "blue", interface: "net1").status == 0)
            #expect(try lab.lostPings(pod, to: red.address) == 0)
        }
    }

    @Test("names that could not be read back are refused, and the daemon starts again")
    func longNames() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try create(lab, "red/web", "10.20.0.0/24")
            try lab.script("pod", "add", "node1", "a")
            let long = String(repeating: "x", count: 300)
            let pod = try lab.cni("ADD", 1, "a", "red", arguments: "K8S_POD_NAME=\(long)")
            #expect(pod.status != 0 && pod.text.contains("the pod's name is longer than 253"))
            let container = try lab.cni("ADD", 1, "a", "red", containerID: long)
            #expect(container.status != 0 && container.text.contains("the container id is longer"))
            #expect(try lab.cni("ADD", 1, "a", "red").status == 0)
            #expect(try lab.cni("STATUS", 1, "a", "red").status == 0)
            try lab.script("kill", "node1")
            #expect(try lab.cni("STATUS", 1, "a", "red").text.contains("\"code\":50"))
            try lab.script("start", "node1")
            let isBack = try await lab.eventually(seconds: 5) {
                try lab.ring(1, "endpoints").text.contains("red/web")
            }
            #expect(isBack)
        }
    }

    @Test("while no steward answers, a group that was made anew is not taken for the old one")
    func staleGroup() async throws {
        try await Lab.with(nodes: 4, id: Lab.testID) { lab in
            let areThree = try await lab.eventually(seconds: 30) {
                try lab.ring(1, "ring", as: RingStatus.self).stewards.count == 3
            }
            #expect(areThree)
            let stewards = try lab.ring(1, "ring", as: RingStatus.self).stewards
            // Two stewards go, and what is left of the ring cannot decide.
            let lost = ["node1"] + stewards.filter { $0 != "node1" }.prefix(1)
            let left = (1...4).filter { !lost.contains("node\($0)") }
            try create(lab, "red/web", "10.20.0.0/24")
            _ = try lab.attach(left[0], "old", "red")
            #expect(try lab.cni("DEL", left[0], "old", "red").status == 0)
            #expect(try lab.ring(1, "groups", "delete", "red/web").status == 0)
            try create(lab, "red/web", "10.20.0.0/24")
            let known = try lab.attach(left[1], "known", "red")
            for node in lost { try lab.script("kill", node) }
            try lab.script("pod", "add", "node\(left[0])", "new")
            let unknown = try lab.cni("ADD", left[0], "new", "red")
            #expect(unknown.status != 0 && unknown.text.contains("\"code\":11"), "\(unknown.text)")
            // A group in use on the node is still what it was: its own block goes on serving.
            let served = try lab.attach(left[1], "served", "red")
            #expect(served.address != known.address)
        }
    }

    @Test("a database put back from an old copy is refused, also at the next start")
    func oldCopy() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            try create(lab, "red/web", "10.20.0.0/24")
            let data = "/run/genie-lab/\(lab.id)/node2/data"
            try lab.script("stop", "node2")
            _ = try Lab.run("/bin/cp", ["-r", data, data + ".old"])
            try lab.script("start", "node2")
            let isBack = try await lab.eventually(seconds: 8) {
                try lab.ring(1, "members", as: MemberList.self).members
                    .contains { $0.name == "node2" && $0.state == "alive" }
            }
            #expect(isBack)
            for name in ["a", "b", "c"] { _ = try lab.attach(2, name, "red") }
            try lab.script("kill", "node2")
            _ = try Lab.run(
                "/bin/bash",
                ["-c", "rm -rf \(data)/* && cp -r \(data).old/* \(data)/"]
            )
            for _ in 0..<4 {
                try lab.script("start", "node2")
                let hasEnded = try await lab.eventually(seconds: 10) {
                    try lab.script("list").split(separator: "\n")
                        .contains { $0.hasPrefix("node2") && $0.contains("stopped") }
                }
                #expect(hasEnded)
            }
        }
    }
}
