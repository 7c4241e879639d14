import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite(
    "pod_egress: the VPC that is open to its node",
    .enabled(if: getuid() == 0, "needs root")
)
struct OpenVPCTests {
    private static let nodeMAC = MACAddress(bits: 0x0200_0000_0fff)
    private static let outside = IPAddress(literal: "198.51.100.7")
    private static let outside6 = IPAddress(literal: "2001:db8::7")

    /// The node's port is `ifindex`, of a VPC with that number.
    private func open(_ fixture: F, port ifindex: UInt32, vni: VNI = F.vni) throws {
        try fixture.dataplane.setNode(
            NodeConfiguration(
                vtep: F.vtep,
                uplinkIfindex: 5,
                uplinkMTU: 1500,
                open: .init(vni: vni, ifindex: ifindex, mac: Self.nodeMAC)
            )
        )
    }

    private func packet(
        from source: IPAddress,
        to target: IPAddress,
        port: UInt16 = 53
    ) -> [UInt8] {
        let frame = Ethernet(
            target: F.gatewayMAC,
            source: F.podMAC,
            type: source.isV4 ? 0x0800 : 0x86dd
        )
        let payload = UDP(source: 5000, target: port).carrying(Array("golden".utf8))
        return source.isV4
            ? frame.carrying(
                IPv4(source: source, target: target, transport: 17).carrying(payload)
            )
            : frame.carrying(IPv6(source: source, target: target, next: 17).carrying(payload))
    }

    @Test(
        "what a pod sends to nobody in it goes to the node as it is, but for the Ethernet header",
        arguments: [(F.pod, outside), (F.pod6, outside6)]
    )
    func toNode(source: IPAddress, target: IPAddress) throws {
        let fixture = try F()
        try open(fixture, port: 88)
        let sent = packet(from: source, to: target)
        let outcome = try fixture.run(.podEgress, sent)
        let wanted = Self.nodeMAC.bytes + F.gatewayMAC.bytes + sent[12...]
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["pod_to_node=1"])
        #expect(try fixture.drops().isEmpty)
    }

    @Test(
        "nothing leads to the node from another VPC, nor to a link-local address, nor while it has no port",
        arguments: [(F.pod, outside), (F.pod6, outside6)]
    )
    func closed(source: IPAddress, target: IPAddress) throws {
        let fixture = try F()
        try open(fixture, port: 88, vni: F.otherVNI)
        _ = try fixture.run(.podEgress, packet(from: source, to: target))
        try fixture.dataplane.setNode(
            NodeConfiguration(vtep: F.vtep, uplinkIfindex: 5, uplinkMTU: 1500)
        )
        _ = try fixture.run(.podEgress, packet(from: source, to: target))
        try open(fixture, port: 88)
        let onLink = IPAddress(literal: "fe80::7")
        _ = try fixture.run(.podEgress, packet(from: F.pod6, to: onLink))
        #expect(try fixture.drops() == ["42/no_endpoint=3"])
        #expect(try !fixture.counts().contains { $0.hasPrefix("pod_to_node") })
    }

    @Test("what nobody routes, and what other nodes would take for the tunnel, goes to no stack")
    func neverToNode() throws {
        let fixture = try F()
        try open(fixture, port: 88)
        let texts = ["169.254.169.254", "127.0.0.1", "0.0.0.1", "224.0.0.1", "255.255.255.255"]
        for text in texts {
            let target = try #require(IPAddress(text))
            _ = try fixture.run(.podEgress, packet(from: F.pod, to: target))
        }
        _ = try fixture.run(.podEgress, packet(from: F.pod, to: Self.outside, port: 6081))
        _ = try fixture.run(.podEgress, packet(from: F.pod6, to: Self.outside6, port: 6081))
        // Behind extension headers as well: options, options for all routers, and a first fragment.
        let tunnel = UDP(source: 5000, target: 6081).carrying(Array("golden".utf8))
        for (header, next) in [
            ([17, 0, 1, 4, 0, 0, 0, 0], 60),
            ([60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0], 60),
            ([17, 0, 0, 1, 0, 0, 0, 7], 44),
        ] as [([UInt8], UInt8)] {
            let inner = IPv6(source: F.pod6, target: Self.outside6, next: next)
            let frame = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            _ = try fixture.run(.podEgress, frame.carrying(inner.carrying(header + tunnel)))
        }
        // A loopback, nobody, and IPv4 in the clothes of IPv6 are not for any router either.
        for text in ["::1", "::", "::2", "fe80::7"] {
            let target = try #require(IPAddress(text))
            _ = try fixture.run(.podEgress, packet(from: F.pod6, to: target))
        }
        #expect(try fixture.drops() == ["42/no_endpoint=14"])
        #expect(try !fixture.counts().contains { $0.hasPrefix("pod_to_node") })
    }

    @Test("the node's own port sends nothing to groups")
    func nodeAndGroups() throws {
        let fixture = try F()
        try open(fixture, port: F.podIfindex)
        let group = GroupKey(vni: F.vni, group: 0)
        try fixture.dataplane.setPlaces([.local(ifindex: 77)], of: group, over: [])
        let many = Ethernet(target: MACAddress(bits: 0x0100_5e00_00fb), source: F.podMAC).carrying(
            IPv4(source: F.pod, target: IPAddress(literal: "224.0.0.251"), transport: 17)
                .carrying(UDP(source: 5353, target: 5353).carrying([1]))
        )
        #expect(try fixture.run(.podEgress, many).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/multicast=1"])
    }

    @Test("the endpoints of the VPC are reached as in any other")
    func endpoints() throws {
        let fixture = try F()
        try open(fixture, port: 88)
        _ = try fixture.run(.podEgress, packet(from: F.pod, to: F.local))
        _ = try fixture.run(.podEgress, packet(from: F.pod, to: F.remote))
        #expect(try fixture.counts() == ["pod_to_local_pod=1", "pod_to_remote_pod=1"])
    }

    @Test(
        "the node sends under any address that is no endpoint's, and its packets never come back to it",
        arguments: [
            (outside, F.local, F.remote, IPAddress(literal: "198.51.100.8")),
            (outside6, F.local6, F.remote6, IPAddress(literal: "2001:db8::8")),
        ]
    )
    func fromNode(
        source: IPAddress,
        local: IPAddress,
        remote: IPAddress,
        nobody: IPAddress
    ) throws {
        let fixture = try F()
        // The port under test is the node's own.
        try open(fixture, port: F.podIfindex)
        for target in [local, remote] {
            let outcome = try fixture.run(.podEgress, packet(from: source, to: target))
            #expect(outcome.verdict == Verdict.redirect)
        }
        #expect(try fixture.counts() == ["pod_to_local_pod=1", "pod_to_remote_pod=1"])
        // Under a pod's address the node has nothing to send.
        let spoofed = try fixture.run(.podEgress, packet(from: local, to: remote))
        #expect(spoofed.verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/spoofed_address=1"])
        // Who is told of the failure is the sender, not the node.
        let error = try fixture.run(.podEgress, packet(from: source, to: nobody)).packet
        let target = source.isV4 ? error[30..<34] : error[38..<54]
        #expect(Array(target) == Array(source.bytes.suffix(target.count)))
        #expect(try fixture.drops() == ["42/spoofed_address=1", "42/no_endpoint=1"])
    }
}
