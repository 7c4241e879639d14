import Addressing
import BPFObjects
import CLibBPF
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("pinned maps: adoption, limits, removal", .enabled(if: getuid() == 0, "needs root"))
struct AdoptionTests {
    @Test("a second load over the same directory keeps every row and every counter")
    func adoption() throws {
        let fixture = try F()
        _ = try fixture.run(.podEgress, F.podUDP(to: F.local, ttl: 1))
        _ = try fixture.run(.podEgress, F.podUDP(to: F.local))
        let first = fixture.dataplane
        let second = try Dataplane(pinDirectory: first.pinDirectory)
        #expect(try second.node() == first.node())
        #expect(try second.ports() == first.ports())
        #expect(try second.ports().count == 1)
        #expect(try second.endpoints() == first.endpoints())
        #expect(try second.endpoints().count == 10)
        #expect(try second.vteps() == [F.otherVTEP, F.otherVTEP6])
        #expect(try second.vnis().map(\.vni) == [F.vni, F.otherVNI])
        #expect(try second.drops() == first.drops())
        #expect(try second.drops().map(\.count) == [1])
        // One map, two programs: what the second writes, the first one's program sees.
        try second.deletePort(ifindex: F.podIfindex)
        #expect(try fixture.run(.podEgress, F.podUDP(to: F.local)).verdict == Verdict.shot)
    }

    @Test("rows come back as they were written")
    func roundTrip() throws {
        let fixture = try F()
        let row = EndpointRow(
            vni: VNI(literal: 0xff_ffff),
            address: IPAddress(literal: "fd00:1::2"),
            mac: MACAddress(bits: 0xfedc_ba98_7654),
            place: .remote(vtep: IPAddress(literal: "198.51.100.7")),
            fence: .max - 1
        )
        try fixture.dataplane.putEndpoint(row)
        #expect(try fixture.dataplane.endpoints().last == row)
        try fixture.dataplane.deleteEndpoint(vni: row.vni, address: row.address)
        try fixture.dataplane.deleteEndpoint(vni: row.vni, address: row.address)
        #expect(try fixture.dataplane.endpoints().contains(row) == false)
        let node = try fixture.dataplane.node()
        #expect(node == NodeConfiguration(vtep: F.vtep, uplinkIfindex: 5, uplinkMTU: 1500))
        #expect(node?.podMTU == 1450)
    }

    @Test("deleting a VPC forgets its drop counts, and no others")
    func deleteVNI() throws {
        let fixture = try F()
        _ = try fixture.run(.podEgress, F.podUDP(to: F.local, ttl: 1))
        _ = try fixture.run(.uplinkXDP, F.TunnelPacket(geneve: Geneve(vni: 43)).bytes)
        #expect(try fixture.drops() == ["42/ttl_expired=1", "43/no_endpoint=1"])
        try fixture.dataplane.deleteVNI(F.vni)
        #expect(try fixture.drops() == ["43/no_endpoint=1"])
        #expect(try fixture.dataplane.vnis().map(\.vni) == [F.otherVNI])
    }

