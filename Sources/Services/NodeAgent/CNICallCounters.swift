import CNIProtocol
import Determinism

/// What came of the calls of runtimes, for metrics.
struct CNICallCounters: Sendable {
    /// Calls by verb and code, 0 for those that succeeded.
    private(set) var calls = SortedMap<String, SortedMap<Int, UInt64>>()
    /// How long those took that succeeded.
    private(set) var spans = SortedMap<String, SpanHistogram>()

    /// 5 ms to a minute: one interface takes some 10 ms, a plugin may take a minute.
    private static let bounds = [5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000, 60_000].map {
        Span.milliseconds($0)
    }

    /// Counts one call.
    mutating func note(_ verb: CNIVerb, code: CNIErrorCode?, span: Duration) {
        let name = verb.rawValue
        calls[name, default: SortedMap()][code?.rawValue ?? 0, default: 0] += 1
        guard code == nil else { return }
        let microseconds = Int64(span / .microseconds(1))
        spans[name, default: SpanHistogram(bounds: Self.bounds)].add(
            Span(microseconds: microseconds)
        )
    }
}
