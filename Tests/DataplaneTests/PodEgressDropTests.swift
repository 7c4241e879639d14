import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

/// One packet that a pod must not get away with.
struct PodDropCase: CustomTestStringConvertible, Sendable {
    let reason: String
    let what: String
    let packet: [UInt8]
    var vni: UInt32 = 42

    var testDescription: String { "\(reason): \(what)" }
}

@Suite("pod_egress: one case for every drop reason", .enabled(if: getuid() == 0, "needs root"))
struct PodEgressDropTests {
    @Test("it is dropped, counted once for its reason, and nothing else", arguments: cases)
    func drop(_ given: PodDropCase) throws {
        let fixture = try F()
        let outcome = try fixture.run(.podEgress, given.packet)
        let isTold = ReferenceModel.reasonsTold.contains(given.reason)
        #expect(outcome.verdict == (isTold ? Verdict.redirect : Verdict.shot))
        #expect(try fixture.drops() == ["\(given.vni)/\(given.reason)=1"])
        #expect(try fixture.counts() == (isTold ? ["icmp_error=1"] : []))
    }

    @Test("without a port nothing passes, and it counts under no VPC")
    func noPort() throws {
        let fixture = try F()
        try fixture.dataplane.deletePort(ifindex: F.podIfindex)
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["0/no_port=1"])
    }

    @Test("before the node is configured only pods on it are reachable")
    func notConfigured() throws {
        let fixture = try F(isConfigured: false)
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.remote)).verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/not_configured=1"])
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.redirect)
    }

    private static let stranger = IPAddress(literal: "10.1.0.66")
    private static let strangerMAC = MACAddress(bits: 0x0200_0000_6666)

    private static func ip(
        _ ip: IPv4,
        _ payload: [UInt8] = UDP(source: 1, target: 2).carrying([]),
        to target: MACAddress = F.gatewayMAC
    ) -> [UInt8] {
        Ethernet(target: target, source: F.podMAC).carrying(ip.carrying(payload))
    }

    private static func frame(_ type: UInt16) -> [UInt8] {
        Ethernet(target: F.gatewayMAC, source: F.podMAC, type: type)
            .carrying(.init(repeating: 0, count: 46))
    }

    private static func arp(_ arp: ARP, from source: MACAddress = F.podMAC) -> [UInt8] {
        Ethernet(target: MACAddress(bits: 0xffff_ffff_ffff), source: source, type: 0x0806)
            .carrying(arp.bytes)
    }

    static let cases = ethernetCases + arpCases + addressCases + routeCases + ipv6Cases

    private static let ethernetCases: [PodDropCase] = [
        .init(reason: "truncated", what: "half an ARP", packet: .init(frame(0x0806)[..<30])),
        .init(reason: "vlan", what: "an 802.1Q tag", packet: frame(0x8100)),
        .init(reason: "vlan", what: "an 802.1ad tag", packet: frame(0x88a8)),
        .init(reason: "ethertype", what: "LLDP", packet: frame(0x88cc)),
        .init(reason: "ethertype", what: "an 802.3 length", packet: frame(46)),
        .init(
            reason: "spoofed_mac",
            what: "IPv4 from another MAC",
            packet: Ethernet(target: F.gatewayMAC, source: strangerMAC)
                .carrying(IPv4(source: F.pod, target: F.local, transport: 17).carrying([]))
        ),
        .init(
            reason: "spoofed_mac",
            what: "ARP from another MAC",
            packet: arp(
                ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.gateway),
                from: strangerMAC
            )
        ),
        .init(
            reason: "multicast",
            what: "mDNS",
            packet: ip(
                IPv4(source: F.pod, target: IPAddress(literal: "224.0.0.251"), transport: 17),
                to: MACAddress(bits: 0x0100_5e00_00fb)
            )
        ),
        .init(
            reason: "multicast_report",
            what: "an IGMP report",
            packet: ip(
                IPv4(source: F.pod, target: IPAddress(literal: "224.0.0.22"), transport: 2),
                to: MACAddress(bits: 0x0100_5e00_0016)
            )
        ),
        .init(
            reason: "not_to_gateway",
            what: "IPv4 to a neighbour's own MAC",
            packet: ip(IPv4(source: F.pod, target: F.local, transport: 17), to: F.localMAC)
        ),
    ]

    private static let arpCases: [PodDropCase] = [
        .init(
            reason: "arp_malformed",
            what: "16-byte addresses",
            packet: arp(
                ARP(
                    senderMAC: F.podMAC,
                    senderAddress: F.pod,
                    targetAddress: F.gateway,
                    addressSize: 16
                )
            )
        ),
        .init(
            reason: "arp_spoofed",
            what: "another sender MAC",
            packet: arp(
                ARP(senderMAC: strangerMAC, senderAddress: F.pod, targetAddress: F.gateway)
            )
        ),
        .init(
            reason: "arp_spoofed",
            what: "another sender address",
            packet: arp(
                ARP(senderMAC: F.podMAC, senderAddress: F.local, targetAddress: F.gateway)
            )
        ),
        .init(
            reason: "arp_not_request",
            what: "an unasked reply",
            packet: arp(
                ARP(operation: 2, senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.local)
            )
        ),
        .init(
            reason: "arp_own_address",
            what: "an announcement",
            packet: arp(ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.pod))
        ),
        .init(
            reason: "arp_own_address",
            what: "a probe for the own address",
            packet: arp(
                ARP(
                    senderMAC: F.podMAC,
                    senderAddress: IPAddress(literal: "0.0.0.0"),
                    targetAddress: F.pod
                )
            )
        ),
        .init(
            reason: "arp_no_target",
            what: "an unknown target",
            packet: arp(ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: stranger))
        ),
        .init(
            reason: "arp_no_target",
            what: "a pod of another VPC",
            packet: arp(
                ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.elsewhere)
            )
        ),
    ]

    private static let addressCases: [PodDropCase] = [
        .init(
            reason: "bad_ipv4",
            what: "version 5",
            packet: ip(
                IPv4(source: F.pod, target: F.local, transport: 17, versionAndLength: 0x55)
            )
        ),
        .init(
            reason: "bad_ipv4",
            what: "a header of 16 bytes",
            packet: ip(
                IPv4(source: F.pod, target: F.local, transport: 17, versionAndLength: 0x44)
            )
        ),
        .init(
            reason: "bad_ipv4",
            what: "options behind the end",
            packet: ip(
                IPv4(
                    source: F.pod,
                    target: F.local,
                    transport: 17,
                    totalLength: 28,
                    versionAndLength: 0x4f
                )
            )
        ),
        .init(
            reason: "bad_ipv4",
            what: "a length past the end",
            packet: ip(IPv4(source: F.pod, target: F.local, transport: 17, totalLength: 29))
        ),
        .init(
            reason: "bad_ipv4",
            what: "a length shorter than the header",
            packet: ip(IPv4(source: F.pod, target: F.local, transport: 17, totalLength: 19))
        ),
        .init(
            reason: "spoofed_address",
            what: "another source",
            packet: ip(IPv4(source: F.remote, target: F.local, transport: 17))
        ),
        .init(
            reason: "spoofed_address",
            what: "another source, to the gateway",
            packet: ip(
                IPv4(source: F.local, target: F.gateway, transport: 1),
                icmpEcho(type: 8, rest: [0, 1, 0, 1])
            )
        ),
    ]

    private static let routeCases: [PodDropCase] = [
        .init(
            reason: "gateway_not_echo",
            what: "UDP to the gateway",
            packet: ip(IPv4(source: F.pod, target: F.gateway, transport: 17))
        ),
        .init(
            reason: "gateway_not_echo",
            what: "an echo reply to the gateway",
            packet: ip(
                IPv4(source: F.pod, target: F.gateway, transport: 1),
                icmpEcho(type: 0, rest: [0, 1, 0, 1])
            )
        ),
        .init(
            reason: "gateway_not_echo",
            what: "a fragment of an echo request",
            packet: ip(
                IPv4(source: F.pod, target: F.gateway, transport: 1, fragment: 0x2000),
                icmpEcho(type: 8, rest: [0, 1, 0, 1])
            )
        ),
        .init(
            reason: "truncated",
            what: "six bytes of an echo request",
            packet: ip(IPv4(source: F.pod, target: F.gateway, transport: 1), [8, 0, 0, 0, 0, 0])
        ),
        .init(reason: "no_endpoint", what: "an unknown target", packet: F.podUDP(to: stranger)),
        .init(
            reason: "no_endpoint",
            what: "a pod of another VPC",
            packet: F.podUDP(to: F.elsewhere)
        ),
        .init(
            reason: "ttl_expired",
            what: "the last hop, to this node",
            packet: F.podUDP(to: F.local, ttl: 1)
        ),
        .init(
            reason: "ttl_expired",
            what: "no hop at all, to another node",
            packet: F.podUDP(to: F.remote, ttl: 0)
        ),
        .init(
            reason: "too_big",
            what: "one byte over the MTU",
            packet: F.podUDP(to: F.remote, payload: .init(repeating: 0, count: 1423))
        ),
        .init(
            reason: "vtep_family",
            what: "a pod behind an IPv6 VTEP",
            packet: F.podUDP(to: F.overIPv6)
        ),
    ]
}
