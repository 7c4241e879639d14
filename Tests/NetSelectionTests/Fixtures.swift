import CNIProtocol
import Determinism
import NetSelection

/// A node with the usual files, and a pod on it.
struct World {
    var settings = SelectionSettings()
    var pod = PodFacts(namespace: "shop", name: "web-1")
    var node = NodeFacts()
    var interface = "eth0"
    var taken: [String] = []
    var wishes = AttachmentWishes()

    static let flannel = ConfigurationFile(
        name: "10-flannel.conflist",
        text: """
            {"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"flannel"},\
            {"type":"portmap","capabilities":{"portMappings":true}}]}
            """
    )
    static let weave = ConfigurationFile(
        name: "20-weave.conf",
        text: #"{"cniVersion":"0.3.0","name":"weave","type":"weave-net"}"#
    )
    static let addresses = ConfigurationFile(
        name: "30-addresses.conflist",
        text: """
            {"cniVersion":"1.0.0","name":"addresses","plugins":[{"type":"bridge","bridge":"br7",\
            "capabilities":{"ips":true,"mac":true,"infinibandGUID":true,"deviceID":true},\
            "ipam":{"type":"static"}},{"type":"bandwidth","capabilities":{"bandwidth":true}},\
            {"type":"portmap","capabilities":{"portMappings":true}}]}
            """
    )

    init(files: [ConfigurationFile] = [flannel, weave, addresses]) {
        node.files = files
        node.uplink = "ens3"
    }

    /// A pod that says `text` under `key`.
    func saying(_ key: String, _ text: String) -> World {
        var copy = self
        copy.pod.annotations[key] = text
        return copy
    }

    /// The same with a `default_plugin`, or another setting.
    func configured(_ json: String) throws -> World {
        var copy = self
        copy.settings = try SelectionSettings(try JSONValue(parsing: json))
        return copy
    }

    /// The same with definitions, each by `NAMESPACE/NAME`.
    func defining(_ definitions: (String, String)...) -> World {
        var copy = self
        var all = copy.pod.definitions ?? .init()
        for (name, text) in definitions { all[name] = text }
        copy.pod.definitions = all
        return copy
    }

    func selection() throws(SelectionError) -> Selection {
        try Selection.make(
            SelectionRequest(
                settings: settings,
                pod: pod,
                node: node,
                interface: interface,
                taken: taken,
                wishes: wishes
            )
        )
    }

    /// `NAME@INTERFACE` of each network, the default one with a star.
    func shown() throws(SelectionError) -> String {
        try selection().networks
            .map { "\($0.name)@\($0.interface)\($0.isDefault ? "*" : "")" }
            .joined(separator: " ")
    }
}

let npwg = NetworkAnnotationKey.networks
