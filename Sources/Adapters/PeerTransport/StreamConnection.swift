import Addressing
import CLinux
import Determinism
import Dispatch
import Glibc

/// One TCP connection with its TLS session, from the first packet to the last.
///
/// connecting (dialled only) -> handshaking -> greeting -> ready; from each of them to ended.
/// Greeting exists because a TLS 1.3 client is through before the server has judged its
/// certificate: only the other side's hello proves that both have accepted each other.
final class StreamConnection: @unchecked Sendable {
    /// Which side opened the connection, and where the other one is.
    enum Origin {
        case dialled(SocketAddress)
        case accepted(SocketAddress)

        var role: TLSSession.Role {
            switch self {
            case .dialled: .client
            case .accepted: .server
            }
        }

        var address: SocketAddress {
            switch self {
            case .dialled(let address), .accepted(let address): address
            }
        }
    }

    private enum State {
        case connecting
        case handshaking
        case greeting(NodeID)
        case ready(NodeID)
        case ended
    }

    let id: ConnectionID
    let origin: Origin
    /// The protocol version that both sides speak; 0 until ready.
    private(set) var version: UInt8 = 0

    private weak var transport: StreamTransport?
    private let queue: DispatchQueue
    private let settings: StreamSettings
    private let readiness: Readiness
    private let session: TLSSession
    private let deadline: any DispatchSourceTimer
    private var state: State
    private var decoder = FrameDecoder(lengthMax: StreamTransport.frameBytesMax)
    private var outgoing = OutgoingBuffer()
    /// Frames with their lengths that wait for the end of what the queue does now.
    private var unsealed: [UInt8] = []
    private var isSealingDue = false
    /// Whether a frame came or went since idleness was last looked at.
    private var isUsed = true
    /// Why nothing can be sent any more, while what came before is still being read.
    private var sendFailure: StreamCloseReason?

    /// An emptied buffer of more than this goes back to the allocator.
    private static let keptByteCount = 64 << 10
    /// Reads that one wake-up makes before others on the queue have their turn: 1 MiB.
    private static let readsPerWakeUpMax = 16

    /// Takes over `descriptor`; nothing happens before ``begin()``.
    init(
        id: ConnectionID,
        origin: Origin,
        descriptor: Int32,
        session: TLSSession,
        transport: StreamTransport
    ) {
        self.id = id
        self.origin = origin
        self.session = session
        self.transport = transport
        queue = transport.queue
        settings = transport.settings
        readiness = Readiness(descriptor: descriptor, queue: queue)
        deadline = DispatchSource.makeTimerSource(queue: queue)
        switch origin {
        case .dialled: state = .connecting
        case .accepted: state = .handshaking
        }
    }

    deinit {
        deadline.cancel()
    }

    /// The node at the other end, once it is connected.
    var peer: NodeID? {
        if case .ready(let node) = state { node } else { nil }
    }

    /// Starts the connection and the clock that it runs against.
    func begin() {
        let milliseconds =
            switch origin {
            case .dialled: StreamTransport.dialTimeoutMilliseconds
            case .accepted: StreamTransport.handshakeTimeoutMilliseconds
            }
        deadline.setEventHandler { @Sendable [weak self] in self?.end(.timedOut) }
        deadline.schedule(deadline: .now() + .milliseconds(milliseconds))
        deadline.activate()
        switch origin {
        case .dialled: readiness.watchWritable { @Sendable [weak self] in self?.writable() }
        case .accepted: beginHandshake()
        }
    }

    /// Queues a frame; what is queued until the queue's next turn goes out together.
    func send(_ frame: [UInt8]) -> StreamSendOutcome {
        guard case .ready = state, sendFailure == nil else { return .notConnected }
        guard frame.count <= StreamTransport.frameBytesMax else { return .oversized }
        guard outgoing.count + unsealed.count + frame.count <= StreamTransport.queueBytesMax else {
            return .queueFull
        }
        write(frame)
        return .sent
    }

    /// Sends what the kernel still takes, and ends.
    func close() {
        if case .ready = state {
            seal()
            session.finish()
            flush()
        }
        end(.closedLocally)
    }

    /// Ends at once and says nothing to anybody.
    func abandon() {
        if case .ready = state {
            seal()
            session.finish()
            flush()
        }
        release()
    }

    /// Ends for `reason`, which the transport passes on.
    func end(_ reason: StreamCloseReason) {
        if case .ended = state { return }
        let node = peer
        release()
        transport?.connectionEnded(self, node, reason)
    }

    private func release() {
        state = .ended
        deadline.cancel()
        readiness.cancel()
    }

    private func beginHandshake() {
        state = .handshaking
        let result = genie_tcp_set_liveness(
            readiness.descriptor,
            StreamTransport.keepAliveSeconds,
            StreamTransport.keepAliveSeconds,
            StreamTransport.silenceMillisecondsMax
        )
        guard result >= 0 else { return end(.socket(errno: -result)) }
        readiness.watchReadable { @Sendable [weak self] in self?.readable() }
        advance()
    }

    private func writable() {
        guard case .connecting = state else { return flush() }
        let error = genie_socket_take_error(readiness.descriptor)
        guard error == 0 else { return end(.socket(errno: error)) }
        beginHandshake()
        if outgoing.count == 0 { readiness.pauseWritable() }
    }

