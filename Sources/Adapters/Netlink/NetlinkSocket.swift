internal import CLinux
internal import Glibc

/// A line to the kernel's network configuration, in one namespace.
///
/// A socket stays in the namespace it was made in, so the calling thread never leaves its own.
/// Not for use by two threads at once.
/// - Source: netlink(7), rtnetlink(7).
/// - Kernel: CAP_NET_ADMIN in the namespace for every change.
package final class NetlinkSocket {
    private let sockets: genie_netns_sockets
    private var nextSequence: UInt32 = 1
    private var buffer = [UInt8](repeating: 0, count: datagramLengthMax)

    /// A listing comes in datagrams of at most 32 KiB; one interface may need more than a page.
    private static let datagramLengthMax = 65_536

    /// The times a listing is read again because the table changed meanwhile.
    private static let attemptCountMax = 5

    /// Opens a socket in the namespace at the path, or in the caller's own.
    ///
    /// - Throws: `.namespaceMissing`, `.namespaceInvalid`, `.systemCall`.
    package convenience init(netnsPath: String? = nil) throws(NetlinkError) {
        guard let netnsPath else {
            try self.init(descriptor: -1)
            return
        }
        let file = try NetnsFile(netnsPath)
        try self.init(descriptor: file.descriptor)
    }

    init(descriptor: Int32) throws(NetlinkError) {
        var opened = genie_netns_sockets()
        let status = genie_netns_sockets_open(descriptor, &opened)
        guard status == 0 else { throw .systemCall(.openSocket, errno: -status) }
        sockets = opened
    }

    deinit {
        close(sockets.netlink)
        close(sockets.control)
    }

    /// The datagram socket in the same namespace, for ioctl(2).
    var control: Int32 { sockets.control }

    /// Has the kernel carry out the requests in order, and gives back the answers to each.
    ///
    /// - Throws: the first refusal; later requests of the same call have been tried nevertheless.
    @discardableResult
    package func perform(_ requests: [Request]) throws(NetlinkError) -> [[Message]] {
        var attempt = 1
        while true {
            do throws(NetlinkError) {
                return try exchange(requests)
            } catch .interrupted where attempt < Self.attemptCountMax {
                attempt += 1
            }
        }
    }

    private func exchange(_ requests: [Request]) throws(NetlinkError) -> [[Message]] {
        var exchange = Exchange(requests, firstSequence: nextSequence)
        nextSequence &+= UInt32(requests.count)
        try send(exchange.bytes)
        while let request = exchange.unanswered {
            guard let datagram = try receive(waitingFor: request) else { continue }
            try exchange.receive(datagram)
        }
        return try exchange.results()
    }

    private func send(_ bytes: [UInt8]) throws(NetlinkError) {
        while true {
            let count = Glibc.send(sockets.netlink, bytes, bytes.count, 0)
            if count == bytes.count { return }
            guard count < 0, errno == EINTR else {
                throw .systemCall(.send, errno: count < 0 ? errno : EMSGSIZE)
            }
        }
    }

    /// The next datagram; nil for one that did not come from the kernel.
    private func receive(waitingFor request: Request) throws(NetlinkError) -> [UInt8]? {
        while true {
            var sender = sockaddr_nl()
            var senderLength = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let count = withUnsafeMutablePointer(to: &sender) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    recvfrom(
                        sockets.netlink,
                        &buffer,
                        buffer.count,
                        Int32(MSG_TRUNC),
                        address,
                        &senderLength
                    )
                }
            }
            if count >= 0 {
                guard sender.nl_pid == 0 else { return nil }
                guard count <= buffer.count else { throw .systemCall(.receive, errno: EMSGSIZE) }
                return Array(buffer[..<count])
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: throw .unanswered(request: request.name)
            default: throw .systemCall(.receive, errno: errno)
            }
        }
    }
}
