package import ArgumentParser
import Glibc

/// The command-line tool of a node: inspection and operation through the node's own socket.
package struct GenieRingCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genie-ring",
        abstract: "Look into a Genie Ring, and run it.",
        discussion: """
            Commands ask the genied of this node over its unix socket. Data goes to standard output, \
            everything else to standard error. The exit status is 0 for success, 1 for failure, 2 for \
            wrong usage, and of a compare-and-set 3 where its end is not known and 4 where it lost.
            """,
        subcommands: [
            MembersCommand.self, RingCommand.self, VPCsCommand.self, GroupsCommand.self,
            EndpointsCommand.self, DataplaneCommand.self, TraceCommand.self, CaptureCommand.self,
            TransportCommand.self, WatchCommand.self,
            KeysCommand.self, RegisterCommand.self, IPAMCommand.self, NodeCommand.self,
            PodsCommand.self, CNICommand.self,
            SecretCommand.self, VersionCommand.self,
        ]
    )

    package init() {}

    /// Parses the process's arguments, runs the command and ends the process.
    package static func runAndExit() -> Never {
        do {
            var command = try parseAsRoot()
            let type = type(of: command)
            if !type.configuration.subcommands.isEmpty {
                // Of a group without a command in it: its help is the answer to a mistake.
                printError(helpMessage(for: type))
                Glibc.exit(2)
            }
            try command.run()
            Glibc.exit(0)
        } catch let error as InspectionError {
            printError("genie-ring: \(error)")
            Glibc.exit(error.exitStatus)
        } catch {
            let status = exitCode(for: error)
            let text = fullMessage(for: error)
            if status == .success {
                print(text)
            } else if !text.isEmpty {
                printError(text)
            }
            // The library's code for wrong usage is 64; ours is that of most tools.
            Glibc.exit(status == .validationFailure ? 2 : status.rawValue)
        }
    }

    private static func printError(_ text: String) {
        var bytes = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, &bytes, bytes.count)
    }
}
