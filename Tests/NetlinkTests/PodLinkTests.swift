import Addressing
import Glibc
import Netlink
import Testing

private let needsRoot: ConditionTrait = .enabled(if: getuid() == 0, "needs root")

extension VethPair {
    /// A pair whose addresses follow from a number.
    static func numbered(_ number: UInt64, hostName: String, podName: String = "eth0") -> VethPair {
        VethPair(
            hostName: hostName,
            hostMAC: MACAddress(bits: 0x02_00_00_00_01_00 | number),
            podName: podName,
            podMAC: MACAddress(bits: 0x02_00_00_00_02_00 | number),
            mtu: 1_450
        )
    }
}

@Suite("PodLink: pods' interfaces, in namespaces of the test's own", needsRoot)
struct PodLinkTests {
    @Test("two pods reach each other through a node that routes, in both families")
    func createAndConfigure_twoPods_ping() throws {
        let spaces = try TestNamespaces(3)
        let node = spaces.path(0)
        try Sysctl.write("1", to: "ipv4/ip_forward", netnsPath: node)
        try Sysctl.write("1", to: "ipv6/conf/all/forwarding", netnsPath: node)
        for number in 1...2 {
            try attach(pod: number, in: spaces)
        }
        try spaces.run(1, "ping -c 1 -W 5 10.1.0.2")
        try spaces.run(2, "ping -6 -c 1 -W 5 fd00::1")
        try spaces.run(1, "ping -c 1 -W 5 127.0.0.1")
    }

    private func attach(pod number: Int, in spaces: TestNamespaces) throws {
        let node = spaces.path(0)
        let pair = VethPair.numbered(UInt64(number), hostName: "gr\(number)")
        let ends = try PodLink.create(pair, netnsPath: spaces.path(number), hostNetnsPath: node)
        #expect(try Links.index(of: pair.hostName, netnsPath: node) == ends.hostIndex)
        let addresses = [
            try #require(IPAddress("10.1.0.\(number)")), try #require(IPAddress("fd00::\(number)")),
        ]
        let settings = PodLink.Settings(
            addresses: addresses.map(InterfaceAddress.init(alone:)),
            gateways: [
                try #require(IPAddress("169.254.1.1")), try #require(IPAddress("fe80::1")),
            ],
            gatewayMAC: pair.hostMAC,
            isDefaultRoute: true
        )
        try PodLink.configure("eth0", netnsPath: spaces.path(number), settings: settings)
        for address in addresses {
            try Links.add(.onLink(address), through: pair.hostName, netnsPath: node)
            try Links.addNeighbour(
                address,
                mac: pair.podMAC,
                on: pair.hostName,
                netnsPath: node
            )
        }
        try expectState(of: spaces.path(number), ends, pair, addresses)
    }

    private func expectState(
        of netnsPath: String,
        _ ends: PodLink.Ends,
        _ pair: VethPair,
        _ addresses: [IPAddress]
    ) throws {
        let state = try PodLink.inspect("eth0", netnsPath: netnsPath)
        #expect(state.link.index == ends.podIndex)
        #expect(state.link.peerIndex == ends.hostIndex)
        #expect(state.link.mac == pair.podMAC)
        #expect(state.link.mtu == 1_450)
        #expect(state.link.isUp && state.link.hasCarrier)
        #expect(state.link.kind == "veth")
        #expect(Set(state.addresses).isSuperset(of: addresses.map(InterfaceAddress.init(alone:))))
        #expect(try Offload.gro.isOn("eth0", netnsPath: netnsPath))
    }

