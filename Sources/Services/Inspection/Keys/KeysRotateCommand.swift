import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// `genie-ring keys rotate`.
struct KeysRotateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Replace the key in use by a new one, without losing a member.",
        discussion: """
            Installs a new key, waits until every member that answers has it, uses it, waits until \
            all do, and removes every older key. Where another rotation is under way or was not \
            finished, or a key is installed and not in use, that one is brought to its end instead \
            of a new one begun.

            Example: genie-ring keys rotate --wait 120
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "The most seconds to wait, in all.") var wait = 60

    func validate() throws {
        guard (1...86_400).contains(wait) else {
            throw ValidationError("--wait takes 1 to 86400 seconds")
        }
    }

    func run() throws {
        let rotation = KeyRotation(
            client: node.client,
            deadline: Date(timeIntervalSinceNow: Double(wait))
        )
        let list = try rotation.run()
        try render(list, as: node.output, empty: "no keys") { list in
            TextTable(
                header: ["KEY", "SEALS", "ORIGIN", "EPOCH"],
                rows: list.keys.map {
                    [$0.id, $0.isSealing ? "yes" : "no", $0.origin, "\($0.epoch)"]
                }
            )
        }
    }
}

/// A rotation, step by step; each step is tried until the node allows it.
private struct KeyRotation {
    let client: NodeClient
    let deadline: Date

    /// - Returns: the keys at the end: one, unless the next rotation has begun.
    func run() throws -> KeyList {
        var done: [String] = []
        do {
            let target = try target()
            let key = target.id
            done.append(
                target.isFresh ? "installed key \(key)" : "found key \(key) to go on with"
            )
            report(done[0])
            try patiently {
                try use(key)
            }
            done.append("used it")
            report("every member that answers has key \(key), and seals with it from now on")
            // What was installed later belongs to the next rotation.
            for old in try keys().keys where old.epoch < target.epoch {
                try patiently { try remove(old.id) }
                done.append("removed key \(old.id)")
                report("removed key \(old.id)")
            }
            return try keys()
        } catch let error as InspectionError {
            throw InspectionError.unfinished(
                reason: error.description,
                done: done.isEmpty
                    ? "nothing is known to have changed" : done.joined(separator: ", "),
                next: "run 'genie-ring keys rotate' again to go on from there"
            )
        }
    }

    /// The key to end with: one that an earlier run or another one brought in, or a new one.
    private func target() throws -> (id: String, epoch: UInt64, isFresh: Bool) {
        for _ in 0..<Self.attemptsMax {
            let keys = try keys().keys
            if keys.count > 1, let newest = keys.max(by: { $0.epoch < $1.epoch }) {
                return (newest.id, newest.epoch, false)
            }
            let request = InstallKey(key: nil, expectedKeys: keys.map(\.id))
            do {
                let new = try client.post("/v1/keys", request, as: KeyChanged.self)
                return (new.id, new.epoch, true)
            } catch InspectionError.refused(let answer) where answer.code == "key.others" {
                // Another rotation was faster: its key is this one's.
            }
        }
        throw InspectionError.unfinished(
            reason: "others keep changing the gossip keys",
            done: "nothing",
            next: "try again"
        )
    }

    private static let attemptsMax = 8

    private func use(_ key: String) throws {
        let request = UseKey(id: key, isForced: false, isForward: true)
        do {
            _ = try client.put("/v1/keys/sealing", request, as: KeyChanged.self)
        } catch InspectionError.refused(let answer) where answer.code == "key.unknown" {
            // A later rotation has removed it already, after a later key was used.
        }
    }

    /// As the stewards have them: this node may not have heard of another's rotation yet, and would
    /// take that for one to be finished.
    private func keys() throws -> KeyList {
        try client.get("/v1/keys?agreed=true", as: KeyList.self)
    }

    private func remove(_ key: String) throws {
        do { _ = try client.removeKey(key, isForced: false) } catch InspectionError.refused(
            let answer
        ) where answer.code == "key.unknown" {
            // Somebody else was faster; it is gone, which was wanted.
        }
    }

    /// Tries again while members have yet to follow, or the stewards do not answer.
    private func patiently(_ step: () throws -> Void) throws {
        var said = ""
        while true {
            do { return try step() } catch let error as InspectionError {
                guard error.mayPass, Date() < deadline else { throw error }
                if error.awaited != said {
                    said = error.awaited
                    report("waiting: \(said)")
                }
            }
            Thread.sleep(forTimeInterval: 0.25)
        }
    }

    private func report(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}

extension InspectionError {
    /// What has to come about, for who waits anyway.
    fileprivate var awaited: String {
        guard case .refused(let answer) = self else { return description }
        return switch answer.code {
        case "key.members_lack": "not every member that answers has the key yet"
        case "key.members_seal": "not every member that answers seals with the new key yet"
        default: answer.message
        }
    }

    /// Whether the same step may succeed a moment later.
    fileprivate var mayPass: Bool {
        switch self {
        case .refused(let answer):
            [
                "key.members_lack", "key.members_seal", "ring.unavailable", "ring.indeterminate",
                "ring.contended",
            ].contains(answer.code)
        case .unanswered(let error): error.isRetryable
        case .unreadable, .unwritable, .unreadableFile, .unfinished, .conflict, .indeterminate,
            .recoveryRefused, .uncapturable:
            false
        }
    }
}
