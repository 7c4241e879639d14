import Addressing
import CNIProtocol
import Determinism
import NetSelection
import Testing

@Suite("NPWG annotation: both forms, every key, and what is refused")
struct AnnotationTests {
    private let world = World().defining(
        ("shop/blue", World.weave.text),
        ("shop/red", World.addresses.text),
        ("default/common", World.weave.text),
        ("other/theirs", World.weave.text),
        ("shop/empty", ""),
        ("shop/addresses", " "),
        ("shop/flat", #"{"type":"macvlan"}"#),
        ("shop/broken", "{")
    )

    @Test(
        "N1, N2: a list of names and a list of objects say the same",
        arguments: [
            ("blue", "shop/blue@net1"), (" blue ", "shop/blue@net1"),
            ("blue@data", "shop/blue@data"), ("default/common", "default/common@net1"),
            ("default/common@data,blue", "default/common@data shop/blue@net2"),
            (#"[{"name":"blue"}]"#, "shop/blue@net1"),
            (
                #"[{"name":"common","namespace":"default","interface":"data"},{"name":"blue"}]"#,
                "default/common@data shop/blue@net2"
            ),
            ("[]", ""), ("", ""),
        ]
    )
    func forms(text: String, expected: String) throws {
        let all = try world.saying(npwg, text).shown()
        // N18: the cluster's default network is always there, and first.
        #expect(all == "cbr0@eth0*" + (expected.isEmpty ? "" : " \(expected)"))
    }

    @Test("N3: the definition's own configuration, else the list on the disk with that name")
    func lookUp() throws {
        let lists = try world.saying(npwg, "blue,addresses,flat").selection().networks.map(\.list)
        #expect(lists[1].plugins[0].type == "weave-net")
        #expect(lists[2].plugins[0].type == "bridge")
        // Of a list and a single plugin of one name the list is taken.
        var both = world
        both.node.files.insert(
            ConfigurationFile(
                name: "00-one.conf",
                text: #"{"cniVersion":"1.0.0","name":"addresses","type":"ptp"}"#
            ),
            at: 1
        )
        let found = try both.saying(npwg, "addresses").selection().networks[1].list
        #expect(found.plugins.count == 3)
        for missing in ["empty", "absent", "default/blue"] {
            let error = #expect(throws: SelectionError.self) {
                try world.saying(npwg, missing).selection()
            }
            let name = missing.contains("/") ? missing : "shop/\(missing)"
            #expect(error.map { "\($0)".contains("names network \(name)") } == true)
        }
    }

    @Test("N3: where nobody knows definitions, names are looked for on the disk")
    func lookUpWithoutDefinitions() throws {
        #expect(try World().saying(npwg, "weave").shown() == "cbr0@eth0* shop/weave@net1")
    }

    @Test("N4, N5: a definition's name and version go to each of its plugins")
    func injected() throws {
        let list = try world.saying(npwg, "flat").selection().networks[1].list
        #expect(list.input(of: 0).text == #"{"type":"macvlan","cniVersion":"0.1.0","name":"flat"}"#)
        let several = try world.saying(npwg, "red").selection().networks[1].list
        for index in several.plugins.indices {
            let input = several.input(of: index)
            #expect(input["name"]?.string == "addresses")
            #expect(input["cniVersion"]?.string == "1.0.0")
            #expect(input["capabilities"] == nil)
        }
    }

    private static let wishes:
        [(id: String, json: String, plugin: Int, key: String, value: String)] =
            [
                (
                    "N6", #""ips":["10.1.0.7","fd00::7/64"]"#, 0, "ips",
                    #"["10.1.0.7","fd00::7/64"]"#
                ),
                ("N7", #""mac":"02:00:00:00:00:07""#, 0, "mac", #""02:00:00:00:00:07""#),
                (
                    "N8",
                    #""portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"UDP"}]"#, 2,
                    "portMappings", #"[{"hostPort":80,"containerPort":8080,"protocol":"udp"}]"#
                ),
                (
                    "N9", #""bandwidth":{"ingressRate":1000,"ingressBurst":10}"#, 1, "bandwidth",
                    #"{"ingressRate":1000,"ingressBurst":10}"#
                ),
                (
                    "N9", #""bandwidth":{"egressRate":1000}"#, 1, "bandwidth",
                    #"{"egressRate":1000,"egressBurst":2147483647}"#
                ),
                (
                    "N10", #""infiniband-guid":"c2:11:22:33:44:55:66:77""#, 0, "infinibandGUID",
                    #""c2:11:22:33:44:55:66:77""#
                ),
                ("deviceID", #""deviceID":"0000:03:00.1""#, 0, "deviceID", #""0000:03:00.1""#),
            ]

    @Test(
        "N6-N10: a wish reaches the plugin that declares it, and no other",
        arguments: wishes.indices
    )
    func capabilities(index: Int) throws {
        let wish = Self.wishes[index]
        let text = #"[{"name":"red",\#(wish.json)}]"#
        let network = try world.saying(npwg, text).selection().networks[1]
        for plugin in network.list.plugins.indices {
            let input = network.list.input(of: plugin, wishes: network.wishes)
            let expected = plugin == wish.plugin ? #"{"\#(wish.key)":\#(wish.value)}"# : nil
            #expect(input["runtimeConfig"]?.text == expected, "\(wish.id) plugin \(plugin)")
        }
        // Where no plugin declares it the attachment fails as a whole.
        let error = #expect(throws: SelectionError.self) {
            try world.saying(npwg, #"[{"name":"blue",\#(wish.json)}]"#).selection()
        }
        guard case .unserved(let field, "shop/blue", wish.key) = error else {
            Issue.record("\(wish.id): \(String(describing: error))")
            return
        }
        #expect(field.path == "annotation \(npwg)[0]")
    }

    @Test("N6, N7: a group of ours takes an address and a hardware address")
    func ownCapabilities() throws {
        let own = #"{"cniVersion":"1.0.0","type":"genie","vpc":"red","group":"web"}"#
        let text = #"[{"name":"own","ips":["10.1.0.7"],"mac":"02:00:00:00:00:07"}]"#
        let network = try world.defining(("shop/own", own)).saying(npwg, text).selection().networks[
            1
        ]
        #expect(network.wishes.ips == ["10.1.0.7"] && network.wishes.mac == "02:00:00:00:00:07")
    }

    static let malformed: [(String, String)] = [
        (#"[{"name":"red","ips":[]}]"#, "[0].ips"),
        (#"[{"name":"red","ips":"10.1.0.7"}]"#, "[0].ips"),
        (#"[{"name":"red","ips":["10.1.0"]}]"#, "[0].ips[0]"),
        (#"[{"name":"red","ips":["10.1.0.7/33"]}]"#, "[0].ips[0]"),
        (#"[{"name":"red","mac":"02:00"}]"#, "[0].mac"),
        (#"[{"name":"red","mac":"01:00:5e:00:00:07"}]"#, "[0].mac"),
        (#"[{"name":"red","mac":7}]"#, "[0].mac"),
        (#"[{"name":"red","interface":"a/b"}]"#, "[0].interface"),
        (#"[{"name":"red","interface":"sixteen-bytes-xx"}]"#, "[0].interface"),
        (#"[{"name":"red","interface":"lo"}]"#, "[0].interface"),
        (
            #"[{"name":"red","portMappings":[{"hostPort":0,"containerPort":1}]}]"#,
            "[0].portMappings[0].hostPort"
        ),
        (
            #"[{"name":"red","portMappings":[{"hostPort":1}]}]"#,
            "[0].portMappings[0].containerPort"
        ),
        (
            #"[{"name":"red","portMappings":[{"hostPort":1,"containerPort":1,"protocol":"x"}]}]"#,
            "[0].portMappings[0].protocol"
        ),
        (
            #"[{"name":"red","portMappings":[{"hostPort":1,"containerPort":1,"hostIP":"x"}]}]"#,
            "[0].portMappings[0].hostIP"
        ),
        (#"[{"name":"red","bandwidth":{"ingressRate":-1}}]"#, "[0].bandwidth.ingressRate"),
        (#"[{"name":"red","bandwidth":{"ingressRate":1.5}}]"#, "[0].bandwidth.ingressRate"),
        (#"[{"name":"red","bandwidth":{"egressBurst":1}}]"#, "[0].bandwidth.egressBurst"),
        (#"[{"name":"red","bandwidth":{"rate":1}}]"#, "[0].bandwidth.rate"),
        (#"[{"name":"red","infiniband-guid":"c2:11"}]"#, "[0].infiniband-guid"),
        (#"[{"name":"red","cni-args":[]}]"#, "[0].cni-args"),
        (#"[{"name":"red","default-route":["x"]}]"#, "[0].default-route[0]"),
        (
            #"[{"name":"red","ips":["10.1.0.7"],"ipam-claim-reference":"c"}]"#,
            "[0].ipam-claim-reference"
        ),
        (#"[{"name":"red","name":"blue"}]"#, "[0].name"), (#"[{"namespace":"shop"}]"#, "[0].name"),
        (#"["red"]"#, "[0]"), (#"{"name":"red"}"#, ""), (#"[{"name":"red"}"#, ""),
        ("blue,,red", "[1].name"), ("a/b/c", "[0]"), ("Blue", "[0].name"),
        ("blue@", "[0].interface"),
        ("-blue", "[0].name"), ("shop_1/blue", "[0].namespace"),
    ]

    @Test("N11, N15, N29: what is wrong fails the pod, and is named", arguments: malformed)
    func malformedField(text: String, field: String) throws {
        let error = #expect(throws: SelectionError.self) {
            try world.saying(npwg, text).selection()
        }
        guard case .malformed(let place, _) = error else {
            Issue.record("\(text) gave \(String(describing: error))")
            return
        }
        #expect(place.path == "annotation \(npwg)\(field)", "\(text)")
        #expect(place.owner == "pod shop/web-1")
    }

    @Test("N12: the interface asked for is given once, whoever else asks for it")
    func interfaces() throws {
        #expect(
            try world.saying(npwg, "blue@data,red@db").shown()
                == "cbr0@eth0* shop/blue@data shop/red@db"
        )
        for text in ["blue@data,red@data", "blue@eth1,red@eth1"] {
            let error = #expect(throws: SelectionError.self) {
                try world.saying(npwg, text).selection()
            }
            guard case .interfaceTwice(let field, _) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(field.path == "annotation \(npwg)[1]")
        }
        // An own name where another's would come next moves that one on.
        #expect(
            try world.saying(npwg, "blue,red@net1").shown()
                == "cbr0@eth0* shop/blue@net2 shop/red@net1"
        )
    }

    @Test("N12: nobody takes the cluster-wide network's interface")
    func defaultInterfaceTaken() throws {
        let error = #expect(throws: SelectionError.self) {
            try world.saying(npwg, "blue@eth0").selection()
        }
        #expect(
            error.map { "\($0)".contains("[0] of pod shop/web-1 asks for interface eth0") } == true
        )
    }

    @Test("N13: cni-args become args, and the pod's go before the network's")
    func arguments() throws {
        let definition = """
            {"cniVersion":"1.0.0","type":"x","args":{"cni":{"a":"net","b":"net"},"other":1}}
            """
        let text = #"[{"name":"args","cni-args":{"b":"pod","c":[1]}}]"#
        let network = try world.defining(("shop/args", definition)).saying(npwg, text)
            .selection().networks[1]
        #expect(
            network.list.input(of: 0, wishes: network.wishes)["args"]?.text
                == #"{"cni":{"a":"net","b":"pod","c":[1]},"other":1}"#
        )
    }

    @Test("N14: one element may lead the pod's default routes, with several next hops in order")
    func defaultRoute() throws {
        let text = #"[{"name":"blue","default-route":["10.1.0.2","10.1.0.1","fd00::1"]}]"#
        let networks = try world.saying(npwg, text).selection().networks
        #expect(networks[1].gateways.map(\.description) == ["10.1.0.2", "10.1.0.1", "fd00::1"])
        let two = """
            [{"name":"blue","default-route":["10.1.0.1"]},{"name":"red","default-route":["10.2.0.1"]}]
            """
        let error = #expect(throws: SelectionError.self) {
            try world.saying(npwg, two).selection()
        }
        #expect(error.map { "\($0)".contains("default-route in more than one") } == true)
    }

    @Test("N17: a network twice is two attachments with two interfaces")
    func twice() throws {
        #expect(
            try world.saying(npwg, "blue,blue").shown()
                == "cbr0@eth0* shop/blue@net1 shop/blue@net2"
        )
    }

    @Test("N21: a key that we do not know is named, and stops nothing")
    func unknownKeys() throws {
        let text = #"[{"name":"blue","example.com/speed":9}]"#
        let selection = try world.saying(npwg, text).selection()
        #expect(selection.warnings.count == 1)
        #expect(selection.warnings[0].contains("[0].example.com/speed"))
    }

    @Test("N25: with namespaceIsolation, definitions of others are out of reach, global ones not")
    func isolation() throws {
        let apart = try world.configured(
            #"{"namespaceIsolation":true,"globalNamespaces":"common, infra"}"#
        )
        #expect(try world.saying(npwg, "other/theirs").selection().networks.count == 2)
        #expect(try apart.saying(npwg, "blue,default/common").selection().networks.count == 3)
        let error = #expect(throws: SelectionError.self) {
            try apart.saying(npwg, "other/theirs").selection()
        }
        guard case .foreignNamespace = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("N26: the runtime's wishes are for the cluster-wide network alone")
    func runtimeWishes() throws {
        var world = world.saying(npwg, "red")
        world.wishes.runtimeConfig = [
            .init("portMappings", .array([])), .init("bandwidth", .object([])),
        ]
        let selection = try world.selection()
        #expect(
            selection.networks[0].wishes.runtimeConfig.map(\.key) == ["portMappings", "bandwidth"]
        )
        #expect(selection.networks[1].wishes.runtimeConfig.isEmpty)
        // cbr0 has a portmap and no bandwidth, which is said.
        #expect(selection.warnings.count == 1 && selection.warnings[0].contains("bandwidth"))
    }

    @Test("another default network for one pod, with its wishes; exactly one may be named")
    func defaultOverride() throws {
        let key = NetworkAnnotationKey.defaultNetwork
        var world = world.saying(npwg, "blue")
        world.pod.annotations[key] = #"[{"name":"red","ips":["10.1.0.7"]}]"#
        #expect(try world.shown() == "shop/red@eth0* shop/blue@net1")
        #expect(try world.selection().networks[0].wishes.ips == ["10.1.0.7"])
        #expect(try self.world.saying(key, "default/common").shown() == "default/common@eth0*")
        for text in ["", "blue,red"] {
            #expect(throws: SelectionError.self) { try self.world.saying(key, text).selection() }
        }
    }

    @Test("a definition that is no configuration is named, with what is wrong in it")
    func brokenDefinition() throws {
        let error = #expect(throws: SelectionError.self) {
            try world.saying(npwg, "broken").selection()
        }
        #expect(error.map { "\($0)".contains("shop/broken") } == true)
        let own = world.defining(("shop/self", #"{"cniVersion":"1.0.0","type":"genie"}"#))
        let loop = #expect(throws: SelectionError.self) {
            try own.saying(npwg, "self").selection()
        }
        #expect(loop.map { "\($0)".contains("would select itself") } == true)
    }

    @Test("no network at all is an error that says where one is looked for")
    func nothing() throws {
        let error = #expect(throws: SelectionError.self) { try World(files: []).selection() }
        #expect(error == .nothingConfigured(directory: "/etc/cni/net.d", unusable: []))
        // Ourselves and what no runtime could read are no networks.
        let own = ConfigurationFile(
            name: "00-genie.conf",
            text: #"{"cniVersion":"0.2.0","name":"genie","type":"genie"}"#
        )
        let broken = ConfigurationFile(name: "05-broken.conf", text: "{")
        #expect(try World(files: [own, broken, World.weave]).shown() == "weave@eth0*")
        let warnings = try World(files: [own, broken, World.weave]).selection().warnings
        #expect(
            warnings.contains { $0.hasPrefix("/etc/cni/net.d/05-broken.conf cannot be used: ") },
            "\(warnings)"
        )
        // One that would not have been the first is no reason for a warning.
        let last = ConfigurationFile(name: "99-old.conf", text: "{")
        #expect(try World(files: [World.weave, last]).selection().warnings == [])
        let without = #expect(throws: SelectionError.self) {
            try World(files: [own, broken]).selection()
        }
        #expect(without.map { "\($0)".contains("05-broken.conf cannot be used") } == true)
    }

    @Test("more networks than a pod may have are refused, in each form")
    func bounds() throws {
        let names = Array(repeating: "blue", count: 33).joined(separator: ",")
        let objects =
            "[" + Array(repeating: #"{"name":"blue"}"#, count: 33).joined(separator: ",") + "]"
        for text in [names, objects] {
            #expect(throws: SelectionError.self) { try world.saying(npwg, text).selection() }
        }
        #expect(throws: SelectionError.self) {
            try world.saying("cni", names.replacing("blue", with: "weave")).selection()
        }
    }
}
