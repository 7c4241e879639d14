import Determinism
import Glibc

/// A kept connection to a program's unix socket, that does not block.
final class RegisterConnection {
    let descriptor: Int32
    private var dialect: any RegisterDialect

    private let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)

    /// Connects to `path`.
    init(path: String, dialect: any RegisterDialect) throws(BenchError) {
        self.dialect = dialect
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw .refused(call: "connect to \(path)", reason: "the path is too long")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue
        descriptor = socket(AF_UNIX, Int32(kind), 0)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard descriptor >= 0, status == 0 else {
            let reason = BenchError.reason(errno)
            if descriptor >= 0 { close(descriptor) }
            throw .refused(call: "connect to \(path)", reason: reason)
        }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        try send(dialect.greeting)
    }

    deinit {
        close(descriptor)
        chunk.deallocate()
    }

    var hasOneShotWatches: Bool { dialect.hasOneShotWatches }

    /// Asks; the answer comes by ``receive()``.
    func ask(_ question: RegisterQuestion) throws(BenchError) {
        try send(dialect.question(question))
    }

    /// Reads what has arrived, and gives back the answers that are whole.
    func receive() throws(BenchError) -> [RegisterAnswer] {
        var answers: [RegisterAnswer] = []
        while true {
            let count = recv(descriptor, chunk.baseAddress, chunk.count, 0)
            guard count > 0 else {
                if count < 0, errno == EAGAIN || errno == EINTR { return answers }
                throw .refused(
                    call: "reading an answer",
                    reason: count == 0 ? "the program closed it" : BenchError.reason(errno)
                )
            }
            let bytes = UnsafeRawBufferPointer(rebasing: chunk[..<count])
            try send(dialect.take(bytes))
            while let answer = try dialect.next() { answers.append(answer) }
            if count < chunk.count { return answers }
        }
    }

    /// Sends every byte; questions are small, so that the kernel takes them at once.
    private func send(_ bytes: [UInt8]) throws(BenchError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor,
                    $0.baseAddress?.advanced(by: offset),
                    bytes.count - offset,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                offset += count
                continue
            }
            guard errno == EAGAIN || errno == EINTR else {
                throw .refused(call: "sending a question", reason: BenchError.reason(errno))
            }
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&wait, 1, 1_000)
        }
    }
}

/// Waits for several connections at once.
struct ConnectionPoll {
    private var waits: [pollfd]
    private let connections: [RegisterConnection]

    init(_ connections: [RegisterConnection]) {
        self.connections = connections
        waits = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    }

    /// The answers that came within `span`, with the position of the connection that they came
    /// over.
    mutating func receive(
        within span: Span
    ) throws(BenchError) -> [(index: Int, answer: RegisterAnswer)] {
        let milliseconds = Int32(clamping: max(0, (span.microseconds + 999) / 1_000))
        guard poll(&waits, UInt(waits.count), milliseconds) > 0 else { return [] }
        var answers: [(index: Int, answer: RegisterAnswer)] = []
        for index in waits.indices where waits[index].revents != 0 {
            for answer in try connections[index].receive() { answers.append((index, answer)) }
        }
        return answers
    }
}
