import Determinism
import Logging

/// Which refusals were logged of late: what repeats itself every two seconds is said once a minute.
struct RefusalLog {
    private var said = SortedMap<NodeID, (reason: String, at: Instant)>()

    private static let repeatInterval = Span.seconds(60)
    private static let nodesMax = 256

    /// The level to log a refusal at.
    mutating func level(of reason: String, from node: NodeID, now: Instant) -> Logger.Level {
        if let last = said[node], last.reason == reason,
            now.since(last.at) < Self.repeatInterval
        {
            return .debug
        }
        if said.count >= Self.nodesMax { said.removeAll { _, _ in true } }
        said[node] = (reason, now)
        return .warning
    }
}