    private func readable() {
        for _ in 0..<Self.readsPerWakeUpMax {
            if case .ended = state { return }
            let buffer = settings.scratch.ciphertext
            let count = recv(readiness.descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                session.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                advance()
                // On, also after less than was asked for: the end of the stream behind these bytes
                // is reported with them, once.
            } else if count == 0 {
                return end(.closedByPeer)
            } else {
                if errno == EINTR { continue }
                if errno != EAGAIN { end(.socket(errno: errno)) }
                return
            }
        }
        queue.async { @Sendable [weak self] in self?.readable() }
    }

    /// Goes as far as the bytes that came allow.
    private func advance() {
        while true {
            switch state {
            case .connecting, .ended: return
            case .handshaking: guard advanceHandshake() else { return }
            case .greeting, .ready: guard advanceSession() else { return }
            }
        }
    }

    /// - Returns: whether there is more to do.
    private func advanceHandshake() -> Bool {
        let step = session.advanceHandshake()
        // Also after a failure: the alert tells the other side what was wrong.
        flush()
        if case .ended = state { return false }
        switch step {
        case .underWay: return false
        case .failed(let reason):
            end(reason)
            return false
        case .done(settings.identity):
            end(.ownIdentity)
            return false
        case .done(let node):
            state = .greeting(node)
            write([settings.versions.lowerBound, settings.versions.upperBound])
            // At once: also a peer that is refused for its versions learns which are spoken here.
            seal()
            return true
        }
    }

    private func advanceSession() -> Bool {
        let buffer = settings.scratch.plaintext
        switch session.read(into: buffer) {
        case .bytes(let count):
            decoder.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            takeFrames()
            return true
        case .drained:
            // Reading may have made an answer, to a change of keys for one.
            flush()
            return false
        case .ended(let reason):
            flush()
            end(reason)
            return false
        }
    }

    private func takeFrames() {
        while true {
            if case .ended = state { return }
            switch decoder.next() {
            case .incomplete: return
            case .oversized(let length): return end(.frameOversized(length: length))
            case .frame(let bytes): take(bytes)
            }
        }
    }

    private func take(_ frame: [UInt8]) {
        switch state {
        case .connecting, .handshaking, .ended: return
        case .ready(let node):
            isUsed = true
            transport?.connectionReceived(self, node, frame)
        case .greeting(let node):
            // A later release may say more after the two bytes.
            guard frame.count >= 2, frame[0] <= frame[1] else { return end(.helloMalformed) }
            let common = min(settings.versions.upperBound, frame[1])
            guard common >= max(settings.versions.lowerBound, frame[0]) else {
                return end(.versionUnknown(lowest: frame[0], highest: frame[1]))
            }
            version = common
            state = .ready(node)
            watchIdleness()
            transport?.connectionReady(self, node)
        }
    }

    /// The side that dialled ends a connection that nobody uses; the next frame dials again.
    ///
    /// In a large ring everybody would end up connected to everybody otherwise.
    private func watchIdleness() {
        guard case .dialled = origin else { return deadline.cancel() }
        let period = DispatchTimeInterval.milliseconds(settings.idleMilliseconds)
        deadline.setEventHandler { @Sendable [weak self] in
            guard let self else { return }
            let isWaiting = self.outgoing.count > 0 || !self.unsealed.isEmpty
            guard self.isUsed || isWaiting else { return self.end(.idle) }
            self.isUsed = false
        }
        deadline.schedule(deadline: .now() + period, repeating: period, leeway: .seconds(1))
    }

    /// One record and one call for all frames of a turn: each costs more than a small frame does.
    private func write(_ frame: [UInt8]) {
        isUsed = true
        unsealed += FrameDecoder.header(length: frame.count)
        unsealed += frame
        guard !isSealingDue else { return }
        isSealingDue = true
        queue.async { @Sendable [weak self] in
            self?.isSealingDue = false
            self?.seal()
        }
    }

    private func seal() {
        if case .ended = state { return }
        guard sendFailure == nil, !unsealed.isEmpty else { return }
        let reason = unsealed.withUnsafeBytes(session.write)
        unsealed.removeAll(keepingCapacity: unsealed.capacity <= Self.keptByteCount)
        if let reason { return end(reason) }
        flush()
    }

    private func flush() {
        if case .ended = state { return }
        guard sendFailure == nil else { return }
        session.takeCiphertext(into: &outgoing)
        while outgoing.count > 0 {
            // MSG_NOSIGNAL: a peer that has gone must not end this process with SIGPIPE.
            let count = outgoing.withBytes {
                Glibc.send(
                    readiness.descriptor,
                    $0.baseAddress,
                    $0.count,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                outgoing.removeFirst(count)
            } else if errno == EAGAIN {
                return readiness.watchWritable { @Sendable [weak self] in self?.writable() }
            } else if errno != EINTR {
                return stopSending(.socket(errno: errno))
            }
        }
        readiness.pauseWritable()
    }

    /// Ends after what the peer sent has been read: its last frames may say why it went.
    private func stopSending(_ reason: StreamCloseReason) {
        sendFailure = reason
        outgoing = OutgoingBuffer()
        unsealed = []
        readiness.pauseWritable()
        queue.async { @Sendable [weak self] in
            self?.readable()
            self?.end(reason)
        }
    }
}

/// What all connections of a transport share.
struct StreamSettings {
    let identity: NodeID
    let versions: ClosedRange<UInt8>
    let idleMilliseconds: Int
    let scratch: StreamScratch
}

/// Buffers for the bytes under way; the queue has one connection read at a time.
final class StreamScratch {
    let ciphertext = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    /// The longest record of TLS.
    let plaintext = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

    deinit {
        ciphertext.deallocate()
        plaintext.deallocate()
    }
}
