import ArgumentParser
import Bench
import Foundation
import HistoryCheck

/// `genie-drill check`: judges a history that a drill, or a simulator, kept.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Judge a history in a file: one event a line, as drills keep them.",
        discussion: """
            The exit status is 0 when everything held, 1 when something did not, 2 when the file \
            cannot be judged.

            Example: genie-drill check history.jsonl
            """
    )

    @Argument(help: "The file.") var file: String

    func run() throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let events = try HistoryEvent.read(text)
        guard !events.isEmpty else {
            Console.say("\(file) holds no events: name a file that a drill kept")
            throw ExitCode(DrillStatus.unable)
        }
        let verdict = try HistoryVerdict(events)
        try verdict.tell(json: nil, hasFindings: false)
    }
}

extension HistoryVerdict {
    /// Prints everything, and ends the process where something is wrong.
    func tell(json: String?, hasFindings: Bool) throws {
        Console.say(Figure.table(figures))
        if let json { try Data(Figure.json(figures).utf8).write(to: URL(filePath: json)) }
        for key in registers.undecided {
            Console.say("register \(key): the search was given up")
        }
        for text in violations.prefix(20) { Console.say("VIOLATION \(text)") }
        guard violations.isEmpty, !hasFindings else { throw ExitCode(DrillStatus.violated) }
        guard registers.undecided.isEmpty else { throw ExitCode(DrillStatus.unable) }
        Console.say("everything held")
    }
}
