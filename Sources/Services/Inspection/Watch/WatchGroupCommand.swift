import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// `genie-ring watch group`.
struct WatchGroupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "group",
        abstract: "Print the endpoints of a group, then a line for each change.",
        discussion: """
            A line is present (an endpoint at the start), added, changed, removed or complete (from \
            here on nothing is missing). A line that says resync means that changes were missed; all \
            endpoints follow it as present. With -o json each line names its revision: --from goes \
            on after it, on the same node. Ctrl-C ends it.

            Example: genie-ring watch group red/web
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The group, VPC/GROUP.") var group: String
    @Option(name: .customLong("from"), help: "Go on after this revision, of a line seen before.")
    var revision: UInt64?

    /// Below the deadline of a request.
    private static let waitMilliseconds = 10_000

    func run() throws {
        endOnInterrupt()
        var seen = revision
        var isBegun = false
        var isLost = false
        while true {
            do {
                let events = try node.client.get(path(seen), as: GroupEvents.self)
                if isLost { Console.report("genied answers again") }
                isLost = false
                for line in Self.lines(events) { print(line) }
                seen = events.revision
                isBegun = true
            } catch let error as InspectionError {
                // The first question may be a slip of the hand; later ones were well put.
                guard isBegun, error.isPassing else { throw error }
                if !isLost { Console.report("\(error); trying again each second") }
                isLost = true
                Thread.sleep(forTimeInterval: 1)
            }
        }
    }

    private func path(_ revision: UInt64?) -> String {
        let path = "/v1/watch/groups/\(LocalSocketClient.escaped(group))"
        let query = "?waitMilliseconds=\(Self.waitMilliseconds)"
        return path + query + (revision.map { "&after=\($0)" } ?? "")
    }

    static func lines(_ events: GroupEvents) -> [GroupLine] {
        let now = Int64(Date().timeIntervalSince1970 * 1_000)
        func line(_ change: String, _ endpoint: GroupEvents.Endpoint? = nil) -> GroupLine {
            GroupLine(
                group: events.group,
                timeMilliseconds: now,
                change: change,
                revision: events.revision,
                endpoint: endpoint
            )
        }
        var lines: [GroupLine] = []
        if events.isGap { lines.append(line("resync")) }
        if let endpoints = events.endpoints {
            lines += endpoints.map { line("present", $0) }
            if events.isComplete { lines.append(line("complete")) }
        }
        return lines
            + events.events.map { event in
                GroupLine(
                    group: events.group,
                    timeMilliseconds: event.timeMilliseconds,
                    change: event.change.rawValue,
                    revision: event.revision,
                    endpoint: event.endpoint
                )
            }
    }

    private func print(_ line: GroupLine) {
        switch node.output {
        case .table: Console.print(line.text)
        case .json: Console.print(line.json)
        }
    }
}

/// One line of what is printed; as JSON, a field without a value is left out.
struct GroupLine: Encodable {
    let schema = LocalAPI.schema
    var group: String
    var timeMilliseconds: Int64
    var change: String
    var revision: UInt64
    var endpoint: GroupEvents.Endpoint?

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Time, what happened, the endpoint.
    var text: String {
        let date = Date(timeIntervalSince1970: Double(timeMilliseconds) / 1_000)
        let time = date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        guard let endpoint else {
            let what =
                change == "resync"
                ? "resync: changes were missed; what is so now follows"
                : "complete: nothing is missing from here on"
            return "\(time)  \(what)"
        }
        let pod = endpoint.pod.isEmpty ? endpoint.containerID : endpoint.pod
        return "\(time)  \(change)  \(endpoint.address)  \(endpoint.node)  \(pod)"
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
