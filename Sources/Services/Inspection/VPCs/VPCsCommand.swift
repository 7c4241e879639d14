import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring vpcs`: isolated address spaces.
struct VPCsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vpcs",
        abstract: "List, create and delete VPCs.",
        subcommands: [VPCsListCommand.self, VPCsCreateCommand.self, VPCsDeleteCommand.self],
        defaultSubcommand: VPCsListCommand.self
    )
}

/// `genie-ring vpcs list`.
struct VPCsListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the VPCs.",
        discussion: "Example: genie-ring vpcs list"
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let list = try node.client.get("/v1/vpcs", as: VPCList.self)
        try render(list, as: node.output, empty: "no VPCs") { list in
            TextTable(
                header: ["NAME", "VNI", "OPEN", "GROUPS"],
                rows: list.vpcs.map { vpc in
                    let groups = vpc.groups.map(\.name).joined(separator: ",")
                    return [
                        vpc.name, "\(vpc.vni)", vpc.isOpen == true ? "yes" : "no",
                        groups.isEmpty ? "-" : groups,
                    ]
                }
            )
        }
    }
}

/// `genie-ring vpcs create`.
struct VPCsCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Create a VPC.",
        discussion: """
            One VPC of the ring may be open: each node is in it with an address of its largest group. \
            The nodes and its pods reach each other, and through their node its pods reach whatever \
            that routes. The VPC 'default' is open unless it is to be --closed; every other one is \
            closed unless it is to be --open.

            Example: genie-ring vpcs create red
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The name: a DNS label.") var name: String
    @Option(help: "The number on the wire, 1 to 16777215; any free one when absent.")
    var vni: UInt32?
    @Flag(help: "Whether the nodes are in it.") var access = Access.byName

    /// Whether the nodes are in a VPC.
    enum Access: EnumerableFlag {
        case open
        case closed
        case byName

        static func name(for value: Access) -> NameSpecification {
            switch value {
            case .open: .customLong("open")
            case .closed: .customLong("closed")
            case .byName: .customLong("open-if-default")
            }
        }
    }

    func run() throws {
        let isOpen = access == .open || (access == .byName && name == "default")
        let request = CreateVPC(name: name, vni: vni, isOpen: isOpen ? true : nil)
        let vpc = try node.client.post("/v1/vpcs", request, as: VPCList.Item.self)
        try render(vpc, as: node.output, empty: "") { vpc in
            TextTable(header: ["NAME", "VNI"], rows: [[vpc.name, "\(vpc.vni)"]])
        }
    }
}

/// `genie-ring vpcs delete`.
struct VPCsDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a VPC that has no groups.",
        discussion: "Example: genie-ring vpcs delete red"
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The name.") var name: String

    func run() throws {
        try node.client.delete("/v1/vpcs/\(LocalSocketClient.escaped(name))")
    }
}
