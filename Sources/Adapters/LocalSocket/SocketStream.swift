internal import Addressing
import Glibc

/// One connection to a unix stream socket or over TCP, closed when it goes out of use.
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

    /// Connects to `server` over TCP; errors call it by its address.
    init(server: SocketAddress, deadline: Deadline) throws(LocalSocketError) {
        let descriptor = try Self.connected(to: server, deadline: deadline)
        self.descriptor = descriptor
        path = server.description
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
            // Who goes on and on sending does not get more time than who says nothing.
            guard deadline.leftMilliseconds > 0 else { throw timedOut }
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

    private static func connected(
        to server: SocketAddress,
        deadline: Deadline
    ) throws(LocalSocketError) -> Int32 {
        let path = server.description
        let family = server.address.isV4 ? AF_INET : AF_INET6
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(family, Int32(kind), 0)
        guard descriptor >= 0 else { throw .failed(path: path, call: .socket, errno: errno) }
        var number = server.connect(descriptor)
        if number == EINPROGRESS {
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            var ready: Int32 = -1
            repeat {
                ready = poll(&entry, 1, deadline.leftMilliseconds)
            } while ready < 0
                && errno == EINTR
            var length = socklen_t(MemoryLayout<Int32>.size)
            number = ETIMEDOUT
            if ready > 0 { getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length) }
        }
        guard number != 0 else { return descriptor }
        close(descriptor)
        switch number {
        case ECONNREFUSED: throw .notRunning(path: path)
        case ETIMEDOUT:
            throw .timedOut(path: path, deadlineMilliseconds: deadline.milliseconds)
        default: throw .failed(path: path, call: .connect, errno: number)
        }
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

extension SocketAddress {
    /// Begins to connect; zero, or what went wrong.
    fileprivate func connect(_ descriptor: Int32) -> Int32 {
        func connect<Name>(_ name: Name) -> Int32 {
            withUnsafePointer(to: name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Name>.size))
                }
            }
        }
        let status: Int32
        if let v4 = address.v4 {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = v4.bigEndian
            status = connect(name)
        } else {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.bytes) }
            status = connect(name)
        }
        return status == 0 ? 0 : errno
    }
}
