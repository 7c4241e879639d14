import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite(
    "E8: what the underlay says of a narrower path reaches the pods",
    .enabled(if: getuid() == 0, "needs root")
)
struct PathNewsTests {
    /// What a router says of a tunnel packet that this node sent.
    struct News {
        var type: UInt8 = 3
        var code: UInt8 = 4
        var mtu: UInt32 = 1400
        var to = F.vtep
        var quoted = IPv4(source: F.vtep, target: F.otherVTEP, transport: 17, id: 0)
        var port: UInt16 = 6081
        var isCorrupt = false

        var bytes: [UInt8] {
            let tunnel = UDP(source: 50_000, target: port).carrying(
                .init(repeating: 5, count: 1_425)
            )
            let quote = quoted.carrying(tunnel).prefix(520)
            var icmp = icmpEcho(type: type, code: code, rest: big(mtu) + quote)
            if isCorrupt { icmp[100] ^= 1 }
            let ip = IPv4(source: IPAddress(literal: "192.0.2.254"), target: to, transport: 1)
            return Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC).carrying(
                ip.carrying(icmp)
            )
        }
    }

    /// The largest IPv4 and IPv6 packets that leave for the other node, and what is said of larger.
    private func expectPath(_ mtu: Int, _ fixture: F) throws {
        let fits = F.podUDP(to: F.remote, payload: .init(repeating: 7, count: mtu - 28))
        #expect(try fixture.run(.podEgress, fits).packet.count == 14 + mtu + 50)
        let fits6 = F.podUDP6(to: F.remote6, payload: .init(repeating: 7, count: mtu - 48))
        #expect(try fixture.run(.podEgress, fits6).packet.count == 14 + mtu + 50)
        let exceeds = F.podUDP(to: F.remote, payload: .init(repeating: 7, count: mtu - 27))
        let error = try fixture.run(.podEgress, exceeds).packet
        #expect(Array(error[34..<36]) == [3, 4] && Array(error[38..<42]) == big(UInt32(mtu)))
        let exceeds6 = F.podUDP6(to: F.remote6, payload: .init(repeating: 7, count: mtu - 47))
        let error6 = try fixture.run(.podEgress, exceeds6).packet
        #expect(Array(error6[54..<56]) == [2, 0] && Array(error6[58..<62]) == big(UInt32(mtu)))
    }

    @Test(
        "a router's word lowers what pods may send to that node, and the packet is the stack's too"
    )
    func lower() throws {
        let fixture = try F()
        try expectPath(1450, fixture)
        let news = News().bytes
        #expect(
            try fixture.run(.uplinkIngress, news)
                == .init(verdict: Verdict.unspecified, packet: news)
        )
        #expect(try fixture.counts().contains("path_mtu_news=1"))
        try expectPath(1350, fixture)
        // Later news count, up and down; XDP leaves them to tc.
        #expect(try fixture.run(.uplinkXDP, News(mtu: 1390).bytes).verdict == Verdict.xdpPass)
        _ = try fixture.run(.uplinkIngress, News(mtu: 1390).bytes)
        try expectPath(1340, fixture)
        _ = try fixture.run(.uplinkIngress, News(mtu: 1480).bytes)
        try expectPath(1430, fixture)
        // Nothing makes it wider than the uplink.
        _ = try fixture.run(.uplinkIngress, News(mtu: 9000).bytes)
        try expectPath(1450, fixture)
    }

    @Test(
        "news of less than IPv6 needs, which may be forged, lower it to that",
        arguments: [51, 576, 1329]
    )
    func floor(mtu: UInt32) throws {
        let fixture = try F()
        _ = try fixture.run(.uplinkIngress, News(mtu: mtu).bytes)
        try expectPath(1280, fixture)
    }

    @Test("what was learnt of a path counts for ten minutes, and is as good as never heard then")
    func end() throws {
        let fixture = try F()
        _ = try fixture.run(.uplinkIngress, News().bytes)
        try expectPath(1350, fixture)
        let map = bpf_obj_get(fixture.dataplane.pinDirectory + "/gr_path_r1")
        try #require(map >= 0)
        defer { close(map) }
        var row = path_value()
        var slot = try #require(
            (0..<UInt32(GENIE_PATH_MAX)).first { slot in
                var slot = slot
                return bpf_map_lookup_elem(map, &slot, &row) == 0 && row.until != 0
            }
        )
        #expect(row.mtu == 1350)
        func nanoseconds() -> UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }
        // RFC 1191 section 6.3.
        let left = Double(row.until) - Double(nanoseconds())
        #expect(left > 590e9 && left <= 600e9, "\(left) ns")
        // Ten minutes later.
        row.until = nanoseconds()
        try #require(bpf_map_update_elem(map, &slot, &row, 0) == 0)
        try expectPath(1450, fixture)
        _ = try fixture.run(.uplinkIngress, News(mtu: 1390).bytes)
        try expectPath(1340, fixture)
    }

    @Test("the segment size follows the path")
    func segments() throws {
        let fixture = try F()
        _ = try fixture.run(.uplinkIngress, News().bytes)
        let tcp = TCP(flags: 2, options: [2, 4, 0x05, 0x82])
        let ip = IPv4(source: F.pod, target: F.remote, transport: 6)
        let packet = Ethernet(target: F.gatewayMAC, source: F.podMAC)
            .carrying(ip.carrying(tcp.carrying([], between: F.pod, F.remote)))
        let segment = Array(try fixture.run(.podEgress, packet).packet.dropFirst(84))
        #expect(Array(segment[20..<24]) == [2, 4] + big(UInt16(1310)))
        #expect(TCP.checksum(segment, between: F.pod, F.remote) == 0)
    }

    static let foreign: [(String, News)] = {
        var list: [(String, News)] = []
        func add(_ what: String, _ change: (inout News) -> Void) {
            var news = News()
            change(&news)
            list.append((what, news))
        }
        add("another type") { $0.type = 11 }
        add("another code") { $0.code = 3 }
        add("another node's packet") { $0.quoted.source = IPAddress(literal: "192.0.2.3") }
        add("a packet to a stranger") { $0.quoted.target = IPAddress(literal: "192.0.2.66") }
        add("TCP") { $0.quoted.transport = 6 }
        add("another port") { $0.port = 53 }
        add("IPv4 options") { $0.quoted.options = [1, 1, 1, 0] }
        add("a wrong checksum") { $0.isCorrupt = true }
        add("no MTU") { $0.mtu = 0 }
        add("no room for the tunnel") { $0.mtu = 50 }
        add("another address") { $0.to = IPAddress(literal: "192.0.2.3") }
        return list
    }()

    @Test("what was not said of this node's tunnels changes nothing", arguments: foreign)
    func ignored(what: String, news: News) throws {
        let fixture = try F()
        let packet = news.bytes
        #expect(
            try fixture.run(.uplinkIngress, packet)
                == .init(verdict: Verdict.unspecified, packet: packet)
        )
        #expect(try fixture.counts().isEmpty)
        try expectPath(1450, fixture)
    }
}
