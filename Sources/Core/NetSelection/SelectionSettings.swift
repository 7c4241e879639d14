package import Addressing
package import CNIProtocol

/// The node's rules for selection, as its plugin configuration has them.
///
/// The file is CNI-Genie's `00-genie.conf`: what of it still means something is read, and what
/// does not is named in a warning, so that a file of then goes on working.
package struct SelectionSettings: Hashable, Sendable {
    /// The networks of pods that ask for none.
    package private(set) var defaults: [NetworkName] = []
    /// Whether definitions of other namespaces are out of reach.
    package private(set) var isNamespaceIsolated = false
    /// The namespaces whose definitions are for everybody all the same.
    package private(set) var globalNamespaces = ["default"]
    /// Where the configurations of other networks lie.
    package private(set) var directory = "/etc/cni/net.d"
    /// The cAdvisor that tells what interfaces carry, for pods that ask for the least loaded
    /// network; nil where the node's own counters do.
    package private(set) var loadServer: SocketAddress?
    /// What of the file does nothing, and why.
    package private(set) var warnings: [String] = []

    /// Keys of 00-genie.conf that nothing reads any more.
    private static let obsolete: [(key: String, reason: String)] = [
        ("log_level", "genied has --log-level"),
        ("kubernetes", "genied does not read a kubeconfig"),
        ("policy", "no credentials are needed here"),
        ("datastore_type", "nothing reads it"), ("hostname", "nothing reads it"),
        ("etcd_endpoints", "nothing reads it"), ("romana_root", "nothing reads it"),
        ("segment_label_name", "nothing reads it"),
    ]

    /// Rules that say nothing.
    package init() {}

    /// Reads the plugin's configuration.
    ///
    /// - Throws: the field that is wrong.
    package init(_ configuration: JSONValue) throws(SelectionError) {
        func field(_ key: String) -> SelectionError.Field {
            SelectionError.Field(owner: "the plugin's configuration", path: key)
        }
        if let value = configuration["default_plugin"], !value.isNull {
            guard let text = value.string else {
                throw .malformed(field("default_plugin"), reason: "must be a text")
            }
            let place = field("default_plugin")
            if !text.allSatisfy(\.isWhitespace) {
                defaults = try NetworkName.list(text, field: place)
            }
        }
        if let value = configuration["namespaceIsolation"], !value.isNull {
            guard let isOn = value.bool else {
                throw .malformed(field("namespaceIsolation"), reason: "must be true or false")
            }
            isNamespaceIsolated = isOn
        }
        if let value = configuration["globalNamespaces"], !value.isNull {
            guard let text = value.string else {
                throw .malformed(field("globalNamespaces"), reason: "must be a text")
            }
            globalNamespaces += text.split(separator: ",").map { String($0.trimmed) }
        }
        if let value = configuration["confDir"], !value.isNull {
            guard let text = value.string, text.hasPrefix("/") else {
                throw .malformed(field("confDir"), reason: "must be a path from / on")
            }
            directory = text
        }
        var address = ""
        if let value = configuration["cAdvisor_address"], !value.isNull {
            guard let text = value.string else {
                throw .malformed(field("cAdvisor_address"), reason: "must be a text")
            }
            address = text
            loadServer = Self.server(text)
        }
        warnings = Self.obsolete.filter { configuration[$0.key] != nil }
            .map { "\($0.key) in the plugin's configuration does nothing: \($0.reason)" }
        if !address.isEmpty, loadServer == nil {
            warnings.append(
                "\(field("cAdvisor_address")) cannot be asked: write it like http://127.0.0.1:4194; the "
                    + "node's own counters tell what interfaces carry"
            )
        }
    }
}

extension SelectionSettings {
    private static func server(_ text: String) -> SocketAddress? {
        let scheme = "http://"
        guard text.lowercased().hasPrefix(scheme) else { return nil }
        var place = text.dropFirst(scheme.count)
        while place.last == "/" { place.removeLast() }
        return SocketAddress(place)
    }
}

extension StringProtocol {
    /// Without white space at both ends.
    var trimmed: SubSequence {
        let start = firstIndex { !$0.isWhitespace } ?? endIndex
        guard start < endIndex else { return self[start..<start] }
        let last = lastIndex { !$0.isWhitespace } ?? start
        return self[start...last]
    }
}
