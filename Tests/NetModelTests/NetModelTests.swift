import Addressing
import Determinism
import NetModel
import Testing
import Wire

@Suite("VPCs, pod groups and endpoints: what may exist, and how it is written down")
struct NetModelTests {
    private func vpc() throws -> VPC {
        try VPC(name: "red", vni: #require(VNI(42)))
    }

    private func group(_ name: String, _ subnet: String, id: UInt64 = 1) throws -> PodGroup {
        try PodGroup(id: id, name: name, subnet: #require(Prefix(subnet)))
    }

    @Test(
        "names are DNS labels",
        arguments: [
            ("red", true), ("a-1", true), ("", false), ("-a", false), ("a-", false), ("Red", false),
            ("a_b", false), (String(repeating: "a", count: 63), true),
            (String(repeating: "a", count: 64), false), ("rot\u{e9}", false),
        ]
    )
    func names(name: String, isGood: Bool) {
        let vpc = try? VPC(name: name, vni: #require(VNI(1)))
        #expect((vpc != nil) == isGood)
    }

    @Test("a group is named VPC/GROUP", arguments: ["red", "red/", "/web", "red/web/x", "Red/web"])
    func references(text: String) {
        #expect(throws: NetModelError.self) { try GroupReference(text) }
    }

    @Test("overlapping subnets in one VPC are refused, and the error names both")
    func overlap() throws {
        var vpc = try vpc()
        try vpc.add(group("web", "10.1.0.0/16"))
        let error = #expect(throws: NetModelError.self) {
            try vpc.add(group("db", "10.1.128.0/17", id: 2))
        }
        #expect(
            error?.description.contains("10.1.128.0/17 overlaps 10.1.0.0/16 of group web") == true
        )
        try vpc.add(group("db", "10.2.0.0/16", id: 2))
        #expect(vpc.groups.map(\.name) == ["db", "web"])
    }

    @Test("a second group of one name is refused, and an unknown one is named with the known")
    func groupNames() throws {
        var vpc = try vpc()
        try vpc.add(group("web", "10.1.0.0/16"))
        #expect(throws: NetModelError.groupExists(vpc: "red", group: "web")) {
            try vpc.add(group("web", "10.9.0.0/16", id: 2))
        }
        let unknown = NetModelError.unknownGroup(vpc: "red", group: "api", known: ["web"])
        #expect(throws: unknown) { try vpc.group("api") }
        #expect(throws: unknown) { try vpc.remove("api") }
        #expect(throws: NetModelError.vpcInUse(vpc: "red", groups: ["web"])) {
            try vpc.checkUnused()
        }
    }

    @Test(
        "subnets outside /8 to /32 (IPv6: /16 to /128) and reserved ones are refused",
        arguments: [
            "10.0.0.0/7", "8000::/15", "127.0.0.0/8", "224.1.0.0/16", "fe80::/64", "ff00::/16",
        ]
    )
    func subnetSizes(text: String) throws {
        let prefix = Prefix(text) ?? Prefix("0.0.0.0/0")
        #expect(throws: NetModelError.self) {
            try PodGroup(id: 1, name: "g", subnet: #require(prefix))
        }
    }

    @Test("second subnets and exclusions are read back; a group without them is written as ever")
    func groupFields() throws {
        var vpc = try vpc()
        try vpc.add(group("plain", "10.9.0.0/24"))
        let plain = vpc.encoded
        let dual = try PodGroup(
            id: 3,
            name: "dual",
            subnet: #require(Prefix("10.1.0.0/16")),
            secondSubnet: Prefix("fd00::/64"),
            exclusions: [#require(AddressRange("fd00::2-fd00::9"))]
        )
        try vpc.add(dual)
        #expect(try VPC(encoded: vpc.encoded) == vpc)
        #expect(try VPC(encoded: vpc.encoded).group("dual").subnets.count == 2)
        // What a later release says is kept, whoever changes the VPC.
        var later = try TaggedFields(plain[...], lengthMax: 1 << 16)
        later.set(99, text: "later")
        #expect(try VPC(encoded: later.encoded).encoded == later.encoded)
        #expect(try TaggedFields(plain[...], lengthMax: 1 << 16)[5] == nil)
        try vpc.remove("dual")
        #expect(vpc.encoded == plain)
    }

    @Test("an open VPC is read back as one, and a closed one is written as ever")
    func openness() throws {
        let closed = try vpc()
        let open = try VPC(name: closed.name, vni: closed.vni, id: closed.id, isOpen: true)
        #expect(try VPC(encoded: open.encoded) == open)
        #expect(try !VPC(encoded: closed.encoded).isOpen)
        #expect(try TaggedFields(closed.encoded[...], lengthMax: 1 << 16)[6] == nil)
    }

    @Test("a group has one subnet of a family, and excludes addresses of its own")
    func badGroups() throws {
        let four = try #require(Prefix("10.1.0.0/24"))
        let five = try #require(Prefix("10.2.0.0/24"))
        let stray = try #require(AddressRange("10.2.0.1"))
        #expect(throws: NetModelError.sameFamily(four, five)) {
            try PodGroup(id: 1, name: "g", subnet: four, secondSubnet: five)
        }
        #expect(throws: NetModelError.strayExclusion(stray, subnet: four)) {
            try PodGroup(id: 1, name: "g", subnet: four, exclusions: [stray])
        }
    }

    @Test("a VPC is read back as written, and a cut one is refused")
    func vpcCodec() throws {
        var vpc = try vpc()
        try vpc.add(group("web", "10.1.0.0/16"))
        try vpc.add(group("db", "10.2.0.0/24", id: 2))
        let bytes = vpc.encoded
        #expect(try VPC(encoded: bytes) == vpc)
        for length in 1..<bytes.count {
            let cut = try? VPC(encoded: Array(bytes[..<length]))
            if cut == nil { continue }
            // Cut exactly between two fields: what is missing reads as absent.
            #expect(cut?.groups.isEmpty == true || cut?.id == 0)
        }
    }

    @Test(
        "an endpoint is read back as written, and damage is refused or harmless",
        arguments: 0..<10
    )
    func endpointCodec(seed: UInt64) throws {
        let endpoint = Endpoint(
            group: try GroupReference("red/web"),
            vni: try #require(VNI(42)),
            address: try #require(IPAddress("10.1.0.5")),
            mac: MACAddress(bits: 0x0200_0000_0001),
            vtep: try #require(IPAddress("172.30.1.1")),
            fence: 3,
            containerID: "abc",
            interfaceName: "eth0",
            podNamespace: "default",
            podName: "web-1",
            nodeName: "node1"
        )
        let bytes = endpoint.encoded
        #expect(try Endpoint(encoded: bytes) == endpoint)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var damaged = bytes
            damaged[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                in: 0...255,
                using: &generator
            )
            _ = try? Endpoint(encoded: damaged)
        }
    }
}
