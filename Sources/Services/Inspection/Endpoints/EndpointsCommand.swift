import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring endpoints`: the pod interfaces that the ring knows.
struct EndpointsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoints",
        abstract: "List the endpoints of all groups, or of one.",
        discussion: """
            From a quorum on, nothing is missing whose ADD was answered; where too few owners answer, \
            the command fails and says which.

            Example: genie-ring endpoints --group red/web --consistency one
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "Only this group, VPC/GROUP.") var group: String?
    @Option(help: "How many owners have to answer: local (what this node holds), one, quorum, all.")
    var consistency = ReadConsistency.quorum

    func run() throws {
        var path = "/v1/endpoints?consistency=\(consistency.rawValue)"
        if let group { path += "&group=\(LocalSocketClient.escaped(group))" }
        let list = try node.client.get(path, as: EndpointList.self)
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

extension ReadConsistency: ExpressibleByArgument {}
