import CNIProtocol
import Determinism
import NetSelection
import Testing

@Suite("Selection: whose word counts, and what CNI-Genie's annotations mean")
struct PrecedenceTests {
    private let world = World()

    @Test(
        "A1.1: cni, networks and default_plugin, each with what a pod gets",
        arguments: [
            // 2: no annotation: the configured default, else the first file.
            (nil, nil, #"{"default_plugin":"weave"}"#, "weave@eth0*"),
            (
                nil, nil, #"{"default_plugin":"weave,flannel, weave"}"#,
                "weave@eth0* flannel@eth1 weave@eth2"
            ),
            (nil, nil, "{}", "cbr0@eth0*"),
            (nil, nil, #"{"default_plugin":""}"#, "cbr0@eth0*"),
            // 3: plugins in order, with and without names.
            ("weave", nil, #"{"default_plugin":"flannel"}"#, "weave@eth0*"),
            ("flannel,weave", nil, "{}", "flannel@eth0* weave@eth1"),
            ("flannel,flannel", nil, "{}", "flannel@eth0* flannel@eth1"),
            (
                "flannel,weave@eth4,flannel@eth3", nil, "{}",
                "flannel@eth0* weave@eth4 flannel@eth3"
            ),
            ("weave@eth4,flannel", nil, "{}", "weave@eth4 flannel@eth0*"),
            ("weave@eth1,flannel,flannel", nil, "{}", "weave@eth1 flannel@eth0* flannel@eth2"),
            ("weave@data", nil, "{}", "weave@data*"),
            (" weave @ eth2 , flannel ", nil, "{}", "weave@eth2 flannel@eth0*"),
            ("red/web,blue/db@db0", nil, "{}", "red/web@eth0* blue/db@db0"),
            // 4: logical networks; a plugin that is named goes before them.
            ("", "front,back@eth4", "{}", "front@eth0* back@eth4"),
            (nil, "back", "{}", "back@eth0*"),
            ("weave", "front", "{}", "weave@eth0*"),
        ] as [(String?, String?, String, String)]
    )
    func table(cni: String?, networks: String?, settings: String, expected: String) throws {
        var world = try world.configured(settings)
        world.pod.annotations["cni"] = cni
        world.pod.annotations["networks"] = networks
        world.pod.annotations["kubernetes.io/something"] = "else"
        world.pod.logicalNetworks["shop/front"] = LogicalNetwork(plugin: "weave")
        world.pod.logicalNetworks["shop/back"] = LogicalNetwork(plugin: "flannel")
        #expect(try world.shown() == expected)
    }

    @Test("A1.1 row 1: NPWG's annotation goes before cni, beside the default network")
    func npwgFirst() throws {
        var world = world.defining(("shop/blue", World.weave.text)).saying(npwg, "blue")
        world.pod.annotations["cni"] = "weave"
        world.pod.annotations["networks"] = "front"
        #expect(try world.shown() == "cbr0@eth0* shop/blue@net1")
    }

    @Test("the namespace speaks for pods that do not, and before default_plugin")
    func namespace() throws {
        var world = try world.configured(#"{"default_plugin":"flannel"}"#)
        world.pod.namespaceAnnotations["cni"] = "weave"
        #expect(try world.shown() == "weave@eth0*")
        #expect(try world.selection().networks[0].reason == "annotation cni[0] of namespace shop")
        #expect(try world.saying("cni", "addresses").shown() == "addresses@eth0*")
        // Beside networks of NPWG it says which the cluster-wide one is.
        let both = world.defining(("shop/blue", World.weave.text)).saying(npwg, "blue")
        #expect(try both.shown() == "weave@eth0* shop/blue@net1")
        // And it may give networks of NPWG itself.
        var whole = world.defining(("shop/blue", World.weave.text))
        whole.pod.namespaceAnnotations[npwg] = "blue"
        #expect(try whole.shown() == "weave@eth0* shop/blue@net1")
    }

    @Test("a reason names the annotation, its element and the pod")
    func reasons() throws {
        let networks = try world.saying("cni", "flannel,weave").selection().networks
        #expect(
            networks.map(\.reason) == [
                "annotation cni[0] of pod shop/web-1", "annotation cni[1] of pod shop/web-1",
            ]
        )
    }

    @Test(
        "cni: \"\" takes the network that carries least",
        arguments: [
            (["flannel.1": 100, "weave": 20, "br7": 30], "weave"),
            (["flannel.1": 10, "weave": 20, "br7": 30], "flannel"),
            // An interface that is not there yet carries nothing; the first of equals is taken.
            (["flannel.1": 10, "weave": 20], "addresses"),
            ([:], "flannel"),
        ] as [([String: UInt64], String)]
    )
    func leastLoaded(loads: [String: UInt64], expected: String) throws {
        var world = world.saying("cni", "")
        for (name, load) in loads { world.node.loads[name] = load }
        #expect(try world.shown() == "\(expected)@eth0*")
        #expect(try world.selection().networks[0].reason.contains("least loaded of 3"))
    }

    @Test("cni: \"\" names the networks that it cannot measure")
    func notMeasured() throws {
        var world = world.saying("cni", "")
        #expect(try world.selection().warnings.isEmpty)
        world.node.files.append(
            ConfigurationFile(
                name: "90-line.conf",
                text: #"{"cniVersion":"1.0.0","name":"line","type":"ptp"}"#
            )
        )
        world.node.loads["weave"] = 20
        let warnings = try world.selection().warnings
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("leaves out line: nobody can tell") == true)
    }

    @Test("cni: \"\" passes over a network whose plugins are not installed: it carries nothing")
    func notInstalled() throws {
        var world = world.saying("cni", "")
        for (name, load) in [("flannel.1", 1), ("weave", 20), ("br7", 30)] as [(String, UInt64)] {
            world.node.loads[name] = load
        }
        #expect(try world.shown() == "flannel@eth0*")
        world.node.plugins = SortedSet(["weave-net", "bridge", "bandwidth", "portmap"])
        #expect(try world.selection().networks[0].name != "flannel")
        #expect(try world.selection().networks[0].reason.contains("least loaded of 2"))
    }

    @Test("an element that names two interfaces is none")
    func twoInterfaces() throws {
        let world = World(files: []).saying("cni", "bridge@eth1@eth2")
        #expect(throws: SelectionError.self) { try world.selection() }
    }

    @Test("cni: \"\" without anything to measure falls to the default, and says so")
    func nothingMeasured() throws {
        let file = ConfigurationFile(
            name: "10-own.conf",
            text: #"{"cniVersion":"1.0.0","name":"own","type":"strange"}"#
        )
        let world = World(files: [file]).saying("cni", "")
        #expect(try world.shown() == "own@eth0*")
        #expect(
            try world.selection().warnings.contains { $0.contains("no load could be measured") }
        )
    }

    @Test("bridge and macvlan need no file; the interface asked for is theirs")
    func automatic() throws {
        let empty = World(files: [])
        #expect(
            try empty.saying("cni", "bridge@eth3,macvlan").shown() == "bridge@eth3 macvlan@eth0*"
        )
        let lists = try empty.saying("cni", "bridge,macvlan").selection().networks.map(\.list)
        #expect(lists.map(\.name) == ["mybridgenet", "mymacvlannet"])
        #expect(lists[1].plugins[0].object["master"]?.string == "ens3")
        // A file of that name goes first.
        let file = ConfigurationFile(
            name: "05-bridge.conf",
            text: #"{"cniVersion":"1.0.0","name":"mine","type":"bridge"}"#
        )
        #expect(
            try World(files: [file]).saying("cni", "bridge").selection().networks[0].list.name
                == "mine"
        )
        #expect(throws: SelectionError.self) { try empty.saying("cni", "sriov").shown() }
    }

    @Test("behind another plugin a pod gets what it asks for beside that one's interface")
    func chained() throws {
        var world = world.defining(("shop/blue", World.weave.text))
        world.taken = ["eth0"]
        #expect(try world.shown() == "")
        #expect(try world.saying(npwg, "blue").shown() == "shop/blue@net1")
        #expect(try world.saying("cni", "weave,flannel").shown() == "weave@eth1 flannel@eth2")
        #expect(throws: SelectionError.self) { try world.saying("cni", "weave@eth0").shown() }
    }

    @Test("00-genie.conf: what does nothing any more is named, and stops nothing")
    func obsolete() throws {
        let world = try world.configured(
            """
            {"name":"k8s-pod-network","type":"genie","log_level":"info","default_plugin":"weave",
             "cAdvisor_address":"http://127.0.0.1:4194","datastore_type":"kubernetes","hostname":"h",
             "etcd_endpoints":"e","romana_root":"r","segment_label_name":"s",
             "policy":{"type":"k8s"},"kubernetes":{"kubeconfig":"/etc/x"}}
            """
        )
        let selection = try world.selection()
        #expect(selection.warnings.count == 8)
        #expect(selection.warnings.allSatisfy { $0.contains("does nothing: ") })
        #expect(selection.networks.map(\.name) == ["weave"])
        #expect(
            try self.world.configured(#"{"type":"genie","vpcs":1}"#).selection().warnings.isEmpty
        )
    }

    @Test(
        "a cAdvisor that cannot be asked is named in a warning, and stops nothing",
        arguments: ["https://10.0.0.1:4194", "http://cadvisor:4194", "http://10.0.0.1", "4194"]
    )
    func unusableServer(address: String) throws {
        let json = #"{"default_plugin":"weave","cAdvisor_address":"\#(address)"}"#
        let selection = try world.configured(json).selection()
        #expect(selection.networks.map(\.name) == ["weave"])
        #expect(selection.warnings.count == 1)
        #expect(selection.warnings.first?.hasPrefix("cAdvisor_address of") == true)
        let none = try world.configured(#"{"default_plugin":"weave","cAdvisor_address":""}"#)
        #expect(try none.selection().warnings.isEmpty)
    }

    @Test(
        "a setting of another type is named",
        arguments: [
            (#"{"default_plugin":["weave"]}"#, "default_plugin"),
            (#"{"default_plugin":"a,,b"}"#, "default_plugin[1]"),
            (#"{"default_plugin":"a@lo"}"#, "default_plugin[0]"),
            (#"{"namespaceIsolation":"yes"}"#, "namespaceIsolation"),
            (#"{"globalNamespaces":["x"]}"#, "globalNamespaces"),
            (#"{"confDir":"cni"}"#, "confDir"),
            (#"{"cAdvisor_address":7}"#, "cAdvisor_address"),
        ]
    )
    func badSettings(json: String, field: String) throws {
        let error = #expect(throws: SelectionError.self) { try world.configured(json) }
        #expect(error.map { "\($0)".hasPrefix("\(field) of the plugin's configuration") } == true)
    }
}