    @Test("a full map is a typed error that names it, and the rows stay")
    func mapFull() throws {
        let fixture = try F()
        let max = 4096
        for number in 1...UInt32(max) where ![42, 43].contains(number) {
            try fixture.dataplane.putVNI(
                VNIRow(vni: VNI(literal: number), gatewayMAC: F.gatewayMAC)
            )
        }
        #expect(throws: BPFError.mapFull(map: "gr_vni_r1", max: max)) {
            try fixture.dataplane.putVNI(
                VNIRow(vni: VNI(literal: 9999), gatewayMAC: F.gatewayMAC)
            )
        }
        let fill = try fixture.dataplane.mapFill()
            .map { "\($0.name) \($0.entries)/\($0.entriesMax)" }
        #expect(fill.contains("gr_vni_r1 4096/4096"))
        #expect(fill.contains("gr_endpoint_r2 10/65536"))
        // An existing row can still be written.
        try fixture.dataplane.putVNI(VNIRow(vni: F.vni, gatewayMAC: F.gatewayMAC))
    }

    @Test("a pinned map of another shape is refused by name and left alone")
    func otherLayout() throws {
        let mount = try BPFMount()
        let directory = mount.path + "/genie"
        try #require(mkdir(directory, 0o700) == 0)
        let map = bpf_map_create(BPF_MAP_TYPE_HASH, "gr_vni_r1", 4, 8, 4096, nil)
        try #require(map >= 0)
        defer { close(map) }
        try #require(bpf_obj_pin(map, directory + "/gr_vni_r1") == 0)
        let error = #expect(throws: BPFError.self) { try Dataplane(pinDirectory: directory) }
        guard case .layoutDiffers("gr_vni_r1", let pinned, let wanted) = error else {
            Issue.record("threw \(String(describing: error))")
            return
        }
        #expect(pinned.valueSize == 8)
        #expect(wanted.valueSize == 12)
        #expect(access(directory + "/gr_vni_r1", F_OK) == 0)
    }

    /// Pins an empty hash map, as another release might have left it.
    private func pin(_ name: String, keySize: UInt32, in directory: String) throws {
        let map = bpf_map_create(BPF_MAP_TYPE_HASH, name, keySize, 8, 16, nil)
        try #require(map >= 0)
        defer { close(map) }
        try #require(bpf_obj_pin(map, directory + "/" + name) == 0)
    }

    @Test("a layout that is refused is refused before a single map is made")
    func refusedWhole() throws {
        let mount = try BPFMount()
        let directory = mount.path + "/genie"
        try #require(mkdir(directory, 0o700) == 0)
        // Of the program that is loaded last.
        try pin("gr_vtep_r1", keySize: 3, in: directory)
        #expect(throws: BPFError.self) { try Dataplane(pinDirectory: directory) }
        #expect(access(directory + "/gr_node_r2", F_OK) != 0)
        #expect(access(directory + "/gr_vtep_r1", F_OK) == 0)
    }

    @Test("the endpoints of the revision before are taken over, and do not replace newer rows")
    func endpointsOfEarlierRevision() throws {
        let mount = try BPFMount()
        let directory = mount.path + "/genie"
        try #require(mkdir(directory, 0o700) == 0)
        let old = bpf_map_create(BPF_MAP_TYPE_HASH, "gr_endpoint_r1", 20, 40, 65_536, nil)
        try #require(old >= 0)
        defer { close(old) }
        // VNI 42, ::ffff:10.1.0.9; fence 9, VTEP ::ffff:192.0.2.2, no interface, a MAC, padding.
        let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        var key: [UInt8] = [42, 0, 0, 0] + mapped + [10, 1, 0, 9]
        var value: [UInt8] = [9, 0, 0, 0, 0, 0, 0, 0] + mapped + [192, 0, 2, 2] + [0, 0, 0, 0]
        value += [2, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0]
        try #require(bpf_map_update_elem(old, &key, &value, 0) == 0)
        try #require(bpf_obj_pin(old, directory + "/gr_endpoint_r1") == 0)

        let row = EndpointRow(
            vni: F.vni,
            address: F.remote,
            mac: F.remoteMAC,
            place: .remote(vtep: F.otherVTEP),
            fence: 9
        )
        let first = try Dataplane(pinDirectory: directory)
        #expect(try first.endpoints() == [row])
        let newer = EndpointRow(
            vni: F.vni,
            address: F.remote,
            mac: F.remoteMAC,
            place: .remote(vtep: F.otherVTEP),
            fence: 10,
            group: 7
        )
        try first.putEndpoint(newer)
        let second = try Dataplane(pinDirectory: directory)
        #expect(try second.endpoints() == [newer])
        #expect(try second.removeSuperseded() == ["gr_endpoint_r1"])
    }

    @Test("a map that a later release made anew is refused by name, and left alone")
    func laterRevision() throws {
        let mount = try BPFMount()
        let directory = mount.path + "/genie"
        try #require(mkdir(directory, 0o700) == 0)
        try pin("gr_endpoint_r9", keySize: 20, in: directory)
        #expect(throws: BPFError.laterRevision(map: "gr_endpoint_r9", known: 2)) {
            try Dataplane(pinDirectory: directory)
        }
        #expect(access(directory + "/gr_endpoint_r9", F_OK) == 0)
    }

    @Test("maps of an earlier revision stay until they are told to go; others' pins stay")
    func earlierRevision() throws {
        let fixture = try F()
        let directory = fixture.dataplane.pinDirectory
        try pin("gr_drop_r1", keySize: 8, in: directory)
        try pin("other_r1", keySize: 8, in: directory)
        let next = try Dataplane(pinDirectory: directory)
        #expect(access(directory + "/gr_drop_r1", F_OK) == 0)
        #expect(try next.removeSuperseded() == ["gr_drop_r1"])
        #expect(access(directory + "/gr_drop_r1", F_OK) != 0)
        #expect(access(directory + "/other_r1", F_OK) == 0)
        #expect(access(directory + "/gr_drop_r2", F_OK) == 0)
        #expect(try next.removeSuperseded().isEmpty)
    }

    @Test("a directory that is not in a BPF file system is refused, and not left behind")
    func notOnBPFFS() {
        let path = "/tmp/genie-not-bpf-\(getpid())"
        #expect(throws: BPFError.notOnBPFFS(path: path)) { try Dataplane(pinDirectory: path) }
        #expect(access(path, F_OK) != 0)
        let missing = "/nowhere/genie"
        #expect(throws: BPFError.notOnBPFFS(path: missing)) {
            try Dataplane(pinDirectory: missing)
        }
    }

    @Test("removing everything leaves an empty file system")
    func removal() throws {
        let fixture = try F()
        try fixture.dataplane.removeEverything()
        #expect(access(fixture.dataplane.pinDirectory, F_OK) != 0)
    }

    @Test("keys that cannot be pin names are refused", arguments: ["", "a.b", "a/b", "ä"])
    func invalidKeys(key: String) throws {
        let fixture = try F()
        #expect(throws: BPFError.invalidKey(key)) {
            try fixture.dataplane.attachPod(ifindex: 1, key: key)
        }
    }
}
