import Addressing
import BPFObjects
import Testing

/// Two nodes with an uplink between them and pods on both, each in a namespace of its own.
///
/// VPC 42: pods `a` and `b` on the first node, `c` on the second. VPC 43: `twin` on the first node
/// with `b`'s addresses and MAC.
final class TwoNodes {
    let first: Node
    let second: Node
    let a: Pod
    let b: Pod
    let c: Pod
    let twin: Pod

    static let gateway = IPAddress(literal: "10.1.0.1")
    static let gateway6 = IPAddress(literal: "fd00:1::1")
    static let gatewayMAC = MACAddress(bits: 0x0e00_0000_0001)

    /// A node: its namespace, its BPF file system and its dataplane.
    final class Node {
        let namespace: NetworkNamespace
        let mount: BPFMount
        let dataplane: Dataplane
        let vtep: IPAddress

        init(vtep: String) throws {
            namespace = try NetworkNamespace()
            mount = try BPFMount()
            dataplane = try Dataplane(pinDirectory: mount.path + "/genie")
            self.vtep = IPAddress(literal: vtep)
        }

        func drops() throws -> [String: UInt64] {
            try dataplane.drops().reduce(into: [:]) { drops, drop in
                drops["\(drop.vni?.number ?? 0)/\(drop.reason)"] = drop.count
            }
        }

        func count(_ name: String) throws -> UInt64 {
            try #require(dataplane.counts().first { $0.name == name }).count
        }
    }

    /// A pod: its namespace and how it is attached.
    final class Pod {
        let namespace: NetworkNamespace
        let name: String
        let vni: VNI
        let address: IPAddress
        let address6: IPAddress
        let mac: MACAddress
        let node: Node
        let ifindex: UInt32

        init(_ name: String, vni: UInt32, address: String, mac: UInt64, on node: Node) throws {
            namespace = try NetworkNamespace()
            self.name = name
            self.vni = VNI(literal: vni)
            self.address = IPAddress(literal: address)
            address6 = IPAddress(literal: "fd00:1::\(String(mac, radix: 16))")
            self.mac = MACAddress(bits: 0x0200_0000_0000 | mac)
            self.node = node
            try node.namespace.run(
                """
                ip link add name pod-\(name) mtu 1450 type veth \
                peer name eth0 address \(self.mac) mtu 1450 netns \(namespace.name)
                """
            )
            try node.namespace.run("ip link set pod-\(name) up")
            try namespace.run("ip addr add \(address)/32 dev eth0 && ip link set eth0 up")
            try namespace.run("ip route add \(TwoNodes.gateway) dev eth0 scope link")
            try namespace.run("ip route add default via \(TwoNodes.gateway)")
            // The gateway's MAC is asked for, and not told: neighbour discovery has to answer.
            try namespace.run("ip addr add \(address6)/128 dev eth0 nodad")
            try namespace.run("ip route add \(TwoNodes.gateway6) dev eth0")
            try namespace.run("ip route add default via \(TwoNodes.gateway6)")
            ifindex = try node.namespace.ifindex(of: "pod-\(name)")
        }

        /// The share of answered pings, and what ping said.
        func ping(_ target: IPAddress, _ options: String = "-c 3 -i 0.05") throws -> (Int32, String)
        {
            try namespace.tryRun("ping -n -W 2 \(options) \(target)")
        }
    }

    /// Keeps the router's namespace, where there is one.
    private let router: NetworkNamespace?

