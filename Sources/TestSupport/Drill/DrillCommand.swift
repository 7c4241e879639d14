package import ArgumentParser
import Bench
import Foundation
import Glibc

/// `genie-drill`: breaks a ring of real daemons on purpose, and judges what its clients were told.
package struct DrillCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genie-drill",
        abstract: "Breaks a ring on purpose, and judges what its clients were told.",
        discussion: "scripts/drill builds what is needed and starts this with the right paths.",
        subcommands: [JepsenCommand.self, CheckCommand.self]
    )

    package init() {}

    /// Parses the process's arguments and runs; leaves nothing behind.
    package static func runAndExit() -> Never {
        Cleanup.shared.catchSignals()
        do {
            var command = try parseAsRoot()
            try command.run()
            Cleanup.shared.run()
            Glibc.exit(0)
        } catch let code as ExitCode {
            Cleanup.shared.run()
            Glibc.exit(code.rawValue)
        } catch {
            Cleanup.shared.run()
            let status = exitCode(for: error)
            let text = fullMessage(for: error)
            let stream = status == .success ? FileHandle.standardOutput : .standardError
            stream.write(Data((text + "\n").utf8))
            Glibc.exit(status == .success ? 0 : DrillStatus.unable)
        }
    }
}

/// The exit statuses of a drill.
enum DrillStatus {
    /// Something did not hold.
    static let violated: Int32 = 1
    /// It could not run, or could not judge.
    static let unable: Int32 = 2
}

/// Standard output, written at once: a drill takes minutes, and somebody is watching.
enum Console {
    static func say(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
}
