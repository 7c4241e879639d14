import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import Glibc
import Testing

@Suite("What pods send, get and lose is counted by pod", .enabled(if: getuid() == 0, "needs root"))
struct CounterTests {
    typealias F = DataplaneFixture

    private static let neighbour = PortRow(
        ifindex: F.localIfindex,
        vni: F.vni,
        addresses: [PodAddress(address: F.local, gateway: F.gateway)],
        mac: F.localMAC,
        gatewayMAC: F.gatewayMAC,
        generation: 1
    )

    private func text(_ count: TrafficCount) -> String {
        "\(count.vni.number) \(count.pod) sent \(count.sentPackets)/\(count.sentBytes) "
            + "received \(count.receivedPackets)/\(count.receivedBytes)"
    }

    private func counts(_ fixture: F) throws -> [String] {
        try fixture.dataplane.traffic().map(text)
    }

    @Test("a packet counts for its sender, and for the pod that it is given to")
    func bothEnds() throws {
        let fixture = try F()
        try fixture.dataplane.putPort(Self.neighbour)
        let packet = F.podUDP(to: F.local)
        _ = try fixture.run(.podEgress, packet)
        _ = try fixture.run(.podEgress, packet)
        let tunnel = F.TunnelPacket()
        _ = try fixture.run(.uplinkIngress, tunnel.bytes)
        let (own, delivered) = (packet.count, tunnel.delivered.count)
        #expect(
            try counts(fixture) == [
                "42 port(ifindex: 1) sent 2/\(2 * own) received 0/0",
                "42 port(ifindex: 77) sent 0/0 received 3/\(2 * own + delivered)",
            ]
        )
    }

    @Test("a super-packet counts as its segments")
    func segments() throws {
        let fixture = try F()
        let packet = F.podUDP(to: F.local, payload: Array(repeating: 7, count: 200))
        _ = try fixture.run(.podEgress, packet, gsoSize: 100)
        #expect(
            try counts(fixture)
                == ["42 port(ifindex: 1) sent 2/\(packet.count) received 0/0"]
        )
    }

    @Test("a drop names the pod that sent it, and none where no pod did")
    func drops() throws {
        let fixture = try F()
        _ = try fixture.run(.podEgress, F.podUDP(to: F.elsewhere))
        var stranger = F.TunnelPacket()
        stranger.geneve.vni = 99
        _ = try fixture.run(.uplinkIngress, stranger.bytes)
        let drops = try fixture.dataplane.drops().map { "\($0.pod) \($0.reason) \($0.count)" }
        #expect(drops == ["none unknown_vni 1", "port(ifindex: 1) no_endpoint 1"])
    }

    @Test("what a pod did goes over to its VPC's when it goes, and nothing is lost or doubled")
    func gone() throws {
        let fixture = try F()
        let packet = F.podUDP(to: F.elsewhere)
        for _ in 0..<3 {
            _ = try fixture.run(.podEgress, packet)
            try fixture.dataplane.deletePort(ifindex: F.podIfindex)
            try fixture.dataplane.deletePort(ifindex: F.podIfindex)
            try fixture.dataplane.putPort(
                PortRow(
                    ifindex: F.podIfindex,
                    vni: F.vni,
                    addresses: [PodAddress(address: F.pod, gateway: F.gateway)],
                    mac: F.podMAC,
                    gatewayMAC: F.gatewayMAC,
                    generation: 1
                )
            )
        }
        #expect(
            try counts(fixture) == [
                "42 port(ifindex: 1) sent 0/0 received 0/0",
                "42 gone sent 3/\(3 * packet.count) received 0/0",
            ]
        )
        let drops = try fixture.dataplane.drops().map { "\($0.pod) \($0.reason) \($0.count)" }
        #expect(drops == ["gone no_endpoint 3"])
        try fixture.dataplane.deleteVNI(F.vni)
        #expect(try fixture.dataplane.drops().isEmpty)
    }

    @Test("counts of a pod whose daemon died between two steps are settled by the next one")
    func strays() throws {
        let fixture = try F()
        try fixture.dataplane.putPort(Self.neighbour)
        _ = try fixture.run(.podEgress, F.podUDP(to: F.local))
        let map = bpf_obj_get(fixture.dataplane.pinDirectory + "/gr_port_r2")
        defer { close(map) }
        var key = port_key(ifindex: Self.neighbour.ifindex)
        try #require(bpf_map_delete_elem(map, &key) == 0)
        try fixture.dataplane.settleCounts()
        let pods = try fixture.dataplane.traffic().map(\.pod)
        #expect(pods == [.port(ifindex: 1), .gone])
        try fixture.dataplane.settleCounts()
        #expect(try fixture.dataplane.traffic().map(\.pod) == pods)
    }

    @Test("every map says how much kernel memory it takes, and rows make it more")
    func memory() throws {
        let fixture = try F()
        func bytes(_ map: String) throws -> Int {
            let fill = try fixture.dataplane.mapFill()
            return try #require(fill.first { $0.name == map }?.memoryBytes)
        }
        let before = try bytes("gr_endpoint_r2")
        for number in 0..<4096 {
            try fixture.dataplane.putEndpoint(
                EndpointRow(
                    vni: F.vni,
                    address: IPAddress(v4: 0x0a02_0000 + UInt32(number)),
                    mac: F.remoteMAC,
                    place: .remote(vtep: F.otherVTEP),
                    fence: 1
                )
            )
        }
        #expect(try bytes("gr_endpoint_r2") >= before + 4096 * 60)
    }
}
