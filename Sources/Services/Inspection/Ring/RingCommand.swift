import ArgumentParser
import LocalAPI

/// `genie-ring ring`: the agreed configuration, and what is done when it can be changed no more.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring",
        abstract: "Show the ring: members, slots, stewards; recover lost registers.",
        subcommands: [RingShowCommand.self, RingRecoverCommand.self],
        defaultSubcommand: RingShowCommand.self
    )
}

/// `genie-ring ring show`: the agreed configuration and who owns how much.
struct RingShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the agreed ring configuration.",
        discussion: """
            SLOTS counts the slots that a member is among the owners of. "moving" tells of this node: \
            slots whose records it takes over, slots that it keeps for their new owners, and sets \
            that it keeps for owners that are away. "changing" tells of a change of the stewards \
            that this node takes part in. STORAGE names the database that a steward's registers are in.

            Example: genie-ring ring
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let status = try node.client.get("/v1/ring", as: RingStatus.self)
        if node.output == .table { print(Self.summary(status)) }
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

    private static func summary(_ status: RingStatus) -> String {
        let recoveries = status.recoveries == 0 ? "" : ", recovered \(status.recoveries) times"
        var lines = [
            "ring      \(status.id)", "registry  \(status.registry)\(recoveries)",
            "epoch     \(status.epoch)",
            "slots     \(status.slotCount), each with \(status.replicationFactor) owners",
            "stewards  \(status.stewards.joined(separator: ", ")) (group \(status.stewardEpoch))",
        ]
        if let change = status.stewardChange {
            let names = change.stewards.joined(separator: ", ")
            lines.append("changing  to \(names) (group \(change.stewardEpoch), \(change.step))")
        }
        if !status.leaving.isEmpty {
            lines.append("leaving   \(status.leaving.joined(separator: ", "))")
        }
        lines.append("moving    \(moving(status.records))")
        let stewards = TextTable(
            header: ["STEWARD", "STATE", "SINCE", "STORAGE"],
            rows: status.stewardStates.map { steward in
                [
                    steward.name, steward.isReachable ? "answers" : "away",
                    steward.sinceMilliseconds.map { describe(milliseconds: $0) } ?? "-",
                    String(steward.storage.prefix(8)),
                ]
            }
        )
        return (lines + ["", stewards.text, ""]).joined(separator: "\n")
    }

    private static func moving(_ records: RingStatus.Records) -> String {
        let hints = "\(records.hints) hints (\(records.hintBytes) bytes)"
        return "\(records.slotsArriving) slots in, \(records.slotsLeaving) slots out, \(hints)"
    }
}
