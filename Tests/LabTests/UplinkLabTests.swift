import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "What becomes of a node's uplink while genied runs is followed",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct UplinkLabTests {
    private func withPods(
        nodes: Int,
        _ body: (Lab, Pod, Pod) async throws -> Void
    ) async throws {
        try await Lab.with(nodes: nodes, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/22")
            #expect(made.status == 0, "\(made.errors)")
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(nodes, "far", "red")
            #expect(try lab.lostPings(near, to: far.address) == 0)
            try await body(lab, near, far)
        }
    }

    /// Packets that a node received by an interface.
    private func received(_ lab: Lab, _ node: Int, by interface: String) throws -> Int {
        let path = "/sys/class/net/\(interface)/statistics/rx_packets"
        let text = try lab.run(on: node, ["cat", path]).text
        return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    @Test("two uplinks: flows take both, either may go and come back", arguments: ["4", "6"])
    func twoUplinks(family: String) async throws {
        let environment = ["GENIE_LAB_UPLINKS": "2", "GENIE_LAB_UNDERLAY": family]
        try await Lab.with(nodes: 2, id: Lab.testID, environment: environment) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/22")
            #expect(made.status == 0, "\(made.errors)")
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            #expect(try lab.lostPings(near, to: far.address) == 0)
            #expect(try dataplane(lab, 1).uplinks.map(\.interface) == ["eth0", "eth1"])
            let before = try (received(lab, 2, by: "eth0"), received(lab, 2, by: "eth1"))
            // The port of each UDP packet makes it a flow of its own.
            let text = "for p in {2001..2064}; do echo x >/dev/udp/\(far.address)/$p; done"
            #expect(try lab.inPod(near, "bash", "-c", text).status == 0)
            let after = try (received(lab, 2, by: "eth0"), received(lab, 2, by: "eth1"))
            #expect(after.0 - before.0 >= 8 && after.1 - before.1 >= 8, "\(before) \(after)")
            for (gone, other) in [("eth0", "eth1"), ("eth1", "eth0")] {
                for node in [1, 2] {
                    _ = try lab.run(on: node, ["ip", "link", "set", gone, "down"])
                }
                #expect(try lab.lostPings(near, to: far.address, count: 5) == 0, "by \(other)")
                for node in [1, 2] {
                    try comeBack(lab, node, gone, family)
                }
                // Link-local addresses are not usable at once (RFC 4862 section 5.4).
                let isBack = try await lab.eventually(seconds: 10) {
                    try lab.lostPings(near, to: far.address, count: 5) == 0
                }
                #expect(isBack, "by both")
            }
            _ = try lab.run(on: 1, ["ip", "link", "set", "eth1", "mtu", "1400"])
            let isSeen = try await lab.eventually(seconds: 12) {
                try dataplane(lab, 1).podMTU == (family == "4" ? 1_350 : 1_330)
            }
            #expect(isSeen, "pods get what the least of both carries")
        }
    }

    @Test("of two uplinks one may be renamed, left out at a start, or taken away and made anew")
    func changedUplinks() async throws {
        let environment = ["GENIE_LAB_UPLINKS": "2", "GENIE_LAB_XDP_NODES": "node1"]
        try await Lab.with(nodes: 2, id: Lab.testID, environment: environment) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/22")
            #expect(made.status == 0, "\(made.errors)")
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(2, "far", "red")
            func expect(_ uplinks: [String], _ what: Comment) async throws {
                let isSeen = try await lab.eventually(seconds: 10) {
                    let status = try dataplane(lab, 1)
                    let hooks = status.attachments.filter { $0.program.hasPrefix("uplink") }
                        .map { "\($0.interface) \($0.program)" }.sorted()
                    return status.uplinks.map(\.interface) == uplinks
                        && status.uplinks.allSatisfy { $0.mode == "xdp" }
                        && hooks
                            == uplinks.sorted().flatMap {
                                ["\($0) uplink_ingress", "\($0) uplink_xdp"]
                            }
                }
                let shown = try lab.ring(1, "dataplane").text
                #expect(isSeen, "\(what): \(shown.prefix(1_500))")
                // The other node goes on sending over both.
                guard uplinks.count == 2 else { return }
                let isReached = try await lab.eventually(seconds: 10) {
                    try lab.lostPings(near, to: far.address, count: 3) == 0
                }
                #expect(isReached, what)
            }
            func ip(_ words: String) throws {
                let done = try lab.run(on: 1, ["ip"] + words.split(separator: " ").map(String.init))
                #expect(done.status == 0, "\(words): \(done.errors)")
            }
            try await expect(["eth0", "eth1"], "at first")
            for words in [
                "link set eth0 down", "link set eth1 down", "link set eth0 name other",
                "link set eth1 name eth0", "link set other name eth1",
            ] { try ip(words) }
            // The networks go with the interfaces.
            for (net, name) in [(30, "eth1"), (31, "eth0")] {
                try ip("address replace 172.\(net).\(lab.id).1/24 dev \(name)")
                try ip("link set \(name) up")
            }
            _ = try lab.run(on: 1, ["ip", "route", "flush", "172.29.\(lab.id).2"])
            try ip(
                "route add 172.29.\(lab.id).2 src 172.29.\(lab.id).1 nexthop via 172.30.\(lab.id).2 "
                    + "dev eth1 nexthop via 172.31.\(lab.id).2 dev eth0"
            )
            try await expect(["eth0", "eth1"], "names swapped")
            for names in ["eth1 eth0", "eth1", "eth0 eth1"] {
                try lab.script("stop", "node1")
                try lab.script(
                    "start",
                    "node1",
                    environment: environment.merging(["GENIE_LAB_UPLINK_NAMES": names]) { $1 }
                )
                let isBack = try await lab.eventually(seconds: 10) {
                    try lab.ring(1, "dataplane").status == 0
                }
                #expect(isBack)
                try await expect(names.split(separator: " ").map(String.init), "started anew")
            }
            try ip("link delete eth1")
            try await expect(["eth0"], "one is gone")
            #expect(try log(lab, 1).contains("uplink eth1 cannot be found"))
        }
    }

    /// Brings an interface up again, with what went with it.
    private func comeBack(_ lab: Lab, _ node: Int, _ interface: String, _ family: String) throws {
        func address(_ net: Int, _ node: Int) -> String {
            family == "4" ? "172.\(net).\(lab.id).\(node)" : "fd\(net):\(lab.id)::\(node)"
        }
        let own = address(interface == "eth0" ? 30 : 31, node) + (family == "4" ? "/24" : "/64")
        let nexthops = [("30", "eth0"), ("31", "eth1")].flatMap { net, interface in
            ["nexthop", "via", address(Int(net) ?? 0, 3 - node), "dev", interface]
        }
        let route = ["ip", family == "4" ? "-4" : "-6", "route"]
        for command in [
            ["ip", "link", "set", interface, "up"],
            ["ip", "address", "replace", own, "dev", interface] + (family == "4" ? [] : ["nodad"]),
            route + ["flush", address(29, 3 - node)],
            route + ["add", address(29, 3 - node), "src", address(29, node)] + nexthops,
        ] {
            let done = try lab.run(on: node, command)
            #expect(done.status == 0, "\(command): \(done.errors)")
        }
    }

    private func log(_ lab: Lab, _ node: Int) throws -> String {
        try String(
            contentsOfFile: "/run/genie-lab/\(lab.id)/node\(node)/genied.log",
            encoding: .utf8
        )
    }

    private func dataplane(_ lab: Lab, _ node: Int) throws -> DataplaneStatus {
        try lab.ring(node, "dataplane", as: DataplaneStatus.self)
    }

    @Test("a smaller MTU: pods hear of what is too big, instead of losing it")
    func smallerMTU() async throws {
        try await withPods(nodes: 2) { lab, near, far in
            #expect(try lab.run(on: 1, ["ip", "link", "set", "eth0", "mtu", "1400"]).status == 0)
            let isSeen = try await lab.eventually(seconds: 12) {
                try dataplane(lab, 1).podMTU == 1_350
            }
            #expect(isSeen)
            let ping = try lab.inPod(
                near,
                "ping",
                "-c",
                "2",
                "-W",
                "1",
                "-M",
                "do",
                "-s",
                "1400",
                far.address
            )
            #expect((ping.text + ping.errors).contains("1350"), "\(ping.text)\(ping.errors)")
            #expect(try lab.lostPings(near, to: far.address) == 0)
        }
    }

    @Test("hooks that somebody took off, of the uplink and of a pod, are put back")
    func hooks() async throws {
        try await withPods(nodes: 2) { lab, near, far in
            let pins = try lab.run(on: 1, ["find", "/sys/fs/bpf/genie", "-type", "f"]).text
                .split(separator: "\n").map(String.init)
            let hooks = pins.filter { $0.contains("/links/") || $0.contains("-at-") }
            #expect(hooks.count >= 2, "\(pins)")
            for pin in hooks { _ = try lab.run(on: 1, ["rm", pin]) }
            for device in ["eth0", try dataplane(lab, 1).endpoints[0].hostInterface] {
                _ = try lab.run(on: 1, ["tc", "qdisc", "del", "dev", device, "clsact"])
            }
            let isMended = try await lab.eventually(seconds: 15) {
                try lab.lostPings(near, to: far.address, count: 2) == 0
            }
            #expect(isMended)
            let log = try log(lab, 1)
            #expect(log.contains("was taken off by somebody else"), "\(log.suffix(400))")
        }
    }

    @Test("another address: the node starts anew by itself, and its pods are reached again")
    func otherAddress() async throws {
        try await withPods(nodes: 3) { lab, near, far in
            let old = "172.30.\(lab.id).3"
            let new = "172.30.\(lab.id).33"
            for words in [
                "address add \(new)/24 dev eth0", "address del \(old)/24 dev eth0",
                // A first address takes the others of its network with it.
                "address replace \(new)/24 dev eth0",
            ] {
                _ = try lab.run(on: 3, ["ip"] + words.split(separator: " ").map(String.init))
            }
            let isFollowed = try await lab.eventually(seconds: 40) {
                try log(lab, 3).contains("genied starts anew with it")
                    && lab.ring(3, "dataplane").text.contains(new)
            }
            #expect(isFollowed)
            let isBack = try await lab.eventually(seconds: 40) {
                try lab.lostPings(near, to: far.address, count: 2) == 0
            }
            let said = try log(lab, 3)
            #expect(isBack, "\(said.suffix(600))")
            #expect(try dataplane(lab, 3).vtep == new)
            #expect(try lab.ring(1, "members").text.contains(new))
        }
    }
}
