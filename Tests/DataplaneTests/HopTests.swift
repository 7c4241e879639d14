import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import Glibc
import Testing

@Suite(
    "By which neighbour encapsulated packets leave, and for how long that is believed",
    .enabled(if: getuid() == 0, "needs root")
)
struct HopTests {
    private static let router = IPAddress(literal: "192.0.2.254")
    private static let otherRouter = IPAddress(literal: "192.0.2.253")

    /// What is remembered of the way to a VTEP, of each CPU that knows of one.
    private func hops(_ node: TwoNodes.Node, to vtep: IPAddress) throws -> [hop_value] {
        let map = bpf_obj_get(node.dataplane.pinDirectory + "/gr_hop_r1")
        try #require(map >= 0)
        defer { close(map) }
        var rows = [hop_value](repeating: hop_value(), count: Int(libbpf_num_possible_cpus()))
        var found: [hop_value] = []
        for slot in 0..<UInt32(GENIE_HOP_MAX) {
            var slot = slot
            try #require(bpf_map_lookup_elem(map, &slot, &rows) == 0)
            found += rows.filter { UInt32(bigEndian: $0.vtep) == vtep.v4 }
        }
        return found
    }

    /// The neighbours of those; nil for the kernel finding it each time.
    private func neighbours(_ node: TwoNodes.Node, to vtep: IPAddress) throws -> [IPAddress?] {
        try hops(node, to: vtep).map { hop in
            let words = withUnsafeBytes(of: hop.neighbour) { bytes in
                [0..<8, 8..<16].map { bytes[$0].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            }
            switch hop.family {
            case 2: return IPAddress(v4: UInt32(words[0] >> 32))
            case 10: return IPAddress(high: words[0], low: words[1])
            default: return nil
            }
        }
    }

    private func lab(pathMTU: Int? = nil, isOverIPv6: Bool = false) throws -> TwoNodes {
        let lab = try TwoNodes(
            mode: .trafficControlOnly,
            pathMTU: pathMTU,
            isOverIPv6: isOverIPv6
        )
        try lab.first.namespace.run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        )
        return lab
    }

    private func expectPings(_ lab: TwoNodes, _ options: String = "-c 3 -i 0.05") throws {
        let (status, said) = try lab.a.ping(lab.c.address, options)
        #expect(status == 0 && said.contains(" 0% packet loss"), "\(said)")
    }

    @Test("a node that forwards remembers the neighbour on its own link")
    func direct() throws {
        let lab = try lab()
        try expectPings(lab)
        let found = try neighbours(lab.first, to: lab.second.vtep)
        #expect(!found.isEmpty && found.allSatisfy { $0 == lab.second.vtep }, "\(found)")
    }

    /// Says that the first node has several uplinks, though it has one.
    private func route(_ lab: TwoNodes) throws {
        try lab.first.dataplane.setNode(
            NodeConfiguration(
                vtep: lab.first.vtep,
                uplinkIfindex: lab.first.namespace.ifindex(of: "uplink"),
                uplinkMTU: 1500,
                isRouted: true
            )
        )
    }

    @Test(
        "with several uplinks the routes are asked for each packet, and may refuse it",
        arguments: [false, true]
    )
    func routed(isOverIPv6: Bool) throws {
        let lab = try lab(isOverIPv6: isOverIPv6)
        try route(lab)
        try expectPings(lab)
        #expect(try hops(lab.first, to: lab.second.vtep).isEmpty, "nothing is remembered")
        let family = isOverIPv6 ? "-6" : "-4"
        try lab.first.namespace.run("ip \(family) route add unreachable \(lab.second.vtep)")
        #expect(try lab.a.ping(lab.c.address, "-c 2 -i 0.05").0 != 0)
        let drops = try lab.first.drops()
        #expect(drops["42/no_route"] == 2, "\(drops)")
    }

    @Test(
        "with several uplinks a node that does not forward sends by the first",
        arguments: [false, true]
    )
    func routedWithoutForwarding(isOverIPv6: Bool) throws {
        let lab = try lab(isOverIPv6: isOverIPv6)
        try route(lab)
        try lab.first.namespace.run(
            "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"
        )
        try expectPings(lab)
        #expect(try lab.first.drops()["42/no_route"] == nil)
    }

    @Test("with several uplinks, too, an IPv6 router leads to an IPv4 node (RFC 5549)")
    func routedByOtherFamily() throws {
        let lab = try lab(pathMTU: 1500)
        try lab.addRouterAddress(IPAddress(literal: "fd00:9::fe"), length: "64 nodad")
        try lab.first.namespace.run("ip addr add fd00:9::1/64 dev uplink nodad")
        try lab.first.namespace.run("ip -4 route replace default via inet6 fd00:9::fe dev uplink")
        try route(lab)
        try expectPings(lab, "-c 5 -i 0.03")
    }

    @Test("over IPv6 the flow label chooses among routes, so none is remembered")
    func overIPv6() throws {
        let lab = try lab(isOverIPv6: true)
        try expectPings(lab)
        #expect(try hops(lab.first, to: IPAddress(literal: "0.0.0.0")).allSatisfy { $0.until == 0 })
    }

    @Test("a node that does not forward leaves the neighbour to the kernel, each time")
    func without() throws {
        let lab = try lab()
        try lab.first.namespace.run("sysctl -qw net.ipv4.ip_forward=0")
        try expectPings(lab)
        let found = try neighbours(lab.first, to: lab.second.vtep)
        #expect(!found.isEmpty && found.allSatisfy { $0 == nil }, "\(found)")
    }

    @Test("a route that changes is followed with the next packets, to nowhere as well")
    func changed() throws {
        let lab = try lab(pathMTU: 1500)
        try expectPings(lab)
        #expect(Set(try neighbours(lab.first, to: lab.second.vtep)) == [Self.router])
        try lab.addRouterAddress(Self.otherRouter)
        try lab.first.namespace.run("ip route replace default via \(Self.otherRouter)")
        // So far apart that each CPU that sends has looked again by the last.
        try expectPings(lab, "-c 20 -i 0.03")
        #expect(try neighbours(lab.first, to: lab.second.vtep).contains(Self.otherRouter))
        // Nobody gets it, and it is counted.
        try lab.first.namespace.run("ip route replace unreachable default")
        usleep(50_000)
        #expect(try lab.a.ping(lab.c.address, "-c 2 -i 0.05").0 != 0)
        let drops = try lab.first.drops()
        #expect(drops["42/no_route"] == 2, "\(drops)")
    }

    @Test("an IPv4 node behind a router that has IPv6 alone is reached (RFC 5549)")
    func byOtherFamily() throws {
        let lab = try lab(pathMTU: 1500)
        try lab.addRouterAddress(IPAddress(literal: "fd00:9::fe"), length: "64 nodad")
        try lab.first.namespace.run("ip addr add fd00:9::1/64 dev uplink nodad")
        try lab.first.namespace.run("ip -4 route replace default via inet6 fd00:9::fe dev uplink")
        try expectPings(lab, "-c 10 -i 0.03")
        let found = try neighbours(lab.first, to: lab.second.vtep)
        #expect(found.contains(IPAddress(literal: "fd00:9::fe")), "\(found)")
    }

    @Test("what was remembered of one uplink does not count for another")
    func otherUplink() throws {
        let lab = try lab()
        try expectPings(lab)
        let uplink = try lab.first.namespace.ifindex(of: "uplink")
        #expect(try hops(lab.first, to: lab.second.vtep).allSatisfy { $0.ifindex == uplink })
    }
}
