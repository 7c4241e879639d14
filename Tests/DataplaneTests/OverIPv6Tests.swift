import Addressing
import BPFObjects
import CGenieABI
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("over an IPv6 underlay: golden packets", .enabled(if: getuid() == 0, "needs root"))
struct OverIPv6Tests {
    private static let podMTU = 1430

    /// What the other node sends for the pod at `local`.
    private struct Tunnel {
        var outer = IPv6(source: F.otherVTEP6, target: F.vtep6, next: 17, flowLabel: 0x54321)
        var udp = UDP(source: 50_000, target: 6081)
        var inside = F.TunnelPacket()

        init(isV6: Bool) {
            if isV6 {
                inside.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17, hopLimit: 63)
            }
        }

        var bytes: [UInt8] {
            // Behind outer Ethernet, IPv4 and UDP.
            let geneve = Array(inside.bytes.dropFirst(42))
            return Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC, type: 0x86dd)
                .carrying(outer.carrying(udp.carrying(geneve)))
        }
    }

    @Test(
        "E1, E2, E3: both families are encapsulated byte for byte",
        arguments: [false, true],
        [UInt8(0), 0xb9]
    )
    func encapsulation(isV6: Bool, trafficClass: UInt8) throws {
        let fixture = try F(vtep: F.vtep6)
        let packet =
            isV6
            ? F.podUDP6(to: F.overIPv6v6, trafficClass: trafficClass)
            : F.podUDP(to: F.overIPv6, tos: trafficClass)
        let sent = try fixture.run(.podEgress, packet)
        #expect(sent.verdict == Verdict.redirect)
        // Flow label and source port carry the flow's number, which other tests look at.
        let label = sent.packet[14..<18].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0xf_ffff
        let port = UInt16(sent.packet[54]) << 8 | UInt16(sent.packet[55])
        #expect(port >= 49_152 && UInt32(port - 49_152) == label & 0x3fff && label != 0)
        var inner = packet
        inner.replaceSubrange(0..<12, with: F.remoteMAC.bytes + F.gatewayMAC.bytes)
        let hops = isV6 ? 21 : 22
        inner[hops] -= 1
        inner.replaceSubrange(24..<26, with: isV6 ? packet[24..<26] : sent.packet[94..<96])
        let outer = IPv6(
            source: F.vtep6,
            target: F.otherVTEP6,
            next: 17,
            trafficClass: trafficClass,
            flowLabel: label
        )
        let tunnel = UDP(source: port, target: 6081).carrying(Geneve(vni: 42).carrying(inner))
        let wanted = sent.packet.prefix(14) + outer.carrying(tunnel)
        #expect(sent.packet == Array(wanted))
        if !isV6 { #expect(internetChecksum(Array(sent.packet[84..<104])) == 0) }
    }

    @Test("E7: the pod MTU is 70 less than the uplink's")
    func size() throws {
        let fixture = try F(vtep: F.vtep6)
        for (target, front) in [(F.overIPv6, 28), (F.overIPv6v6, 48)] {
            func run(_ size: Int) throws -> [UInt8] {
                let payload = [UInt8](repeating: 7, count: size - front)
                let packet =
                    target.isV4
                    ? F.podUDP(to: target, payload: payload)
                    : F.podUDP6(to: target, payload: payload)
                return try fixture.run(.podEgress, packet).packet
            }
            #expect(try run(Self.podMTU).count == 14 + Self.podMTU + 70)
            let error = try run(Self.podMTU + 1)
            let place = target.isV4 ? 38 : 58
            #expect(Array(error[place..<place + 4]) == big(UInt32(Self.podMTU)))
        }
        _ = try fixture.run(.podEgress, F.podUDP(to: F.remote))
        #expect(try fixture.drops().contains("42/vtep_family=1"))
    }

    @Test(
        "E2: both families are stripped, with the ECN field as RFC 6040 says",
        arguments: [Dataplane.Program.uplinkXDP, .uplinkIngress]
    )
    func decapsulation(program: Dataplane.Program) throws {
        let fixture = try F(vtep: F.vtep6)
        for (inner, outer, wanted) in UplinkTests.ecnTable {
            for isV6 in [false, true] {
                var tunnel = Tunnel(isV6: isV6)
                tunnel.outer.trafficClass = 0x2c | outer
                tunnel.inside.inner.tos = inner
                tunnel.inside.inner6?.trafficClass = inner
                let outcome = try fixture.run(program, tunnel.bytes)
                tunnel.inside.inner.tos = wanted
                tunnel.inside.inner6?.trafficClass = wanted
                #expect(outcome.packet == tunnel.inside.delivered, "\(inner), \(outer), \(isV6)")
            }
        }
        #expect(try fixture.drops().isEmpty)
    }

    @Test("what is not right is dropped, what is not of the tunnel passes untouched")
    func judgement() throws {
        let fixture = try F(vtep: F.vtep6)
        func run(_ change: (inout Tunnel) -> Void) throws -> [Int32] {
            var tunnel = Tunnel(isV6: false)
            change(&tunnel)
            let bytes = tunnel.bytes
            let outcomes = try [Dataplane.Program.uplinkXDP, .uplinkIngress].map {
                try fixture.run($0, bytes)
            }
            for outcome in outcomes
            where ![Verdict.shot, Verdict.xdpDrop].contains(outcome.verdict) {
                #expect(outcome.packet == bytes)
            }
            return outcomes.map(\.verdict)
        }
        let dropped = [Verdict.xdpDrop, Verdict.shot]
        let passed = [Verdict.xdpPass, Verdict.unspecified]
        let stranger = IPAddress(literal: "fd00::66")
        #expect(try run { $0.outer.source = stranger } == dropped)
        // The known VTEP of the other family, mapped.
        #expect(try run { $0.outer.source = F.otherVTEP } == dropped)
        #expect(try run { $0.udp.length = 7 } == dropped)
        #expect(try run { $0.outer.payloadLength = 500 } == dropped)
        #expect(try run { $0.inside.geneve.vni = 0 } == dropped)
        #expect(
            try fixture.drops() == ["0/bad_vtep=4", "0/outer_length=4", "0/zero_vni=2"]
        )
        #expect(try run { $0.outer.target = stranger } == passed)
        #expect(try run { $0.outer.next = 44 } == passed)
        #expect(try run { $0.outer.version = 4 } == passed)
        #expect(try run { $0.udp.target = 6082 } == passed)
        // An IPv4 underlay beside it is somebody else's.
        let foreign = F.TunnelPacket().bytes
        #expect(try fixture.run(.uplinkXDP, foreign).packet == foreign)
        #expect(try fixture.drops().count == 3)
    }

    @Test("the tunnel echo is turned round with a right checksum")
    func echo() throws {
        let fixture = try F(vtep: F.vtep6)
        func control(_ kind: UInt32, _ ends: (IPAddress, IPAddress), _ ports: (UInt16, UInt16))
            -> [UInt8]
        {
            let body = Geneve(vni: 0, flags: 0x80, payloadType: UInt16(GENIE_ECHO_PROTOCOL))
                .carrying(big(kind) + [1, 2, 3, 4, 5, 6, 7, 8])
            var udp = UDP(source: ports.0, target: ports.1)
            let plain = udp.carrying(body)
            let pseudo = ends.0.bytes + ends.1.bytes + big(UInt32(plain.count)) + [0, 0, 0, 17]
            udp.checksum = internetChecksum(pseudo + plain)
            return IPv6(source: ends.0, target: ends.1, next: 17).carrying(udp.carrying(body))
        }
        let request = Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC, type: 0x86dd)
            .carrying(control(1, (F.otherVTEP6, F.vtep6), (40_000, 6081)))
        let reply = Ethernet(target: F.otherUplinkMAC, source: F.uplinkMAC, type: 0x86dd)
            .carrying(control(2, (F.vtep6, F.otherVTEP6), (6081, 40_000)))
        let outcome = try fixture.run(.uplinkIngress, request)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: reply))
        #expect(try fixture.counts() == ["tunnel_echo_reply=1"])
    }

    @Test("E8: a router's packet-too-big lowers the path; a forged one does not")
    func path() throws {
        let fixture = try F(vtep: F.vtep6)
        func news(source: IPAddress = F.vtep6, target: IPAddress = F.otherVTEP6, type: UInt8 = 2)
            -> [UInt8]
        {
            let quote = IPv6(source: source, target: target, next: 17)
                .carrying(
                    UDP(source: 50_000, target: 6081).carrying(.init(repeating: 3, count: 1_100))
                )
            let ip = IPv6(source: IPAddress(literal: "fd00::fe"), target: F.vtep6, next: 58)
            return Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC, type: 0x86dd)
                .carrying(ip.carrying(type: type, rest: big(UInt32(1400)) + quote))
        }
        func size(_ size: Int) throws -> Int {
            let payload = [UInt8](repeating: 7, count: size - 48)
            return try fixture.run(.podEgress, F.podUDP6(to: F.overIPv6v6, payload: payload))
                .packet.count
        }
        let stranger = IPAddress(literal: "fd00::66")
        var corrupt = news()
        corrupt[80] ^= 1
        for foreign in [news(source: stranger), news(target: stranger), news(type: 1), corrupt] {
            #expect(try fixture.run(.uplinkIngress, foreign).verdict == Verdict.unspecified)
        }
        #expect(try size(1430) == 14 + 1430 + 70)
        #expect(try fixture.run(.uplinkIngress, news()).packet == news())
        #expect(try size(1330) == 14 + 1330 + 70)
        #expect(try size(1331) == 14 + 1280)
        #expect(try fixture.counts().contains("path_mtu_news=1"))
    }
}
