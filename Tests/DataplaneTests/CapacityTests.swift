import Addressing
import BPFObjects
import Foundation
import Testing

@Suite("What a node's maps can hold", .enabled(if: getuid() == 0, "needs root"))
struct CapacityTests {
    typealias F = DataplaneFixture

    private static let endpoints = 65_536
    private static let nodes = 5_000
    private static let vpcs = 4_096
    private static let ports = 4_096
    /// 12.3 MB were measured with two CPUs; per-CPU rows take more with more of them.
    private static let megabytesMax = 16.0

    @Test("64k endpoints, 5k nodes, 4k VPCs and 4k pods fit, within a bound of kernel memory")
    func fill() throws {
        let fixture = try F(isConfigured: true)
        let dataplane = fixture.dataplane
        let empty = try dataplane.mapFill().compactMap(\.memoryBytes).reduce(0, +)
        print("capacity: \(empty) bytes with next to nothing in the maps")
        // The fixture's own rows are among them.
        for number in try 0..<UInt32(Self.endpoints - dataplane.endpoints().count) {
            try dataplane.putEndpoint(
                EndpointRow(
                    vni: VNI(literal: 100 + number % 4_094),
                    address: IPAddress(v4: 0x0a00_0000 + number),
                    mac: F.remoteMAC,
                    place: .remote(vtep: F.otherVTEP),
                    fence: 1
                )
            )
        }
        for number in try 0..<UInt32(Self.nodes - dataplane.vteps().count) {
            try dataplane.putVTEP(IPAddress(v4: 0x0b00_0000 + number))
        }
        for number in try 0..<UInt32(Self.vpcs - dataplane.vnis().count) {
            try dataplane.putVNI(
                VNIRow(vni: VNI(literal: 100 + number), gatewayMAC: F.gatewayMAC)
            )
        }
        for number in try 0..<UInt32(Self.ports - dataplane.ports().count) {
            try dataplane.putPort(
                PortRow(
                    ifindex: 100 + number,
                    vni: VNI(literal: 100 + number % 4_094),
                    addresses: [PodAddress(address: F.pod, gateway: F.gateway)],
                    mac: F.podMAC,
                    gatewayMAC: F.gatewayMAC,
                    generation: 1
                )
            )
        }
        let fill = try dataplane.mapFill()
        func entries(_ map: String) -> Int? { fill.first { $0.name == map }?.entries }
        #expect(entries("gr_endpoint_r2") == Self.endpoints)
        #expect(entries("gr_vtep_r1") == Self.nodes)
        #expect(entries("gr_vni_r1") == Self.vpcs)
        #expect(entries("gr_port_r2") == Self.ports)
        let bytes = fill.compactMap(\.memoryBytes).reduce(0, +)
        for map in fill {
            print(
                "capacity: \(map.name) \(map.entries) of \(map.entriesMax): \(map.memoryBytes ?? 0)"
            )
        }
        print("capacity: \(bytes) bytes in all")
        #expect(Double(bytes) / 1e6 <= Self.megabytesMax)

        // One more of anything is an error that names the map, and what is there still forwards.
        let full = #expect(throws: BPFError.self) {
            try dataplane.putEndpoint(
                EndpointRow(
                    vni: F.vni,
                    address: IPAddress(v4: 0x0c00_0000),
                    mac: F.remoteMAC,
                    place: .remote(vtep: F.otherVTEP),
                    fence: 1
                )
            )
        }
        #expect(full == .mapFull(map: "gr_endpoint_r2", max: Self.endpoints))
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.redirect)
    }
}
