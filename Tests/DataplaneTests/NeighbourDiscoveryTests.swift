import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite(
    "E10: neighbour discovery of a pod is answered in place (RFC 4861, RFC 4862)",
    .enabled(if: getuid() == 0, "needs root")
)
struct NeighbourDiscoveryTests {
    private static let unspecified = IPAddress(high: 0, low: 0)
    private static let allNodes = IPAddress(literal: "ff02::1")
    private static let allNodesMAC = MACAddress(bits: 0x3333_0000_0001)

    /// The multicast address that is asked who has `address` (RFC 4291 section 2.7.1).
    static func solicited(_ address: IPAddress) -> IPAddress {
        IPAddress(high: 0xff02 << 48, low: 0x1_ff00_0000 | address.low & 0xff_ffff)
    }

    /// A solicitation as Linux sends it; parts may be other than they should be.
    static func solicitation(
        for target: IPAddress,
        from source: IPAddress = DataplaneFixture.pod6,
        to destination: IPAddress? = nil,
        mac: MACAddress? = nil,
        type: UInt8 = 135,
        code: UInt8 = 0,
        hopLimit: UInt8 = 255,
        options: [UInt8] = NeighbourMessage.link(1, DataplaneFixture.podMAC)
    ) -> [UInt8] {
        let destination = destination ?? solicited(target)
        let group = MACAddress(bits: 0x3333_0000_0000 | destination.low & 0xffff_ffff)
        let ip = IPv6(source: source, target: destination, next: 58, hopLimit: hopLimit)
        let message = NeighbourMessage(target: target, options: options)
        return Ethernet(target: mac ?? group, source: F.podMAC, type: 0x86dd)
            .carrying(ip.carrying(type: type, code: code, rest: message.rest))
    }

    private static func advertisement(
        of target: IPAddress,
        flags: UInt32,
        to destination: IPAddress,
        mac: MACAddress = DataplaneFixture.podMAC
    ) -> [UInt8] {
        let ip = IPv6(source: target, target: destination, next: 58, hopLimit: 255)
        let options = NeighbourMessage.link(2, F.gatewayMAC)
        let message = NeighbourMessage(flags: flags, target: target, options: options)
        return Ethernet(target: mac, source: F.gatewayMAC, type: 0x86dd)
            .carrying(ip.carrying(type: 136, rest: message.rest))
    }

    @Test(
        "who has the gateway or a pod: the gateway's MAC, for pods without override",
        arguments: [
            (F.gateway6, UInt32(0xe000_0000)),
            (F.local6, UInt32(0x4000_0000)),
            (F.remote6, UInt32(0x4000_0000)),
        ],
        [F.pod6, F.podLinkLocal]
    )
    func question(asked: (IPAddress, UInt32), sender: IPAddress) throws {
        let fixture = try F()
        let outcome = try fixture.run(
            .podEgress,
            Self.solicitation(for: asked.0, from: sender)
        )
        let wanted = Self.advertisement(of: asked.0, flags: asked.1, to: sender)
        #expect(outcome == .init(verdict: Verdict.redirect, packet: wanted))
        #expect(try fixture.counts() == ["nd_reply=1"])
        #expect(try fixture.drops().isEmpty)
    }

    @Test(
        "a unicast probe is answered, with and without the sender's MAC in it",
        arguments: [[], NeighbourMessage.link(1, F.podMAC)]
    )
    func unicastProbe(options: [UInt8]) throws {
        let fixture = try F()
        let probe = Self.solicitation(
            for: F.gateway6,
            to: F.gateway6,
            mac: F.gatewayMAC,
            options: options
        )
        let wanted = Self.advertisement(of: F.gateway6, flags: 0xe000_0000, to: F.pod6)
        #expect(
            try fixture.run(.podEgress, probe) == .init(verdict: Verdict.redirect, packet: wanted)
        )
    }

    @Test(
        "duplicate address detection of another's address is told to all nodes, unsolicited",
        arguments: [[], [14, 1, 1, 2, 3, 4, 5, 6]]
    )
    func duplicate(options: [UInt8]) throws {
        let fixture = try F()
        let probe = Self.solicitation(for: F.local6, from: Self.unspecified, options: options)
        let wanted = Self.advertisement(
            of: F.local6,
            flags: 0,
            to: Self.allNodes,
            mac: Self.allNodesMAC
        )
        #expect(
            try fixture.run(.podEgress, probe) == .init(verdict: Verdict.redirect, packet: wanted)
        )
    }

    @Test("every corrupted byte of a solicitation is noticed")
    func corruption() throws {
        let fixture = try F()
        let packet = Self.solicitation(for: F.gateway6)
        // Behind the Ethernet header and the first word, whose class and label nothing protects.
        for index in 18..<packet.count {
            var changed = packet
            changed[index] ^= 0x40
            let outcome = try fixture.run(.podEgress, changed)
            #expect(outcome.verdict == Verdict.shot, "byte \(index)")
        }
        #expect(try fixture.counts().isEmpty)
    }
}

