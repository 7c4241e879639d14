package import Determinism
import Foundation
import Glibc

/// What a process has used, from /proc (proc(5)).
package struct ProcessUsage: Hashable, Sendable {
    /// Time on processors, in user and kernel mode, of all its threads.
    package let processorTime: Span
    /// Resident memory in bytes.
    package let residentBytes: Int
    /// The part of it that no file backs.
    package let anonymousBytes: Int

    /// Reads a process; nil where it is gone.
    package init?(pid: Int32) {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        else { return nil }
        self.init(stat: stat, status: status)
    }

    /// Reads the text of the two files; nil where they are not what proc(5) says.
    package init?(stat: String, status: String) {
        // The name in brackets may hold blanks and brackets; numbers come after the last one.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Int64(fields[11]), let system = Int64(fields[12]),
            let resident = Self.kilobytes("VmRSS", status),
            let anonymous = Self.kilobytes("RssAnon", status)
        else { return nil }
        let ticksPerSecond = Int64(sysconf(Int32(_SC_CLK_TCK)))
        processorTime = Span(microseconds: (user + system) * 1_000_000 / ticksPerSecond)
        residentBytes = resident * 1_024
        anonymousBytes = anonymous * 1_024
    }

    /// The mean share of a core that the processes of two readings used, in percent.
    ///
    /// Nil where the readings are not of the same processes, or of none.
    package static func processorPercent(
        _ before: [Int: ProcessUsage],
        _ after: [Int: ProcessUsage],
        over span: Span
    ) -> Double? {
        guard !before.isEmpty, before.keys == after.keys else { return nil }
        let used = after.reduce(Span.zero) { sum, entry in
            sum + entry.value.processorTime - (before[entry.key]?.processorTime ?? .zero)
        }
        return Double(used.microseconds) / Double(max(1, span.microseconds))
            / Double(before.count) * 100
    }

    private static func kilobytes(_ field: String, _ status: String) -> Int? {
        status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
            .flatMap { Int($0.split(whereSeparator: \.isWhitespace)[1]) }
    }
}

/// The machine that a figure was taken on, for the reader.
package enum Machine {
    /// Kernel, processors and load, in one line.
    package static var summary: String {
        var names = utsname()
        uname(&names)
        let kernel = withUnsafeBytes(of: names.release) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let load =
            (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8))?
            .split(separator: " ").prefix(3).joined(separator: " ") ?? "unknown"
        return "kernel \(kernel), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) cores, load \(load)"
    }
}
