import CNIProtocol
import Determinism
import Foundation
import NetSelection

/// Where it is known what pods ask for; the Kubernetes part will be another one.
protocol PodFactsSource: Sendable {
    /// What is known of a pod and of the objects that it may name.
    ///
    /// - Throws: where it cannot be told now; the pod is not to run without its networks then.
    func facts(namespace: String, name: String) async throws(PodError) -> PodFacts
}

/// Objects in a file, in the form in which Kubernetes lists them.
///
/// `kubectl get pods,namespaces,network-attachment-definitions -A -o json` writes such a file. It
/// is read anew for each pod.
struct FilePodFacts: PodFactsSource {
    /// The file; nil where nobody named one, and nothing is known.
    let path: String?

    func facts(namespace: String, name: String) async throws(PodError) -> PodFacts {
        guard let path else { return PodFacts(namespace: namespace, name: name) }
        guard let content = FileManager.default.contents(atPath: path) else {
            throw .facts(path: path, reason: "it is not there or may not be read")
        }
        return try Self.facts(Array(content), path: path, namespace: namespace, name: name)
    }

    static func facts(
        _ content: [UInt8],
        path: String,
        namespace: String,
        name: String
    ) throws(PodError) -> PodFacts {
        let whole: JSONValue
        do { whole = try JSONValue(parsing: content) } catch {
            throw .facts(path: path, reason: "it is not JSON from byte \(error.offset) on")
        }
        guard let items = whole["items"]?.array else {
            throw .facts(path: path, reason: "it has no list \"items\"")
        }
        var facts = PodFacts(namespace: namespace, name: name)
        facts.definitions = SortedMap()
        do throws(Flaw) {
            for item in items { try take(item, into: &facts) }
        } catch {
            throw .facts(path: path, reason: "\(error.place) must be an object of texts")
        }
        return facts
    }

    /// Something that says what a pod wants and cannot be read.
    private struct Flaw: Error {
        let place: String
    }

    private static func take(_ item: JSONValue, into facts: inout PodFacts) throws(Flaw) {
        let metadata = item["metadata"]
        guard let kind = item["kind"]?.string, let name = metadata?["name"]?.string else { return }
        let namespace = metadata?["namespace"]?.string ?? "default"
        let key = "\(namespace)/\(name)"
        let spec = item["spec"] ?? .object([])
        // CNI-Genie writes Logicalnetwork, and its readers LogicalNetwork.
        switch kind.lowercased() {
        case "pod" where namespace == facts.namespace && name == facts.name:
            facts.annotations = try annotations(metadata, "pod \(key)")
            facts.isKnown = true
        case "namespace" where name == facts.namespace:
            facts.namespaceAnnotations = try annotations(metadata, "namespace \(name)")
        case "networkattachmentdefinition":
            facts.definitions?[key] = spec["config"].map { $0.string ?? $0.text } ?? ""
        case "logicalnetwork": facts.logicalNetworks[key] = LogicalNetwork(spec: spec)
        case "physicalnetwork": facts.physicalNetworks[key] = PhysicalNetwork(spec: spec)
        default: break
        }
    }

    private static func annotations(
        _ metadata: JSONValue?,
        _ owner: String
    ) throws(Flaw) -> SortedMap<String, String> {
        var all = SortedMap<String, String>()
        guard let given = metadata?["annotations"], !given.isNull else { return all }
        guard let members = given.members, members.allSatisfy({ $0.value.string != nil }) else {
            throw Flaw(place: "metadata.annotations of \(owner)")
        }
        for member in members { all[member.key] = member.value.string }
        return all
    }
}