    @Test("a name that the pod has already is refused, and nothing stays on the node")
    func create_podNameTaken_isRefused() throws {
        let spaces = try TestNamespaces(2)
        let first = VethPair.numbered(1, hostName: "gr1")
        let second = VethPair.numbered(2, hostName: "gr2")
        let node = spaces.path(0)
        let pod = spaces.path(1)
        _ = try PodLink.create(first, netnsPath: pod, hostNetnsPath: node)
        #expect(throws: NetlinkError.nameTaken(name: "eth0", netnsPath: pod)) {
            try PodLink.create(second, netnsPath: pod, hostNetnsPath: node)
        }
        #expect(try Links.list(netnsPath: node).map(\.name) == ["lo", "gr1"])
    }

    @Test("a name that the node has already is refused, and its owner is left alone")
    func create_hostNameTaken_isRefused() throws {
        let spaces = try TestNamespaces(2)
        let node = spaces.path(0)
        try spaces.run(0, "ip link add gr1 type veth peer name other")
        #expect(throws: NetlinkError.nameTaken(name: "gr1", netnsPath: node)) {
            try PodLink.create(
                .numbered(1, hostName: "gr1"),
                netnsPath: spaces.path(1),
                hostNetnsPath: node
            )
        }
        #expect(try Links.info("gr1", netnsPath: node).isUp == false)
        #expect(try Links.list(netnsPath: spaces.path(1)).map(\.name) == ["lo"])
    }

    @Test("a pod in the node's own namespace, or in none, is refused")
    func create_wrongNamespace_isRefused() throws {
        let spaces = try TestNamespaces(1)
        let path = spaces.path(0)
        let pair = VethPair.numbered(1, hostName: "gr1")
        #expect(throws: NetlinkError.namespaceNotForeign(path: path)) {
            try PodLink.create(pair, netnsPath: path, hostNetnsPath: path)
        }
        #expect(throws: NetlinkError.namespaceNotForeign(path: "/proc/self/ns/net")) {
            try PodLink.create(pair, netnsPath: "/proc/self/ns/net")
        }
        let missing = path + "-missing"
        #expect(throws: NetlinkError.namespaceMissing(path: missing)) {
            try PodLink.create(pair, netnsPath: missing, hostNetnsPath: path)
        }
        for other in ["/proc/self/ns/mnt", "/dev/null", "/proc/self/status"] {
            #expect(throws: NetlinkError.namespaceInvalid(path: other)) {
                try PodLink.create(pair, netnsPath: other, hostNetnsPath: path)
            }
        }
        #expect(throws: NetlinkError.invalidName("a/b")) {
            try PodLink.create(
                .numbered(1, hostName: "a/b"),
                netnsPath: missing,
                hostNetnsPath: path
            )
        }
    }

    @Test("a refused setting names the request and the kernel's reason")
    func configure_gatewayUnreachable_namesRoute() throws {
        let spaces = try TestNamespaces(2)
        let pair = VethPair.numbered(1, hostName: "gr1")
        _ = try PodLink.create(pair, netnsPath: spaces.path(1), hostNetnsPath: spaces.path(0))
        let block = try #require(Prefix("198.51.100.0/24"))
        let gateway = try #require(IPAddress("192.0.2.1"))
        let route = try #require(Route(destination: block, gateway: gateway))
        let error = #expect(throws: NetlinkError.self) {
            try PodLink.configure(
                "eth0",
                netnsPath: spaces.path(1),
                settings: PodLink.Settings(
                    addresses: [InterfaceAddress(alone: IPAddress(v4: 0x0a01_0001))],
                    gateways: [],
                    gatewayMAC: pair.hostMAC,
                    isDefaultRoute: false,
                    routes: [route]
                )
            )
        }
        guard case .refused(.addRoute(route, _), ENETUNREACH, let explanation) = error else {
            Issue.record("unexpected: \(String(describing: error))")
            return
        }
        #expect(explanation.contains("gateway"), "the kernel explains itself")
    }

    @Test("an interface that is not there is named, with its namespace")
    func inspect_missing_isNamed() throws {
        let spaces = try TestNamespaces(1)
        let path = spaces.path(0)
        let missing = NetlinkError.linkMissing(name: "eth7", netnsPath: path)
        #expect(throws: missing) { try PodLink.inspect("eth7", netnsPath: path) }
        #expect(throws: missing) { try Offload.gro.isOn("eth7", netnsPath: path) }
        #expect(throws: missing) { try Links.driver(of: "eth7", netnsPath: path) }
        #expect(throws: missing) { try Links.setUp("eth7", netnsPath: path) }
        #expect("\(missing)" == "there is no interface eth7 in \(path)")
    }

    @Test("queues are made as asked for, and offloads go off and on")
    func create_queuesAndOffloads() throws {
        let spaces = try TestNamespaces(2)
        let mac = MACAddress(bits: 0x02_00_00_00_00_01)
        let pair = VethPair(
            hostName: "gr1",
            hostMAC: mac,
            podName: "net1",
            podMAC: MACAddress(bits: 0x02_00_00_00_00_02),
            mtu: 9_000,
            queueCount: 3
        )
        let node = spaces.path(0)
        _ = try PodLink.create(pair, netnsPath: spaces.path(1), hostNetnsPath: node)
        let host = try Links.info("gr1", netnsPath: node)
        #expect(host.transmitQueueCount == 3 && host.mtu == 9_000 && host.mac == mac)
        #expect(host.isUp && !host.hasCarrier)
        #expect(try Links.driver(of: "gr1", netnsPath: node) == "veth")
        for offload in Offload.allCases {
            for isOn in [false, true] {
                try offload.set(isOn, on: "gr1", netnsPath: node)
                #expect(try offload.isOn("gr1", netnsPath: node) == isOn, "\(offload)")
            }
        }
    }
}

@Suite("Links: interfaces, addresses and settings of one namespace", needsRoot)
struct LinksTests {
    @Test("deleting removes both ends, and deleting again is as good")
    func delete_twice_isIdempotent() throws {
        let spaces = try TestNamespaces(2)
        let node = spaces.path(0)
        let pair = VethPair.numbered(1, hostName: "gr1")
        _ = try PodLink.create(pair, netnsPath: spaces.path(1), hostNetnsPath: node)
        #expect(try Links.delete("gr1", netnsPath: node) == .deleted)
        #expect(try Links.delete("gr1", netnsPath: node) == .absent)
        #expect(try Links.list(netnsPath: spaces.path(1)).map(\.name) == ["lo"])
        #expect(throws: NetlinkError.invalidName("")) { try Links.delete("", netnsPath: node) }
    }

