import Addressing
import Netlink
import Testing

/// The kernel's layouts on a little-endian machine: rtnetlink(7) and the headers it names.
@Suite("Requests have the bytes that the kernel's headers prescribe")
struct RequestTests {
    @Test("a veth pair is born with its other end inside the pod's namespace")
    func createVeth() throws {
        let pair = VethPair(
            hostName: "gr0",
            hostMAC: try #require(MACAddress("02:00:00:00:00:01")),
            podName: "eth0",
            podMAC: try #require(MACAddress("02:00:00:00:00:02")),
            mtu: 1_450,
            queueCount: 4
        )
        let golden: GoldenBytes = """
            ac 00 00 00 10 00 05 06 # length 172, RTM_NEWLINK, REQUEST ACK EXCL CREATE
            01 00 00 00 00 00 00 00 # sequence 1, port 0
            00 00 00 00 00 00 00 00 # ifinfomsg: AF_UNSPEC, index 0
            00 00 00 00 00 00 00 00 #   no flags: up is a second request
            08 00 03 00 67 72 30 00 # IFLA_IFNAME gr0
            0a 00 01 00 02 00 00 00 00 01 00 00 # IFLA_ADDRESS, 2 bytes padding
            08 00 04 00 aa 05 00 00 # IFLA_MTU 1450
            08 00 1f 00 04 00 00 00 # IFLA_NUM_TX_QUEUES 4
            08 00 20 00 04 00 00 00 # IFLA_NUM_RX_QUEUES 4
            60 00 12 00             # IFLA_LINKINFO, 96 bytes
            09 00 01 00 76 65 74 68 00 00 00 00 # IFLA_INFO_KIND veth
            50 00 02 00             #   IFLA_INFO_DATA, 80 bytes
            4c 00 01 00             #     VETH_INFO_PEER, 76 bytes
            00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # ifinfomsg of the pod's end
            09 00 03 00 65 74 68 30 00 00 00 00 # IFLA_IFNAME eth0
            0a 00 01 00 02 00 00 00 00 02 00 00 # IFLA_ADDRESS
            08 00 04 00 aa 05 00 00 # IFLA_MTU 1450
            08 00 1f 00 04 00 00 00 # IFLA_NUM_TX_QUEUES 4
            08 00 20 00 04 00 00 00 # IFLA_NUM_RX_QUEUES 4
            08 00 1c 00 07 00 00 00 # IFLA_NET_NS_FD 7
            """
        expect(.createVeth(pair, podNamespace: 7), golden)
    }

    @Test("a pair without a queue count leaves the choice to the kernel")
    func createVeth_noQueueCount_hasNoQueueAttributes() throws {
        let mac = MACAddress(bits: 0x02_00_00_00_00_01)
        let pair = VethPair(hostName: "a", hostMAC: mac, podName: "b", podMAC: mac, mtu: 1_500)
        let bytes = Request.createVeth(pair, podNamespace: 7).encoded(sequence: 1)
        #expect(bytes.count == 172 - 4 * 8 - 4)
    }

    @Test("links are set up, deleted, read and listed")
    func links() {
        expect(
            .setUp(index: 5),
            """
            20 00 00 00 13 00 05 00 01 00 00 00 00 00 00 00 # RTM_SETLINK, REQUEST ACK
            00 00 00 00 05 00 00 00 # ifinfomsg: index 5
            01 00 00 00 01 00 00 00 #   flags IFF_UP, change IFF_UP only
            """
        )
        expect(
            .deleteLink(name: "gr0"),
            """
            28 00 00 00 11 00 05 00 01 00 00 00 00 00 00 00 # RTM_DELLINK, REQUEST ACK
            00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # ifinfomsg: by name
            08 00 03 00 67 72 30 00 # IFLA_IFNAME gr0
            """
        )
        expect(
            .readLink(name: "gr0"),
            """
            30 00 00 00 12 00 05 00 01 00 00 00 00 00 00 00 # RTM_GETLINK, REQUEST ACK
            00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # ifinfomsg: by name
            08 00 03 00 67 72 30 00 # IFLA_IFNAME gr0
            08 00 1d 00 08 00 00 00 # IFLA_EXT_MASK: without statistics
            """
        )
        expect(
            .listLinks(),
            """
            28 00 00 00 12 00 01 03 01 00 00 00 00 00 00 00 # RTM_GETLINK, REQUEST ROOT MATCH
            00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # ifinfomsg: all
            08 00 1d 00 08 00 00 00 # IFLA_EXT_MASK: without statistics
            """
        )
    }

