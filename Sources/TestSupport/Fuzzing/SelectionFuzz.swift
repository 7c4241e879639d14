import CNIProtocol
import Determinism
import NetSelection

/// Laws: what is read is the same after another turn, an error names its field, and a selection
/// gives no interface twice and one default network.
///
/// The first byte chooses the kind, the rest is the text.
enum SelectionFuzz {
    static func run(_ input: [UInt8]) throws(FuzzFinding) {
        guard let kind = input.first else { return }
        let content = Array(input.dropFirst())
        let text = String(decoding: content, as: UTF8.self)
        switch kind % 6 {
        case 0:
            guard let value = try? JSONValue(parsing: content) else { return }
            try law((try? JSONValue(parsing: value.text)) == value, "\(value)")
            _ = try? SelectionSettings(value)
        case 1:
            guard let list = try? NetworkList(parsing: text) else { return }
            try law((try? NetworkList(parsing: list.text)) == list, list.text)
            for index in list.plugins.indices {
                try law(list.input(of: index)["name"]?.string == list.name, list.text)
            }
        case 2: try select(NetworkAnnotationKey.networks, text)
        case 3: try select(NetworkAnnotationKey.plugins, text)
        case 4: try select(NetworkAnnotationKey.logicalNetworks, text)
        default:
            guard let value = try? JSONValue(parsing: content) else { return }
            _ = LogicalNetwork(spec: value)
            _ = PhysicalNetwork(spec: value)
        }
    }

    private static func select(_ key: String, _ text: String) throws(FuzzFinding) {
        var pod = PodFacts(namespace: "shop", name: "web")
        pod.annotations[key] = text
        pod.definitions = .init()
        for name in ["shop/a", "other/a", "shop/b"] { pod.definitions?[name] = network }
        pod.logicalNetworks["shop/a"] = LogicalNetwork(plugin: "x")
        pod.logicalNetworks["shop/b"] = LogicalNetwork(subnet: "10.1.0.0/24", plugin: "bridge")
        var node = NodeFacts()
        node.files = [ConfigurationFile(name: "10-x.conf", text: network)]
        node.uplink = "eth0"
        let request = SelectionRequest(
            settings: SelectionSettings(),
            pod: pod,
            node: node,
            interface: "eth0"
        )
        let result = Result { () throws(SelectionError) in try Selection.make(request) }
        switch result {
        case .success(let selection):
            let names = selection.networks.map(\.interface).sorted()
            try law(zip(names, names.dropFirst()).allSatisfy { $0 != $1 }, "\(names)")
            try law(selection.networks.count(where: \.isDefault) == 1, "one default: \(text)")
            try law(names.allSatisfy { CNIRules.interfaceNameFault($0) == nil }, "\(names)")
        case .failure(let error): try law("\(error)".contains("annotation \(key)"), "\(error)")
        }
    }

    private static let network = """
        {"cniVersion":"1.0.0","name":"x","type":"x","capabilities":{"ips":true,"mac":true,\
        "portMappings":true,"bandwidth":true}}
        """

    static var seeds: [FuzzSeed] {
        let texts: [(String, UInt8, String)] = [
            (
                "settings", 0,
                #"{"type":"genie","default_plugin":"a,b@eth4","policy":{"type":"k8s"}}"#
            ),
            ("network", 1, network),
            (
                "list", 1,
                #"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"},{"type":"b"}]}"#
            ),
            ("definition-names", 2, "a,other/a@data,b"),
            (
                "definition-objects", 2,
                """
                [{"name":"a","namespace":"shop","interface":"data","ips":["10.1.0.7/24"],\
                "mac":"02:00:00:00:00:07","portMappings":[{"hostPort":80,"containerPort":8080}],\
                "bandwidth":{"ingressRate":1000},"default-route":["10.1.0.1"],"cni-args":{"a":1}}]
                """
            ),
            ("plugins", 3, "x,x@eth4, bridge,red/web"), ("least-loaded", 3, ""),
            ("logical", 4, "a@eth0,b"),
            (
                "physical", 5,
                #"{"refer_nic":"eth0","sharedStatus":{"plugin":"x","subnet":"10.0.0.0/8"}}"#
            ),
        ]
        return texts.map { FuzzSeed($0.0, [$0.1] + Array($0.2.utf8)) }
    }
}
