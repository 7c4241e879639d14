import Addressing
import CNIProtocol
import NetSelection
import Testing

@Suite("Results: what tools read of a pod's networks")
struct PodStatusTests {
    private func attachment(
        _ network: String,
        _ interface: String,
        _ addresses: [String],
        mac: String? = nil,
        isDefault: Bool = false
    ) -> PodStatus.Attachment {
        let ips = addresses.compactMap { InterfaceAddress($0) }
        let result = CNIResult(
            interfaces: [
                .init(name: "host\(interface)", mac: "02:00:00:00:00:01"),
                .init(name: interface, mac: mac, sandbox: "/run/netns/x"),
            ],
            ips: ips.map { .init(address: $0, gateway: IPAddress("10.1.0.1"), interface: 1) },
            routes: Prefix("0.0.0.0/0").map { [.init(dst: $0)] } ?? [],
            dns: .init(nameservers: isDefault ? ["10.9.0.1"] : [], search: isDefault ? ["x.y"] : [])
        )
        return PodStatus.Attachment(
            network: network,
            result: AttachmentResult(interface: interface, result: result, isDefault: isDefault),
            isDefault: isDefault
        )
    }

    @Test("N17, N19, N20: one entry an attachment, one default, the pod's own interface")
    func networkStatus() {
        let all = [
            attachment("cbr0", "eth0", ["10.1.0.5/24"], mac: "02:00:00:00:00:07", isDefault: true),
            attachment("shop/blue", "net1", ["10.2.0.5/24", "fd00::5/64"]),
            attachment("shop/blue", "net2", []),
        ]
        #expect(
            PodStatus.networkStatus(all) == """
                [{"name":"cbr0","interface":"eth0","ips":["10.1.0.5"],"mac":"02:00:00:00:00:07",\
                "default":true,"dns":{"nameservers":["10.9.0.1"],"search":["x.y"]},\
                "gateway":["10.1.0.1"]},\
                {"name":"shop/blue","interface":"net1","ips":["10.2.0.5","fd00::5"],"dns":{}},\
                {"name":"shop/blue","interface":"net2","dns":{}}]
                """
        )
    }

    @Test("N20: addresses without an interface are the pod's where none names one")
    func addressesWithoutInterface() throws {
        let address = try #require(InterfaceAddress("10.1.0.5/24"))
        let result = AttachmentResult(
            interface: "eth0",
            result: CNIResult(ips: [.init(address: address)]),
            isDefault: true
        )
        let status = PodStatus.networkStatus(
            [.init(network: "old", result: result, isDefault: true)]
        )
        #expect(
            status
                == #"[{"name":"old","interface":"eth0","ips":["10.1.0.5"],"default":true,"dns":{}}]"#
        )
    }

    @Test(
        "multi-ip-preferences: nothing for one network, the first address of each for more",
        arguments: [
            ([["10.1.0.5/24"]], nil),
            (
                [["10.1.0.5/24"], ["10.2.0.6/24"]],
                """
                {"multi_entry":2,"ips":{"ip1":{"ip":"10.1.0.5","interface":"eth0"},\
                "ip2":{"ip":"10.2.0.6","interface":"eth1"}}}
                """
            ),
            (
                [["fd00::5/64"], ["10.2.0.6/24", "fd01::6/64"], ["10.3.0.7/24"]],
                """
                {"multi_entry":3,"ips":{"ip1":{"ip":"fd00::5","interface":"eth0"},\
                "ip2":{"ip":"10.2.0.6","interface":"eth1"},\
                "ip3":{"ip":"10.3.0.7","interface":"eth2"}}}
                """
            ),
        ] as [([[String]], String?)]
    )
    func addressPreferences(addresses: [[String]], expected: String?) {
        let all = addresses.enumerated().map { attachment("n", "eth\($0)", $1) }
        #expect(PodStatus.addressPreferences(all) == expected)
    }
}
