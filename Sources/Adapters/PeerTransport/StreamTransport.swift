package import Addressing
import CLinux
package import Determinism
package import Dispatch
import Glibc

/// Frames between peers over TCP with mutual TLS 1.3; one object per process.
///
/// Both sides show certificates of the authority that follows from the cluster secret, and the
/// certificate says which node is at the other end. Every connection carries frames both ways, so
/// it does not matter who opened it; two peers that dial each other at once may keep both.
///
/// Every method is called on the queue. Events come on it too, never from inside a method; an actor
/// whose executor runs on that queue may therefore use `assumeIsolated` in `onEvent`.
package final class StreamTransport: @unchecked Sendable {
    /// The longest frame.
    package static let frameBytesMax = 4 << 20
    /// The most ciphertext that waits for one connection: four frames of full length.
    package static let queueBytesMax = 16 << 20
    /// How long a dial may take until the peer's hello has come.
    package static let dialTimeoutMilliseconds = 2_000
    /// How long an accepted connection may take until its hello has come.
    package static let handshakeTimeoutMilliseconds = 3_000
    /// The most accepted connections that are not connected yet.
    ///
    /// The oldest one makes room, of those from the address that has the most.
    package static let unauthenticatedMax = 256
    /// The most connections to one node; the oldest makes room.
    ///
    /// Two peers that dial each other have two, and one that vanished has left some behind.
    package static let connectionsPerNodeMax = 8
    /// The interval of TCP keep-alive probes on an idle connection.
    package static let keepAliveSeconds: Int32 = 2
    /// A peer that acknowledges nothing for so long is gone.
    ///
    /// The kernel looks whenever a probe is due, so an idle connection ends after 7 to 9.5 s. So
    /// does one to a peer that is there and reads nothing for so long while frames wait for it:
    /// a closed window counts as well (TCP_USER_TIMEOUT in tcp(7)).
    package static let silenceMillisecondsMax: Int32 = 7_000

    let queue: DispatchQueue
    let settings: StreamSettings

    private let context: TLSContext
    private let onEvent: @Sendable (StreamEvent) -> Void
    private var listener: StreamListener?
    private var connections: [ConnectionID: StreamConnection] = [:]
    private var dials: [SocketAddress: ConnectionID] = [:]
    /// Accepted and not connected yet, oldest first.
    private var unauthenticated: [ConnectionID] = []
    /// The connections to each node, oldest first.
    private var peers: [NodeID: [ConnectionID]] = [:]
    private var connectionCount: UInt64 = 0
    private var isStopped = false

    /// The address in force: the port that the kernel chose where 0 was asked for.
    package let localAddress: SocketAddress

    /// Makes the node's certificate and starts to listen.
    ///
    /// Peers of another `clusterLabel` are refused even with the same secret. `versions` are the
    /// protocol versions that this release speaks: a connection uses the highest that both sides
    /// have, and without one there is no connection. Port 0 in `listen` has the kernel choose,
    /// `[::]` takes IPv4 as well.
    /// - Throws: `addressInUse`, `addressNotLocal`, `notPermitted`, `refused` or `cryptography`.
    package init(
        queue: DispatchQueue,
        identity: NodeID,
        secret: ClusterSecret,
        clusterLabel: String = "",
        versions: ClosedRange<UInt8> = 1...1,
        listen: SocketAddress,
        onEvent: @escaping @Sendable (StreamEvent) -> Void
    ) throws(TransportError) {
        self.queue = queue
        self.onEvent = onEvent
        settings = StreamSettings(identity: identity, versions: versions, scratch: StreamScratch())
        context = try TLSContext(node: identity, secret: secret, clusterLabel: clusterLabel)
        let listener = try StreamListener(queue: queue, address: listen)
        localAddress = listener.localAddress
        self.listener = listener
        listener.start { @Sendable [weak self] descriptor, peer in
            guard let self else {
                Glibc.close(descriptor)
                return
            }
            self.accept(descriptor, from: peer)
        }
    }

    /// The nodes that can be sent to, ascending.
    package var connectedNodes: [NodeID] {
        dispatchPrecondition(condition: .onQueue(queue))
        return peers.keys.sorted()
    }

    /// The accepted connections that are not connected yet; at most ``unauthenticatedMax``.
    package var unauthenticatedCount: Int {
        dispatchPrecondition(condition: .onQueue(queue))
        return unauthenticated.count
    }

    /// The protocol version of a connection; nil when it is not connected.
    package func version(of connection: ConnectionID) -> UInt8? {
        dispatchPrecondition(condition: .onQueue(queue))
        guard let connection = connections[connection], connection.peer != nil else { return nil }
        return connection.version
    }

    /// Connects to the peer at `address`: `connected` or `dialFailed` follows.
    ///
    /// Does nothing while an earlier dial to that address is under way. A connection that is there
    /// already does not hinder a second one.
    package func dial(_ address: SocketAddress) {
        dispatchPrecondition(condition: .onQueue(queue))
        guard !isStopped, dials[address] == nil else { return }
        var kernel = address.kernel
        let descriptor = genie_socket_open_stream(&kernel)
        guard descriptor >= 0 else {
            return emitLater(.dialFailed(address, .socket(errno: -descriptor)))
        }
        let result = genie_socket_connect(descriptor, &kernel)
        guard result >= 0 || result == -EINPROGRESS else {
            Glibc.close(descriptor)
            return emitLater(.dialFailed(address, .socket(errno: -result)))
        }
        add(descriptor, .dialled(address))
    }

    /// Sends a frame to a node, over the newest connection to it.
    ///
    /// The newest, because a machine that vanished and came back has left older ones behind. Frames
    /// that went over different connections may overtake each other.
    package func send(_ frame: [UInt8], to node: NodeID) -> StreamSendOutcome {
        dispatchPrecondition(condition: .onQueue(queue))
        for connection in (peers[node] ?? []).reversed() {
            let outcome = send(frame, over: connection)
            // One that has just broken is still listed, and another may be good.
            if outcome != .notConnected { return outcome }
        }
        return .notConnected
    }

    /// Sends a frame over one connection.
    package func send(_ frame: [UInt8], over connection: ConnectionID) -> StreamSendOutcome {
        dispatchPrecondition(condition: .onQueue(queue))
        return connections[connection]?.send(frame) ?? .notConnected
    }

    /// Ends a connection; `closed` follows.
    ///
    /// What the kernel takes at once is still sent; the rest of a long queue is lost.
    package func close(_ connection: ConnectionID) {
        dispatchPrecondition(condition: .onQueue(queue))
        connections[connection]?.close()
    }

    /// Ends everything; no event comes any more.
    package func stop() {
        dispatchPrecondition(condition: .onQueue(queue))
        isStopped = true
        listener?.cancel()
        listener = nil
        for connection in connections.values { connection.abandon() }
        connections = [:]
        dials = [:]
        unauthenticated = []
        peers = [:]
    }

    private func accept(_ descriptor: Int32, from peer: SocketAddress) {
        guard !isStopped else {
            Glibc.close(descriptor)
            return
        }
        if unauthenticated.count >= Self.unauthenticatedMax { makeRoom(for: peer) }
        add(descriptor, .accepted(peer))
    }

    /// Ends the oldest connection on its way of those who have the most of them.
    ///
    /// The oldest goes, not the newcomer: a flood of idle connections would otherwise keep every
    /// peer out for as long as each of them may take. And one of the most, not the oldest of all:
    /// who floods from a few addresses ends only its own.
    private func makeRoom(for newcomer: SocketAddress) {
        let origins = unauthenticated.map { id in
            connections[id].map { Self.network(of: $0.origin.address) }
        }
        var counts: [IPAddress: Int] = [Self.network(of: newcomer): 1]
        for case let origin? in origins { counts[origin, default: 0] += 1 }
        let most = counts.values.max()
        let index = origins.firstIndex { $0.map { counts[$0] == most } ?? true }
        // Where the newcomer is the only one of the most, all have one, and the oldest goes.
        connections[unauthenticated[index ?? 0]]?.end(.crowdedOut)
    }

    /// An IPv4 address, or the half of an IPv6 address that its owner does not choose.
    private static func network(of peer: SocketAddress) -> IPAddress {
        peer.address.isV4 ? peer.address : IPAddress(high: peer.address.high, low: 0)
    }

    private func add(_ descriptor: Int32, _ origin: StreamConnection.Origin) {
        connectionCount += 1
        let id = ConnectionID(number: connectionCount)
        guard let session = context.session(origin.role) else {
            Glibc.close(descriptor)
            guard case .dialled(let address) = origin else { return }
            return emitLater(.dialFailed(address, .socket(errno: ENOMEM)))
        }
        let connection = StreamConnection(
            id: id,
            origin: origin,
            descriptor: descriptor,
            session: session,
            transport: self
        )
        connections[id] = connection
        switch origin {
        case .dialled(let address): dials[address] = id
        case .accepted: unauthenticated.append(id)
        }
        connection.begin()
    }

    private func emitLater(_ event: StreamEvent) {
        queue.async { @Sendable [weak self] in
            guard let self, !self.isStopped else { return }
            self.onEvent(event)
        }
    }
}

