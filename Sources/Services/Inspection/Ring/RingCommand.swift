import ArgumentParser
import LocalAPI

/// `genie-ring ring`: the agreed configuration and who owns how much.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Show the agreed ring configuration.",
        discussion: """
            SLOTS counts the slots that a member is among the owners of. "moving" tells of this node: \
            slots whose records it takes over, slots that it keeps for their new owners, and sets \
            that it keeps for owners that are away.

            Example: genie-ring ring
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let status = try node.client.get("/v1/ring", as: RingStatus.self)
        if node.output == .table {
            print("ring      \(status.id)")
            print("epoch     \(status.epoch)")
            print("slots     \(status.slotCount), each with \(status.replicationFactor) owners")
            print("stewards  \(status.stewards.joined(separator: ", "))")
            print("moving    \(Self.moving(status.records))")
            print("")
        }
        try render(status, as: node.output, empty: "no members") { status in
            TextTable(
                header: ["NAME", "ZONE", "WEIGHT", "SLOTS", "SHARE", "ADDRESS", "ID"],
                rows: status.members.map { member in
                    let places = status.slotCount * status.replicationFactor
                    let share = member.slots * 1_000 / max(1, places)
                    return [
                        member.name, member.zone.isEmpty ? "-" : member.zone, "\(member.weight)",
                        "\(member.slots)", "\(share / 10).\(share % 10)%", member.address,
                        String(member.id.prefix(8)),
                    ]
                }
            )
        }
    }
}

extension RingCommand {
    static func moving(_ records: RingStatus.Records) -> String {
        let hints = "\(records.hints) hints (\(records.hintBytes) bytes)"
        return "\(records.slotsArriving) slots in, \(records.slotsLeaving) slots out, \(hints)"
    }
}

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
