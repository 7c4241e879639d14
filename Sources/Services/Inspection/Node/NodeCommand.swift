import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// `genie-ring node`: members of the ring, as somebody with authority over them.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Take a lost node out of the ring.",
        subcommands: [NodeRemoveCommand.self]
    )
}

/// `genie-ring node remove`.
struct NodeRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take a node out of the ring for good.",
        discussion: """
            For a machine that does not come back. Its address blocks drain for ten minutes and are \
            free then; nobody sends to its endpoints any more. A node that answers is refused \
            unless --force is given. Where it holds registers, another node takes its place first. \
            Should the machine come back after all, it joins as one without addresses.

            Example: genie-ring node remove node7
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The name or the id of the node.") var name: String
    @Flag(help: "Also when the node still answers.") var force = false
    @Option(help: "The most seconds to wait for other stewards in its place.") var wait = 60

    func validate() throws {
        guard (0...86_400).contains(wait) else {
            throw ValidationError("--wait takes 0 to 86400 seconds")
        }
    }

    func run() throws {
        let name = LocalSocketClient.escaped(name)
        let path = "/v1/nodes/\(name)" + (force ? "?force=true" : "")
        let removal = try remove(path)
        try render(removal, as: node.output, empty: "") { removal in
            TextTable(
                header: ["NODE", "ID", "BLOCKS", "DRAIN", "ENDPOINTS"],
                rows: [
                    [
                        removal.name, removal.id, "\(removal.blocks)",
                        describe(milliseconds: removal.drainSeconds * 1_000),
                        "\(removal.endpoints), void from now on",
                    ]
                ]
            )
        }
    }

    /// Asks again while the stewards change; each answer takes up to ten seconds to come.
    private func remove(_ path: String) throws -> NodeRemoval {
        let deadline = Date(timeIntervalSinceNow: Double(wait))
        while true {
            do {
                return try node.client.delete(path, as: NodeRemoval.self)
            } catch InspectionError.refused(let answer)
                where answer.code == "node.steward" && Date() < deadline
            {
                Thread.sleep(forTimeInterval: 0.25)
            }
        }
    }
}
