import Glibc

/// One connection to a unix stream socket, closed when it goes out of use.
struct SocketStream: ~Copyable {
    private let descriptor: Int32
    private let path: String
    private let deadline: Deadline

    /// Connects to `path`.
    init(path: String, deadline: Deadline) throws(LocalSocketError) {
        let descriptor = try Self.connected(to: path, deadline: deadline)
        self.descriptor = descriptor
        self.path = path
        self.deadline = deadline
    }

    deinit {
        close(descriptor)
    }

    /// What came of sending.
    enum Sent {
        /// Every byte is with the kernel.
        case whole
        /// The other side closed first, or answered before it had read everything.
        case partly
    }

    /// Sends every byte, or as many as the other side takes.
    func send(_ bytes: [UInt8]) throws(LocalSocketError) -> Sent {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor,
                    buffer.baseAddress?.advanced(by: offset),
                    bytes.count - offset,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                offset += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // A server that refuses a body may stop reading it: then its answer is what comes.
                let ready = try wait(for: Int16(POLLOUT | POLLIN))
                if ready & Int16(POLLOUT) == 0 { return .partly }
            case EPIPE, ECONNRESET: return .partly
            case let number: throw .failed(path: path, call: .send, errno: number)
            }
        }
        return .whole
    }

    /// Appends what has arrived to `buffer` and gives back how many bytes; zero at the end.
    func receive(into buffer: inout [UInt8]) throws(LocalSocketError) -> Int {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count >= 0 {
                buffer += chunk[..<count]
                return count
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: _ = try wait(for: Int16(POLLIN))
            case ECONNRESET: return 0
            case let number: throw .failed(path: path, call: .receive, errno: number)
            }
        }
    }

    private var timedOut: LocalSocketError {
        .timedOut(path: path, deadlineMilliseconds: deadline.milliseconds)
    }

    /// Waits for one of `events` and gives back which of them, or of their errors, came.
    private func wait(for events: Int16) throws(LocalSocketError) -> Int16 {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            let left = deadline.leftMilliseconds
            guard left > 0 else { throw timedOut }
            let count = poll(&entry, 1, left)
            if count > 0 { return entry.revents }
            guard count == 0 || errno == EINTR else {
                throw .failed(path: path, call: .poll, errno: errno)
            }
        }
    }

    private static func address(
        of path: String
    ) throws(LocalSocketError) -> (sockaddr_un, socklen_t) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytesMax = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard path.utf8.count <= bytesMax else {
            throw .pathTooLong(path: path, bytesMax: bytesMax)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return (address, socklen_t(MemoryLayout<sockaddr_un>.size))
    }

    /// A full backlog shows as EAGAIN on a socket that does not block, and passes; it is tried
    /// again until the deadline.
    private static func connected(
        to path: String,
        deadline: Deadline
    ) throws(LocalSocketError) -> Int32 {
        var (address, length) = try address(of: path)
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(AF_UNIX, Int32(kind), 0)
        guard descriptor >= 0 else { throw .failed(path: path, call: .socket, errno: errno) }
        while true {
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, length)
                }
            }
            if status == 0 { return descriptor }
            let number = errno
            if number == EINTR { continue }
            if number == EAGAIN, deadline.leftMilliseconds > 0 {
                _ = poll(nil, 0, 1)
                continue
            }
            close(descriptor)
            switch number {
            case EAGAIN:
                throw .timedOut(path: path, deadlineMilliseconds: deadline.milliseconds)
            case ENOENT, ECONNREFUSED, ENOTDIR: throw .notRunning(path: path)
            case EACCES, EPERM: throw .denied(path: path)
            default: throw .failed(path: path, call: .connect, errno: number)
            }
        }
    }
}
