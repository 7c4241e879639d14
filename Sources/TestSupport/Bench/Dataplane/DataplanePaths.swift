import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import LocalSocket

/// What carries packets between two pods.
enum PathKind: String, CaseIterable, Hashable, Sendable {
    /// Genie Ring.
    case genie
    /// A veth pair straight between the pods: nothing can be faster on one node.
    case straight
    /// A Linux bridge with a veth to each pod.
    case bridge
    /// The kernel's vxlan device, with outer checksums as is its default, on a bridge.
    case vxlan
    /// The same without outer checksums.
    case vxlanPlain

    /// Its name in tables.
    var name: String {
        switch self {
        case .genie: "genie"
        case .straight: "straight pair"
        case .bridge: "bridge"
        case .vxlan: "vxlan"
        case .vxlanPlain: "vxlan nocsum"
        }
    }
}

/// Where the two pods of a path are, and what the wire between their nodes is like.
enum PathPlace: String, CaseIterable, Hashable, Sendable {
    /// On one node.
    case node
    /// On two nodes whose uplinks hand over super-packets, as a veth does.
    case veth
    /// On two nodes whose uplinks segment everything before it leaves, as a wire demands.
    case wire
}

/// The nodes and pods of the dataplane's bench.
///
/// Nodes 1 and 2 run `genied`, nodes 3 and 4 have what it is compared with, so that no program of
/// ours is on the peers' path. Each two have a veth of their own between them as uplink.
struct DataplaneLab {
    let underlay: Underlay
    let directory: String
    let secretPath: String
    let uplinkMode: String

    /// The offloads that let super-packets over a wire.
    private static let superPacketOffloads = [
        "tso", "gso", "tx-udp-segmentation", "tx-udp_tnl-segmentation",
        "tx-udp_tnl-csum-segmentation", "tx-gso-partial",
    ]
    private static let uplinkMTU = 1_500
    private static let tunnelOverhead = 50

    private var genie: GenieRegisters {
        GenieRegisters(underlay: underlay, directory: directory, secretPath: secretPath)
    }

    /// Replaces the lab's switch by a veth between the two nodes of each pair.
    func connect() throws(BenchError) {
        for (left, right) in [(1, 2), (3, 4)] {
            for node in [left, right] { try ip(node, "link delete eth0") }
            try ip(
                left,
                "link add eth0 mtu \(Self.uplinkMTU) type veth peer name eth0 mtu \(Self.uplinkMTU) "
                    + "netns grlab\(underlay.id)-node\(right)"
            )
            for node in [left, right] {
                try ip(node, "address add \(underlay.address(node))/24 dev eth0")
                try ip(node, "link set eth0 up")
            }
        }
        try setProfile(.veth)
    }

    /// Makes every uplink what `place` says, alike for all.
    func setProfile(_ place: PathPlace) throws(BenchError) {
        let state = place == .wire ? "off" : "on"
        for node in 1...4 {
            let words = Self.superPacketOffloads.flatMap { [$0, state] }
            try underlay.run(["ethtool", "-K", "eth0", "gro", "on"] + words, on: node)
        }
    }

    // MARK: - Peers

    /// Makes the pods of everything that is compared with.
    func makePeers() throws(BenchError) -> [PathPlace: [PathKind: (PathEnd, PathEnd)]] {
        let pair = (try addPod("pair-a", on: 3), try addPod("pair-b", on: 3))
        try ip(
            3,
            "link add name eth0 netns \(pair.0.name) type veth peer name eth0 netns \(pair.1.name)"
        )
        let straight = (
            try address(pair.0, "10.3.0.1/24"), try address(pair.1, "10.3.0.2/24")
        )
        try ip(3, "link add br-near type bridge stp_state 0 forward_delay 0")
        try ip(3, "link set br-near up")
        let bridged = (
            try bridgePod("bridge-a", on: 3, "br-near", Self.uplinkMTU, "10.3.1.1/24"),
            try bridgePod("bridge-b", on: 3, "br-near", Self.uplinkMTU, "10.3.1.2/24")
        )
        let vxlan = try makeTunnel("csum", vni: 1, port: 4_789, "udpcsum", "10.3.2")
        let plain = try makeTunnel("plain", vni: 2, port: 4_790, "noudpcsum", "10.3.3")
        let tunnels: [PathKind: (PathEnd, PathEnd)] = [.vxlan: vxlan, .vxlanPlain: plain]
        return [
            .node: [.straight: straight, .bridge: bridged], .veth: tunnels, .wire: tunnels,
        ]
    }

    private func makeTunnel(
        _ name: String,
        vni: Int,
        port: Int,
        _ checksum: String,
        _ network: String
    ) throws(BenchError) -> (PathEnd, PathEnd) {
        var ends: [PathEnd] = []
        for (node, other) in [(3, 4), (4, 3)] {
            let bridge = "br-\(name)"
            try ip(node, "link add \(bridge) type bridge stp_state 0 forward_delay 0")
            try ip(
                node,
                "link add vx-\(name) type vxlan id \(vni) dstport \(port) dev eth0 "
                    + "local \(underlay.address(node)) remote \(underlay.address(other)) \(checksum)"
            )
            try ip(node, "link set vx-\(name) master \(bridge) up")
            try ip(node, "link set \(bridge) up")
            ends.append(
                try bridgePod(
                    name,
                    on: node,
                    bridge,
                    Self.uplinkMTU - Self.tunnelOverhead,
                    "\(network).\(node)/24"
                )
            )
        }
        return (ends[0], ends[1])
    }

