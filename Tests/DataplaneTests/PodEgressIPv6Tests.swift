import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("pod_egress: golden packets of IPv6", .enabled(if: getuid() == 0, "needs root"))
struct PodEgressIPv6Tests {
    @Test("E21: a packet to a pod on this node gets that pod's MAC and one hop less")
    func local() throws {
        let fixture = try F()
        let ip = IPv6(source: F.pod6, target: F.local6, next: 17, hopLimit: 63)
        let wanted = Ethernet(target: F.localMAC, source: F.gatewayMAC, type: 0x86dd)
            .carrying(ip.carrying(UDP(source: 5000, target: 53).carrying(Array("golden".utf8))))
        let outcome = try fixture.run(.podEgress, F.podUDP6(to: F.local6))
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["pod_to_local_pod=1"])
        #expect(try fixture.drops().isEmpty)
    }

    @Test(
        "E2, E21: a packet to a pod on another node is encapsulated byte for byte",
        arguments: [0, 0xb9]
    )
    func remote(trafficClass: UInt8) throws {
        let fixture = try F()
        let packet = F.podUDP6(to: F.remote6, trafficClass: trafficClass)
        let outcome = try fixture.run(.podEgress, packet)
        let ip = IPv6(
            source: F.pod6,
            target: F.remote6,
            next: 17,
            hopLimit: 63,
            trafficClass: trafficClass
        )
        let frame = Ethernet(target: F.remoteMAC, source: F.gatewayMAC, type: 0x86dd)
            .carrying(ip.carrying(UDP(source: 5000, target: 53).carrying(Array("golden".utf8))))
        let outer = IPv4(
            source: F.vtep,
            target: F.otherVTEP,
            transport: 17,
            tos: trafficClass,
            id: 0
        )
        let tunnel = UDP(source: flowPort(), target: 6081).carrying(Geneve(vni: 42).carrying(frame))
        var wanted = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x0800)
            .carrying(outer.carrying(tunnel))
        // The outer Ethernet header is the neighbour table's: here it still is the pod's own.
        wanted.replaceSubrange(12..<14, with: outcome.packet[12..<14])
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["pod_to_remote_pod=1"])
    }

    @Test("E3: flows spread over the outer source ports, and one flow keeps its port")
    func entropy() throws {
        let fixture = try F()
        func outerPort(_ source: UInt16) throws -> [UInt8] {
            let ip = IPv6(source: F.pod6, target: F.remote6, next: 6)
            let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
                .carrying(ip.carrying(UDP(source: source, target: 80).carrying(.init(1...12))))
            return Array(try fixture.run(.podEgress, packet).packet[34..<36])
        }
        let ports = try (1...200).map { try outerPort($0) }
        #expect(Set(ports).count > 190)
        #expect(ports.allSatisfy { $0[0] >= 0xc0 })
        #expect(try outerPort(7) == ports[6])
    }

    @Test("E3, E14: fragments share an outer source port, which their flow label decides")
    func fragments() throws {
        let fixture = try F()
        func port(offset: UInt16, label: UInt32) throws -> [UInt8] {
            let ip = IPv6(source: F.pod6, target: F.remote6, next: 44, flowLabel: label)
            let body = [17, 0] + big(offset) + big(UInt32(7)) + big(UInt64(offset))
            let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
                .carrying(ip.carrying(body))
            return Array(try fixture.run(.podEgress, packet).packet[34..<36])
        }
        let ports = try [0x0001, 0x0008, 0x0011].map { try port(offset: $0, label: 0x12345) }
        #expect(Set(ports).count == 1)
        #expect(try port(offset: 1, label: 0x12346) != ports[0])
    }

    @Test("E11: ICMPv6 echo to the gateway is answered", arguments: PodEgressTests.echoPayloads)
    func gatewayEcho(payload: [UInt8]) throws {
        let fixture = try F()
        let rest: [UInt8] = [0, 0, 0, 0] + payload
        let request = IPv6(source: F.pod6, target: F.gateway6, next: 58, hopLimit: 1)
            .carrying(type: 128, rest: rest)
        let reply = IPv6(source: F.gateway6, target: F.pod6, next: 58)
            .carrying(type: 129, rest: rest)
        let outcome = try fixture.run(
            .podEgress,
            Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd).carrying(request)
        )
        let wanted = Ethernet(target: F.podMAC, source: F.gatewayMAC, type: 0x86dd)
            .carrying(reply)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["gateway_echo_reply=1"])
    }

    /// Protocols and extension headers that are none of the dataplane's business.
    static let payloads: [(String, UInt8, [UInt8])] = [
        ("hop-by-hop options", 0, [17, 0, 1, 4, 0, 0, 0, 0] + [0, 1, 0, 2, 0, 8, 0, 0]),
        ("a routing header", 43, [17, 0, 4, 0, 0, 0, 0, 0] + [0, 1, 0, 2, 0, 8, 0, 0]),
        ("destination options", 60, [17, 0, 1, 4, 0, 0, 0, 0] + [0, 1, 0, 2, 0, 8, 0, 0]),
        ("a later fragment", 44, [17, 0, 0, 0x10, 0, 0, 0, 1, 1, 2, 3]),
        ("GRE", 47, [0, 0, 8, 0]), ("ESP", 50, .init(1...16)), ("SCTP", 132, .init(1...12)),
        ("nothing at all", 59, []),
    ]

    @Test("E15: extension headers and other protocols pass untouched", arguments: payloads)
    func passThrough(what: String, next: UInt8, payload: [UInt8]) throws {
        let fixture = try F()
        var ip = IPv6(source: F.pod6, target: F.local6, next: next)
        let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            .carrying(ip.carrying(payload))
        ip.hopLimit = 63
        let wanted = Ethernet(target: F.localMAC, source: F.gatewayMAC, type: 0x86dd)
            .carrying(ip.carrying(payload))
        let outcome = try fixture.run(.podEgress, packet)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
    }

    @Test("E23: the same address in two VPCs leads to two pods")
    func overlap() throws {
        let fixture = try F()
        let twin = MACAddress(bits: 0x0200_0000_0bad)
        try fixture.dataplane.putEndpoint(
            EndpointRow(
                vni: F.otherVNI,
                address: F.local6,
                mac: twin,
                place: .local(ifindex: 79),
                fence: 1
            )
        )
        let outcome = try fixture.run(.podEgress, F.podUDP6(to: F.local6))
        #expect(Array(outcome.packet.prefix(6)) == F.localMAC.bytes)
        _ = try fixture.run(.podEgress, F.podUDP6(to: F.elsewhere6))
        #expect(try fixture.drops() == ["42/no_endpoint=1"])
    }

    @Test("E21: a pod without IPv6 sends none, and one without IPv4 no IPv4")
    func oneFamily() throws {
        let fixture = try F()
        func put(_ address: PodAddress) throws {
            try fixture.dataplane.putPort(
                PortRow(
                    ifindex: F.podIfindex,
                    vni: F.vni,
                    addresses: [address],
                    mac: F.podMAC,
                    gatewayMAC: F.gatewayMAC,
                    generation: 1
                )
            )
        }
        try put(PodAddress(address: F.pod, gateway: F.gateway))
        #expect(try fixture.run(.podEgress, F.podUDP6(to: F.local6)).verdict == Verdict.shot)
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.redirect)
        // The unspecified address is not the one that a pod without IPv6 has.
        let nobody = IPv6(source: IPAddress(high: 0, low: 0), target: F.local6, next: 17)
        let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            .carrying(nobody.carrying([]))
        #expect(try fixture.run(.podEgress, packet).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/ipv6=2"])
        try put(PodAddress(address: F.pod6, gateway: F.gateway6))
        #expect(try fixture.run(.podEgress, F.podUDP6(to: F.local6)).verdict == Verdict.redirect)
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/ipv6=2", "42/spoofed_address=1"])
    }

    /// The outer source port of UDP 5000 to 53, after the description in `ipv6.h`.
    private func flowPort() -> UInt16 {
        func mix(_ word: UInt32) -> UInt32 {
            var word = (word ^ word >> 16) &* 0x85eb_ca6b
            word = (word ^ word >> 13) &* 0xc2b2_ae35
            return word ^ word >> 16
        }
        // Words in the byte order of the machine, as the programs read them.
        let bytes = F.pod6.bytes + F.remote6.bytes
        let hash = stride(from: 0, to: 32, by: 4).reduce(UInt32(0)) { hash, index in
            let word = bytes[index..<index + 4].reversed().reduce(UInt32(0)) {
                $0 << 8 | UInt32($1)
            }
            return hash &* 31 &+ word
        }
        let ports = (UInt32(5000) << 16 | 53).byteSwapped
        return 49_152 + UInt16(mix((mix(hash) ^ ports) ^ 17) & 0x3fff)
    }
}
