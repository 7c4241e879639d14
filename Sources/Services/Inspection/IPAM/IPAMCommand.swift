import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring ipam`: the addresses of the pod groups.
struct IPAMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ipam",
        abstract: "Show the address blocks of the pod groups, and check them.",
        subcommands: [IPAMShowCommand.self, IPAMCheckCommand.self],
        defaultSubcommand: IPAMShowCommand.self
    )
}

/// `genie-ring ipam show`.
struct IPAMShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the blocks of the pod groups: owner, fence, state and use.",
        discussion: """
            A block is a /26 (IPv6: a /122) that one node claimed and gives out addresses of. FENCE \
            grows each time it changes hands. USED counts what nodes tell the ring of.

            Example: genie-ring ipam --group red/web
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "Only this group, VPC/GROUP.") var group: String?

    func run() throws {
        let status = try node.client.get(ipamPath("/v1/ipam", group), as: IPAMStatus.self)
        if node.output == .table {
            let summary = TextTable(
                header: ["GROUP", "SUBNET", "BLOCKS", "USED", "FREE", "RESTING HERE"],
                rows: status.subnets.map { subnet in
                    let owned = subnet.blocks.count { $0.state != "free" }
                    return [
                        subnet.group, subnet.subnet, "\(owned) of \(subnet.blocksOfSubnet)",
                        "\(subnet.used)", "\(subnet.free)", "\(subnet.resting)",
                    ]
                }
            )
            if !summary.rows.isEmpty { print(summary.text + "\n") }
        }
        try render(status, as: node.output, empty: "no blocks are claimed") { status in
            TextTable(
                header: ["GROUP", "BLOCK", "OWNER", "FENCE", "STATE", "HERE", "USED", "FREE"],
                rows: status.subnets.flatMap { subnet in
                    subnet.blocks.map { block in
                        [
                            subnet.group, block.block, block.owner.isEmpty ? "-" : block.owner,
                            "\(block.fence)", block.state, block.local.isEmpty ? "-" : block.local,
                            "\(block.used)", "\(block.free)",
                        ]
                    }
                }
            )
        }
    }
}

/// `genie-ring ipam check`.
struct IPAMCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Look for leaked, duplicate, foreign and orphaned addresses.",
        discussion: """
            Compares the registers, the endpoints that all nodes tell of, and what this node keeps. \
            The exit status is 1 when anything is wrong. What a node keeps without telling of it is \
            seen on that node only: run it on each.

            Example: genie-ring ipam check -o json
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "Only this group, VPC/GROUP.") var group: String?

    func run() throws {
        let path = ipamPath("/v1/ipam/findings", group)
        let list = try node.client.get(path, as: IPAMFindings.self)
        let empty = "nothing is wrong: \(list.subnets) subnets, \(list.endpoints) endpoints"
        try render(list, as: node.output, empty: empty) { list in
            TextTable(
                header: ["KIND", "GROUP", "WHAT", "NODE", "DETAIL"],
                rows: list.findings.map { [$0.kind, $0.group, $0.subject, $0.node, $0.detail] }
            )
        }
        if !list.findings.isEmpty { throw ExitCode.failure }
    }
}

private func ipamPath(_ path: String, _ group: String?) -> String {
    group.map { "\(path)?group=\(LocalSocketClient.escaped($0))" } ?? path
}