    private func bridgePod(
        _ name: String,
        on node: Int,
        _ bridge: String,
        _ mtu: Int,
        _ address: String
    ) throws(BenchError) -> PathEnd {
        let pod = try addPod(name, on: node)
        try ip(
            node,
            "link add v-\(name) mtu \(mtu) type veth peer name eth0 mtu \(mtu) netns \(pod.name)"
        )
        try ip(node, "link set v-\(name) master \(bridge) up")
        return try self.address(pod, address)
    }

    private func addPod(
        _ pod: String,
        on node: Int
    ) throws(BenchError) -> (name: String, path: String) {
        let path = try underlay.addPod(pod, on: node)
        return (path.split(separator: "/").last.map(String.init) ?? path, path)
    }

    /// Gives a pod an address of each family; the IPv6 one has the IPv4 one's digits.
    private func address(
        _ pod: (name: String, path: String),
        _ address: String
    ) throws(BenchError) -> PathEnd {
        let four = address.split(separator: "/").first.map(String.init) ?? address
        let six = "fd00::" + four.split(separator: ".").joined(separator: ":")
        try Command.run("ip", ["-n", pod.name, "address", "add", address, "dev", "eth0"])
        try Command.run(
            "ip",
            ["-n", pod.name, "address", "add", "\(six)/112", "dev", "eth0", "nodad"]
        )
        try Command.run("ip", ["-n", pod.name, "link", "set", "eth0", "up"])
        return PathEnd(netns: pod.path, address: four, address6: six)
    }

    private func ip(_ node: Int, _ words: String) throws(BenchError) {
        let name = "grlab\(underlay.id)-node\(node)"
        try Command.run("ip", ["-n", name] + words.split(separator: " ").map(String.init))
    }

    // MARK: - Genie Ring

    /// Starts `genied` on both nodes; those that ran before are ended first, and their pods stay.
    func startGenie(replacing old: [Child] = []) throws(BenchError) -> [Child] {
        for child in old {
            child.send(15)
            _ = child.waitForEnd(within: .seconds(15))
        }
        let system = GenieSystem(secretPath: secretPath, underlay: underlay)
        var children: [Child] = []
        for node in 1...2 {
            let command = system.command(node: node) + ["--uplink-mode", uplinkMode]
            children.append(try underlay.start(command, on: node))
        }
        let isReady = Monotonic.wait(.seconds(60)) {
            Monotonic.sleep(.milliseconds(100))
            return (1...2).allSatisfy { genie.ring($0)?.members.count == 2 }
        }
        guard isReady else {
            let words = children.map { $0.lines().last?.text ?? "" }
            throw .timedOut(waitingFor: "a ring of two: \(words)", seconds: 60)
        }
        return children
    }

    /// How the uplink of a node receives, and why.
    func receives(_ node: Int) -> String {
        guard case .success(let body) = genie.ask(node, .get, "/v1/dataplane"),
            let status = try? JSONDecoder().decode(DataplaneStatus.self, from: Data(body))
        else { return "unknown" }
        return status.uplinks.map { "\($0.mode) (\($0.modeReason))" }.joined(separator: ", ")
    }

    /// Makes the pods of one subnet: two on node 1, one on node 2.
    func makePods(
        group: String,
        subnet: String
    ) throws(BenchError) -> [PathPlace: (PathEnd, PathEnd)] {
        let encoder = JSONEncoder()
        let vpc = try? encoder.encode(CreateVPC(name: "bench-\(group)", vni: nil))
        let name = "bench-\(group)/\(group)"
        let wanted = try? encoder.encode(CreateGroup(name: name, subnet: subnet))
        _ = try genie.ask(1, .post, "/v1/vpcs", Array(vpc ?? Data())).get()
        _ = try genie.ask(1, .post, "/v1/groups", Array(wanted ?? Data())).get()
        let first = try attach("\(group)-a", group, on: 1)
        let near = try attach("\(group)-b", group, on: 1)
        let far = try attach("\(group)-c", group, on: 2)
        return [.node: (first, near), .veth: (first, far), .wire: (first, far)]
    }

    private func attach(
        _ pod: String,
        _ group: String,
        on node: Int
    ) throws(BenchError) -> PathEnd {
        let netns = try underlay.addPod(pod, on: node)
        let call = CNICall(
            verb: .add,
            containerID: pod,
            netns: netns,
            ifname: "eth0",
            config: """
                {"cniVersion":"1.1.0","name":"bench","type":"genie",\
                "vpc":"bench-\(group)","group":"\(group)"}
                """
        )
        let answer = try genie.ask(node, .post, "/v1/cni", call.jsonText).get()
        return PathEnd(netns: netns, address: try CNIAnswer.address(answer))
    }
}

/// What a bench wants to know of an answer to ADD.
enum CNIAnswer {
    private struct Result: Decodable {
        struct Address: Decodable {
            let address: String
        }
        let ips: [Address]
    }

    /// The pod's first address.
    static func address(_ answer: [UInt8]) throws(BenchError) -> String {
        let result = try? JSONDecoder().decode(Result.self, from: Data(answer))
        guard let address = result?.ips.first?.address.split(separator: "/").first else {
            throw .unreadable(
                what: "the answer to ADD",
                text: String(decoding: answer, as: UTF8.self)
            )
        }
        return String(address)
    }
}
