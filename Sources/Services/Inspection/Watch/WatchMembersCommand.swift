import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// `genie-ring watch members`.
struct WatchMembersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "Print how the members fare, then a line for each change as this node sees it.",
        discussion: """
            A change is new, alive, suspect, dead, left, restarted, held_back (it comes and goes, and \
            is not used for a while), released, dataplane_withdrawn (process and programs of a node \
            are gone) or dataplane_back. A line that says resync means that \
            changes were missed; how the members fare now follows it. Ctrl-C ends it.

            Example: genie-ring watch members
            """
    )

    @OptionGroup var node: NodeOptions

    /// Below the deadline of a request.
    private static let waitMilliseconds = 10_000

    func run() throws {
        endOnInterrupt()
        var revision: UInt64?
        var isLost = false
        while true {
            do {
                let events = try node.client.get(Self.path(revision), as: MemberEvents.self)
                if isLost { Console.report("genied answers again") }
                isLost = false
                for line in Self.lines(events) { print(line) }
                revision = events.revision
            } catch let error as InspectionError {
                // The first question may be a slip of the hand; later ones were well put.
                guard revision != nil, error.isPassing else { throw error }
                if !isLost { Console.report("\(error); trying again each second") }
                isLost = true
                Thread.sleep(forTimeInterval: 1)
            }
        }
    }

    private static func path(_ revision: UInt64?) -> String {
        guard let revision else { return "/v1/members/events" }
        return "/v1/members/events?after=\(revision)&waitMilliseconds=\(waitMilliseconds)"
    }

    static func lines(_ events: MemberEvents) -> [WatchLine] {
        let now = Int64(Date().timeIntervalSince1970 * 1_000)
        var lines: [WatchLine] = []
        if events.isGap { lines.append(WatchLine(timeMilliseconds: now, change: "resync")) }
        for member in events.members ?? [] {
            lines.append(
                WatchLine(
                    timeMilliseconds: now,
                    change: "present",
                    id: member.id,
                    name: member.name,
                    boot: member.boot,
                    state: member.state,
                    dataplane: member.dataplane
                )
            )
        }
        return lines
            + events.events.map { event in
                WatchLine(
                    timeMilliseconds: event.timeMilliseconds,
                    change: event.change,
                    revision: event.revision,
                    id: event.id,
                    name: event.name,
                    boot: event.boot
                )
            }
    }

    private func print(_ line: WatchLine) {
        switch node.output {
        case .table: Console.print(line.text)
        case .json: Console.print(line.json)
        }
    }
}

/// One line of what is printed; as JSON, fields without a value are left out.
struct WatchLine: Encodable {
    let schema = LocalAPI.schema
    var timeMilliseconds: Int64
    var change: String
    var revision: UInt64?
    var id: String?
    var name: String?
    var boot: UInt64?
    var state: String?
    var dataplane: String?

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Time, member, what changed.
    var text: String {
        let date = Date(timeIntervalSince1970: Double(timeMilliseconds) / 1_000)
        let time = date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let what =
            switch change {
            case "present": "\(state ?? ""), dataplane \(dataplane ?? "unknown")"
            case "resync": "changes were missed; what is so now follows"
            case "new", "restarted": "\(change) with boot \(boot ?? 0)"
            default: change.replacing("_", with: " ")
            }
        return "\(time)  \(name ?? "resync")  \(what)"
    }
}

extension InspectionError {
    /// Whether it may pass by itself.
    fileprivate var isPassing: Bool {
        switch self {
        case .unanswered(let error): error.isRetryable
        case .refused(let answer): answer.code == "ring.not_joined"
        case .unreadable, .unwritable, .unreadableFile, .unfinished, .conflict, .indeterminate,
            .recoveryRefused, .uncapturable:
            false
        }
    }
}
