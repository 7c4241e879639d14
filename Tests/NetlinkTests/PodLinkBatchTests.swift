import Addressing
import Netlink
import Testing

@Suite("The batch that makes a pod's interface usable")
struct PodLinkBatchTests {
    @Test("goes from interface to address to gateway to routes, for both families")
    func requests_dualStack_areInOrder() throws {
        let gateway4 = try #require(IPAddress("169.254.1.1"))
        let gateway6 = try #require(IPAddress("fe80::1"))
        let block = try #require(Prefix("192.0.2.0/24"))
        let extra = try #require(Route(destination: block))
        let settings = PodLink.Settings(
            addresses: [
                InterfaceAddress(alone: try #require(IPAddress("10.1.0.5"))),
                InterfaceAddress(alone: try #require(IPAddress("fd00::5"))),
            ],
            gateways: [gateway4, gateway6],
            gatewayMAC: MACAddress(bits: 0x02_00_00_00_00_01),
            isDefaultRoute: true,
            routes: [extra]
        )
        let names = PodLink.requests(for: settings, index: 7).map { "\($0.name)" }
        #expect(
            names == [
                "bring link 1 up",
                "bring link 7 up",
                "add address 10.1.0.5/32 to link 7",
                "add address fd00::5/128 to link 7",
                "add route 169.254.1.1/32 through link 7",
                "add neighbour 169.254.1.1 to link 7",
                "add route fe80::1/128 through link 7",
                "add neighbour fe80::1 to link 7",
                "add route 0.0.0.0/0 via 169.254.1.1 through link 7",
                "add route ::/0 via fe80::1 through link 7",
                "add route 192.0.2.0/24 via 169.254.1.1 through link 7",
            ]
        )
    }

    @Test("needs no route to a gateway that is inside the link's own block")
    func requests_gatewayOnLink_hasNoRouteToIt() throws {
        let settings = PodLink.Settings(
            addresses: [try #require(InterfaceAddress("10.1.0.5/24"))],
            gateways: [try #require(IPAddress("10.1.0.1"))],
            gatewayMAC: MACAddress(bits: 0x02_00_00_00_00_01),
            isDefaultRoute: false
        )
        let names = PodLink.requests(for: settings, index: 7).map { "\($0.name)" }
        #expect(
            names == [
                "bring link 1 up",
                "bring link 7 up",
                "add address 10.1.0.5/24 to link 7",
                "add neighbour 10.1.0.1 to link 7",
            ]
        )
    }
}
