import ArgumentParser

/// `genie-ring watch`: what happens, as it happens.
struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print what happens, as it happens.",
        subcommands: [
            WatchMembersCommand.self, WatchGroupCommand.self, WatchDropsCommand.self,
        ]
    )
}