extension PodEgressDropTests {
    private static let stranger6 = IPAddress(literal: "fd00:1::66")

    private static func nd(
        _ target: IPAddress,
        from source: IPAddress = DataplaneFixture.pod6,
        type: UInt8 = 135,
        code: UInt8 = 0,
        hopLimit: UInt8 = 255,
        options: [UInt8] = NeighbourMessage.link(1, DataplaneFixture.podMAC)
    ) -> [UInt8] {
        NeighbourDiscoveryTests.solicitation(
            for: target,
            from: source,
            type: type,
            code: code,
            hopLimit: hopLimit,
            options: options
        )
    }

    private static func ip(
        _ ip: IPv6,
        _ payload: [UInt8] = [],
        to target: MACAddress = DataplaneFixture.gatewayMAC
    ) -> [UInt8] {
        Ethernet(target: target, source: F.podMAC, type: 0x86dd).carrying(ip.carrying(payload))
    }

    static let ipv6Cases = neighbourCases + header6Cases + route6Cases

    private static let neighbourCases: [PodDropCase] = [
        .init(
            reason: "nd_malformed",
            what: "a hop limit that routers have lowered",
            packet: nd(F.gateway6, hopLimit: 254)
        ),
        .init(reason: "nd_malformed", what: "code 1", packet: nd(F.gateway6, code: 1)),
        .init(
            reason: "nd_malformed",
            what: "a multicast target",
            packet: nd(IPAddress(literal: "ff02::1"))
        ),
        .init(
            reason: "nd_malformed",
            what: "an option of no length",
            packet: nd(F.gateway6, options: [14, 0, 0, 0, 0, 0, 0, 0])
        ),
        .init(
            reason: "nd_malformed",
            what: "an option past the end",
            packet: nd(F.gateway6, options: [14, 2, 0, 0, 0, 0, 0, 0])
        ),
        .init(
            reason: "nd_malformed",
            what: "five options",
            packet: nd(
                F.gateway6,
                options: (0..<5).flatMap { _ in [14, 1, 0, 0, 0, 0, 0, 0] }
            )
        ),
        .init(
            reason: "nd_malformed",
            what: "a probe without a sender that names a MAC",
            packet: nd(F.local6, from: IPAddress(high: 0, low: 0))
        ),
        .init(
            reason: "nd_malformed",
            what: "half a message",
            packet: ip(
                IPv6(source: F.pod6, target: F.gateway6, next: 58, hopLimit: 255),
                [135, 0, 0, 0, 0, 0, 0, 0, 0xfd]
            )
        ),
        .init(
            reason: "nd_spoofed",
            what: "another sender",
            packet: nd(F.gateway6, from: F.local6)
        ),
        .init(
            reason: "nd_spoofed",
            what: "another's link-local address",
            packet: nd(F.gateway6, from: IPAddress(literal: "fe80::ff:fe00:106"))
        ),
        .init(
            reason: "nd_spoofed",
            what: "another MAC in the option",
            packet: nd(F.gateway6, options: NeighbourMessage.link(1, F.localMAC))
        ),
        .init(
            reason: "nd_spoofed",
            what: "another MAC in a second option",
            packet: nd(
                F.gateway6,
                options: [14, 1, 0, 0, 0, 0, 0, 0] + NeighbourMessage.link(1, F.localMAC)
            )
        ),
        .init(
            reason: "nd_not_solicitation",
            what: "an unasked advertisement",
            packet: nd(F.pod6, type: 136)
        ),
        .init(
            reason: "nd_not_solicitation",
            what: "a router advertisement",
            packet: nd(F.pod6, type: 134)
        ),
        .init(reason: "nd_not_solicitation", what: "a redirect", packet: nd(F.pod6, type: 137)),
        .init(
            reason: "router_solicitation",
            what: "a question for routers",
            packet: Ethernet(
                target: MACAddress(bits: 0x3333_0000_0002),
                source: F.podMAC,
                type: 0x86dd
            )
            .carrying(
                IPv6(
                    source: F.podLinkLocal,
                    target: IPAddress(literal: "ff02::2"),
                    next: 58,
                    hopLimit: 255
                )
                .carrying(
                    type: 133,
                    rest: [0, 0, 0, 0] + NeighbourMessage.link(1, F.podMAC)
                )
            )
        ),
        .init(
            reason: "nd_own_address",
            what: "duplicate address detection of the own address",
            packet: nd(F.pod6, from: IPAddress(high: 0, low: 0), options: [])
        ),
        .init(
            reason: "nd_own_address",
            what: "duplicate address detection of the own link-local address",
            packet: nd(F.podLinkLocal, from: IPAddress(high: 0, low: 0), options: [])
        ),
        .init(reason: "nd_no_target", what: "an unknown target", packet: nd(stranger6)),
        .init(reason: "nd_no_target", what: "a pod of another VPC", packet: nd(F.elsewhere6)),
        .init(
            reason: "nd_no_target",
            what: "a pod's IPv4 address, mapped",
            packet: nd(F.local)
        ),
    ]

