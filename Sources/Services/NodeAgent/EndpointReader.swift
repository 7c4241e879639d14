import Determinism
import NetModel
import RingRecords

/// Reads the endpoints of other nodes for one pass over the maps, and those that the pass before
/// has read not again: of a thousand endpoints one has changed.
struct EndpointReader: Sendable {
    private struct Key: Hashable {
        let topic: Topic
        let origin: NodeID
    }

    private struct Known {
        let version: RecordVersion
        let endpoints: [Endpoint]
        /// By the records' keys.
        let read: [String: (content: [UInt8], endpoint: Endpoint)]
    }

    private var before: [Key: Known]
    private var now: [Key: Known] = [:]

    /// A reader that knows of nothing.
    init() { before = [:] }

    /// A reader for the next pass; what `last` was not asked for is forgotten.
    init(after last: EndpointReader) { before = last.now }

    /// Forgets what the pass before had read: this one is over.
    mutating func finish() { before = [:] }

    /// The endpoints of a set; those that cannot be read are left out.
    mutating func read(_ set: OriginSet) -> [Endpoint] {
        let key = Key(topic: set.topic, origin: set.origin)
        let known = before[key]
        if let known, known.version == set.version {
            now[key] = known
            return known.endpoints
        }
        var endpoints: [Endpoint] = []
        var read: [String: (content: [UInt8], endpoint: Endpoint)] = [:]
        for record in set.records {
            let last = known?.read[record.key]
            guard
                let endpoint = last?.content == record.content
                    ? last?.endpoint : try? Endpoint(encoded: record.content)
            else { continue }
            endpoints.append(endpoint)
            read[record.key] = (record.content, endpoint)
        }
        now[key] = Known(version: set.version, endpoints: endpoints, read: read)
        return endpoints
    }
}
