import Addressing
import CNIProtocol
import Determinism

/// Finds the configuration behind a name.
struct NetworkResolver {
    let settings: SelectionSettings
    let pod: PodFacts
    let node: NodeFacts

    /// A network by the name that CNI-Genie's annotations use: a group of ours, a file's name, or
    /// the name in a file; a bridge and a macvlan also without a file.
    func network(
        _ name: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        if let slash = name.firstIndex(of: "/") {
            return try Self.own(
                vpc: String(name[..<slash]),
                group: String(name[name.index(after: slash)...]),
                field
            )
        }
        if let file = node.files.first(where: { $0.networkName == name }) {
            return try read(file, name, field)
        }
        if let found = onDisk(name) { return found }
        if let text = Self.automatic(name, uplink: node.uplink) {
            return try read(ConfigurationFile(name: "\(name).conf", text: text), name, field)
        }
        throw .unknownNetwork(field, name: name, known: usable.map { String($0.file.networkName) })
    }

    /// The network behind a NetworkAttachmentDefinition: its own configuration, or else the file
    /// with its name in it, lists first.
    ///
    /// - Source: NPWG 1.3, section 3.3.
    func definition(
        _ name: String,
        namespace: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        if settings.isNamespaceIsolated, namespace != pod.namespace,
            !settings.globalNamespaces.contains(namespace)
        {
            throw .foreignNamespace(field, name: name, namespace: namespace)
        }
        let key = "\(namespace)/\(name)"
        if let definitions = pod.definitions {
            guard let text = definitions[key] else {
                throw .unknownNetwork(field, name: key, known: definitions.keys)
            }
            if !text.allSatisfy(\.isWhitespace) {
                return try checked(text, fallbackName: name, key, field)
            }
        }
        if let found = onDisk(name) { return found }
        throw .unknownNetwork(field, name: key, known: usable.map(\.list.name))
    }

    /// What a pod gets where nobody says anything: the first file, as kubelet has it.
    func fallback() throws(SelectionError) -> (file: ConfigurationFile, list: NetworkList) {
        guard let first = usable.first else {
            throw .nothingConfigured(
                directory: settings.directory,
                unusable: unusable.map { "\($0.name) \($0.flaw)" }
            )
        }
        return first
    }

    /// The files that can be used; a file that cannot is nobody's network, as in the runtimes.
    var usable: [(file: ConfigurationFile, list: NetworkList)] {
        node.files.compactMap { file in
            guard let list = try? NetworkList(parsing: file.text),
                !list.plugins.contains(where: \.isSelection),
                !list.plugins.dropFirst().contains(where: \.isOwn)
            else { return nil }
            return (file, list)
        }
    }

    /// The files that are no configuration of a network, each with the reason.
    var unusable: [(name: String, flaw: String)] {
        node.files.compactMap { file in
            do throws(CNIError) {
                let list = try NetworkList(parsing: file.text)
                return list.plugins.dropFirst().contains(where: \.isOwn)
                    ? (file.name, "cannot be used: \(Self.ownFirst)") : nil
            } catch {
                return (file.name, "cannot be used: \(error.msg)")
            }
        }
    }

    /// The list, or else the single plugin, with that name in it.
    private func onDisk(_ name: String) -> NetworkList? {
        let named = usable.filter { $0.list.name == name }
        return (named.first { $0.file.name.hasSuffix(".conflist") } ?? named.first)?.list
    }

    private static let ownFirst = "a place in the ring must be the first of its plugins"

    private func read(
        _ file: ConfigurationFile,
        _ name: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        try checked(file.text, fallbackName: name, "\(name) (\(file.name))", field)
    }

    private func checked(
        _ text: String,
        fallbackName: String,
        _ name: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        let list: NetworkList
        do throws(CNIError) {
            list = try NetworkList(parsing: text, fallbackName: fallbackName)
        } catch {
            throw .badNetwork(field, name: name, reason: error.msg)
        }
        guard !list.plugins.contains(where: \.isSelection) else {
            throw .badNetwork(
                field,
                name: name,
                reason:
                    "it is of type genie and names no \"vpc\" and \"group\", so it would select "
                    + "itself"
            )
        }
        guard !list.plugins.dropFirst().contains(where: \.isOwn) else {
            throw .badNetwork(
                field,
                name: name,
                reason: Self.ownFirst
            )
        }
        return list
    }

    /// A group of our own as a network.
    static func own(
        vpc: String,
        group: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        let text = JSONValue.members(
            ("cniVersion", .string(CNIVersion.latest.rawValue)),
            ("name", .string("\(vpc).\(group)")),
            ("type", .string(NetworkConfiguration.ownType)),
            ("vpc", .string(vpc)),
            ("group", .string(group))
        ).text
        do throws(CNIError) { return try NetworkList(parsing: text) } catch {
            throw .badNetwork(field, name: "\(vpc)/\(group)", reason: error.msg)
        }
    }

    /// What CNI-Genie writes for a plugin that has no file; nothing is written here, so that the
    /// runtime never takes it for the node's own.
    static func automatic(_ name: String, uplink: String) -> String? {
        let addresses = JSONValue.members(
            ("type", .string("host-local")),
            ("subnet", .string("10.10.0.0/16")),
            ("routes", .array([.members(("dst", .string("0.0.0.0/0")))]))
        )
        var network = JSONValue.members(("cniVersion", .string("1.0.0")))
        switch name {
        case "bridge":
            network["name"] = .string("mybridgenet")
            network["type"] = .string("bridge")
            network["bridge"] = .string("mybridge0")
            network["isGateway"] = .bool(true)
            network["ipMasq"] = .bool(true)
        case "macvlan" where !uplink.isEmpty:
            network["name"] = .string("mymacvlannet")
            network["type"] = .string("macvlan")
            network["master"] = .string(uplink)
        default: return nil
        }
        network["ipam"] = addresses
        return network.text
    }
}
