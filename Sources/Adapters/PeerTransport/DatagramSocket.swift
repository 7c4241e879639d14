package import Addressing
import CLinux
package import Dispatch
import Glibc

/// A UDP socket whose datagrams are sealed; what does not open is counted and goes no further.
///
/// Every method is called on the queue, and callbacks come on it, never from inside a method.
/// An actor whose executor runs on that queue may therefore use `assumeIsolated` in them.
///
/// The socket asks the kernel for ICMP errors (IP_RECVERR in ip(7)), so a peer whose port is closed
/// is reported. An error has to quote a datagram that was sent lately, so that only somebody who
/// sees the traffic can make one up; it is a hint all the same and no proof.
package final class DatagramSocket: @unchecked Sendable {
    /// What came in and opened: the bytes, and the address that it claims to be from.
    package typealias Received = [(bytes: [UInt8], from: SocketAddress)]

    /// The address in force: the port that the kernel chose where 0 was asked for.
    package let localAddress: SocketAddress

    private let queue: DispatchQueue
    private let descriptor: Int32
    private let isIPv4: Bool
    private let seal: DatagramSeal
    private let onReceived: @Sendable (Received) -> Void
    private let onPortClosed: @Sendable (SocketAddress) -> Void
    private let onUnknownKey: @Sendable (SocketAddress) -> Void
    private let source: any DispatchSourceRead
    private var tally = DatagramCounters()
    private var arena = [UInt8](repeating: 0, count: batchMax * slotByteCount)
    private var slots = [genie_udp_received](repeating: genie_udp_received(), count: batchMax)
    private var quote = [UInt8](repeating: 0, count: DatagramSeal.headerByteCount)
    private var isClosed = false

    private static let batchMax = Int(GENIE_UDP_BATCH_MAX)
    /// Longer than any datagram of ours, so that a longer one is known by being cut off.
    private static let slotByteCount = 2_048
    /// Batches that one wake-up takes before others on the queue have their turn.
    private static let batchesPerWakeUpMax = 8
    /// What 5,000 peers may send within one pause of the process: 2,900 datagrams of full size.
    private static let bufferByteCount: Int32 = 4 << 20

    /// Opens, binds and starts the socket.
    ///
    /// Port 0 in `bind` has the kernel choose, `[::]` takes IPv4 as well. `onPortClosed` is given
    /// where a datagram was sent that was answered with "port unreachable". `onUnknownKey` is
    /// given, once for each batch, where a datagram came from whose key is not installed; anybody
    /// can make such a datagram up, in any name.
    /// - Throws: `addressInUse`, `addressNotLocal`, `notPermitted` or `refused`.
    package init(
        queue: DispatchQueue,
        bind: SocketAddress,
        seal: DatagramSeal,
        onReceived: @escaping @Sendable (Received) -> Void,
        onPortClosed: @escaping @Sendable (SocketAddress) -> Void,
        onUnknownKey: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) throws(TransportError) {
        let (descriptor, watch, localAddress) = try Self.open(bind)
        self.localAddress = localAddress
        self.queue = queue
        self.descriptor = descriptor
        self.seal = seal
        self.onReceived = onReceived
        self.onPortClosed = onPortClosed
        self.onUnknownKey = onUnknownKey
        isIPv4 = bind.address.isV4
        source = DispatchSource.makeReadSource(fileDescriptor: watch, queue: queue)
        source.setEventHandler { @Sendable [weak self] in self?.wakeUp() }
        source.setCancelHandler { @Sendable in
            Glibc.close(watch)
            Glibc.close(descriptor)
        }
        source.activate()
    }

    deinit {
        source.cancel()
    }

    /// What happened so far.
    package var counters: DatagramCounters {
        dispatchPrecondition(condition: .onQueue(queue))
        return tally
    }

    /// Seals and sends one datagram.
    package func send(_ bytes: [UInt8], to destination: SocketAddress) {
        send([(bytes: bytes, to: destination)])
    }

    /// Seals and sends datagrams; what the kernel does not take at once is lost, and counted.
    ///
    /// A datagram longer than ``DatagramSeal/plaintextBytesMax`` is not sent.
    package func send(_ datagrams: [(bytes: [UInt8], to: SocketAddress)]) {
        dispatchPrecondition(condition: .onQueue(queue))
        guard !isClosed else { return }
        var sealed: [UInt8] = []
        var outgoing: [genie_udp_outgoing] = []
        for datagram in datagrams {
            guard let bytes = seal.seal(datagram.bytes) else {
                tally.oversized += 1
                continue
            }
            outgoing.append(
                genie_udp_outgoing(
                    destination: datagram.to.kernel,
                    offset: UInt32(sealed.count),
                    length: UInt32(bytes.count)
                )
            )
            sealed += bytes
        }
        transmit(outgoing, of: sealed)
    }

    /// Stops the socket; no callback comes any more.
    package func close() {
        dispatchPrecondition(condition: .onQueue(queue))
        isClosed = true
        source.cancel()
    }

    private func transmit(_ outgoing: [genie_udp_outgoing], of sealed: [UInt8]) {
        var next = 0
        var isRetry = false
        while next < outgoing.count {
            let result = outgoing.withUnsafeBufferPointer { items in
                genie_udp_send(
                    descriptor,
                    isIPv4 ? 1 : 0,
                    sealed,
                    items.baseAddress?.advanced(by: next),
                    UInt32(items.count - next)
                )
            }
            if result > 0 {
                tally.sent += UInt64(result)
                next += Int(result)
                isRetry = false
            } else if result == -EAGAIN {
                tally.unsent += UInt64(outgoing.count - next)
                return
            } else if !isRetry {
                // Most likely the error of an earlier datagram, which the attempt has cleared.
                isRetry = true
            } else {
                tally.unsent += 1
                next += 1
                isRetry = false
            }
        }
    }

    private func wakeUp() {
        guard !isClosed else { return }
        takeErrors()
        for _ in 0..<Self.batchesPerWakeUpMax where !isClosed {
            let count = genie_udp_receive(
                descriptor,
                &arena,
                UInt32(Self.slotByteCount),
                &slots,
                UInt32(Self.batchMax)
            )
            if count == -EAGAIN { return }
            // Any other error is about a datagram that was sent; reception goes on.
            guard count > 0 else { continue }
            deliver(Int(count))
            if count < Self.batchMax { return }
        }
    }

    private func deliver(_ count: Int) {
        var opened: Received = []
        opened.reserveCapacity(count)
        var stranger: SocketAddress?
        arena.withUnsafeBytes { arena in
            for index in 0..<count {
                let slot = slots[index]
                let start = index * Self.slotByteCount
                let bytes = UnsafeRawBufferPointer(
                    rebasing: arena[start..<start + Int(slot.length)]
                )
                switch slot.is_truncated == 0 ? seal.open(bytes) : .rejected(.oversized) {
                case .opened(let plaintext): opened.append((plaintext, SocketAddress(slot.source)))
                case .rejected(let reason):
                    tally.reject(reason)
                    if reason == .unknownKey { stranger = SocketAddress(slot.source) }
                }
            }
        }
        tally.received += UInt64(opened.count)
        if !opened.isEmpty { onReceived(opened) }
        if let stranger, !isClosed { onUnknownKey(stranger) }
    }

    private func takeErrors() {
        var error = genie_udp_error()
        for _ in 0..<Self.batchMax * Self.batchesPerWakeUpMax where !isClosed {
            let result = genie_udp_next_error(descriptor, &error, &quote, UInt32(quote.count))
            guard result == 1 else { return }
            guard error.error == ECONNREFUSED else { continue }
            guard seal.isOwnHeader(quote.prefix(Int(error.quoted))) else {
                tally.portClosedForged += 1
                continue
            }
            tally.portClosed += 1
            onPortClosed(SocketAddress(error.destination))
        }
    }

    private static func open(
        _ address: SocketAddress
    ) throws(TransportError) -> (descriptor: Int32, watch: Int32, local: SocketAddress) {
        var kernel = address.kernel
        let descriptor = genie_socket_open_datagram(&kernel)
        guard descriptor >= 0 else { throw TransportError(.udp, address, errno: -descriptor) }
        var result = genie_socket_bind(descriptor, &kernel)
        if result >= 0 { result = genie_socket_local_address(descriptor, &kernel) }
        if result >= 0 { result = genie_udp_queue_errors(descriptor, address.address.isV4 ? 1 : 0) }
        if result >= 0 { result = genie_socket_set_buffers(descriptor, bufferByteCount) }
        if result >= 0 { result = genie_udp_open_watch(descriptor) }
        guard result >= 0 else {
            Glibc.close(descriptor)
            throw TransportError(.udp, address, errno: -result)
        }
        return (descriptor, result, SocketAddress(kernel))
    }
}

/// What a datagram socket did since it was opened.
package struct DatagramCounters: Sendable, Equatable {
    /// Datagrams that opened.
    package internal(set) var received: UInt64 = 0
    /// Datagrams that the kernel took.
    package internal(set) var sent: UInt64 = 0
    /// Datagrams that the kernel did not take: no buffer, no route, a family the socket lacks.
    package internal(set) var unsent: UInt64 = 0
    /// Datagrams that were too long to be sealed.
    package internal(set) var oversized: UInt64 = 0
    /// Answers of "port unreachable" to a datagram of this socket.
    package internal(set) var portClosed: UInt64 = 0
    /// Answers of "port unreachable" that quote nothing that was sent lately.
    package internal(set) var portClosedForged: UInt64 = 0

    private var rejections: [DatagramRejection: UInt64] = [:]

    /// Makes counters at zero.
    package init() {}

    /// Datagrams that were ignored for `reason`.
    package func rejected(_ reason: DatagramRejection) -> UInt64 {
        rejections[reason, default: 0]
    }

    /// Datagrams that were ignored for any reason.
    package var rejectedTotal: UInt64 { rejections.values.reduce(0, +) }

    mutating func reject(_ reason: DatagramRejection) {
        rejections[reason, default: 0] += 1
    }
}
