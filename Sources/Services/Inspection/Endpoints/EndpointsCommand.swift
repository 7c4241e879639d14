import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring endpoints`: the pod interfaces that the ring knows.
struct EndpointsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoints",
        abstract: "List the endpoints of all groups, or of one.",
        discussion: "Example: genie-ring endpoints --group red/web"
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "Only this group, VPC/GROUP.") var group: String?

    func run() throws {
        let query = group.map { "?group=\(LocalSocketClient.escaped($0))" } ?? ""
        let list = try node.client.get("/v1/endpoints\(query)", as: EndpointList.self)
        try render(list, as: node.output, empty: "no endpoints") { list in
            TextTable(
                header: [
                    "GROUP", "ADDRESS", "NODE", "REACHABLE", "POD", "INTERFACE", "MAC", "CONTAINER",
                ],
                rows: list.endpoints.map { endpoint in
                    [
                        "\(endpoint.vpc)/\(endpoint.group)", endpoint.address, endpoint.node,
                        endpoint.isReachable ? "yes" : "no",
                        endpoint.pod.isEmpty ? "-" : endpoint.pod, endpoint.interface, endpoint.mac,
                        String(endpoint.containerID.prefix(12)),
                    ]
                }
            )
        }
    }
}
