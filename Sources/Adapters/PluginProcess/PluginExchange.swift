internal import CLinux
internal import Glibc

/// What goes to a program and comes from it, both at once, until it closes its outputs or ends.
struct PluginExchange: ~Copyable {
    private let path: String
    private let deadlineMilliseconds: Int
    private let input: Pipe
    private let output: Pipe
    private let errors: Pipe
    private var unsent: ArraySlice<UInt8>
    private(set) var received: [UInt8] = []
    private(set) var complaints: [UInt8] = []

    init(
        _ call: PluginProcess.Call,
        input: consuming Pipe,
        output: consuming Pipe,
        errors: consuming Pipe
    ) {
        path = call.path
        deadlineMilliseconds = call.deadlineMilliseconds
        unsent = call.input[...]
        self.input = input
        self.output = output
        self.errors = errors
        _ = fcntl(self.input.writer, F_SETFL, O_NONBLOCK)
    }

    /// Exchanges everything.
    ///
    /// - Parameter ended: can be read from once the program has ended, or is negative. All that it
    ///   said is in the pipes then; a child of it may keep them open for as long as it likes.
    /// - Throws: `.tooSlow`, `.tooMuch`.
    mutating func run(untilReadable ended: Int32) throws(PluginProcessError) {
        let end = Self.nowMilliseconds() + deadlineMilliseconds
        if unsent.isEmpty { input.closeWriter() }
        var isOutputOpen = true
        var areErrorsOpen = true
        var hasEnded = false
        while isOutputOpen || areErrorsOpen {
            var entries = [
                pollfd(fd: isOutputOpen ? output.reader : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: areErrorsOpen ? errors.reader : -1, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: unsent.isEmpty ? -1 : input.writer,
                    events: Int16(POLLOUT),
                    revents: 0
                ),
                pollfd(fd: hasEnded ? -1 : ended, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&entries, nfds_t(entries.count), hasEnded ? 0 : left(until: end))
            if ready < 0, errno == EINTR { continue }
            if hasEnded, entries[0].revents | entries[1].revents == 0 { return }
            hasEnded = hasEnded || entries[3].revents != 0
            guard ready > 0 else {
                throw .tooSlow(path: path, milliseconds: deadlineMilliseconds)
            }
            if entries[2].revents != 0 { send() }
            if entries[0].revents != 0 {
                isOutputOpen = Self.receive(output.reader, into: &received)
            }
            if entries[1].revents != 0 {
                areErrorsOpen = Self.receive(errors.reader, into: &complaints)
            }
            guard max(received.count, complaints.count) <= PluginProcess.outputBytesMax else {
                throw .tooMuch(path: path)
            }
        }
    }

    private func left(until end: Int) -> Int32 {
        Int32(clamping: max(0, end - Self.nowMilliseconds()))
    }

    /// A program that does not read its input is not to be forced to.
    private mutating func send() {
        let count = unsent.withUnsafeBytes {
            genie_pipe_write(input.writer, $0.baseAddress, $0.count)
        }
        if count > 0 {
            unsent = unsent.dropFirst(count)
        } else if count != -Int(EINTR), count != -Int(EAGAIN) {
            unsent = []
        }
        if unsent.isEmpty { input.closeWriter() }
    }

    /// Whether more may come.
    private static func receive(_ descriptor: Int32, into bytes: inout [UInt8]) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = read(descriptor, &chunk, chunk.count)
        if count > 0 { bytes += chunk[..<count] }
        return count > 0 || (count < 0 && errno == EINTR)
    }

    private static func nowMilliseconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
    }
}

/// Two ends that are closed when nobody needs them, and not inherited.
final class Pipe {
    private var ends: [Int32] = [-1, -1]

    var reader: Int32 { ends[0] }
    var writer: Int32 { ends[1] }

    init(_ path: String) throws(PluginProcessError) {
        let status = genie_pipe(&ends)
        guard status == 0 else { throw .notStarted(path: path, errno: -status) }
    }

    deinit {
        closeReader()
        closeWriter()
    }

    func closeReader() { close(0) }

    func closeWriter() { close(1) }

    private func close(_ end: Int) {
        if ends[end] >= 0 { Glibc.close(ends[end]) }
        ends[end] = -1
    }
}
