import LocalAPI
import LocalServer

/// What the node API has under `/v1/watch`.
extension NodeAPI {
    /// Answers `GET /v1/watch/groups/NAME?after=REVISION&waitMilliseconds=N`; the name's slash is
    /// escaped, or stands for itself.
    func watch(_ request: LocalServer.Request) async throws(AgentError) -> LocalServer.Response {
        let parts = request.segments
        guard request.method == "GET", (4...5).contains(parts.count), parts[2] == "groups" else {
            throw .noSuchPath("\(request.method) \(request.path)")
        }
        return Self.json(
            try await agent.groupEvents(
                parts[3...].joined(separator: "/"),
                after: try Self.number("after", request),
                waitMilliseconds: try Self.number("waitMilliseconds", request) ?? 0
            )
        )
    }

    /// The level that a read is to have; a quorum unless said otherwise.
    static func consistency(
        _ request: LocalServer.Request
    ) throws(AgentError) -> ReadConsistency {
        guard let text = request.queryValue("consistency") else { return .quorum }
        guard let consistency = ReadConsistency(rawValue: text) else {
            let known = ReadConsistency.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("consistency '\(text.prefix(20))' is none of \(known)")
        }
        return consistency
    }
}
