import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import Glibc
import Testing

@Suite(
    "By which neighbour encapsulated packets leave, and for how long that is believed",
    .enabled(if: getuid() == 0, "needs root")
)
struct HopTests {
    private static let router = IPAddress(literal: "192.0.2.254")
    private static let otherRouter = IPAddress(literal: "192.0.2.253")

    /// What is remembered of the way to a VTEP: of each CPU that knows of one, the neighbour; nil
    /// for the kernel finding it each time.
    private func hops(_ node: TwoNodes.Node, to vtep: IPAddress) throws -> [IPAddress?] {
        let map = bpf_obj_get(node.dataplane.pinDirectory + "/gr_hop_r1")
        try #require(map >= 0)
        defer { close(map) }
        let size = 48
        let cpus = Int(libbpf_num_possible_cpus())
        var values = [UInt64](repeating: 0, count: size / 8 * cpus)
        var found: [IPAddress?] = []
        for slot in 0..<UInt32(GENIE_HOP_MAX) {
            var slot = slot
            try #require(bpf_map_lookup_elem(map, &slot, &values) == 0)
            for row in (0..<cpus).map({ values[(size / 8 * $0)...].prefix(size / 8) }) {
                let bytes = row.flatMap { word in withUnsafeBytes(of: word) { Array($0) } }
                guard Self.address(bytes.prefix(16)) == vtep else { continue }
                let neighbour = bytes[28..<44]
                switch bytes[24] {
                case 2: found.append(Self.address(Self.mapped + neighbour.prefix(4)))
                case 10: found.append(Self.address(neighbour))
                default: found.append(nil)
                }
            }
        }
        return found
    }

    private static let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    private static func address(_ bytes: some Collection<UInt8>) -> IPAddress {
        let words = [bytes.prefix(8), bytes.dropFirst(8)].map { half in
            half.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        return IPAddress(high: words[0], low: words[1])
    }

    private func forward(_ node: TwoNodes.Node) throws {
        try node.namespace.run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        )
    }

    @Test("a node that forwards remembers the neighbour on its own link", arguments: [false, true])
    func direct(isOverIPv6: Bool) throws {
        let lab = try TwoNodes(mode: .trafficControlOnly, isOverIPv6: isOverIPv6)
        try forward(lab.first)
        let (status, said) = try lab.a.ping(lab.c.address)
        #expect(status == 0, "\(said)")
        let found = try hops(lab.first, to: lab.second.vtep)
        #expect(!found.isEmpty && found.allSatisfy { $0 == lab.second.vtep }, "\(found)")
    }

    @Test("a node that does not forward leaves the neighbour to the kernel, each time")
    func without() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly)
        try lab.first.namespace.run("sysctl -qw net.ipv4.ip_forward=0")
        let (status, said) = try lab.a.ping(lab.c.address)
        #expect(status == 0, "\(said)")
        let found = try hops(lab.first, to: lab.second.vtep)
        #expect(!found.isEmpty && found.allSatisfy { $0 == nil }, "\(found)")
    }

    @Test("a route that changes is followed with the next packets")
    func changed() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly, pathMTU: 1500)
        try forward(lab.first)
        var (status, said) = try lab.a.ping(lab.c.address)
        #expect(status == 0, "\(said)")
        #expect(Set(try hops(lab.first, to: lab.second.vtep)) == [Self.router])
        try lab.addRouterAddress(Self.otherRouter)
        try lab.first.namespace.run("ip route replace default via \(Self.otherRouter)")
        // Pings 20 ms apart, so that each CPU that sends has looked again by the last.
        (status, said) = try lab.a.ping(lab.c.address, "-c 20 -i 0.03")
        #expect(status == 0 && said.contains(" 0% packet loss"), "\(said)")
        #expect(try hops(lab.first, to: lab.second.vtep).contains(Self.otherRouter))
        // And one that leads nowhere is not gone on with.
        try lab.first.namespace.run("ip route replace unreachable default")
        usleep(50_000)
        #expect(try lab.a.ping(lab.c.address, "-c 1").0 != 0)
    }
}
