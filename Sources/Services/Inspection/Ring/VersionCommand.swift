import ArgumentParser
import LocalAPI

/// Both releases, as JSON.
private struct Versions: Encodable {
    let schema = LocalAPI.schema
    let genieRing: String
    let genied: String
    let node: String
}

/// `genie-ring version`: this tool's release and the daemon's.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Show the releases of genie-ring and of this node's genied.",
        discussion: "Example: genie-ring version"
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        if node.output == .table { print("genie-ring  \(LocalAPI.version)") }
        let status = try node.client.get("/v1/version", as: VersionStatus.self)
        let versions = Versions(
            genieRing: LocalAPI.version,
            genied: status.version,
            node: status.node
        )
        switch node.output {
        case .json: try render(versions, as: .json, empty: "") { _ in TextTable(header: []) }
        case .table: print("genied      \(versions.genied) on \(versions.node)")
        }
    }
}
