import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

/// One tunnel packet that no pod may get.
struct UplinkDropCase: CustomTestStringConvertible, Sendable {
    let reason: String
    let what: String
    let vni: UInt32
    let packet: [UInt8]

    init(
        _ reason: String,
        _ what: String,
        vni: UInt32 = 0,
        _ change: (inout DataplaneFixture.TunnelPacket) -> Void
    ) {
        self.reason = reason
        self.what = what
        self.vni = vni
        var packet = F.TunnelPacket()
        change(&packet)
        self.packet = packet.bytes
    }

    init(_ reason: String, _ what: String, vni: UInt32 = 0, bytes: [UInt8]) {
        self.reason = reason
        self.what = what
        self.vni = vni
        packet = bytes
    }

    var testDescription: String { "\(reason): \(what)" }
}

@Suite(
    "uplink programs: one case for every drop reason, the same for XDP and tc",
    .enabled(if: getuid() == 0, "needs root")
)
struct UplinkDropTests {
    @Test(
        "it is dropped and counted once, under its VPC only if that is known here",
        arguments: cases,
        [Dataplane.Program.uplinkXDP, .uplinkIngress]
    )
    func drop(given: UplinkDropCase, program: Dataplane.Program) throws {
        let fixture = try F()
        let outcome = try fixture.run(program, given.packet)
        #expect(outcome.verdict == (program == .uplinkXDP ? Verdict.xdpDrop : Verdict.shot))
        #expect(try fixture.drops() == ["\(given.vni)/\(given.reason)=1"])
        #expect(try fixture.counts().isEmpty)
    }

    @Test("a super-packet of no known kind cannot be stripped: decap_failed")
    func decapFailed() throws {
        let fixture = try F()
        let outcome = try fixture.run(.uplinkIngress, F.TunnelPacket().bytes, gsoSize: 100)
        #expect(outcome.verdict == Verdict.shot)
        #expect(try fixture.drops() == ["42/decap_failed=1"])
    }

    @Test("every reason in the ABI has a case in these suites")
    func coverage() {
        let special = [
            "no_port", "not_configured", "encap_failed", "bad_oam", "decap_failed", "ipv6",
            // By MulticastTests.
            "multicast_limited", "multicast_sender",
            // By HopTests.
            "no_route",
        ]
        let covered = Set(Self.cases.map(\.reason) + PodEgressDropTests.cases.map(\.reason))
        let all = Set(DropReason.all.map(\.name))
        #expect(covered.union(special) == all)
    }

    static let cases = outerCases + geneveCases + innerCases + inner6Cases

    private static let outerCases: [UplinkDropCase] = [
        .init("bad_vtep", "a stranger") { $0.outer.source = IPAddress(literal: "192.0.2.66") },
        .init("bad_vtep", "a stranger's first fragment") {
            $0.outer.source = IPAddress(literal: "192.0.2.66")
            $0.outer.fragment = 0x2000
        },
        .init("outer_fragment", "a first fragment") { $0.outer.fragment = 0x2000 },
        .init("outer_options", "a router alert") { $0.outer.options = [0x94, 4, 0, 0] },
        .init("outer_checksum", "a flipped identification bit", bytes: flipped(19)),
        .init("outer_length", "a UDP length of 7") { $0.udp.length = 7 },
        .init("outer_length", "a UDP length that IP denies") { $0.udp.length = 60 },
        .init("outer_length", "an IP length past the end") {
            $0.outer.totalLength = 500
            $0.udp.length = 480
        },
        .init("outer_length", "no room for Geneve") {
            $0.outer.totalLength = 35
            $0.udp.length = 15
        },
        .init("truncated", "an end inside the inner IPv4 header", vni: 42, bytes: short(inner: 19)),
        .init(
            "truncated",
            "an end inside the inner Ethernet header",
            vni: 42,
            bytes: short(inner: -1)
        ),
    ]

    private static let geneveCases: [UplinkDropCase] = [
        .init("geneve_version", "version 1") { $0.geneve.versionAndOptions = 0x40 },
        .init("geneve_options", "four bytes of options") { $0.geneve.versionAndOptions = 1 },
        .init("geneve_options", "word of a critical option that is not there") {
            $0.geneve.flags = 0x40
        },
        .init("geneve_protocol", "IPv4 without Ethernet") { $0.geneve.payloadType = 0x0800 },
        .init("zero_vni", "VNI 0") { $0.geneve.vni = 0 },
        .init("unknown_vni", "a VPC without pods here") { $0.geneve.vni = 44 },
        .init("unknown_vni", "the largest VNI") { $0.geneve.vni = 0xff_ffff },
    ]

