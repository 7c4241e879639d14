import ArgumentParser
import Foundation
import LocalAPI

/// `genie-ring ring recover`: registers whose stewards are lost, founded anew.
struct RingRecoverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Found the registers anew when a majority of the stewards is lost for good.",
        discussion: """
            Without --give-up it changes nothing: it asks every member, says which stewards are \
            lost and what would be lost with them, and what to type. With all lost stewards given \
            up, and no other, this node founds a new registry out of what the stewards that are left \
            hold and what the members have; further stewards join it by themselves.

            What only the lost stewards were told is gone. No address is given twice by it: until \
            every member that could not be asked is back or was removed ('genie-ring node remove'), \
            nobody claims an address block. A steward that was given up and comes back after all is \
            a member without registers.

            Example: genie-ring ring recover --give-up node2 --give-up node3
            """
    )

    /// Asking everybody, sealing and reading take no longer than this.
    private static let deadlineMilliseconds = 60_000

    @OptionGroup var node: NodeOptions
    @Option(
        help: "A steward whose disk is gone for good, by name or id; once for each that is lost."
    )
    var giveUp: [String] = []

    func run() throws {
        var client = node.client
        client.deadlineMilliseconds = Self.deadlineMilliseconds
        guard giveUp.isEmpty else { return try recover(client) }
        let status = try client.get("/v1/ring/recovery", as: RecoveryStatus.self)
        try render(status, as: node.output, empty: "no stewards") { status in
            TextTable(
                header: ["STEWARD", "STATE", "SINCE", "STORAGE"],
                rows: status.stewards.map { steward in
                    [
                        steward.name, steward.state,
                        steward.silentMilliseconds.map { describe(milliseconds: $0) } ?? "-",
                        String(steward.storage.prefix(8)),
                    ]
                }
            )
        }
        if status.isServing {
            FileHandle.standardError.write(
                Data("the registers answer: there is nothing to recover\n".utf8)
            )
            return
        }
        throw InspectionError.recoveryRefused(status)
    }

    private func recover(_ client: NodeClient) throws {
        let result = try client.post(
            "/v1/ring/recovery",
            Recover(giveUp: giveUp),
            as: RecoveryResult.self
        )
        try render(result, as: node.output, empty: "") { result in
            TextTable(
                header: ["REGISTRY", "EPOCH", "FOUNDER", "ASKED", "BLOCKS", "NOT ASKED"],
                rows: [
                    [
                        String(result.registry.prefix(8)), "\(result.epoch)", result.founder,
                        "\(result.told.count)", "\(result.blocks + result.blocksOfEndpoints)",
                        result.untold.isEmpty ? "-" : result.untold.joined(separator: ","),
                    ]
                ]
            )
        }
        guard !result.untold.isEmpty else { return }
        let text = """
            no address block is claimed until each that was not asked is back, or is removed with \
            'genie-ring node remove'

            """
        FileHandle.standardError.write(Data(text.utf8))
    }
}

extension RecoveryStatus {
    /// What was found, what would be lost, and what to type.
    var refusal: String {
        let left = stewards.count - lost.count
        let found =
            "the registers do not answer: of \(stewards.count) stewards \(left) are there, and "
            + "\(quorum) have to agree"
        guard !lost.isEmpty else {
            return found
                + "; each has its registers, so wait until they agree, and look at their logs"
        }
        let loss =
            left == 0
            ? "with them every VPC, group and register is lost, and only address blocks would be found "
                + "again"
            : "with them is lost what only they were told last"
        let untoldText =
            untold.isEmpty
            ? ""
            : " (no answer from \(untold.joined(separator: ", ")): no block is claimed before each "
                + "is back or removed)"
        let options = lost.map { "--give-up \($0)" }.joined(separator: " ")
        return
            "\(found); nothing was changed. If any of \(lost.joined(separator: ", ")) can come back "
            + "with its disk, start it instead. If all of these disks are gone for good, \(loss)\(untoldText): "
            + "type 'genie-ring ring recover \(options)'"
    }
}
