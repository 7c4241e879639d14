import Addressing
import Dispatch

@testable import PeerTransport

/// An actor on a queue that owns a datagram socket.
actor DatagramPeer {
    nonisolated let executor: QueueExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let seal: DatagramSeal
    private var socket: DatagramSocket?
    private(set) var received: [(bytes: [UInt8], from: SocketAddress)] = []
    private(set) var closedPorts: [SocketAddress] = []

    init(secret: ClusterSecret = .insecure, label: String = "lab") {
        executor = QueueExecutor(label: "datagram peer")
        seal = DatagramSeal(keyring: Keyring(secret.gossipKey), clusterLabel: label)
    }

    func open(_ address: SocketAddress = .loopback()) throws -> SocketAddress {
        let socket = try DatagramSocket(
            queue: executor.queue,
            bind: address,
            seal: seal,
            onReceived: { [weak self] batch in self?.assumeIsolated { $0.received += batch } },
            onPortClosed: { [weak self] peer in self?.assumeIsolated { $0.closedPorts.append(peer) }
            }
        )
        self.socket = socket
        return socket.localAddress
    }

    func send(_ datagrams: [[UInt8]], to destination: SocketAddress) {
        socket?.send(datagrams.map { (bytes: $0, to: destination) })
    }

    var counters: DatagramCounters { socket?.counters ?? DatagramCounters() }

    /// Changes the keys.
    func change(_ body: @Sendable (DatagramSeal) -> Keyring.Outcome) -> Keyring.Outcome {
        body(seal)
    }

    func close() {
        socket?.close()
    }
}
