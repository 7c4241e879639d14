import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite(
    "pod_egress: what a pod is told of a packet that went nowhere",
    .enabled(if: getuid() == 0, "needs root")
)
struct ICMPErrorTests {
    /// The error that the pod gets about `packet`, from the gateway.
    private func error(
        _ type: UInt8,
        _ code: UInt8,
        rest: UInt32 = 0,
        about packet: [UInt8]
    ) -> [UInt8] {
        let ip = IPv4(source: F.gateway, target: F.pod, transport: 1, tos: 0xc0, id: 0)
        let quote = packet.dropFirst(14).prefix(548)
        return Ethernet(target: F.podMAC, source: F.gatewayMAC)
            .carrying(ip.carrying(icmpEcho(type: type, code: code, rest: big(rest) + quote)))
    }

    /// The same of IPv6.
    private func error6(
        _ type: UInt8,
        _ code: UInt8,
        rest: UInt32 = 0,
        about packet: [UInt8]
    ) -> [UInt8] {
        let ip = IPv6(source: F.gateway6, target: F.pod6, next: 58, trafficClass: 0xc0)
        let quote = packet.dropFirst(14).prefix(1232)
        return Ethernet(target: F.podMAC, source: F.gatewayMAC, type: 0x86dd)
            .carrying(ip.carrying(type: type, code: code, rest: big(rest) + quote))
    }