    @Test("addresses are added and listed, IPv6 without duplicate address detection")
    func addresses() throws {
        expect(
            .addAddress(try #require(InterfaceAddress("10.1.0.5/32")), index: 5),
            """
            28 00 00 00 14 00 05 06 01 00 00 00 00 00 00 00 # RTM_NEWADDR, REQUEST ACK EXCL CREATE
            02 20 00 00 05 00 00 00 # ifaddrmsg: AF_INET, 32, no flags, universe, link 5
            08 00 02 00 0a 01 00 05 # IFA_LOCAL 10.1.0.5
            08 00 01 00 0a 01 00 05 # IFA_ADDRESS 10.1.0.5
            """
        )
        expect(
            .addAddress(try #require(InterfaceAddress("fd00::5/128")), index: 5),
            """
            40 00 00 00 14 00 05 06 01 00 00 00 00 00 00 00 # RTM_NEWADDR, REQUEST ACK EXCL CREATE
            0a 80 02 00 05 00 00 00 # ifaddrmsg: AF_INET6, 128, IFA_F_NODAD, universe, link 5
            14 00 02 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 05 # IFA_LOCAL
            14 00 01 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 05 # IFA_ADDRESS
            """
        )
        expect(
            .listAddresses(),
            """
            18 00 00 00 16 00 01 03 01 00 00 00 00 00 00 00 # RTM_GETADDR, REQUEST ROOT MATCH
            00 00 00 00 00 00 00 00 # ifaddrmsg: AF_UNSPEC
            """
        )
    }

    @Test("a neighbour is permanent and replaces what was there")
    func neighbour() throws {
        expect(
            .addNeighbour(
                try #require(IPAddress("169.254.1.1")),
                mac: try #require(MACAddress("02:00:00:00:00:01")),
                index: 5
            ),
            """
            30 00 00 00 1c 00 05 05 01 00 00 00 00 00 00 00 # RTM_NEWNEIGH, ACK CREATE REPLACE
            02 00 00 00 05 00 00 00 80 00 00 00 # ndmsg: AF_INET, link 5, NUD_PERMANENT
            08 00 01 00 a9 fe 01 01 # NDA_DST 169.254.1.1
            0a 00 02 00 02 00 00 00 00 01 00 00 # NDA_LLADDR
            """
        )
    }

    @Test("routes are on the link, by default, or through a gateway in a table of their own")
    func routes() throws {
        let gateway = try #require(IPAddress("169.254.1.1"))
        expect(
            .addRoute(.onLink(gateway), index: 5),
            """
            34 00 00 00 18 00 05 06 01 00 00 00 00 00 00 00 # RTM_NEWROUTE, ACK EXCL CREATE
            02 20 00 00 fe 04 fd 01 00 00 00 00 # rtmsg: /32, main, static, scope link, unicast
            08 00 01 00 a9 fe 01 01 # RTA_DST 169.254.1.1
            08 00 04 00 05 00 00 00 # RTA_OIF 5
            08 00 0f 00 fe 00 00 00 # RTA_TABLE main
            """
        )
        expect(
            .addRoute(.byDefault(via: gateway), index: 5),
            """
            34 00 00 00 18 00 05 06 01 00 00 00 00 00 00 00 # RTM_NEWROUTE, ACK EXCL CREATE
            02 00 00 00 fe 04 00 01 00 00 00 00 # rtmsg: /0, main, static, scope universe, unicast
            08 00 05 00 a9 fe 01 01 # RTA_GATEWAY 169.254.1.1
            08 00 04 00 05 00 00 00 # RTA_OIF 5
            08 00 0f 00 fe 00 00 00 # RTA_TABLE main
            """
        )
        let route = Route(
            destination: try #require(Prefix("fd01::/64")),
            gateway: IPAddress("fd00::1"),
            table: 1_000
        )
        expect(
            .addRoute(try #require(route), index: 5),
            """
            54 00 00 00 18 00 05 06 01 00 00 00 00 00 00 00 # RTM_NEWROUTE, ACK EXCL CREATE
            0a 40 00 00 00 04 00 01 00 00 00 00 # rtmsg: AF_INET6, /64, table in the attribute
            14 00 01 00 fd 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # RTA_DST fd01::
            14 00 05 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 # RTA_GATEWAY fd00::1
            08 00 04 00 05 00 00 00 # RTA_OIF 5
            08 00 0f 00 e8 03 00 00 # RTA_TABLE 1000
            """
        )
    }

    @Test("a route never has a gateway of the other address family")
    func route_otherFamily_isRefused() throws {
        let destination = try #require(Prefix("10.0.0.0/8"))
        #expect(Route(destination: destination, gateway: IPAddress("fd00::1")) == nil)
    }

    @Test(
        "names follow the kernel's rule",
        arguments: [
            ("eth0", true), ("a", true), ("123456789012345", true), ("1234567890123456", false),
            ("", false), (".", false), ("..", false), ("a/b", false), ("a b", false),
            ("a:b", false), ("a%d", false), ("a\n", false), ("ä1", true), ("a\0b", false),
        ]
    )
    func linkName(name: String, isValid: Bool) {
        #expect(LinkName.isValid(name) == isValid)
    }

    @Test(
        "interface addresses keep their host bits",
        arguments: [
            ("10.1.0.5/24", true), ("10.1.0.5/33", false), ("fd00::5/64", true),
            ("fd00::5/129", false), ("10.1.0.5", false), ("10.1.0.5/", false), ("/24", false),
            ("10.1.0.5/+4", false),
        ]
    )
    func interfaceAddress(text: String, isValid: Bool) {
        #expect((InterfaceAddress(text)?.description == text) == isValid)
    }

    private func expect(
        _ request: Request,
        _ golden: GoldenBytes,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let bytes = request.encoded(sequence: 1)
        #expect(hex(bytes) == hex(golden.bytes), sourceLocation: sourceLocation)
    }
}
