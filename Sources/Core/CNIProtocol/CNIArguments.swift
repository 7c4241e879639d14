package import Determinism

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

    /// The pod's annotations as JSON, where the runtime passes them on.
    package private(set) var annotationText: String?

    /// Reads `KEY=VALUE` pairs joined by semicolons; an empty text says nothing.
    ///
    /// A key that we do not know is an error unless `IgnoreUnknown` is true, wherever it stands.
    /// - Throws: code 4, naming what is wrong.
    package init(_ text: String) throws(CNIError) {
        var ignoresUnknown = false
        var unknown: [Substring] = []
        for pair in Self.pairs(text) {
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
            case "K8S_ANNOT":
                try Self.checkAnnotations(value)
                annotationText = value
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

    /// The pod's annotations; none where the runtime passes none on.
    package var podAnnotations: SortedMap<String, String> {
        var all = SortedMap<String, String>()
        let value = annotationText.flatMap { try? JSONValue(parsing: $0) }
        for member in value?.members ?? [] { all[member.key] = member.value.string }
        return all
    }

    private static func checkAnnotations(_ text: String) throws(CNIError) {
        let members = (try? JSONValue(parsing: text))?.members
        guard let members, members.allSatisfy({ $0.value.string != nil }) else {
            throw CNIError(
                .invalidEnvironment,
                "CNI_ARGS: K8S_ANNOT is no JSON object of texts"
            )
        }
    }

    /// The pairs as they stand; of annotations, which are JSON, a semicolon is a part.
    package static func pairs(_ text: String) -> [Substring] {
        var pairs: [Substring] = []
        var rest = text[...]
        while !rest.isEmpty {
            var end = rest.firstIndex(of: ";") ?? rest.endIndex
            let start = "K8S_ANNOT={"
            if rest.hasPrefix(start) {
                let value = rest.dropFirst(start.count - 1)
                var scanner = JSONScanner(Array(value.utf8))
                if (try? scanner.skipValue()) != nil {
                    let bytes = value.utf8.index(value.startIndex, offsetBy: scanner.offset)
                    end = rest[bytes...].firstIndex(of: ";") ?? rest.endIndex
                }
            }
            if end > rest.startIndex { pairs.append(rest[..<end]) }
            rest = end < rest.endIndex ? rest[rest.index(after: end)...] : ""
        }
        return pairs
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
