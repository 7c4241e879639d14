import Addressing
import BPFObjects
import CGenieABI
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("uplink programs: golden packets", .enabled(if: getuid() == 0, "needs root"))
struct UplinkTests {
    @Test("XDP strips a tunnel packet and says which pod it is for")
    func xdpStrip() throws {
        let fixture = try F()
        let packet = F.TunnelPacket()
        let outcome = try fixture.run(.uplinkXDP, packet.bytes)
        #expect(outcome.verdict == Verdict.xdpPass)
        #expect(outcome.packet == packet.delivered)
        // Marked by the node's own address, which is an IPv4 one.
        let magic = UInt32(GENIE_METADATA_MAGIC) ^ 0xffff_0000 ^ (F.vtep.v4 ?? 0).bigEndian
        let words = [magic, 42, UInt32(F.localIfindex)]
        #expect(outcome.metadata == words.flatMap { big($0.bigEndian) })
        #expect(try fixture.counts() == ["xdp_stripped=1"])
        #expect(try fixture.drops().isEmpty)
    }

    @Test("tc strips what XDP did not and hands it to the pod")
    func trafficControlStrip() throws {
        let fixture = try F()
        let packet = F.TunnelPacket()
        let outcome = try fixture.run(.uplinkIngress, packet.bytes)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: packet.delivered))
        #expect(try fixture.counts() == ["tc_delivered=1"])
    }

    /// RFC 6040 section 4.2, figure 4: inner, outer, delivered; what is dropped is another test's.
    static let ecnTable: [(UInt8, UInt8, UInt8)] = [
        (0, 0, 0), (0, 1, 0), (0, 2, 0),
        (1, 0, 1), (1, 1, 1), (1, 2, 1), (1, 3, 3),
        (2, 0, 2), (2, 1, 1), (2, 2, 2), (2, 3, 3),
        (3, 0, 3), (3, 1, 3), (3, 2, 3), (3, 3, 3),
    ]

    @Test(
        "E2: the outer ECN field reaches the inner header as RFC 6040 says, the DSCP does not",
        arguments: [Dataplane.Program.uplinkXDP, .uplinkIngress]
    )
    func congestion(program: Dataplane.Program) throws {
        let fixture = try F()
        for (inner, outer, wanted) in Self.ecnTable {
            for isV6 in [false, true] {
                var packet = F.TunnelPacket()
                packet.outer.tos = 0x2c | outer
                packet.inner.tos = 0xb8 | inner
                if isV6 {
                    packet.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17)
                    packet.inner6?.trafficClass = 0xb8 | inner
                    packet.inner6?.flowLabel = 0xabcde
                }
                let outcome = try fixture.run(program, packet.bytes)
                packet.inner.tos = 0xb8 | wanted
                packet.inner6?.trafficClass = 0xb8 | wanted
                #expect(outcome.packet == packet.delivered, "\(inner), \(outer), IPv6: \(isV6)")
            }
        }
    }

    @Test(
        "E21: an IPv6 packet is stripped and handed to the pod",
        arguments: [Dataplane.Program.uplinkXDP, .uplinkIngress]
    )
    func ipv6(program: Dataplane.Program) throws {
        let fixture = try F()
        var packet = F.TunnelPacket()
        packet.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17, hopLimit: 63)
        let outcome = try fixture.run(program, packet.bytes)
        #expect(outcome.verdict == (program == .uplinkXDP ? Verdict.xdpPass : Verdict.redirect))
        #expect(outcome.packet == packet.delivered)
        let counted = program == .uplinkXDP ? "xdp_stripped=1" : "tc_delivered=1"
        #expect(try fixture.counts() == [counted])
    }

    @Test(
        "E4: reserved bits of Geneve are ignored (RFC 8926 section 3.4)",
        arguments: [Dataplane.Program.uplinkXDP, .uplinkIngress]
    )
    func reserved(program: Dataplane.Program) throws {
        let fixture = try F()
        var packet = F.TunnelPacket()
        packet.geneve.flags = 0x3f
        packet.geneve.reserved = 0xff
        #expect(try fixture.run(program, packet.bytes).packet == packet.delivered)
    }

    @Test("E15: a frame in several buffers (xdp.frags) is stripped like any other")
    func buffers() throws {
        let fixture = try F()
        for isV6 in [false, true] {
            var packet = F.TunnelPacket()
            if isV6 { packet.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17) }
            packet.payload = UDP(source: 53, target: 5000)
                .carrying((0..<8_900).map { UInt8(truncatingIfNeeded: $0) })
            let outcome = try fixture.run(.uplinkXDP, packet.bytes)
            #expect(outcome.verdict == Verdict.xdpPass)
            #expect(outcome.packet == packet.delivered)
        }
    }

    /// What neither uplink program may touch.
    static let foreign: [(String, [UInt8])] = {
        var list: [(String, [UInt8])] = []
        func add(_ what: String, _ change: (inout F.TunnelPacket) -> Void) {
            var packet = F.TunnelPacket()
            change(&packet)
            list.append((what, packet.bytes))
        }
        add("another port") { $0.udp.target = 6082 }
        add("TCP") { $0.outer.transport = 6 }
        add("another address") { $0.outer.target = IPAddress(literal: "192.0.2.3") }
        add("IPv6") { $0.ethernet.type = 0x86dd }
        add("a VLAN tag") { $0.ethernet.type = 0x8100 }
        add("a later fragment") { $0.outer.fragment = 0x0010 }
        add("version 6 in an IPv4 frame") { $0.outer.versionAndLength = 0x65 }
        return list
    }()

    @Test("what is not Geneve to this node passes untouched", arguments: foreign)
    func foreignPasses(what: String, packet: [UInt8]) throws {
        let fixture = try F()
        let xdp = try fixture.run(.uplinkXDP, packet)
        #expect(xdp == .init(verdict: Verdict.xdpPass, packet: packet))
        let ingress = try fixture.run(.uplinkIngress, packet)
        #expect(ingress == .init(verdict: Verdict.unspecified, packet: packet))
        #expect(try fixture.drops().isEmpty)
        #expect(try fixture.counts().isEmpty)
    }

    @Test("before the node is configured everything passes")
    func notConfigured() throws {
        let fixture = try F(isConfigured: false)
        let packet = F.TunnelPacket().bytes
        #expect(try fixture.run(.uplinkXDP, packet).verdict == Verdict.xdpPass)
        #expect(try fixture.run(.uplinkIngress, packet).verdict == Verdict.unspecified)
    }
}

