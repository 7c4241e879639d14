import Addressing
import Glibc
import Netlink
import Testing

@Suite(
    "PodRoutes: a pod with several interfaces answers through the one that was asked",
    .enabled(if: getuid() == 0, "namespaces need root")
)
struct PodRoutesTests {
    /// Two interfaces with an address each, and default routes that others made.
    private func pod() throws -> TestNamespaces {
        let spaces = try TestNamespaces(1)
        try spaces.run(0, "ip link set lo up")
        for (name, address) in [("eth0", "10.1.0.5/24"), ("eth1", "10.2.0.5/24")] {
            try spaces.run(0, "ip link add \(name) type veth peer name p\(name)")
            try spaces.run(0, "ip link set \(name) up")
            try spaces.run(0, "ip link set p\(name) up")
            try spaces.run(0, "ip address add \(address) dev \(name)")
        }
        try spaces.run(0, "ip route add default via 10.2.0.9 metric 50")
        try spaces.run(0, "ip route add default via 10.1.0.9 metric 60")
        return spaces
    }

    private func ways() throws -> [PodRoutes.Way] {
        [
            PodRoutes.Way(
                interface: "eth0",
                addresses: [try #require(InterfaceAddress("10.1.0.5/24"))],
                gateways: [try #require(IPAddress("10.1.0.1"))],
                defaultGateways: ["10.1.0.1", "10.1.0.2"].compactMap { IPAddress($0) },
                table: 10_000
            ),
            PodRoutes.Way(
                interface: "eth1",
                addresses: [try #require(InterfaceAddress("10.2.0.5/24"))],
                gateways: [try #require(IPAddress("10.2.0.1"))],
                defaultGateways: [],
                table: 10_001
            ),
        ]
    }

    @Test("every source has its own way out, and one interface the default routes")
    func apply_twoInterfaces() throws {
        let spaces = try pod()
        try PodRoutes.apply(try ways(), netnsPath: spaces.path(0))
        // Again is harmless: a daemon may die in the middle.
        try PodRoutes.apply(try ways(), netnsPath: spaces.path(0))
        let defaults = try spaces.run(0, "ip route show default")
        #expect(defaults.split(separator: "\n").count == 2, "\(defaults)")
        #expect(defaults.hasPrefix("default via 10.1.0.1 dev eth0"))
        for (source, interface) in [("10.1.0.5", "eth0"), ("10.2.0.5", "eth1")] {
            let way = try spaces.run(0, "ip route get 192.0.2.1 from \(source)")
            #expect(way.contains("dev \(interface)"), "\(way)")
        }
        let near = try spaces.run(0, "ip route get 10.2.0.77 from 10.1.0.5")
        #expect(near.contains("dev eth0"), "\(near)")
    }

    @Test("rules are taken away, twice without harm, and the namespace may be gone")
    func remove_rules() throws {
        let spaces = try pod()
        let before = try spaces.run(0, "ip rule")
        try PodRoutes.apply(try ways(), netnsPath: spaces.path(0))
        let rules = try ways().flatMap(\.rules)
        #expect(try spaces.run(0, "ip rule") != before)
        try PodRoutes.remove(rules, netnsPath: spaces.path(0))
        try PodRoutes.remove(rules, netnsPath: spaces.path(0))
        #expect(try spaces.run(0, "ip rule") == before)
        #expect(throws: NetlinkError.namespaceMissing(path: "/var/run/netns/absent")) {
            try PodRoutes.remove(rules, netnsPath: "/var/run/netns/absent")
        }
    }

    @Test("one interface needs no table, and default routes that nobody wants are gone")
    func apply_oneInterface() throws {
        let spaces = try pod()
        try PodRoutes.apply([try ways()[0]], netnsPath: spaces.path(0))
        #expect(!(try spaces.run(0, "ip rule").contains("10000")))
        try PodRoutes.removeDefaults(netnsPath: spaces.path(0))
        #expect(try spaces.run(0, "ip route show default").isEmpty)
    }
}