    @Test("addresses are listed per interface and refused when they are there already")
    func add_addressTwice_isRefused() throws {
        let spaces = try TestNamespaces(1)
        let path = spaces.path(0)
        try Links.setUp("lo", netnsPath: path)
        let address = try #require(InterfaceAddress("10.1.0.5/24"))
        try Links.add(address, to: "lo", netnsPath: path)
        let index = try Links.index(of: "lo", netnsPath: path)
        #expect(index == 1)
        #expect(
            try Links.addresses(index, netnsPath: path).map(\.description)
                == ["::1/128", "10.1.0.5/24", "127.0.0.1/8"]
        )
        let error = #expect(throws: NetlinkError.self) {
            try Links.add(address, to: "lo", netnsPath: path)
        }
        guard case .refused(.addAddress(address, index: 1), EEXIST, _) = error else {
            Issue.record("unexpected: \(String(describing: error))")
            return
        }
    }

    @Test("a listing of many interfaces arrives whole")
    func list_many_isComplete() throws {
        let spaces = try TestNamespaces(2)
        for number in 0..<60 {
            let pair = VethPair.numbered(
                UInt64(number),
                hostName: "gr\(number)",
                podName: "p\(number)"
            )
            _ = try PodLink.create(
                pair,
                netnsPath: spaces.path(1),
                hostNetnsPath: spaces.path(0)
            )
        }
        let names = try Links.list(netnsPath: spaces.path(0)).map(\.name)
        #expect(Set(names) == Set(["lo"] + (0..<60).map { "gr\($0)" }))
    }

    @Test("settings are the namespace's own")
    func sysctl_otherNamespace_isUntouched() throws {
        let spaces = try TestNamespaces(2)
        try Sysctl.write("1", to: "ipv4/ip_forward", netnsPath: spaces.path(0))
        #expect(try Sysctl.read("ipv4/ip_forward", netnsPath: spaces.path(0)) == "1")
        #expect(try Sysctl.read("ipv4/ip_forward", netnsPath: spaces.path(1)) == "0")
        try Sysctl.write("2", to: "rp_filter", of: .ipv4, on: "lo", netnsPath: spaces.path(0))
        #expect(try Sysctl.read("ipv4/conf/lo/rp_filter", netnsPath: spaces.path(0)) == "2")
        let path = "/proc/sys/net/ipv4/nothing"
        #expect(throws: NetlinkError.settingRefused(path: path, errno: ENOENT)) {
            try Sysctl.write("1", to: "ipv4/nothing", netnsPath: spaces.path(0))
        }
    }

    @Test("a namespace is known by its inode, by whatever path")
    func inode_matchesStat() throws {
        let spaces = try TestNamespaces(1)
        let own = try spaces.run(0, "stat -L -c %i /proc/self/ns/net")
        #expect(try "\(Netns.inode(spaces.path(0)))\n" == own)
        #expect(try Netns.currentInode() == currentNamespace())
        #expect(throws: NetlinkError.namespaceMissing(path: "/nowhere/ns")) {
            try Netns.inode("/nowhere/ns")
        }
    }
}

@Suite("No thread but a short-lived one enters another namespace", needsRoot)
struct ThreadNamespaceTests {
    @Test("200 tasks at once work in a pod, and every thread is where it was")
    func concurrentTasks_namespace_isUnchanged() async throws {
        let spaces = try TestNamespaces(2)
        let before = currentNamespace()
        #expect(try before == Netns.currentInode())
        _ = try PodLink.create(
            .numbered(1, hostName: "gr1"),
            netnsPath: spaces.path(1),
            hostNetnsPath: spaces.path(0)
        )
        let pod = spaces.path(1)
        let seen = await withTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<200 {
                group.addTask {
                    let first = currentNamespace()
                    let state = try? PodLink.inspect("eth0", netnsPath: pod)
                    _ = try? Sysctl.write("0", to: "ipv4/ip_forward", netnsPath: pod)
                    await Task.yield()
                    return [first, currentNamespace(), state == nil ? 0 : before]
                }
            }
            return await group.reduce(into: Set<UInt64>()) { $0.formUnion($1) }
        }
        #expect(seen == [before], "zero stands for an inspection that failed")
        #expect(currentNamespace() == before)
        #expect(processNamespace() == before)
    }

    @Test("no namespace file and no socket stays open")
    func manyCalls_leakNothing() throws {
        let spaces = try TestNamespaces(1)
        let path = spaces.path(0)
        for _ in 0..<50 {
            _ = try Links.list(netnsPath: path)
            _ = try? PodLink.inspect("missing", netnsPath: path)
            _ = try Sysctl.read("ipv4/ip_forward", netnsPath: path)
        }
        let files = try shell("ls -l /proc/\(getpid())/fd || true")
        #expect(files.contains("net:[\(try Netns.inode(path))]") == false)
        // The third column is the port of the owner, which is 0 for the kernel's own sockets.
        let sockets = try spaces.run(0, "awk 'NR > 1 && $3 != 0' /proc/net/netlink")
        #expect(sockets == "")
    }
}
