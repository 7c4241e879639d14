import Addressing
import CNIProtocol
import Foundation
import Testing

private func address(_ text: String) throws -> InterfaceAddress {
    try #require(InterfaceAddress(text))
}

private func sample() throws -> CNIResult {
    CNIResult(
        interfaces: [
            CNIResult.Interface(name: "gr1"),
            CNIResult.Interface(
                name: "eth0",
                mac: "02:00:00:00:00:05",
                mtu: 1450,
                sandbox: "/run/netns/a",
                socketPath: "/run/s",
                pciID: "0000:00:1f.6"
            ),
        ],
        ips: [
            CNIResult.Address(
                address: try address("10.1.0.5/24"),
                gateway: IPAddress("10.1.0.1"),
                interface: 1
            ),
            CNIResult.Address(address: try address("fd00::5/64"), interface: 1),
        ],
        routes: [
            CNIResult.Route(
                dst: try #require(Prefix("0.0.0.0/0")),
                gw: IPAddress("10.1.0.1"),
                mtu: 1400,
                advmss: 1360,
                priority: 5,
                table: 100,
                scope: 0
            ),
            CNIResult.Route(dst: try #require(Prefix("::/0"))),
        ],
        dns: CNIResult.DNS(nameservers: ["10.1.0.1"], domain: "a.test", search: ["b", "c"])
    )
}

private let dnsText = #""dns":{"domain":"a.test","nameservers":["10.1.0.1"],"search":["b","c"]}"#

private func shape(_ version: String, interfaces: String, ips: String, routes: String) -> String {
    #"{"cniVersion":"\#(version)",\#(dnsText),"interfaces":\#(interfaces),"ips":\#(ips),"#
        + #""routes":\#(routes)}"#
}

private func familyKeys(_ version: String) -> String {
    #"{"cniVersion":"\#(version)",\#(dnsText),"#
        + #""ip4":{"gateway":"10.1.0.1","ip":"10.1.0.5/24","routes":[{"dst":"0.0.0.0/0","#
        + #""gw":"10.1.0.1"}]},"ip6":{"ip":"fd00::5/64","routes":[{"dst":"::/0"}]}}"#
}

private let plainInterfaces =
    #"[{"name":"gr1"},{"mac":"02:00:00:00:00:05","name":"eth0","sandbox":"/run/netns/a"}]"#
private let plainRoutes = #"[{"dst":"0.0.0.0/0","gw":"10.1.0.1"},{"dst":"::/0"}]"#
private let plainIPs =
    #"[{"address":"10.1.0.5/24","gateway":"10.1.0.1","interface":1},"#
    + #"{"address":"fd00::5/64","interface":1}]"#
private let namedIPs =
    #"[{"address":"10.1.0.5/24","gateway":"10.1.0.1","interface":1,"version":"4"},"#
    + #"{"address":"fd00::5/64","interface":1,"version":"6"}]"#
private let fullInterfaces =
    #"[{"name":"gr1"},{"mac":"02:00:00:00:00:05","mtu":1450,"name":"eth0","#
    + #""pciID":"0000:00:1f.6","sandbox":"/run/netns/a","socketPath":"/run/s"}]"#
private let fullRoutes =
    #"[{"advmss":1360,"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"priority":5,"scope":0,"#
    + #""table":100},{"dst":"::/0"}]"#

private let shapes: [(CNIVersion, String)] = [
    (.v010, familyKeys("0.1.0")),
    (.v020, familyKeys("0.2.0")),
    (.v030, shape("0.3.0", interfaces: plainInterfaces, ips: namedIPs, routes: plainRoutes)),
    (.v031, shape("0.3.1", interfaces: plainInterfaces, ips: namedIPs, routes: plainRoutes)),
    (.v040, shape("0.4.0", interfaces: plainInterfaces, ips: namedIPs, routes: plainRoutes)),
    (.v100, shape("1.0.0", interfaces: plainInterfaces, ips: plainIPs, routes: plainRoutes)),
    (.v110, shape("1.1.0", interfaces: fullInterfaces, ips: plainIPs, routes: fullRoutes)),
]

@Suite("CNIResult: one value, the forms of all versions")
struct CNIResultTests {
    private let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    private func decode(_ text: String) throws -> VersionedCNIResult {
        try JSONDecoder().decode(VersionedCNIResult.self, from: Data(text.utf8))
    }

    @Test("The table has every version")
    func table_isWhole() {
        #expect(shapes.map(\.0) == CNIVersion.allCases)
        #expect(CNIVersion.allCases == CNIVersion.allCases.sorted())
    }

    @Test("C2: the result has the form of its version, byte for byte", arguments: shapes)
    func encode_hasFormOfVersion(version: CNIVersion, expected: String) throws {
        let value = VersionedCNIResult(version: version, result: try sample())
        let text = String(decoding: try encoder.encode(value), as: UTF8.self)
        #expect(text == expected)
    }

    @Test("Every form is read back; only what the version cannot say is lost", arguments: shapes)
    func decode_readsEveryForm(version: CNIVersion, text: String) throws {
        let read = try decode(text)
        var expected = try sample()
        if version < .v110 {
            expected.interfaces[1].mtu = nil
            expected.interfaces[1].socketPath = nil
            expected.interfaces[1].pciID = nil
            expected.routes[0] = CNIResult.Route(
                dst: expected.routes[0].dst,
                gw: expected.routes[0].gw
            )
        }
        if version.resultShape == .familyKeys {
            expected.interfaces = []
            for index in expected.ips.indices { expected.ips[index].interface = nil }
        }
        #expect(read == VersionedCNIResult(version: version, result: expected))
        #expect(String(decoding: try encoder.encode(read), as: UTF8.self) == text)
    }

    @Test("An empty result is a result", arguments: CNIVersion.allCases)
    func empty_isResult(version: CNIVersion) throws {
        let value = VersionedCNIResult(version: version, result: CNIResult())
        let text = String(decoding: try encoder.encode(value), as: UTF8.self)
        #expect(text == #"{"cniVersion":"\#(version.rawValue)","dns":{}}"#)
        #expect(try decode(text) == value)
    }

    @Test("A result without a version is told by its keys")
    func missingVersion_isToldByKeys() throws {
        #expect(try decode(#"{"ip4":{"ip":"10.0.0.2/8"}}"#).version == .v010)
        #expect(try decode(#"{"ips":[{"version":"4","address":"10.0.0.2/8"}]}"#).version == .v030)
        #expect(try decode("{}").version == .v010)
    }

    @Test("A route's destination with host bits set is read as its block")
    func routeHostBits_areMasked() throws {
        let read = try decode(#"{"ips":[],"routes":[{"dst":"10.1.2.3/8"}]}"#)
        #expect(read.result.routes.map(\.dst) == [Prefix("10.0.0.0/8")])
    }

    @Test(
        "An address that is none is refused",
        arguments: ["10.0.0.1", "10.0.0.1/33", "10.0.0.256/8", "::1/129", "x/8", "", "10.0.0.1/-1"]
    )
    func badAddress_isRefused(text: String) {
        #expect(throws: DecodingError.self) { try decode(#"{"ips":[{"address":"\#(text)"}]}"#) }
        #expect(throws: DecodingError.self) { try decode(#"{"ip4":{"ip":"\#(text)"}}"#) }
        #expect(InterfaceAddress(text) == nil)
    }

    @Test("A foreign hardware address and unknown keys pass")
    func foreignKeys_pass() throws {
        let mac = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01"
        let read = try decode(#"{"interfaces":[{"name":"ib0","mac":"\#(mac)","x":1}],"y":[]}"#)
        #expect(read.result.interfaces == [CNIResult.Interface(name: "ib0", mac: mac)])
    }
}

@Suite("CNIError: numbers and their JSON")
struct CNIErrorTests {
    @Test(
        "The numbers are the specification's",
        arguments: [
            (CNIErrorCode.incompatibleVersion, 1), (.unsupportedField, 2), (.unknownContainer, 3),
            (.invalidEnvironment, 4), (.inputOutputFailure, 5), (.decodingFailure, 6),
            (.invalidConfiguration, 7), (.invalidNamespace, 8), (.tryAgainLater, 11),
            (.notAvailable, 50), (.limitedConnectivity, 51), (.unknownGroup, 100),
            (.ringUnavailable, 101), (.addressSpaceFull, 102), (.interfaceExists, 103),
            (.addressTaken, 104), (.attachmentDamaged, 105), (.delegateFailed, 106),
            (.internalFault, 999),
        ]
    )
    func codes_areTheSpecifications(code: CNIErrorCode, number: Int) {
        #expect(code.rawValue == number)
    }

    @Test("The text is the specification's object, and empty details are left out")
    func text_isObject() {
        let error = CNIError(.tryAgainLater, "wait", details: "why").inVersion("0.4.0")
        let text = String(decoding: error.jsonText, as: UTF8.self)
        #expect(text == #"{"cniVersion":"0.4.0","code":11,"msg":"wait","details":"why"}"#)
        let bare = CNIError(.invalidEnvironment, "no").inVersion(nil)
        #expect(
            String(decoding: bare.jsonText, as: UTF8.self)
                == #"{"cniVersion":"0.1.0","code":4,"msg":"no"}"#
        )
    }

    @Test("A delegate's answer is read with whatever it leaves out")
    func delegateAnswer_isRead() throws {
        let read = try JSONDecoder().decode(
            CNIError.self,
            from: Data(#"{"code":4242,"msg":"m","other":1}"#.utf8)
        )
        #expect(read == CNIError(CNIErrorCode(rawValue: 4242), "m"))
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(CNIError.self, from: Data(#"{"msg":"m"}"#.utf8))
        }
    }
}
