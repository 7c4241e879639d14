import CNIProtocol

/// One element of CNI-Genie's lists: `NAME` or `NAME@INTERFACE`.
///
/// The name is of a configuration file, of a logical network, or `VPC/GROUP` of our own.
package struct NetworkName: Hashable, Sendable {
    /// The network.
    package let name: String
    /// The interface asked for; nil for the next free one.
    package let interface: String?

    /// The most networks of one pod.
    package static let countMax = 32

    /// Reads a list, in which a network may stand several times.
    ///
    /// - Throws: the element that is wrong.
    package static func list(
        _ text: String,
        field: SelectionError.Field
    ) throws(SelectionError) -> [NetworkName] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= countMax else { throw .tooMany(field, max: countMax) }
        var names: [NetworkName] = []
        for (index, part) in parts.enumerated() {
            names.append(try one(part, field: field.appending("[\(index)]")))
        }
        return names
    }

    private static func one(
        _ part: Substring,
        field: SelectionError.Field
    ) throws(SelectionError) -> NetworkName {
        let halves = part.trimmed.split(
            separator: "@",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let name = halves[0].trimmed
        let pieces = name.split(separator: "/", omittingEmptySubsequences: false)
        guard pieces.count <= 2, pieces.allSatisfy({ CNIRules.isName(String($0)) }) else {
            throw .malformed(
                field,
                reason: "is \"\(part.prefix(80))\", which is no NAME or NAME@INTERFACE"
            )
        }
        guard halves.count == 2 else { return NetworkName(name: String(name), interface: nil) }
        let interface = String(halves[1].trimmed)
        guard !interface.contains("@") else {
            throw .malformed(
                field,
                reason: "is \"\(part.prefix(80))\", which names more than one interface"
            )
        }
        try checkInterface(interface, field)
        return NetworkName(name: String(name), interface: interface)
    }

    /// Whether an interface of a pod may be called so.
    static func checkInterface(
        _ name: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) {
        if let fault = CNIRules.interfaceNameFault(name) {
            throw .malformed(field, reason: "has an interface that cannot be called so: \(fault)")
        }
        guard name != "lo" else {
            throw .malformed(field, reason: "has interface lo, which is the pod's loopback")
        }
    }
}
