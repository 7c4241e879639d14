import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// What a register is to hold.
struct RegisterContent: ParsableArguments {
    @Argument(help: "The content.") var content: String?
    @Option(help: "Take the content from this file instead.") var file: String?
    @Flag(help: "Delete the content; the version goes on.") var delete = false
    @Flag(help: "Write a register that is Genie Ring's own.") var force = false

    func validate() throws {
        let ways = [content != nil, file != nil, delete].count { $0 }
        guard ways == 1 else {
            throw ValidationError("give one of a content, --file and --delete")
        }
    }

    func request(_ key: String, expectedVersion: UInt64) throws -> SetRegister {
        var request = SetRegister(key: key, expectedVersion: expectedVersion)
        if delete { request.isDeletion = true }
        if force { request.isForced = true }
        request.text = content
        if let file {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw InspectionError.unreadableFile(path: file, detail: "it cannot be read")
            }
            try check(data.count, of: file)
            request.base64 = data.base64EncodedString()
        }
        try check(content?.utf8.count ?? 0, of: "the content")
        return request
    }

    private func check(_ count: Int, of what: String) throws {
        guard count > SetRegister.contentBytesMax else { return }
        throw ValidationError(
            "a register holds at most \(SetRegister.contentBytesMax) bytes, and \(what) has \(count)"
        )
    }
}

/// The name of a register that is to be there.
struct RegisterName: ParsableArguments {
    @Argument(help: "The register.") var key: String

    func validate() throws {
        if let problem = SetRegister.problem(ofKey: key) { throw ValidationError(problem) }
    }
}

/// `genie-ring register set`.
struct RegisterSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Set a register, whatever it holds.",
        discussion: """
            It reads the version and sets that one, again where others were faster. The exit status \
            is 3 where it is not known whether the register was set, and 4 where others were faster \
            each time.

            Example: genie-ring register set app/leader node1
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var name: RegisterName
    @OptionGroup var content: RegisterContent

    private static let attemptsMax = 8

    func run() throws {
        var version = try node.client.register(name.key).version
        for attempt in 1...Self.attemptsMax {
            let request = try content.request(name.key, expectedVersion: version)
            do {
                let register = try node.client.set(request)
                return try render(register, as: node.output, empty: "", table: \.table)
            } catch InspectionError.conflict(let register, _) where attempt < Self.attemptsMax {
                version = register.version
            }
        }
    }
}

/// `genie-ring register cas`.
struct RegisterCasCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cas",
        abstract: "Set a register if it still has a version.",
        discussion: """
            The exit status is 0 when the register was set, 4 when it has another version (what it \
            holds is said), 3 when it is not known whether it was set, 1 when it certainly was not.

            Example: genie-ring register cas app/leader --expect 0 node1
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var name: RegisterName
    @Option(help: "The version it has to have; 0 for one that was never written.")
    var expect: UInt64
    @OptionGroup var content: RegisterContent

    func run() throws {
        let request = try content.request(name.key, expectedVersion: expect)
        let register = try node.client.set(request)
        try render(register, as: node.output, empty: "", table: \.table)
    }
}

extension NodeClient {
    /// Compares and sets; what the register holds then.
    ///
    /// - Throws: ``InspectionError/conflict(_:expectedVersion:)`` where it has another version, and
    ///   ``InspectionError/indeterminate(key:reason:)`` where it may have been set.
    func set(_ request: SetRegister) throws -> RegisterStatus {
        do {
            let change = try post("/v1/registers", request, as: RegisterChange.self)
            guard change.outcome == .committed else {
                throw InspectionError.conflict(
                    change.register,
                    expectedVersion: request.expectedVersion
                )
            }
            return change.register
        } catch InspectionError.refused(let answer) where answer.code == "ring.indeterminate" {
            throw InspectionError.indeterminate(
                key: request.key,
                reason: "the ring's stewards stopped answering midway"
            )
        } catch InspectionError.unanswered(let error) where !error.isDefinite {
            throw InspectionError.indeterminate(key: request.key, reason: error.description)
        } catch InspectionError.unreadable(let path, let status, _) {
            throw InspectionError.indeterminate(
                key: request.key,
                reason: "the answer to \(path), of status \(status), cannot be read"
            )
        }
    }
}
