/// What `CNI_ARGS` says: who the pod is, and what it asks for.
///
/// - Source: CNI conventions, "CNI_ARGS"; the names with `K8S_` are those of Kubernetes runtimes.
package struct CNIArguments: Codable, Hashable, Sendable {
    /// The pod's namespace.
    package private(set) var podNamespace: String?
    /// The pod's name.
    package private(set) var podName: String?
    /// The pod's uid.
    package private(set) var podUID: String?
    /// The container that holds the pod's namespaces.
    package private(set) var podInfraContainerID: String?
    /// The address asked for.
    package private(set) var ip: String?
    /// The hardware address asked for.
    package private(set) var mac: String?

    /// Reads `KEY=VALUE` pairs joined by semicolons; an empty text says nothing.
    ///
    /// A key that we do not know is an error unless `IgnoreUnknown` is true, wherever it stands.
    /// - Throws: code 4, naming what is wrong.
    package init(_ text: String) throws(CNIError) {
        var ignoresUnknown = false
        var unknown: [Substring] = []
        for pair in text.split(separator: ";") {
            guard let equals = pair.firstIndex(of: "="), equals > pair.startIndex else {
                throw CNIError(.invalidEnvironment, "CNI_ARGS: invalid pair \"\(pair)\"")
            }
            let value = String(pair[pair.index(after: equals)...])
            switch pair[..<equals] {
            case "IgnoreUnknown": ignoresUnknown = try Self.flag(value)
            case "K8S_POD_NAMESPACE": podNamespace = value
            case "K8S_POD_NAME": podName = value
            case "K8S_POD_UID": podUID = value
            case "K8S_POD_INFRA_CONTAINER_ID": podInfraContainerID = value
            case "IP": ip = value
            case "MAC": mac = value
            default: unknown.append(pair)
            }
        }
        guard ignoresUnknown || unknown.isEmpty else {
            throw CNIError(
                .invalidEnvironment,
                "CNI_ARGS: unknown args [\(unknown.joined(separator: " "))]"
                    + "; put IgnoreUnknown=1 beside them to have them skipped"
            )
        }
    }

    private static func flag(_ text: String) throws(CNIError) -> Bool {
        switch text.lowercased() {
        case "1", "true": return true
        case "0", "false": return false
        default:
            throw CNIError(
                .invalidEnvironment,
                "CNI_ARGS: IgnoreUnknown is not 1, 0, true or false"
            )
        }
    }
}