    private static let innerCases: [UplinkDropCase] = [
        .init("inner_ethertype", "ARP", vni: 42) { $0.innerEthernet.type = 0x0806 },
        .init("inner_ethertype", "a VLAN tag", vni: 42) { $0.innerEthernet.type = 0x8100 },
        .init("inner_ipv4", "version 6", vni: 42) { $0.inner.versionAndLength = 0x65 },
        .init("inner_ipv4", "a header of 16 bytes", vni: 42) { $0.inner.versionAndLength = 0x44 },
        .init("inner_ipv4", "a length past the end", vni: 42) { $0.inner.totalLength = 35 },
        .init("inner_ipv4", "a length shorter than the header", vni: 42) {
            $0.inner.totalLength = 19
        },
        .init("no_endpoint", "an unknown pod", vni: 42) {
            $0.inner.target = IPAddress(literal: "10.1.0.66")
        },
        .init("no_endpoint", "a pod of another VPC", vni: 42) { $0.inner.target = F.elsewhere },
        .init("no_endpoint", "the right pod in the wrong VPC", vni: 43) { $0.geneve.vni = 43 },
        .init("not_local", "a pod of a third node", vni: 42) {
            $0.inner.target = F.remote
            $0.innerEthernet.target = F.remoteMAC
        },
        .init("inner_mac", "the MAC of the address's previous pod", vni: 42) {
            $0.innerEthernet.target = F.podMAC
        },
        .init("inner_mac", "broadcast", vni: 42) {
            $0.innerEthernet.target = MACAddress(bits: 0xffff_ffff_ffff)
        },
        .init("bad_ecn", "a mark on a packet that cannot carry it", vni: 42) {
            $0.outer.tos = 3
        },
    ]

    private static let inner6Cases: [UplinkDropCase] = [
        .init("inner_ipv6", "version 4", vni: 42) {
            $0.inner6 = inner6()
            $0.inner6?.version = 4
        },
        .init("inner_ipv6", "a length past the end", vni: 42) {
            $0.inner6 = inner6()
            $0.inner6?.payloadLength = 15
        },
        .init("no_endpoint", "an unknown IPv6 pod", vni: 42) {
            $0.inner6 = inner6(to: IPAddress(literal: "fd00:1::66"))
        },
        .init("no_endpoint", "the right IPv6 pod in the wrong VPC", vni: 43) {
            $0.inner6 = inner6()
            $0.geneve.vni = 43
        },
        .init("no_endpoint", "a pod's IPv4 address, mapped", vni: 42) {
            $0.inner6 = inner6(to: F.local)
        },
        .init("not_local", "an IPv6 pod of a third node", vni: 42) {
            $0.inner6 = inner6(to: F.remote6)
            $0.innerEthernet.target = F.remoteMAC
        },
        .init("inner_mac", "the MAC of the IPv6 address's previous pod", vni: 42) {
            $0.inner6 = inner6()
            $0.innerEthernet.target = F.podMAC
        },
        .init("bad_ecn", "a mark on an IPv6 packet that cannot carry it", vni: 42) {
            $0.inner6 = inner6()
            $0.outer.tos = 3
        },
    ]

    private static func inner6(to target: IPAddress = DataplaneFixture.local6) -> IPv6 {
        IPv6(source: F.remote6, target: target, next: 17, hopLimit: 63)
    }

    private static func flipped(_ index: Int) -> [UInt8] {
        var bytes = F.TunnelPacket().bytes
        bytes[index] ^= 1
        return bytes
    }

    /// A packet whose outer lengths are right and whose inner frame has `inner` bytes of IPv4.
    private static func short(inner: Int) -> [UInt8] {
        let packet = F.TunnelPacket()
        let frame = packet.innerEthernet.carrying(packet.inner.carrying(packet.payload))
        let cut = Array(frame[..<(14 + inner)])
        return packet.ethernet.carrying(
            packet.outer.carrying(packet.udp.carrying(packet.geneve.carrying(cut)))
        )
    }
}
