import ArgumentParser
import LocalAPI

/// `genie-ring transport`: what comes and goes at the ring's ports, and what is refused there.
struct TransportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transport",
        abstract: "Count what comes and goes at this node's ring ports.",
        discussion: """
            Refused datagrams have a reason: unknown_key for a peer with another secret or key, \
            forged for what was altered or is of another cluster, replayed for what came before.

            Example: genie-ring transport -o json
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let status = try node.client.get("/v1/transport", as: TransportStatus.self)
        try render(status, as: node.output, empty: "nothing counted") { status in
            TextTable(
                header: ["COUNTER", "REASON", "COUNT"],
                rows: status.counters.map { [$0.name, $0.reason ?? "-", "\($0.count)"] }
            )
        }
    }
}
