import Addressing
import CLinux
import Dispatch
import Glibc

/// A listening TCP socket.
final class StreamListener: @unchecked Sendable {
    /// The address in force: the port that the kernel chose where 0 was asked for.
    let localAddress: SocketAddress

    private let queue: DispatchQueue
    private let descriptor: Int32
    private let source: any DispatchSourceRead
    private var isPaused = false

    /// Connections that one wake-up accepts before others on the queue have their turn.
    private static let acceptsPerWakeUpMax = 64
    /// How long nothing is accepted when the process has no descriptor left, or nothing works.
    private static let pauseMilliseconds = 100
    /// The kernel's own bound, net.core.somaxconn, is lower on some machines.
    private static let backlogMax: Int32 = 4_096

    /// Binds and listens; connections wait until ``start(_:)``.
    init(queue: DispatchQueue, address: SocketAddress) throws(TransportError) {
        let (descriptor, localAddress) = try Self.open(address)
        self.queue = queue
        self.descriptor = descriptor
        self.localAddress = localAddress
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setCancelHandler { @Sendable in Glibc.close(descriptor) }
    }

    deinit {
        source.cancel()
        // A source may not be released while it is suspended.
        if isPaused { source.resume() }
    }

    /// Calls `onAccepted` on the queue with each new descriptor, from now on; called once.
    func start(_ onAccepted: @escaping @Sendable (Int32, SocketAddress) -> Void) {
        source.setEventHandler { @Sendable [weak self] in
            guard let self, Self.accept(from: descriptor, onAccepted) == .exhausted else { return }
            self.pause()
        }
        source.activate()
    }

    /// Stops listening.
    func cancel() {
        source.cancel()
    }

    /// The connection that cannot be taken keeps the socket readable: going on would spin.
    private func pause() {
        isPaused = true
        source.suspend()
        queue.asyncAfter(deadline: .now() + .milliseconds(Self.pauseMilliseconds)) {
            @Sendable [weak self] in
            guard let self, self.isPaused else { return }
            self.isPaused = false
            self.source.resume()
        }
    }

    private enum Accepting {
        case waiting
        case exhausted
    }

    private static func accept(
        from descriptor: Int32,
        _ body: (Int32, SocketAddress) -> Void
    ) -> Accepting {
        var failureCount = 0
        for _ in 0..<acceptsPerWakeUpMax {
            var peer = genie_socket_address()
            let accepted = genie_socket_accept(descriptor, &peer)
            switch -accepted {
            case ...0: body(accepted, SocketAddress(peer))
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            case EAGAIN: return .waiting
            // The connection that failed is gone (accept(2)); the next one may be good.
            default: failureCount += 1
            }
        }
        // An error that stays would keep the queue busy for ever.
        return failureCount == acceptsPerWakeUpMax ? .exhausted : .waiting
    }

    private static func open(
        _ address: SocketAddress
    ) throws(TransportError) -> (descriptor: Int32, local: SocketAddress) {
        var kernel = address.kernel
        let descriptor = genie_socket_open_stream(&kernel)
        guard descriptor >= 0 else { throw TransportError(.tcp, address, errno: -descriptor) }
        var result = genie_socket_reuse_address(descriptor)
        if result >= 0 { result = genie_socket_bind(descriptor, &kernel) }
        if result >= 0 { result = listen(descriptor, backlogMax) == 0 ? 0 : -errno }
        if result >= 0 { result = genie_socket_local_address(descriptor, &kernel) }
        guard result >= 0 else {
            Glibc.close(descriptor)
            throw TransportError(.tcp, address, errno: -result)
        }
        return (descriptor, SocketAddress(kernel))
    }
}
