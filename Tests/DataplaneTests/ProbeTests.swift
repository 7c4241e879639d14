import Addressing
import BPFObjects
import Glibc
import Testing

@Suite(
    "A traced packet is noted by every program that it meets",
    .enabled(if: getuid() == 0, "needs root")
)
struct ProbeTests {
    typealias F = DataplaneFixture

    private static let mark: UInt32 = 0xbeef

    private func packet(to target: IPAddress, id: UInt16 = UInt16(mark)) -> [UInt8] {
        let ip = IPv4(source: F.pod, target: target, transport: 17, id: id)
        let payload = UDP(source: 5000, target: 53).carrying(Array("golden".utf8))
        return Ethernet(target: F.gatewayMAC, source: F.podMAC).carrying(ip.carrying(payload))
    }

    private func watch(_ fixture: F, for target: IPAddress) throws {
        try fixture.dataplane.watchFor(
            vni: F.vni,
            mark: Self.mark,
            source: F.pod,
            target: target
        )
    }

    private func seen(_ fixture: F) throws -> [String] {
        try fixture.dataplane.probesSeen().map {
            "\($0.program.rawValue) \($0.mark) \($0.vni?.number ?? 0) \($0.ifindex) \($0.verdict)"
        }
    }

    @Test("only the packet with the mark is noted, and only while it is watched for")
    func mark() throws {
        let fixture = try F()
        _ = try fixture.run(.podEgress, packet(to: F.local))
        #expect(try seen(fixture).isEmpty)
        try watch(fixture, for: F.local)
        _ = try fixture.run(.podEgress, packet(to: F.local, id: 0xbee0))
        _ = try fixture.run(.podEgress, packet(to: F.remote))
        #expect(try seen(fixture).isEmpty)
        _ = try fixture.run(.podEgress, packet(to: F.local))
        #expect(try seen(fixture) == ["pod_egress 48879 42 1 toLocalPod"])
        try fixture.dataplane.stopWatching()
        let time = try fixture.dataplane.probesSeen().map(\.nanoseconds)
        _ = try fixture.run(.podEgress, packet(to: F.local))
        #expect(try fixture.dataplane.probesSeen().map(\.nanoseconds) == time)
    }

    @Test("a dropped one says why")
    func dropped() throws {
        let fixture = try F()
        try watch(fixture, for: F.elsewhere)
        _ = try fixture.run(.podEgress, packet(to: F.elsewhere))
        #expect(try seen(fixture) == ["pod_egress 48879 42 1 dropped(no_endpoint)"])
    }

    @Test("between nodes it has a source port of its own, and a packet without one is as before")
    func onTheWire() throws {
        let fixture = try F()
        let plain = try fixture.run(.podEgress, packet(to: F.remote)).packet
        try watch(fixture, for: F.remote)
        var traced = try fixture.run(.podEgress, packet(to: F.remote)).packet
        #expect(Array(traced[34..<36]) == [0xbf, 0xff])
        #expect(Array(plain[34..<36]) != [0xbf, 0xff])
        traced.replaceSubrange(34..<36, with: plain[34..<36])
        #expect(traced == plain)
    }

    @Test("so it has where the outer family is not the inner one")
    func onTheWireOfOtherFamily() throws {
        let over6 = try F(vtep: F.vtep6)
        try watch(over6, for: F.overIPv6)
        let inner4 = try over6.run(.podEgress, packet(to: F.overIPv6)).packet
        #expect(Array(inner4[54..<56]) == [0xbf, 0xff])

        let over4 = try F()
        try over4.dataplane.watchFor(
            vni: F.vni,
            mark: Self.mark,
            source: F.pod6,
            target: F.remote6
        )
        var traced = F.podUDP6(to: F.remote6)
        traced.replaceSubrange(16..<18, with: [0xbe, 0xef])
        let inner6 = try over4.run(.podEgress, traced).packet
        #expect(Array(inner6[34..<36]) == [0xbf, 0xff])
    }

    @Test(
        "the other node's programs note it by that port, and nothing of other packets",
        arguments: [Dataplane.Program.uplinkIngress, .uplinkXDP]
    )
    func otherNode(program: Dataplane.Program) throws {
        let fixture = try F()
        var tunnel = F.TunnelPacket()
        _ = try fixture.run(program, tunnel.bytes)
        #expect(try seen(fixture).isEmpty)
        tunnel.udp.source = 49_151
        tunnel.inner.id = 77
        _ = try fixture.run(program, tunnel.bytes)
        #expect(try seen(fixture) == ["\(program.rawValue) 77 42 77 toLocalPod"])
        tunnel.geneve.vni = 99
        _ = try fixture.run(program, tunnel.bytes)
        #expect(try seen(fixture) == ["\(program.rawValue) 77 0 0 dropped(unknown_vni)"])
    }

    @Test("what a stranger sends with that port is not noted")
    func stranger() throws {
        let fixture = try F()
        var tunnel = F.TunnelPacket()
        tunnel.udp.source = 49_151
        tunnel.outer.source = IPAddress(literal: "198.51.100.1")
        _ = try fixture.run(.uplinkIngress, tunnel.bytes)
        #expect(try seen(fixture).isEmpty)
    }
}