    /// Makes both; with a path MTU there is a router between them, whose way to the second node is
    /// so narrow.
    init(mode: UplinkMode, pathMTU: Int? = nil, isOverIPv6: Bool = false) throws {
        precondition(pathMTU == nil || !isOverIPv6, "the router knows IPv4 alone")
        let far = pathMTU == nil ? "192.0.2.2" : "198.51.100.2"
        let first = try Node(vtep: isOverIPv6 ? "fd00:2::1" : "192.0.2.1")
        let second = try Node(vtep: isOverIPv6 ? "fd00:2::2" : far)
        if let pathMTU {
            router = try Self.makeRouter(first, second, mtu: pathMTU)
        } else {
            router = nil
            try first.namespace.run(
                "ip link add name uplink type veth peer name uplink netns \(second.namespace.name)"
            )
        }
        self.first = first
        self.second = second
        a = try Pod("a", vni: 42, address: "10.1.0.5", mac: 5, on: first)
        b = try Pod("b", vni: 42, address: "10.1.0.6", mac: 6, on: first)
        c = try Pod("c", vni: 42, address: "10.1.0.9", mac: 9, on: second)
        twin = try Pod("twin", vni: 43, address: "10.1.0.6", mac: 6, on: first)
        for (node, other) in [(first, second), (second, first)] {
            try configure(node, other, mode)
        }
    }

    /// Gives the router one more address on the first node's link.
    func addRouterAddress(_ address: IPAddress, length: String = "24") throws {
        try #require(router).run("ip addr add \(address)/\(length) dev one")
    }

    private static func makeRouter(
        _ first: Node,
        _ second: Node,
        mtu: Int
    ) throws -> NetworkNamespace {
        let router = try NetworkNamespace()
        for (node, port, address) in [
            (first, "one", "192.0.2.254"), (second, "two", "198.51.100.254"),
        ] {
            let there = node.namespace.name
            try router.run("ip link add name \(port) type veth peer name uplink netns \(there)")
            try router.run("ip addr add \(address)/24 dev \(port) && ip link set \(port) up")
            try node.namespace.run("ip link set uplink up")
        }
        try router.run("ip link set two mtu \(mtu)")
        try router.run("sysctl -qw net.ipv4.ip_forward=1")
        return router
    }

    private func configure(_ node: Node, _ other: Node, _ mode: UplinkMode) throws {
        let namespace = node.namespace
        let length = node.vtep.isV4 ? "24" : "64 nodad"
        try namespace.run("ip addr add \(node.vtep)/\(length) dev uplink && ip link set uplink up")
        if router != nil {
            let gateway = node === first ? "192.0.2.254" : "198.51.100.254"
            try namespace.run("ip route add default via \(gateway)")
        }
        // Inner segments are merged only where the uplink may merge at all.
        try namespace.run("ethtool -K uplink gro on")
        let uplink = try namespace.ifindex(of: "uplink")
        let dataplane = node.dataplane
        try dataplane.setNode(
            NodeConfiguration(vtep: node.vtep, uplinkIfindex: uplink, uplinkMTU: 1500)
        )
        try dataplane.putVTEP(other.vtep)
        let pods = [a, b, c, twin]
        for pod in pods where pod.node === node {
            try dataplane.putVNI(VNIRow(vni: pod.vni, gatewayMAC: Self.gatewayMAC))
            try dataplane.putPort(Self.port(of: pod))
        }
        for pod in pods {
            let isLocal = pod.node === node
            let place: EndpointRow.Place =
                isLocal ? .local(ifindex: pod.ifindex) : .remote(vtep: pod.node.vtep)
            for address in [pod.address, pod.address6] {
                try dataplane.putEndpoint(
                    EndpointRow(
                        vni: pod.vni,
                        address: address,
                        mac: pod.mac,
                        place: place,
                        fence: 1
                    )
                )
            }
        }
        let attached = try namespace.inside {
            for pod in pods where pod.node === node {
                try dataplane.attachPod(ifindex: pod.ifindex, key: pod.name)
            }
            return try dataplane.attachUplink(ifindex: uplink, mode: mode)
        }
        try #require(attached.mode == mode, "\(attached)")
    }

    private static func port(of pod: Pod) -> PortRow {
        PortRow(
            ifindex: pod.ifindex,
            vni: pod.vni,
            addresses: [
                PodAddress(address: pod.address, gateway: gateway),
                PodAddress(address: pod.address6, gateway: gateway6),
            ],
            mac: pod.mac,
            gatewayMAC: gatewayMAC,
            generation: 1
        )
    }
}
