import Addressing
import Determinism
import Dispatch
import Testing

@testable import PeerTransport

/// An actor on a queue that owns a stream transport and keeps what it reported.
actor StreamPeer {
    nonisolated let executor: QueueExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated let node: NodeID
    private let secret: ClusterSecret
    private let label: String
    private let versions: ClosedRange<UInt8>
    private let idleMilliseconds: Int
    private var transport: StreamTransport?
    private var reaction: (@Sendable (StreamTransport, StreamEvent) -> Void)?

    private(set) var connected: [(node: NodeID, id: ConnectionID, address: SocketAddress)] = []
    private(set) var frames: [(node: NodeID, id: ConnectionID, bytes: [UInt8])] = []
    private(set) var closed: [(id: ConnectionID, node: NodeID?, reason: StreamCloseReason)] = []
    private(set) var failures: [(address: SocketAddress, reason: StreamCloseReason)] = []

    init(
        _ number: UInt64,
        secret: ClusterSecret = .insecure,
        label: String = "lab",
        versions: ClosedRange<UInt8> = 1...1,
        idleMilliseconds: Int = StreamTransport.idleMillisecondsDefault
    ) {
        executor = QueueExecutor(label: "stream peer \(number)")
        node = .fixture(number)
        self.secret = secret
        self.label = label
        self.versions = versions
        self.idleMilliseconds = idleMilliseconds
    }

    /// Starts the transport; `reaction` runs inside each event.
    func start(
        _ address: SocketAddress = .loopback(),
        reaction: (@Sendable (StreamTransport, StreamEvent) -> Void)? = nil
    ) throws -> SocketAddress {
        self.reaction = reaction
        let transport = try StreamTransport(
            queue: executor.queue,
            identity: node,
            secret: secret,
            clusterLabel: label,
            versions: versions,
            idleMilliseconds: idleMilliseconds,
            listen: address,
            onEvent: { [weak self] event in self?.assumeIsolated { $0.take(event) } }
        )
        self.transport = transport
        return transport.localAddress
    }

    func dial(_ address: SocketAddress) { transport?.dial(address) }

    func send(_ frame: [UInt8], to node: NodeID) -> StreamSendOutcome? {
        transport?.send(frame, to: node)
    }

    func send(_ frames: [[UInt8]], to node: NodeID) -> [StreamSendOutcome?] {
        frames.map { transport?.send($0, to: node) }
    }

    func send(_ frame: [UInt8], over id: ConnectionID) -> StreamSendOutcome? {
        transport?.send(frame, over: id)
    }

    func close(_ id: ConnectionID) { transport?.close(id) }

    func stop() { transport?.stop() }

    /// Does several things with no event in between.
    func perform(_ body: @Sendable (StreamTransport) -> Void) {
        if let transport { body(transport) }
    }

    /// Lets the transport go without stopping it.
    func forget() { transport = nil }

    var connectedNodes: [NodeID] { transport?.connectedNodes ?? [] }

    func version(of id: ConnectionID) -> UInt8? { transport?.version(of: id) }

    private func take(_ event: StreamEvent) {
        switch event {
        case .connected(let node, let id, let address): connected.append((node, id, address))
        case .frame(let node, let id, let bytes): frames.append((node, id, bytes))
        case .closed(let id, let node, let reason): closed.append((id, node, reason))
        case .dialFailed(let address, let reason): failures.append((address, reason))
        }
        if let transport { reaction?(transport, event) }
    }
}

/// Two peers, the first of which has dialled the second.
struct StreamPair {
    let left = StreamPeer(1)
    let right = StreamPeer(2)
    let leftAddress: SocketAddress
    let rightAddress: SocketAddress

    init() async throws {
        leftAddress = try await left.start()
        rightAddress = try await right.start()
        await left.dial(rightAddress)
        let peers = [left, right]
        await eventually("both are connected") {
            for peer in peers where await peer.connected.isEmpty { return false }
            return true
        }
    }

    func stop() async {
        await left.stop()
        await right.stop()
    }
}