    private static let header6Cases: [PodDropCase] = [
        .init(
            reason: "bad_ipv6",
            what: "version 4",
            packet: ip(IPv6(source: F.pod6, target: F.local6, next: 17, version: 4))
        ),
        .init(
            reason: "bad_ipv6",
            what: "a length past the end",
            packet: ip(IPv6(source: F.pod6, target: F.local6, next: 17, payloadLength: 1))
        ),
        .init(
            reason: "multicast",
            what: "mDNS over IPv6",
            packet: ip(
                IPv6(source: F.pod6, target: IPAddress(literal: "ff02::fb"), next: 17),
                to: MACAddress(bits: 0x3333_0000_00fb)
            )
        ),
        .init(
            reason: "multicast",
            what: "a multicast address behind the gateway's MAC",
            packet: ip(IPv6(source: F.pod6, target: IPAddress(literal: "ff05::1"), next: 17))
        ),
        .init(
            reason: "multicast_report",
            what: "a listener report",
            packet: ip(
                IPv6(source: F.podLinkLocal, target: IPAddress(literal: "ff02::16"), next: 0),
                [58, 0, 5, 2, 0, 0, 1, 0] + [143, 0, 0, 0, 0, 0, 0, 0],
                to: MACAddress(bits: 0x3333_0000_0016)
            )
        ),
        .init(
            reason: "not_to_gateway",
            what: "IPv6 to a neighbour's own MAC",
            packet: ip(IPv6(source: F.pod6, target: F.local6, next: 17), to: F.localMAC)
        ),
        .init(
            reason: "spoofed_address",
            what: "another IPv6 source",
            packet: ip(IPv6(source: F.remote6, target: F.local6, next: 17))
        ),
        .init(
            reason: "spoofed_address",
            what: "the link-local address beyond the link",
            packet: ip(IPv6(source: F.podLinkLocal, target: F.local6, next: 17))
        ),
        .init(
            reason: "spoofed_address",
            what: "the pod's IPv4 address, mapped",
            packet: ip(IPv6(source: F.pod, target: F.local6, next: 17))
        ),
    ]

    private static let route6Cases: [PodDropCase] = [
        .init(
            reason: "gateway_not_echo",
            what: "UDP to the IPv6 gateway",
            packet: ip(IPv6(source: F.pod6, target: F.gateway6, next: 17), .init(0..<8))
        ),
        .init(
            reason: "gateway_not_echo",
            what: "an ICMPv6 echo reply to the gateway",
            packet: ip(IPv6(source: F.pod6, target: F.gateway6, next: 58), [129, 0] + .init(0..<6))
        ),
        .init(
            reason: "truncated",
            what: "six bytes of an ICMPv6 echo request",
            packet: ip(IPv6(source: F.pod6, target: F.gateway6, next: 58), [128, 0, 0, 0, 0, 0])
        ),
        .init(reason: "no_endpoint", what: "an unknown target", packet: F.podUDP6(to: stranger6)),
        .init(
            reason: "no_endpoint",
            what: "an IPv6 pod of another VPC",
            packet: F.podUDP6(to: F.elsewhere6)
        ),
        .init(
            reason: "no_endpoint",
            what: "a pod's IPv4 address, mapped",
            packet: F.podUDP6(to: F.local)
        ),
        .init(
            reason: "ttl_expired",
            what: "the last hop of IPv6, to this node",
            packet: F.podUDP6(to: F.local6, hopLimit: 1)
        ),
        .init(
            reason: "ttl_expired",
            what: "no hop at all, to another node, in IPv6",
            packet: F.podUDP6(to: F.remote6, hopLimit: 0)
        ),
        .init(
            reason: "too_big",
            what: "one byte over the MTU in IPv6",
            packet: F.podUDP6(to: F.remote6, payload: .init(repeating: 0, count: 1403))
        ),
    ]
}
