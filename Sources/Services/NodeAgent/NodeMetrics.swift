import Addressing
import Determinism
import LocalAPI
import LocalServer
import Logging
import PeerService
import RingMembership
import Telemetry

/// What `genied` tells Prometheus: read off the cores' own counters when somebody asks.
struct NodeMetrics: Sendable {
    /// The port where none is named.
    static let portDefault: UInt16 = 7_941

    let agent: NodeAgent
    let peer: PeerService

    /// Serves `/metrics` and `/healthz` until the task is cancelled.
    ///
    /// - Throws: where the address cannot be had.
    func serve(at address: SocketAddress, logger: Logger) async throws {
        let server = PlainServer(address: address, logger: logger) { request in
            await answer(request)
        }
        try await server.run()
    }

    private func answer(_ request: LocalServer.Request) async -> LocalServer.Response {
        guard request.method == "GET" else { return Self.text(405, "only GET is served here\n") }
        switch request.path {
        case "/metrics":
            let text = await page().text
            return LocalServer.Response(
                contentType: MetricsPage.contentType,
                body: Array(text.utf8)
            )
        case "/healthz":
            if let trouble = await peer.trouble() { return Self.text(503, trouble + "\n") }
            if let trouble = await agent.uplinkWatch.trouble {
                return Self.text(503, trouble + "\n")
            }
            if await !agent.hasDataplane { return Self.text(503, "the dataplane is not ready\n") }
            return Self.text(200, "ok\n")
        default: return Self.text(404, "there are /metrics and /healthz\n")
        }
    }

    private static func text(_ status: Int, _ text: String) -> LocalServer.Response {
        LocalServer.Response(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Array(text.utf8)
        )
    }

    /// All metrics of the node.
    func page() async -> MetricsPage {
        var page = MetricsPage()
        page.gauge(
            "genie_build_info",
            "The release that runs; the value is 1.",
            [.init(.count(1), [("version", LocalAPI.version)])]
        )
        page.gauge(
            "genie_healthy",
            "Whether the peer belongs to a ring and can go on.",
            await peer.trouble() == nil ? 1 : 0
        )
        page.transport(await agent.transportStatus())
        if let metrics = await peer.metrics() {
            page.membership(metrics)
            page.ring(metrics)
            page.registers(metrics)
            page.records(metrics)
            page.addresses(metrics)
        }
        // A dataplane that is not there yet has nothing to tell.
        if let status = try? await agent.dataplaneStatus() {
            page.dataplane(status)
            page.traffic(status, isByEndpoint: agent.settings.hasEndpointMetrics)
        }
        page.pods(await agent.podCounts, stuck: await agent.podRetries.count)
        page.calls(await agent.callCounters)
        return page
    }
}

extension NodeAgent {
    var hasDataplane: Bool { dataplane != nil }

    /// The pods of this node by state.
    var podCounts: SortedMap<String, Int> {
        journal.all.reduce(into: SortedMap()) { $0[$1.state.rawValue, default: 0] += 1 }
    }
}
