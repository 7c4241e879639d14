import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// `genie-ring register`: linearizable values that the stewards hold.
struct RegisterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "register",
        abstract: "Read and set registers: small values that the whole ring agrees on.",
        discussion: """
            A register has a name, a content of up to 1 MiB, and a version, the number of its changes \
            so far (0 for one that was never written). What is read is never older than what was \
            acknowledged before, whichever node is asked. Names that begin with \
            \(SetRegister.reservedPrefixes.joined(separator: " ")) are Genie Ring's own.
            """,
        subcommands: [
            RegisterGetCommand.self, RegisterSetCommand.self, RegisterCasCommand.self,
            RegisterListCommand.self, RegisterWatchCommand.self,
        ]
    )
}

/// `genie-ring register get`.
struct RegisterGetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print what a register holds.",
        discussion: "Example: genie-ring register get app/leader"
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var name: RegisterName

    func run() throws {
        let register = try node.client.register(name.key)
        try render(register, as: node.output, empty: "", table: \.table)
    }
}

/// `genie-ring register list`.
struct RegisterListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the names of the registers that hold content.",
        discussion: "Example: genie-ring register list app/"
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "What the names begin with; all are listed when absent.") var prefix = ""

    func run() throws {
        let path = "/v1/registers?prefix=\(LocalSocketClient.escaped(prefix))"
        let list = try node.client.get(path, as: RegisterList.self)
        try render(list, as: node.output, empty: "no registers") { list in
            TextTable(header: ["KEY"], rows: list.keys.map { [$0] })
        }
    }
}

/// `genie-ring register watch`.
struct RegisterWatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print what a register holds, and again each time it has changed.",
        discussion: """
            Changes that follow each other within a moment show as one. Ctrl-C ends it.

            Example: genie-ring register watch app/leader -o json
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var name: RegisterName

    /// Below the deadline of a request.
    private static let waitMilliseconds = 10_000

    func run() throws {
        endOnInterrupt()
        var seen: UInt64?
        var isLost = false
        while true {
            do {
                let register = try node.client.register(
                    name.key,
                    after: seen,
                    waitMilliseconds: Self.waitMilliseconds
                )
                if isLost { note("genied answers again") }
                isLost = false
                if register.version != seen { try show(register) }
                seen = register.version
            } catch let error as InspectionError {
                // The first question may be a slip of the hand; later ones were well put.
                guard seen != nil, error.isPassing else { throw error }
                if !isLost { note("\(error); trying again each second") }
                isLost = true
                Thread.sleep(forTimeInterval: 1)
            }
        }
    }

    private func show(_ register: RegisterStatus) throws {
        let text: String
        switch node.output {
        case .table:
            text = "\(register.version)  \(register.isPresent ? register.shown : "-")"
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            text = String(decoding: try encoder.encode(register), as: UTF8.self)
        }
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    private func note(_ text: String) {
        FileHandle.standardError.write(Data(("genie-ring: " + text + "\n").utf8))
    }
}

extension NodeClient {
    /// What a register holds; with a version, once it has a later one or the wait is over.
    func register(
        _ key: String,
        after version: UInt64? = nil,
        waitMilliseconds: Int = 0
    ) throws -> RegisterStatus {
        var path = "/v1/registers/\(LocalSocketClient.escaped(key))"
        if let version { path += "?after=\(version)&waitMilliseconds=\(waitMilliseconds)" }
        return try get(path, as: RegisterStatus.self)
    }
}

extension RegisterStatus {
    /// The content for people.
    var shown: String { text ?? base64.map { "base64:\($0)" } ?? "" }

    var table: TextTable {
        TextTable(
            header: ["KEY", "VERSION", "CONTENT"],
            rows: [[key, "\(version)", isPresent ? shown : "-"]]
        )
    }
}

extension InspectionError {
    /// Whether it may pass by itself.
    fileprivate var isPassing: Bool {
        switch self {
        case .unanswered(let error): error.isRetryable
        case .refused(let answer): answer.code.hasPrefix("ring.")
        case .unreadable, .unwritable, .unreadableFile, .unfinished, .conflict, .indeterminate,
            .recoveryRefused, .uncapturable:
            false
        }
    }
}
