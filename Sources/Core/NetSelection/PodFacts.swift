package import CNIProtocol
package import Determinism

/// What is known of a pod and of the objects that its request may name.
///
/// Whoever knows fills it: the runtime's arguments, a file, later the API server.
package struct PodFacts: Sendable {
    /// The pod's namespace; empty where the runtime knows of none.
    package var namespace: String
    /// The pod's name; empty where the runtime knows of none.
    package var name: String
    /// Whether somebody knows of the pod, so that what is not said is known to be absent.
    package var isKnown = false
    /// The pod's annotations.
    package var annotations = SortedMap<String, String>()
    /// The annotations of its namespace: what its pods get that ask for nothing.
    package var namespaceAnnotations = SortedMap<String, String>()
    /// The NetworkAttachmentDefinitions by `NAMESPACE/NAME`; nil where nobody knows of any, and
    /// networks are looked for on the disk.
    package var definitions: SortedMap<String, String>?
    /// The logical networks by `NAMESPACE/NAME`.
    package var logicalNetworks = SortedMap<String, LogicalNetwork>()
    /// The physical networks by `NAMESPACE/NAME`.
    package var physicalNetworks = SortedMap<String, PhysicalNetwork>()

    /// Whether the pod, or its namespace, may ask for the network that carries least.
    package var mayAskForLeastLoaded: Bool {
        [annotations, namespaceAnnotations].contains { annotations in
            annotations[NetworkAnnotationKey.plugins]?.allSatisfy(\.isWhitespace) ?? false
        }
    }

    /// Makes facts of a pod that says nothing.
    package init(namespace: String = "", name: String = "") {
        self.namespace = namespace
        self.name = name
    }
}

/// CNI-Genie's Logicalnetwork: a part of a physical network, or a plugin by itself.
package struct LogicalNetwork: Hashable, Sendable {
    /// The physical network that it is a part of; empty for none.
    package var physicalNet: String
    /// The part's addresses; empty for all.
    package var subnet: String
    /// The plugin; must be there where the physical network is shared or none.
    package var plugin: String

    /// Makes a network.
    package init(physicalNet: String = "", subnet: String = "", plugin: String = "") {
        self.physicalNet = physicalNet
        self.subnet = subnet
        self.plugin = plugin
    }

    /// Reads the object's `spec`; what has another type is as good as not there.
    package init(spec: JSONValue) {
        physicalNet = spec["physicalNet"]?.string ?? ""
        subnet = spec["sub_subnet"]?.string ?? ""
        plugin = spec["plugin"]?.string ?? ""
    }
}

/// CNI-Genie's Physicalnetwork.
package struct PhysicalNetwork: Hashable, Sendable {
    /// The node's interface to it; empty for whatever the plugin's configuration says.
    package var interface: String
    /// The plugin that it belongs to where it is dedicated.
    package var plugin: String
    /// Its addresses.
    package var subnet: String
    /// Whether it is one plugin's alone.
    package var isDedicated: Bool

    /// Makes a network.
    package init(interface: String = "", plugin: String = "", subnet: String, isDedicated: Bool) {
        self.interface = interface
        self.plugin = plugin
        self.subnet = subnet
        self.isDedicated = isDedicated
    }

    /// Reads the object's `spec`; `sharedStaus` is how the project's own sample spells it.
    package init(spec: JSONValue) {
        let status = spec["sharedStatus"] ?? spec["sharedStaus"]
        interface = spec["refer_nic"]?.string ?? ""
        plugin = status?["plugin"]?.string ?? ""
        subnet = status?["subnet"]?.string ?? ""
        isDedicated =
            status?["dedicatedNet"]?.bool ?? (status?["dedicatedNet"]?.string == "true")
    }
}

/// What the node has: files of networks, its underlay, the load of its interfaces.
package struct NodeFacts: Sendable {
    /// The configuration files in the order of their names.
    package var files: [ConfigurationFile] = []
    /// The node's interface to the underlay.
    package var uplink = ""
    /// What the node's interfaces receive and send, in bytes a second; as cAdvisor has it, in bytes
    /// between two of its samples.
    package var loads = SortedMap<String, UInt64>()
    /// Why the loads are the own counters though a cAdvisor was named; nil where they are not.
    package var loadWarning: String?
    /// The plugins that are where the runtime looks for them; nil where nobody looked.
    package var plugins: SortedSet<String>?

    /// Makes facts of a node that has nothing.
    package init() {}

    /// Whether every plugin of a network is installed, as far as anybody knows.
    func hasPlugins(of list: NetworkList) -> Bool {
        guard let plugins else { return true }
        return list.plugins.allSatisfy { $0.isOwn || plugins.contains($0.type) }
    }
}

/// One file of the configuration directory.
package struct ConfigurationFile: Hashable, Sendable {
    /// Its name without the folder.
    package let name: String
    /// Its content.
    package let text: String

    /// Makes a file.
    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }

    /// Whether a file of that name is a configuration.
    package static func isConfiguration(_ name: String) -> Bool {
        [".conf", ".conflist", ".json"].contains { name.hasSuffix($0) }
    }

    /// The network that CNI-Genie means by it: `weave` for `10-weave.conflist`.
    var networkName: Substring {
        var stem = name[..<(name.lastIndex(of: ".") ?? name.endIndex)]
        if let dash = stem.firstIndex(of: "-"), dash > stem.startIndex,
            stem[..<dash].utf8.allSatisfy({ (0x30...0x39).contains($0) })
        {
            stem = stem[stem.index(after: dash)...]
        }
        return stem
    }
}
