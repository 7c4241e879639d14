/// Why a pod gets no networks: its request or the node's configuration makes no sense.
///
/// A pod whose request is not understood must not run with fewer networks than it asked for, so
/// nothing of it is served then.
package enum SelectionError: Error, Hashable, Sendable {
    /// A field has a value that it may not have.
    case malformed(Field, reason: String)
    /// A network that is named is not there.
    case unknownNetwork(Field, name: String, known: [String])
    /// The configuration of a network cannot be used.
    case badNetwork(Field, name: String, reason: String)
    /// Two attachments would have one interface name.
    case interfaceTwice(Field, interface: String)
    /// A network of another namespace, while these are kept apart.
    case foreignNamespace(Field, name: String, namespace: String)
    /// No plugin of the network can do what is asked for.
    case unserved(Field, name: String, capability: String)
    /// There is nothing to attach the pod to; files that cannot be used are named with the reason.
    case nothingConfigured(directory: String, unusable: [String])
    /// More attachments than a pod may have.
    case tooMany(Field, max: Int)

    /// Where in the input something stands.
    package struct Field: Hashable, Sendable, CustomStringConvertible {
        /// Whose it is: the pod's, the namespace's or the node's.
        package let owner: String
        /// The key, and what of its value.
        package let path: String

        package var description: String { "\(path) of \(owner)" }

        /// A part of the field.
        func appending(_ more: String) -> Field { Field(owner: owner, path: path + more) }
    }
}

extension SelectionError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformed(let field, let reason): "\(field) \(reason)"
        case .unknownNetwork(let field, let name, let known):
            "\(field) names network \(name), which is not there ("
                + (known.isEmpty ? "there are none" : "there are \(known.joined(separator: ", "))")
                + "): mend the name, or add the network"
        case .badNetwork(let field, let name, let reason):
            "\(field) names network \(name), whose configuration cannot be used: \(reason)"
        case .interfaceTwice(let field, let interface):
            "\(field) asks for interface \(interface), which another network of the pod has: name "
                + "another, or leave the name out"
        case .foreignNamespace(let field, let name, let namespace):
            "\(field) names network \(name) of namespace \(namespace), which pods of others may not "
                + "use: define the network in the pod's namespace, or put \(namespace) into "
                + "globalNamespaces"
        case .unserved(let field, let name, let capability):
            "\(field) asks network \(name) for \(capability), which none of its plugins declares: add "
                + "\"capabilities\": {\"\(capability)\": true} to the plugin that can do it"
        case .nothingConfigured(let directory, let unusable):
            "there is no network for the pod: name one in default_plugin, or put a configuration into "
                + directory
                + (unusable.isEmpty ? "" : " (of those there \(unusable.joined(separator: "; ")))")
        case .tooMany(let field, let max):
            "\(field) asks for more networks than the \(max) that a pod may have"
        }
    }
}
