package import CNIProtocol
package import Determinism

/// What cAdvisor says that the node's interfaces carry.
///
/// - Source: cAdvisor's API 1.3, `ContainerInfo` of the root container: `stats`, oldest first, each
///   with `network.interfaces`, whose `rx_bytes` and `tx_bytes` count since the interface was made.
package enum ContainerLoads {
    /// What is asked for: `POST` to this path with this body.
    package static let path = "/api/v1.3/containers/"
    /// The newest two samples: a load is what was carried between them.
    package static let question = #"{"num_stats":2}"#

    /// Why an answer says nothing.
    package enum Flaw: Error, Hashable, Sendable, CustomStringConvertible {
        /// A field is not there, or of another kind.
        case missing(String)
        /// There are too few samples for a difference.
        case tooFew(Int)

        package var description: String {
            switch self {
            case .missing(let field): "\(field) is missing in its answer"
            case .tooFew(let count): "its answer has \(count) samples, and a load takes two"
            }
        }
    }

    /// Bytes that each interface carried between the newest two samples, both ways.
    ///
    /// - Throws: what is missing.
    package static func read(_ answer: JSONValue) throws(Flaw) -> SortedMap<String, UInt64> {
        guard let stats = answer["stats"]?.array else { throw .missing("stats") }
        guard stats.count >= 2 else { throw .tooFew(stats.count) }
        let before = try counters(stats[stats.count - 2])
        var loads = SortedMap<String, UInt64>()
        for (name, bytes) in try counters(stats[stats.count - 1]) {
            let old = before[name] ?? 0
            // A counter that went back is of an interface that was made anew.
            loads[name] = bytes >= old ? bytes - old : bytes
        }
        return loads
    }

    private static func counters(_ sample: JSONValue) throws(Flaw) -> SortedMap<String, UInt64> {
        guard let interfaces = sample["network"]?["interfaces"]?.array else {
            throw .missing("stats[].network.interfaces")
        }
        var counters = SortedMap<String, UInt64>()
        for interface in interfaces {
            guard let name = interface["name"]?.string,
                let received = interface["rx_bytes"]?.integer,
                let sent = interface["tx_bytes"]?.integer,
                received >= 0, sent >= 0
            else { throw .missing("name, rx_bytes or tx_bytes of an interface") }
            counters[name] = UInt64(received) &+ UInt64(sent)
        }
        return counters
    }
}
