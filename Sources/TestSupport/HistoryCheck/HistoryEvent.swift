import Foundation

/// One line of a history: something that a process began, or how it ended.
///
/// The form is Jepsen's. A process does one thing at a time; one whose operation ended without a
/// word never does another, since the operation may still take effect.
package struct HistoryEvent: Codable, Hashable, Sendable {
    /// Where in its life an operation is.
    package enum Kind: String, Codable, Hashable, Sendable {
        /// It begins.
        case invoke
        /// It succeeded.
        case ok
        /// It certainly had no effect.
        case fail
        /// It may take effect, at any later time or never.
        case info
    }

    /// What an operation does.
    package enum Function: String, Codable, Hashable, Sendable {
        /// Reads a register.
        case read
        /// Sets a register if its version is the expected one.
        case cas
        /// Takes an address; the key is its holder.
        case alloc
        /// Gives an address back; the key is its holder.
        case free
        /// Adds a record; the key names it.
        case add
        /// Removes a record; the key names it.
        case remove
        /// Reads all records; the process is the observer.
        case observe
        /// Reads what never goes backward: the key names it; the process is the observer.
        case stamp
        /// Reads a configuration: its epoch and its digest; the process is the observer.
        case epoch
        /// Something is broken or mended on purpose; says nothing about correctness.
        case nemesis
    }

    /// What went in, or came out; what does not apply is absent.
    package struct Value: Codable, Hashable, Sendable {
        /// The version that a register has to have to be set.
        package var expected: UInt64?
        /// A register's version, or a configuration's epoch.
        package var version: UInt64?
        /// A register's content (absent: none), an address, a digest, a text.
        package var content: String?
        /// Whether a register was not set, since it held what this value says.
        package var isConflict: Bool?
        /// The records that were seen.
        package var records: [String]?
        /// What never goes backward, most significant part first.
        package var stamp: [UInt64]?
        /// Whether everything was mended long before, and this is how things remain.
        package var isFinal: Bool?

        /// Makes a value with nothing in it.
        package init() {}

        /// Makes a register's value.
        package init(
            expected: UInt64? = nil,
            version: UInt64? = nil,
            content: String? = nil,
            isConflict: Bool? = nil
        ) {
            self.expected = expected
            self.version = version
            self.content = content
            self.isConflict = isConflict
        }
    }

    /// Who did it.
    package var process: Int
    /// Whether it begins or how it ended.
    package var type: Kind
    /// What it does.
    package var function: Function
    /// What it does it to.
    package var key: String
    /// What went in or came out.
    package var value: Value
    /// When, in nanoseconds on one clock for all processes.
    package var timeNanoseconds: Int64

    private enum CodingKeys: String, CodingKey {
        case process
        case type
        case function = "f"
        case key
        case value
        case timeNanoseconds = "t_ns"
    }

    /// Makes an event.
    package init(
        process: Int,
        _ type: Kind,
        _ function: Function,
        key: String = "",
        _ value: Value = Value(),
        at timeNanoseconds: Int64
    ) {
        self.process = process
        self.type = type
        self.function = function
        self.key = key
        self.value = value
        self.timeNanoseconds = timeNanoseconds
    }
}

/// Why a history cannot be read.
package enum HistoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A line is no event.
    case unreadable(line: Int, detail: String)
    /// A process began something while it was at something else.
    case busy(process: Int, timeNanoseconds: Int64)
    /// A process ended what it had not begun.
    case idle(process: Int, timeNanoseconds: Int64)

    package var description: String {
        switch self {
        case .unreadable(let line, let detail): "line \(line) is no event: \(detail)"
        case .busy(let process, let time):
            "process \(process) begins at \(time) ns before it has ended what it was at"
        case .idle(let process, let time):
            "process \(process) ends at \(time) ns what it has not begun"
        }
    }
}

extension HistoryEvent {
    /// One line without its end.
    package var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Reads a history, one event a line; empty lines do not count.
    ///
    /// - Throws: ``HistoryError/unreadable(line:detail:)``.
    package static func read(_ text: String) throws(HistoryError) -> [HistoryEvent] {
        let decoder = JSONDecoder()
        var events: [HistoryEvent] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty {
            do {
                events.append(try decoder.decode(HistoryEvent.self, from: Data(line.utf8)))
            } catch {
                throw .unreadable(line: index + 1, detail: String("\(error)".prefix(200)))
            }
        }
        return events
    }

    /// The text that ``read(_:)`` reads.
    package static func text(_ events: [HistoryEvent]) -> String {
        events.map { $0.line + "\n" }.joined()
    }
}
