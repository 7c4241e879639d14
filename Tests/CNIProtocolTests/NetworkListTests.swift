import Addressing
import CNIProtocol
import Testing

@Suite("NetworkList: the configurations of plugins that we call")
struct NetworkListTests {
    @Test("C19: a single plugin and a list are read, and what we do not know stays as it was")
    func forms() throws {
        let one = try NetworkList(
            parsing:
                #"{"cniVersion":"0.4.0","name":"n","type":"ptp","x":1.50,"y":{"b":1,"a":null}}"#
        )
        #expect(one.cniVersion == .v040 && one.plugins.map(\.type) == ["ptp"])
        #expect(
            one.input(of: 0).text
                == #"{"cniVersion":"0.4.0","name":"n","type":"ptp","x":1.50,"y":{"b":1,"a":null}}"#
        )
        let list = try NetworkList(
            parsing: """
                {"cniVersion":"1.0.0","name":"n","disableCheck":true,"disableGC":"true",
                 "plugins":[{"type":"a"},{"type":"b","capabilities":{"ips":true,"mac":false}}]}
                """
        )
        #expect(list.isCheckDisabled && list.isCollectDisabled)
        #expect(list.plugins[1].capabilities == ["ips"])
        #expect(try NetworkList(parsing: list.text) == list)
    }

    @Test(
        "the highest version that both sides speak is taken",
        arguments: [
            (#""cniVersion":"0.3.1""#, "0.3.1"), (#""x":1"#, "0.1.0"),
            (#""cniVersion":"0.3.1","cniVersions":["1.0.0","0.4.0"]"#, "1.0.0"),
            (#""cniVersions":["9.0.0","1.1.0"]"#, "1.1.0"),
        ]
    )
    func versions(key: String, expected: String) throws {
        let list = try NetworkList(parsing: #"{\#(key),"name":"n","type":"t"}"#)
        #expect(list.cniVersion.rawValue == expected)
    }

    @Test(
        "a field that is wrong is named with the right code",
        arguments: [
            ("{", 6, "byte 1"), ("[]", 6, "object"), (#"{"type":"t"}"#, 7, "name"),
            (#"{"name":"a b","type":"t"}"#, 7, "name"), (#"{"name":1,"type":"t"}"#, 7, "name"),
            (#"{"name":"n"}"#, 7, "type"), (#"{"name":"n","type":"../t"}"#, 7, "type"),
            (#"{"name":"n","type":".."}"#, 7, "type"),
            (#"{"name":"n","plugins":[]}"#, 7, "plugins"),
            (#"{"name":"n","plugins":{}}"#, 7, "plugins"),
            (#"{"name":"n","plugins":[1]}"#, 7, "plugins[0]"),
            (#"{"name":"n","plugins":[{"type":"a"},{"type":""}]}"#, 7, "plugins[1].type"),
            (#"{"name":"n","type":"t","capabilities":{"ips":1}}"#, 7, "capabilities"),
            (#"{"name":"n","type":"t","disableCheck":3}"#, 7, "disableCheck"),
            (#"{"name":"n","type":"t","cniVersion":1}"#, 7, "cniVersion"),
            (#"{"name":"n","type":"t","cniVersions":[1]}"#, 7, "cniVersions"),
            (#"{"name":"n","type":"t","cniVersion":"2.0.0"}"#, 1, "2.0.0"),
        ]
    )
    func refused(text: String, code: Int, what: String) {
        let error = #expect(throws: CNIError.self) { try NetworkList(parsing: text) }
        #expect(error?.code.rawValue == code, "\(text)")
        #expect(error?.msg.contains(what) == true, "\(text): \(error?.msg ?? "")")
    }

    @Test("C13: the result before goes to the next plugin as it came")
    func previousResult() throws {
        let list = try NetworkList(parsing: #"{"cniVersion":"1.0.0","name":"n","type":"t"}"#)
        let result = try JSONValue(parsing: #"{"ips":[{"address":"10.1.0.5/24","x":1}]}"#)
        #expect(list.input(of: 0, previous: result)["prevResult"] == result)
    }

    @Test("a merged result keeps every address on its own interface, and one default route")
    func merged() throws {
        func part(_ name: String, _ address: String, _ gateway: String?) throws -> CNIResult {
            CNIResult(
                interfaces: [
                    .init(name: "br7"), .init(name: "veth-\(name)"),
                    .init(name: name, sandbox: "/ns"),
                ],
                ips: [
                    .init(
                        address: try #require(InterfaceAddress(address)),
                        gateway: gateway.flatMap { IPAddress($0) },
                        interface: name == "eth1" ? nil : 2
                    )
                ],
                routes: [.init(dst: try #require(Prefix("0.0.0.0/0")))],
                dns: .init(nameservers: ["10.9.0.1", "10.9.0.\(name == "eth0" ? 2 : 3)"])
            )
        }
        let parts = [
            AttachmentResult(
                interface: "eth0",
                result: try part("eth0", "10.1.0.5/24", "10.1.0.1"),
                isDefault: true
            ),
            AttachmentResult(
                interface: "eth1",
                result: try part("eth1", "10.2.0.5/24", "10.2.0.1"),
                isDefault: false
            ),
        ]
        let whole = CNIResult.merged(parts)
        #expect(whole.interfaces.map(\.name) == ["br7", "veth-eth0", "eth0", "veth-eth1", "eth1"])
        #expect(
            whole.ips.map { $0.interface.map { whole.interfaces[$0].name } } == ["eth0", "eth1"]
        )
        #expect(whole.routes.map { $0.gw?.description } == ["10.1.0.1"])
        #expect(whole.dns.nameservers == ["10.9.0.1", "10.9.0.2", "10.9.0.3"])
        let chosen = CNIResult.merged(parts, defaultGateways: [try #require(IPAddress("10.2.0.9"))])
        #expect(chosen.routes.map { $0.gw?.description } == ["10.2.0.9"])
    }
}

@Suite("JSONValue: a JSON text taken apart and put together")
struct JSONValueTests {
    @Test(
        "what is read is written again, byte for byte",
        arguments: [
            "null", "true", "-0.10e+7", #""a\"\\\n""#, "[]", "{}", "[[],[1,{}],null]",
            #"{"b":1,"a":[{"x":{"y":[false]}}]}"#,
        ]
    )
    func turn(text: String) throws {
        #expect(try JSONValue(parsing: text).text == text)
    }

    @Test("of two equal keys the last counts, and setting leaves one")
    func equalKeys() throws {
        var value = try JSONValue(parsing: #"{"a":1,"b":2,"a":3}"#)
        #expect(value["a"] == .number("3") && value["c"] == nil)
        value["a"] = .bool(true)
        value["c"] = .null
        #expect(value.text == #"{"a":true,"b":2,"c":null}"#)
        value["a"] = nil
        #expect(value.text == #"{"b":2,"c":null}"#)
    }

    @Test(
        "what is no JSON is refused at its place",
        arguments: [
            ("", 0), ("{", 1), (#"{"a"}"#, 4), ("[1,]", 3), ("1 2", 2), ("[1 2]", 3), ("tru", 0),
            (#"{"a":1,}"#, 7), ("01", 0),
        ]
    )
    func refused(text: String, offset: Int) {
        let fault = #expect(throws: JSONValue.Fault.self) { try JSONValue(parsing: text) }
        #expect(fault?.offset == offset)
    }

    @Test("nesting beyond the bound is refused and does not exhaust the stack")
    func nesting() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONValue.Fault.self) { try JSONValue(parsing: deep) }
        let edge = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        #expect(throws: Never.self) { try JSONValue(parsing: edge) }
    }
}