@Suite("uplink_ingress: tunnel echo", .enabled(if: getuid() == 0, "needs root"))
struct TunnelEchoTests {
    private let nonce: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]

    private func echo(
        kind: UInt32,
        reversed: Bool = false,
        ports: (UInt16, UInt16) = (40_000, 6081),
        hasChecksum: Bool
    ) -> [UInt8] {
        let control = Geneve(vni: 0, flags: 0x80, payloadType: UInt16(GENIE_ECHO_PROTOCOL))
            .carrying(big(kind) + nonce)
        let source = reversed ? F.vtep : F.otherVTEP
        let target = reversed ? F.otherVTEP : F.vtep
        var udp = UDP(source: ports.0, target: ports.1)
        if hasChecksum {
            let pseudo = source.bytes.suffix(4) + target.bytes.suffix(4) + [0, 17]
            let plain = udp.carrying(control)
            udp.checksum = internetChecksum(pseudo + big(UInt16(plain.count)) + plain)
        }
        let ethernet = Ethernet(
            target: reversed ? F.otherUplinkMAC : F.uplinkMAC,
            source: reversed ? F.uplinkMAC : F.otherUplinkMAC
        )
        let ip = IPv4(source: source, target: target, transport: 17, id: 7)
        return ethernet.carrying(ip.carrying(udp.carrying(control)))
    }

    @Test("a request is turned round, with and without a UDP checksum", arguments: [false, true])
    func request(hasChecksum: Bool) throws {
        let fixture = try F()
        let request = echo(kind: 1, hasChecksum: hasChecksum)
        #expect(
            try fixture.run(.uplinkXDP, request)
                == .init(verdict: Verdict.xdpPass, packet: request)
        )
        let reply = echo(
            kind: 2,
            reversed: true,
            ports: (6081, 40_000),
            hasChecksum: hasChecksum
        )
        let outcome = try fixture.run(.uplinkIngress, request)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: reply))
        #expect(try fixture.counts() == ["tunnel_echo_reply=1"])
    }

    @Test("a reply goes to whoever asked, through the stack")
    func reply() throws {
        let fixture = try F()
        let reply = echo(kind: 2, hasChecksum: true)
        let outcome = try fixture.run(.uplinkIngress, reply)
        #expect(outcome == .init(verdict: Verdict.unspecified, packet: reply))
        #expect(try fixture.counts() == ["tunnel_echo_passed=1"])
    }

    @Test("a stranger gets no answer")
    func stranger() throws {
        let fixture = try F()
        try fixture.dataplane.deleteVTEP(F.otherVTEP)
        let request = echo(kind: 1, hasChecksum: false)
        #expect(try fixture.run(.uplinkIngress, request).verdict == Verdict.shot)
        #expect(try fixture.run(.uplinkXDP, request).verdict == Verdict.xdpDrop)
        #expect(try fixture.drops() == ["0/bad_vtep=2"])
    }

    static let malformed: [(String, Geneve, [UInt8])] = [
        (
            "another kind", Geneve(vni: 0, flags: 0x80, payloadType: 0x88b5),
            big(UInt32(3)) + big(UInt64(0))
        ),
        (
            "a VNI", Geneve(vni: 42, flags: 0x80, payloadType: 0x88b5),
            big(UInt32(1)) + big(UInt64(0))
        ),
        ("Ethernet", Geneve(vni: 0, flags: 0x80), big(UInt32(1)) + big(UInt64(0))),
        ("no nonce", Geneve(vni: 0, flags: 0x80, payloadType: 0x88b5), big(UInt32(1))),
        (
            "too much", Geneve(vni: 0, flags: 0x80, payloadType: 0x88b5),
            .init(repeating: 0, count: 13)
        ),
        ("nothing", Geneve(vni: 0, flags: 0x80, payloadType: 0x88b5), []),
    ]

    @Test("other control packets are dropped as bad_oam", arguments: malformed)
    func bad(what: String, geneve: Geneve, payload: [UInt8]) throws {
        let fixture = try F()
        let packet = Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC)
            .carrying(
                IPv4(source: F.otherVTEP, target: F.vtep, transport: 17)
                    .carrying(UDP(source: 1, target: 6081).carrying(geneve.carrying(payload)))
            )
        #expect(try fixture.run(.uplinkXDP, packet).verdict == Verdict.xdpPass)
        #expect(try fixture.run(.uplinkIngress, packet).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["0/bad_oam=1"])
    }
}