    private func expect(_ wanted: [UInt8], about packet: [UInt8], reason: String) throws {
        let fixture = try F()
        let outcome = try fixture.run(.podEgress, packet)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["icmp_error=1"])
        #expect(try fixture.drops() == ["42/\(reason)=1"])
    }

    /// Short, odd, at and beyond what an error quotes.
    static let lengths = [0, 1, 7, 63, 64, 65, 519, 520, 521, 1183, 1184, 1185, 1390]

    @Test("E12: the last hop is told of as time exceeded", arguments: lengths, [UInt8(0), 1])
    func expired(length: Int, hops: UInt8) throws {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let packet = F.podUDP(to: F.remote, ttl: hops, payload: payload)
        try expect(error(11, 0, about: packet), about: packet, reason: "ttl_expired")
        let packet6 = F.podUDP6(to: F.remote6, hopLimit: hops, payload: payload)
        try expect(error6(3, 0, about: packet6), about: packet6, reason: "ttl_expired")
    }

    @Test(
        "E7: one byte too many is told of with the MTU, whether it may be fragmented or not",
        arguments: [UInt16(0), 0x4000]
    )
    func tooBig(fragment: UInt16) throws {
        let payload = [UInt8](repeating: 7, count: F.podMTU - 27)
        let ip = IPv4(source: F.pod, target: F.remote, transport: 17, fragment: fragment)
        let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC)
            .carrying(ip.carrying(UDP(source: 1, target: 2).carrying(payload)))
        try expect(error(3, 4, rest: 1450, about: packet), about: packet, reason: "too_big")
        let packet6 = F.podUDP6(to: F.remote6, payload: payload)
        try expect(error6(2, 0, rest: 1450, about: packet6), about: packet6, reason: "too_big")
    }

    @Test("E7: a super-packet whose segments are too big is told of as well")
    func superPacket() throws {
        let fixture = try F()
        let packet = F.podUDP(to: F.remote, payload: .init(repeating: 7, count: 2500))
        let outcome = try fixture.run(.podEgress, packet, gsoSize: 1423)
        #expect(outcome.packet == error(3, 4, rest: 1450, about: packet))
    }

    @Test("E13: an unknown address is a host or an address that cannot be reached")
    func unreachable() throws {
        for target in [F.elsewhere, IPAddress(literal: "10.1.0.66")] {
            let packet = F.podUDP(to: target)
            try expect(error(3, 1, about: packet), about: packet, reason: "no_endpoint")
        }
        for target in [F.elsewhere6, IPAddress(literal: "fd00:1::66")] {
            let packet = F.podUDP6(to: target)
            try expect(error6(1, 3, about: packet), about: packet, reason: "no_endpoint")
        }
    }

    @Test("E15: options and extension headers are quoted with the rest")
    func options() throws {
        let ip = IPv4(
            source: F.pod,
            target: F.local,
            transport: 1,
            ttl: 1,
            options: [0x94, 4, 0, 0, 1, 1, 1, 0]
        )
        let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC)
            .carrying(ip.carrying(icmpEcho(type: 8, rest: [0, 1, 0, 1])))
        try expect(error(11, 0, about: packet), about: packet, reason: "ttl_expired")
        let ip6 = IPv6(source: F.pod6, target: F.local6, next: 0, hopLimit: 1)
        let packet6 = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            .carrying(ip6.carrying([58, 0, 1, 4, 0, 0, 0, 0] + [128, 0, 0, 0, 0, 1, 0, 1]))
        try expect(error6(3, 0, about: packet6), about: packet6, reason: "ttl_expired")
    }

    /// Packets that expire, and about which nobody may be told (RFC 1122 section 3.2.2, RFC 4443
    /// section 2.4 e).
    static let unspeakable: [(String, [UInt8])] = {
        func v4(_ ip: IPv4, _ payload: [UInt8]) -> [UInt8] {
            Ethernet(target: F.gatewayMAC, source: F.podMAC).carrying(ip.carrying(payload))
        }
        func v6(_ next: UInt8, _ payload: [UInt8]) -> [UInt8] {
            let ip = IPv6(source: F.pod6, target: F.local6, next: next, hopLimit: 1)
            return Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
                .carrying(ip.carrying(payload))
        }
        let body = [UInt8](repeating: 0, count: 28)
        let plain = IPv4(source: F.pod, target: F.local, transport: 1, ttl: 1)
        var later = plain
        later.fragment = 0x0010
        var toMany = plain
        toMany.target = IPAddress(literal: "224.0.0.251")
        var broadcast = plain
        broadcast.target = IPAddress(literal: "255.255.255.255")
        let errors = [3, 4, 5, 11, 12].map { (type: UInt8) in
            ("ICMP type \(type)", v4(plain, icmpEcho(type: type, rest: body)))
        }
        let errors6 = [1, 2, 3, 4, 127].map { (type: UInt8) in
            ("ICMPv6 type \(type)", v6(58, [type, 0, 0, 0] + body))
        }
        return errors + errors6 + [
            ("a later fragment", v4(later, body)),
            ("an IPv4 group behind the gateway's MAC", v4(toMany, body)),
            ("everybody", v4(broadcast, body)),
            ("ICMP without a type", v4(plain, [])),
            ("a later fragment of IPv6", v6(44, [17, 0, 0, 0x10, 0, 0, 0, 1] + body)),
            ("an error behind options", v6(60, [58, 0, 1, 4, 0, 0, 0, 0] + [1, 0, 0, 0] + body)),
            ("options without an end", v6(60, .init(repeating: 60, count: 8))),
            (
                "more extension headers than anybody needs",
                v6(60, (0..<8).flatMap { _ in [60, 0, 1, 4, 0, 0, 0, 0] })
            ),
        ]
    }()

    @Test(
        "E7, E12: never about an error, a later fragment or what was sent to many",
        arguments: unspeakable
    )
    func silence(what: String, packet: [UInt8]) throws {
        let fixture = try F()
        #expect(try fixture.run(.podEgress, packet).verdict == Verdict.shot)
        #expect(try fixture.counts().isEmpty)
        #expect(try fixture.drops().count == 1)
    }

    @Test("E7: errors are limited to a burst of 32 and 100 a second; the rest is counted")
    func limit() throws {
        let fixture = try F()
        let packet = F.podUDP(to: F.local, ttl: 1)
        let clock = ContinuousClock()
        let start = clock.now
        let verdicts = try (0..<400).map { _ in try fixture.run(.podEgress, packet).verdict }
        let milliseconds = Int((clock.now - start) / .milliseconds(1))
        let told = verdicts.count { $0 == Verdict.redirect }
        // One more every 10 ms; test runs must be that much quicker to say anything.
        #expect(told >= 32 && told <= 33 + milliseconds / 10, "\(told) in \(milliseconds) ms")
        try #require(told < 400)
        #expect(verdicts.prefix(32).allSatisfy { $0 == Verdict.redirect })
        #expect(
            try fixture.counts() == ["icmp_error=\(told)", "icmp_error_limited=\(400 - told)"]
        )
        #expect(try fixture.drops() == ["42/ttl_expired=400"])
    }
}
