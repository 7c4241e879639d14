import ArgumentParser
import Foundation
import Glibc
import LocalAPI
import LocalSocket

/// `genie-ring keys`: what seals the datagrams between peers.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List and change the gossip keys, which seal the datagrams between peers.",
        discussion: """
            The first key comes from the cluster's secret. 'rotate' replaces the key in use under a \
            running ring; the other commands are its steps. Keys are part of the ring's \
            configuration: a change reaches every node by itself, and a node that was away fetches \
            it when it is back. Key bytes are never shown.
            """,
        subcommands: [
            KeysListCommand.self, KeysRotateCommand.self, KeysInstallCommand.self,
            KeysUseCommand.self, KeysRemoveCommand.self,
        ],
        defaultSubcommand: KeysListCommand.self
    )
}

/// `genie-ring keys list`.
struct KeysListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the gossip keys.",
        discussion: """
            MEMBERS are those that answer and have the key; LACKING those that answer and are not \
            known to have it.

            Example: genie-ring keys
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let list = try node.client.get("/v1/keys", as: KeyList.self)
        try render(list, as: node.output, empty: "no keys") { list in
            TextTable(
                header: ["KEY", "SEALS", "ORIGIN", "EPOCH", "MEMBERS", "LACKING"],
                rows: list.keys.map { key in
                    [
                        key.id, key.isSealing ? "yes" : "no", key.origin, "\(key.epoch)",
                        names(key.members), names(key.lacking),
                    ]
                }
            )
        }
    }

    /// In a large ring the first few and the number of the others: people look for the missing.
    private func names(_ names: [String]) -> String {
        guard !names.isEmpty else { return "-" }
        let shown = names.prefix(8).joined(separator: ",")
        return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
    }
}

/// `genie-ring keys install`.
struct KeysInstallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install",
        abstract: "Have every peer open datagrams of one more key.",
        discussion: """
            The key is a new one, or the one in a file: 64 hexadecimal digits, as 'openssl rand -hex \
            32' prints them, in a file that only its owner can read.

            Example: genie-ring keys install
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "The file with the key; a new key is drawn when absent.") var file: String?

    func run() throws {
        let request = InstallKey(key: try file.map(Self.read))
        let changed = try node.client.post("/v1/keys", request, as: KeyChanged.self)
        try renderChange(changed, as: node.output)
    }

    private static func read(_ path: String) throws -> String {
        // O_NONBLOCK: a named pipe in its place must not hang the command.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw InspectionError.unreadableFile(
                path: path,
                detail: String(cString: strerror(errno))
            )
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw InspectionError.unreadableFile(path: path, detail: "it is no file")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw InspectionError.unreadableFile(
                path: path,
                detail: "others may read it; run 'chmod 600 \(path)'"
            )
        }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        let digits = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard digits.utf8.count == 64, digits.allSatisfy(\.isHexDigit) else {
            throw InspectionError.unreadableFile(
                path: path,
                detail: "64 hexadecimal digits are wanted; 'openssl rand -hex 32' prints them"
            )
        }
        return digits
    }
}

/// The name of a gossip key as it was typed: eight hexadecimal digits.
struct KeyName: ExpressibleByArgument {
    let digits: String

    init?(argument: String) {
        guard argument.utf8.count == 8, argument.allSatisfy(\.isHexDigit) else { return nil }
        digits = argument.lowercased()
    }
}

/// `genie-ring keys use`.
struct KeysUseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "use",
        abstract: "Have every peer seal with a key.",
        discussion: """
            Refused while a member that answers is not known to have the key.

            Example: genie-ring keys use 0f9a41c2
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The key: eight hexadecimal digits, as 'genie-ring keys' lists them.")
    var key: KeyName
    @Flag(help: "Use it although members lack it; they are lost for seconds.") var force = false

    func run() throws {
        let request = UseKey(id: key.digits, isForced: force)
        let changed = try node.client.put("/v1/keys/sealing", request, as: KeyChanged.self)
        try renderChange(changed, as: node.output)
    }
}

/// `genie-ring keys remove`.
struct KeysRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Have no peer open datagrams of a key any more.",
        discussion: """
            Refused for the key in use, and while a member that answers may still seal with it.

            Example: genie-ring keys remove 0f9a41c2
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The key: eight hexadecimal digits, as 'genie-ring keys' lists them.")
    var key: KeyName
    @Flag(help: "Remove it although members may seal with it; they are lost for seconds.")
    var force = false

    func run() throws {
        let changed = try node.client.removeKey(key.digits, isForced: force)
        try renderChange(changed, as: node.output)
    }
}

extension NodeClient {
    /// Removes a gossip key.
    func removeKey(_ key: String, isForced: Bool) throws -> KeyChanged {
        let query = isForced ? "?force=true" : ""
        return try delete(
            "/v1/keys/\(LocalSocketClient.escaped(key))\(query)",
            as: KeyChanged.self
        )
    }
}

private func renderChange(_ changed: KeyChanged, as format: OutputFormat) throws {
    try render(changed, as: format, empty: "") { changed in
        TextTable(
            header: ["KEY", "CHANGED", "EPOCH"],
            rows: [[changed.id, changed.isChanged ? "yes" : "no", "\(changed.epoch)"]]
        )
    }
}
