import CBenchProcess
package import Determinism
import Foundation
import Glibc
import Synchronization

/// A program that was started here: its lines with the time they came, and its end.
///
/// It is killed when this process dies. Its pipes may be held open by what it leaves running: its
/// end is known from the process itself and not from them.
package final class Child: Sendable {
    /// A line of output.
    package struct Line: Hashable, Sendable {
        /// When it was read.
        package let at: Instant
        /// The line without its end.
        package let text: String
        /// Whether it came from standard error.
        package let isError: Bool
    }

    /// How a program ended.
    package enum End: Hashable, Sendable {
        case exited(Int32)
        case signalled(Int32)
    }

    private struct State {
        var lines: [Line] = []
        var end: End?
    }

    /// Its process id; another process may have it once this one has ended.
    package let pid: Int32
    /// The command, for messages.
    package let command: String
    private let state = Mutex(State())

    /// Starts `program`, a path or a name that is looked for in PATH.
    ///
    /// - Throws: ``BenchError/notStarted(program:reason:)``.
    package convenience init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        cleanup: Cleanup = .shared
    ) throws(BenchError) {
        guard cleanup.isOpen else { throw .interrupted }
        try self.init(late: program, arguments, environment: environment)
        guard cleanup.add(self) else {
            send(SIGKILL)
            throw .interrupted
        }
    }

    /// Starts a program even while everything is being cleaned up.
    init(
        late program: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws(BenchError) {
        guard let path = Self.find(program) else {
            throw .notStarted(program: program, reason: "it is not in PATH")
        }
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (output, errors) = (try Self.pipe(), try Self.pipe())
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        var settings: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") }
        words.append(nil)
        settings.append(nil)
        defer { for text in words + settings { free(text) } }
        var pid: pid_t = 0
        let error = bench_process_start(path, words, settings, output.writer, errors.writer, &pid)
        close(output.writer)
        close(errors.writer)
        guard error == 0 else {
            close(output.reader)
            close(errors.reader)
            throw .notStarted(program: path, reason: BenchError.reason(error))
        }
        self.pid = pid
        command = ([program] + arguments).joined(separator: " ")
        let watch = bench_process_watch(pid)
        Thread.detachNewThread { [self] in
            follow(output: output.reader, errors: errors.reader, watch: watch)
        }
    }

    /// What it has printed so far, from the line numbered `first` on.
    package func lines(from first: Int = 0) -> [Line] {
        state.withLock { Array($0.lines.dropFirst(first)) }
    }

    /// Waits for a line.
    package func waitForLine(
        from first: Int = 0,
        within span: Span,
        _ matches: (String) -> Bool
    ) -> Line? {
        var next = first
        var found: Line?
        _ = Monotonic.wait(span) {
            let new = lines(from: next)
            next += new.count
            found = new.first { matches($0.text) }
            return found != nil
        }
        return found
    }

    /// How it ended; nil while it runs.
    package var end: End? { state.withLock { $0.end } }

    /// Waits for its end.
    package func waitForEnd(within span: Span) -> End? {
        _ = Monotonic.wait(span) { end != nil }
        return end
    }

    /// Sends a signal; false where it has ended.
    ///
    /// Under the lock that its end is collected under, so that nobody else can be hit.
    @discardableResult
    package func send(_ signal: Int32) -> Bool {
        state.withLock { $0.end == nil && kill(pid, signal) == 0 }
    }

    private func follow(output: Int32, errors: Int32, watch: Int32) {
        var readers = [LineReader(output, isError: false), LineReader(errors, isError: true)]
        while true {
            var waits = readers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            waits.append(pollfd(fd: watch, events: Int16(POLLIN), revents: 0))
            // Without a watch (an old kernel) the end is looked for ten times a second.
            poll(&waits, UInt(waits.count), watch < 0 ? 100 : -1)
            var hasEnded = false
            for index in readers.indices where waits[index].revents != 0 || watch < 0 {
                keep(&readers[index])
            }
            state.withLock { state in
                var status: Int32 = 0
                guard waitpid(pid, &status, WNOHANG) == pid else { return }
                hasEnded = true
                // What it printed last is read before anybody learns of the end.
                for index in readers.indices { state.lines += readers[index].read(atEnd: true) }
                state.end =
                    status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
            }
            if hasEnded { break }
        }
        for reader in readers where reader.descriptor >= 0 { close(reader.descriptor) }
        if watch >= 0 { close(watch) }
    }

    private func keep(_ reader: inout LineReader) {
        let lines = reader.read(atEnd: false)
        if !lines.isEmpty { state.withLock { $0.lines += lines } }
    }

    private static func pipe() throws(BenchError) -> (reader: Int32, writer: Int32) {
        var ends: (reader: Int32, writer: Int32) = (-1, -1)
        let error = bench_process_pipe(&ends.reader, &ends.writer)
        guard error == 0 else { throw .refused(call: "pipe", reason: BenchError.reason(error)) }
        _ = fcntl(ends.reader, F_SETFL, O_NONBLOCK)
        return ends
    }

    /// The path of a program, or nil where there is none.
    package static func find(_ program: String) -> String? {
        if program.contains("/") { return access(program, X_OK) == 0 ? program : nil }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        // What administrators run is not in everybody's PATH.
        return "\(path):/usr/sbin:/sbin".split(separator: ":").map { "\($0)/\(program)" }
            .first { access($0, X_OK) == 0 }
    }
}

/// Cuts what comes out of a descriptor into lines.
struct LineReader {
    private(set) var descriptor: Int32
    private let isError: Bool
    private var rest: [UInt8] = []
    private static let chunkByteCount = 65_536

    init(_ descriptor: Int32, isError: Bool) {
        self.descriptor = descriptor
        self.isError = isError
    }

    /// The lines that have come since; with `atEnd` also one that has no end yet.
    mutating func read(atEnd: Bool) -> [Child.Line] {
        var lines: [Child.Line] = []
        var chunk = [UInt8](repeating: 0, count: Self.chunkByteCount)
        while descriptor >= 0 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else {
                // At the end of a pipe, poll would call again and again.
                if count == 0 { finish() }
                break
            }
            let now = Monotonic.now
            rest += chunk[..<count]
            var start = rest.startIndex
            while let end = rest[start...].firstIndex(of: 0x0a) {
                lines.append(line(rest[start..<end], now))
                start = end + 1
            }
            rest.removeSubrange(..<start)
            if count < chunk.count { break }
        }
        if !rest.isEmpty, atEnd || descriptor < 0 {
            lines.append(line(rest[...], Monotonic.now))
            rest = []
        }
        return lines
    }

    private func line(_ bytes: ArraySlice<UInt8>, _ now: Instant) -> Child.Line {
        Child.Line(at: now, text: String(decoding: bytes, as: UTF8.self), isError: isError)
    }

    private mutating func finish() {
        close(descriptor)
        descriptor = -1
    }
}