// What connections report, on the queue.
extension StreamTransport {
    func connectionReady(_ connection: StreamConnection, _ node: NodeID) {
        settle(connection)
        if let known = peers[node], known.count >= Self.connectionsPerNodeMax {
            connections[known[0]]?.end(.crowdedOut)
        }
        peers[node, default: []].append(connection.id)
        onEvent(.connected(node, connection.id, connection.origin.address))
    }

    func connectionReceived(_ connection: StreamConnection, _ node: NodeID, _ frame: [UInt8]) {
        onEvent(.frame(from: node, connection: connection.id, bytes: frame))
    }

    /// Later, since the end may have been found by a method that the owner is in.
    func connectionEnded(
        _ connection: StreamConnection,
        _ node: NodeID?,
        _ reason: StreamCloseReason
    ) {
        settle(connection)
        connections[connection.id] = nil
        if let node {
            peers[node]?.removeAll { $0 == connection.id }
            if peers[node]?.isEmpty == true { peers[node] = nil }
        }
        switch (connection.origin, node) {
        case (.dialled(let address), nil): emitLater(.dialFailed(address, reason))
        case (.dialled, _), (.accepted, _): emitLater(.closed(connection.id, node, reason))
        }
    }

    /// The connection is no longer on its way.
    private func settle(_ connection: StreamConnection) {
        switch connection.origin {
        case .dialled(let address):
            if dials[address] == connection.id { dials[address] = nil }
        case .accepted:
            unauthenticated.removeAll { $0 == connection.id }
        }
    }
}
