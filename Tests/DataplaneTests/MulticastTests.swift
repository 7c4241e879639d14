import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import Glibc
import Testing

private typealias F = DataplaneFixture

/// What is copied where is shown on real interfaces, in the lab; here, what is judged.
@Suite("packets to a whole group: golden packets", .enabled(if: getuid() == 0, "needs root"))
struct MulticastTests {
    private static let group = GroupKey(vni: F.vni, group: 0)
    private static let many = IPAddress(literal: "224.0.0.251")
    private static let many6 = IPAddress(literal: "ff02::fb")
    private static let everybody = IPAddress(literal: "255.255.255.255")

    private func packet(
        from source: IPAddress,
        to target: IPAddress,
        payload: [UInt8] = Array("golden".utf8)
    ) -> [UInt8] {
        let frame = Ethernet(
            target: MACAddress(bits: source.isV4 ? 0x0100_5e00_00fb : 0x3333_0000_00fb),
            source: F.podMAC,
            type: source.isV4 ? 0x0800 : 0x86dd
        )
        let datagram = UDP(source: 5353, target: 5353).carrying(payload)
        return frame.carrying(
            source.isV4
                ? IPv4(source: source, target: target, transport: 17, ttl: 1).carrying(datagram)
                : IPv6(source: source, target: target, next: 17, hopLimit: 1).carrying(datagram)
        )
    }

    private func tunnelled(_ inner: [UInt8], from vtep: IPAddress = F.otherVTEP) -> [UInt8] {
        let outer = IPv4(source: vtep, target: F.vtep, transport: 17, id: 0)
        let tunnel = UDP(source: 50_000, target: 6081).carrying(Geneve(vni: 42).carrying(inner))
        return Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC)
            .carrying(outer.carrying(tunnel))
    }

    @Test("a pod may send as many as the bound says, and nothing but its own")
    func sent() throws {
        let fixture = try F()
        // The pod itself is its group's only place: nothing is copied, and nothing can be lost.
        try fixture.dataplane.setPlaces([.local(ifindex: F.podIfindex)], of: Self.group, over: [])
        for (source, target) in [
            (F.pod, Self.many), (F.pod6, Self.many6), (F.pod, Self.everybody),
        ] {
            let outcome = try fixture.run(.podEgress, packet(from: source, to: target))
            #expect(outcome.verdict == Verdict.shot)
        }
        #expect(try fixture.counts() == ["multicast_sent=3"])
        #expect(try fixture.drops().isEmpty)
        _ = try fixture.run(.podEgress, packet(from: F.local, to: Self.many))
        _ = try fixture.run(.podEgress, packet(from: F.local6, to: Self.many6))
        let large = packet(from: F.pod, to: Self.many, payload: .init(repeating: 0, count: 1_423))
        _ = try fixture.run(.podEgress, large)
        // Interface-local: for the pod's own stack alone.
        let own = packet(from: F.pod6, to: IPAddress(literal: "ff01::1"))
        _ = try fixture.run(.podEgress, own)
        let drops = ["42/multicast=1", "42/spoofed_address=2", "42/too_big=1"]
        #expect(try fixture.drops() == drops)
        for _ in 0..<200 { _ = try fixture.run(.podEgress, packet(from: F.pod, to: Self.many)) }
        #expect(try fixture.drops().contains { $0.hasPrefix("42/multicast_limited=") })
    }

    /// Only a program can mark what comes out of a pod, and a pod with CAP_BPF has programs.
    @Test("a mark alone, be it the right one, lets nothing leave unjudged")
    func forgedMark() throws {
        let fixture = try F()
        let map = bpf_obj_get(fixture.dataplane.pinDirectory + "/gr_many_mark_r1")
        try #require(map >= 0)
        defer { close(map) }
        var slot: UInt32 = 0
        var secret = many_secret()
        try #require(bpf_map_lookup_elem(map, &slot, &secret) == 0)
        #expect(secret.mark != 0 && (1...0xffff).contains(secret.tc_index))
        let forged = packet(from: F.local, to: F.remote)
        for mark in [1, 0x6772_0000, secret.mark, secret.mark &+ 1] {
            let outcome = try fixture.run(.podEgress, forged, mark: mark)
            #expect(outcome.verdict == Verdict.shot)
        }
        #expect(try fixture.drops() == ["42/multicast=4"])
        #expect(try fixture.counts().isEmpty)
    }

    @Test("a group without places, or with too many, gets none: the packet is counted as dropped")
    func noPlaces() throws {
        let fixture = try F()
        let places = [EndpointRow.Place.local(ifindex: F.podIfindex), .remote(vtep: F.otherVTEP)]
        try fixture.dataplane.setPlaces(places, of: Self.group, over: [])
        #expect(try fixture.dataplane.places() == [Self.group: places])
        try fixture.dataplane.setPlaces([], of: Self.group, over: places)
        #expect(try fixture.dataplane.places().isEmpty)
        _ = try fixture.run(.podEgress, packet(from: F.pod, to: Self.many))
        #expect(try fixture.drops() == ["42/multicast=1"])
    }

    @Test("from another node it is taken where the sender is a pod of that very node")
    func received() throws {
        let fixture = try F()
        let cases = [
            (packet(from: F.remote, to: Self.many), F.otherVTEP),
            (packet(from: F.remote6, to: Self.many6), F.otherVTEP),
        ]
        for (inner, vtep) in cases {
            let outer = tunnelled(inner, from: vtep)
            #expect(try fixture.run(.uplinkXDP, outer).packet == outer)
            #expect(try fixture.run(.uplinkIngress, outer).verdict == Verdict.shot)
        }
        #expect(try fixture.counts() == ["multicast_received=2"])
        // A pod of this node, nobody, a pod of a third node; and an address of one pod alone.
        let lies = [F.local, IPAddress(literal: "10.1.0.99"), F.overIPv6]
        for source in lies {
            _ = try fixture.run(.uplinkIngress, tunnelled(packet(from: source, to: Self.many)))
        }
        _ = try fixture.run(.uplinkIngress, tunnelled(packet(from: F.remote, to: F.local)))
        #expect(try fixture.drops() == ["42/inner_mac=1", "42/multicast_sender=3"])
        #expect(try fixture.counts() == ["multicast_received=2"])
    }
}
