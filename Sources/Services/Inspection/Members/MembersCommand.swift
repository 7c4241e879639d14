import ArgumentParser
import LocalAPI

/// `genie-ring members`: who is in the ring, and who answers.
struct MembersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "List the members as this node sees them.",
        discussion: """
            STATE is what membership says of the peer process, DATAPLANE whether the node itself still \
            forwards packets. INC is the count of starts and, after the dot, of refutations since. \
            HELD is how much longer a member that comes and goes is not used, SPEAKS the versions of \
            the ring's protocol that its release knows. METADATA is what \
            genied --metadata said.

            Example: genie-ring members -o json
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let list = try node.client.get("/v1/members", as: MemberList.self)
        try render(list, as: node.output, empty: "no members") { list in
            TextTable(
                header: [
                    "NAME", "STATE", "DATAPLANE", "ADDRESS", "ZONE", "INC", "RTT", "SINCE", "HELD",
                    "SPEAKS", "ID", "METADATA",
                ],
                rows: list.members.map { member in
                    [
                        member.isSelf ? "\(member.name)*" : member.name, member.state,
                        member.dataplane, member.address, member.zone.isEmpty ? "-" : member.zone,
                        "\(member.boot).\(member.incarnation)",
                        member.roundTripMicroseconds.map { "\($0)us" } ?? "-",
                        describe(milliseconds: member.sinceMilliseconds),
                        member.heldMilliseconds.map(describe(milliseconds:)) ?? "-",
                        member.versions, String(member.id.prefix(8)),
                        member.metadata.isEmpty ? "-" : member.metadata,
                    ]
                }
            )
        }
    }
}
