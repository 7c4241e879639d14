import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring groups`: the pod groups inside the VPCs.
struct GroupsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups",
        abstract: "List, create and delete pod groups.",
        subcommands: [GroupsListCommand.self, GroupsCreateCommand.self, GroupsDeleteCommand.self],
        defaultSubcommand: GroupsListCommand.self
    )
}

/// `genie-ring groups list`.
struct GroupsListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the pod groups.",
        discussion: "Example: genie-ring groups list"
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let list = try node.client.get("/v1/vpcs", as: VPCList.self)
        try render(list, as: node.output, empty: "no groups") { list in
            TextTable(
                header: ["GROUP", "SUBNET", "GATEWAY", "VNI"],
                rows: list.vpcs.flatMap { vpc in
                    vpc.groups.map { group in
                        [
                            "\(vpc.name)/\(group.name)", group.subnets, group.gateways,
                            "\(vpc.vni)",
                        ]
                    }
                }
            )
        }
    }
}

/// `genie-ring groups create`.
struct GroupsCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a pod group in a VPC.",
        discussion: """
            The first address of the subnet after the network's own is the group's gateway.

            With two subnets, one of each family, every pod gets an address of both or none at all.

            Addresses that something else uses are left out with --exclude.

            Example: genie-ring groups create red/web --subnet 10.1.0.0/16 --subnet fd00:1::/64 \
            --exclude 10.1.0.2-10.1.0.20
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The name, VPC/GROUP.") var name: String
    @Option(
        help: "The subnet in CIDR form, IPv4 or IPv6; again for a second one of the other family."
    )
    var subnet: [String]
    @Option(help: "Addresses that no pod gets: FIRST-LAST, an address or a CIDR block.")
    var exclude: [String] = []

    func validate() throws {
        guard (1...2).contains(subnet.count) else {
            throw ValidationError("give --subnet once, or once for each family")
        }
    }

    func run() throws {
        let request = CreateGroup(
            name: name,
            subnet: subnet[0],
            secondSubnet: subnet.dropFirst().first,
            exclusions: exclude.isEmpty ? nil : exclude
        )
        let group = try node.client.post("/v1/groups", request, as: VPCList.GroupItem.self)
        try render(group, as: node.output, empty: "") { group in
            TextTable(
                header: ["GROUP", "SUBNET", "GATEWAY"],
                rows: [["\(group.vpc)/\(group.name)", group.subnets, group.gateways]]
            )
        }
    }
}

/// `genie-ring groups delete`.
struct GroupsDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a pod group that has no endpoints.",
        discussion: "Example: genie-ring groups delete red/web"
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The name, VPC/GROUP.") var name: String

    func run() throws {
        try node.client.delete("/v1/groups/\(LocalSocketClient.escaped(name))")
    }
}

extension VPCList.GroupItem {
    fileprivate var subnets: String { joined(subnet, secondSubnet) }
    fileprivate var gateways: String { joined(gateway, secondGateway) }

    private func joined(_ first: String, _ second: String?) -> String {
        second.map { "\(first),\($0)" } ?? first
    }
}
