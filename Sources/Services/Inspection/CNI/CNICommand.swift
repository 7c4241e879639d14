import ArgumentParser
import Foundation
import LocalAPI

/// `genie-ring cni`: calls of container runtimes.
struct CNICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni",
        abstract: "Look into calls of container runtimes.",
        subcommands: [CNIReplayCommand.self]
    )
}

/// `genie-ring cni replay`.
struct CNIReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Decide a recorded call again and show what it would do; nothing is done.",
        discussion: """
            genied keeps the last 32 ADD calls that failed in the folder cni-failed beside its database, \
            one file each, with when and why. With -o json also what every plugin would read on standard input.

            Example: genie-ring cni replay /var/lib/genie/cni-failed/4f1a@eth0.json
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The file with the call.") var file: String

    func run() throws {
        guard let content = FileManager.default.contents(atPath: file) else {
            let reason =
                FileManager.default.fileExists(atPath: file)
                ? "it may not be read" : "there is no such file"
            throw InspectionError.unreadableFile(path: file, detail: reason)
        }
        let plan = try node.client.post("/v1/cni/replay", bytes: Array(content), as: PodPlan.self)
        try show(plan, as: node.output)
        let kept = try? JSONDecoder().decode(KeptFailure.self, from: content)
        if let kept {
            printNote("it failed at \(kept.failedAt), code \(kept.error.code): \(kept.error.msg)")
        }
    }
}

/// What genied keeps of a call beside the call.
private struct KeptFailure: Decodable {
    struct Answer: Decodable {
        let code: Int
        let msg: String
    }
    let failedAt: String
    let error: Answer
}
