import Addressing
import CLinux
import Glibc

@testable import PeerTransport

/// A blocking socket without any of the transport's care, for strangers and broken peers.
final class RawSocket: @unchecked Sendable {
    let descriptor: Int32
    let localAddress: SocketAddress

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK)
        // No test waits for ever.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_SNDTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
        var kernel = genie_socket_address()
        _ = genie_socket_local_address(descriptor, &kernel)
        localAddress = SocketAddress(kernel)
    }

    deinit {
        close(descriptor)
    }

    static func datagram() -> RawSocket {
        var kernel = SocketAddress.loopback().kernel
        let descriptor = genie_socket_open_datagram(&kernel)
        _ = genie_socket_bind(descriptor, &kernel)
        return RawSocket(descriptor: descriptor)
    }

    /// Connected to `address`; nil when refused.
    static func stream(to address: SocketAddress, from source: SocketAddress? = nil) -> RawSocket? {
        var kernel = address.kernel
        let socket = RawSocket(descriptor: genie_socket_open_stream(&kernel))
        if let source {
            var local = source.kernel
            guard genie_socket_bind(socket.descriptor, &local) == 0 else { return nil }
        }
        return genie_socket_connect(socket.descriptor, &kernel) == 0 ? socket : nil
    }

    /// Takes connections into the kernel's queue and never out of it.
    static func deafListener() -> RawSocket {
        var kernel = SocketAddress.loopback().kernel
        let descriptor = genie_socket_open_stream(&kernel)
        _ = genie_socket_bind(descriptor, &kernel)
        _ = listen(descriptor, 16)
        return RawSocket(descriptor: descriptor)
    }

    func send(_ bytes: [UInt8], to address: SocketAddress) {
        var item = genie_udp_outgoing(
            destination: address.kernel,
            offset: 0,
            length: UInt32(bytes.count)
        )
        _ = genie_udp_send(descriptor, 1, bytes, &item, 1)
    }

    /// Sends everything; false when the other end has gone.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Some bytes; empty at the end of the stream, and when nothing comes.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return Array(buffer.prefix(max(0, count)))
    }

    /// Reads to the end of the stream, however it ends.
    func readToEnd() {
        while !read().isEmpty {}
    }

    /// Ends both directions at once; the descriptor stays.
    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Closes with a reset when it is released.
    func resetOnClose() {
        var setting = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &setting,
            socklen_t(MemoryLayout<linger>.size)
        )
    }
}

/// A TLS client on a blocking socket that sends what it is told to.
final class RawPeer: @unchecked Sendable {
    let socket: RawSocket
    private let session: TLSSession
    private var outgoing = OutgoingBuffer()
    private var decoder = FrameDecoder(lengthMax: .max)

    /// Connects and does the handshake as far as the client can tell.
    convenience init?(to address: SocketAddress, _ session: TLSSession?) {
        guard let session, let socket = RawSocket.stream(to: address) else { return nil }
        self.init(over: socket, session)
    }

    /// Does the handshake over a connection.
    init?(over socket: RawSocket, _ session: TLSSession) {
        self.session = session
        self.socket = socket
        while true {
            let step = session.advanceHandshake()
            flush()
            switch step {
            case .done: return
            case .failed: return nil
            case .underWay:
                let bytes = socket.read()
                guard !bytes.isEmpty else { return nil }
                bytes.withUnsafeBytes(session.feed)
            }
        }
    }

    /// Sends a frame whose header says `length`, or the truth.
    @discardableResult
    func send(_ frame: [UInt8], length: Int? = nil) -> Bool {
        let bytes = FrameDecoder.header(length: length ?? frame.count) + frame
        guard bytes.withUnsafeBytes(session.write) == nil else { return false }
        return flush()
    }

    /// The next frame; nil when the stream ends first.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            if case .frame(let bytes) = decoder.next() { return bytes }
            switch buffer.withUnsafeMutableBytes(session.read) {
            case .bytes(let count):
                buffer.withUnsafeBytes {
                    decoder.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
            case .ended: return nil
            case .drained:
                let bytes = socket.read()
                guard !bytes.isEmpty else { return nil }
                bytes.withUnsafeBytes(session.feed)
            }
        }
    }

    @discardableResult
    private func flush() -> Bool {
        session.takeCiphertext(into: &outgoing)
        let bytes = outgoing.withBytes { Array($0) }
        outgoing.removeFirst(bytes.count)
        return socket.write(bytes)
    }
}

/// The descriptors of both ends of the connections of this process to its own listener at `port`.
func descriptors(ofConnectionsTo port: UInt16) -> [Int32] {
    (Int32(3)..<4_096).filter { descriptor in
        var (peer, length) = (sockaddr_in(), socklen_t(MemoryLayout<sockaddr_in>.size))
        let result = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getpeername(descriptor, $0, &length)
            }
        }
        var local = genie_socket_address()
        guard result == 0, genie_socket_local_address(descriptor, &local) == 0 else { return false }
        // Another address of the loopback may have the same port.
        let here = SocketAddress.loopback().address
        let isThere = UInt32(bigEndian: peer.sin_addr.s_addr) == 0x7f00_0001
        return local.port == port && SocketAddress(local).address == here
            || UInt16(bigEndian: peer.sin_port) == port && isThere
    }
}
