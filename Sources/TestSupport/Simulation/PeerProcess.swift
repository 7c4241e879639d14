package import Addressing
package import Determinism
import RingMembership
package import RingPeer
package import RingPlacement
import Wire

/// A whole production peer as a process: its own bytes on the wire, its own rows on the disk.
package struct PeerProcess: SimulatedProcess {
    /// What all peers of a world are made with.
    package struct Settings: Sendable {
        /// The parameters of the peer's parts.
        package var parameters = PeerParameters()

        /// Makes the defaults.
        package init() {}
    }

    /// What a peer tells whoever runs the world.
    package enum Report: Sendable {
        /// A request came to its end.
        case answer(RequestToken, PeerAnswer)
        /// Something happened that the caller may care for.
        case event(PeerEvent)
    }

    /// A datagram under the key that sealed it.
    package struct Datagram: Sendable {
        /// The bytes before sealing.
        package let bytes: [UInt8]
        /// The name of the key.
        package let key: RingKey.ID
    }

    /// The peer.
    package var peer: Peer
    /// Datagrams that came and were sealed with a key that the peer did not have.
    package private(set) var unopened = 0

    /// The key that comes from the cluster's secret.
    package static let secretKey = RingKey.ID(number: 1)

    /// The names of the keys that the peer has, the first of which seals.
    package var keys: [RingKey.ID] {
        peer.configuration.gossipKeys.all(secret: Self.secretKey).map(\.id)
    }

    /// Starts a peer in the ring its disk names; one without a ring joins through the first other
    /// that runs, and founds a ring when nobody does.
    package static func launch(_ node: Int, in world: inout World<Self>) -> Self {
        guard let disk = world.identity(node) else {
            preconditionFailure("a node is started with an identity")
        }
        let identity = PeerIdentity(
            node: disk.node,
            storage: disk.storage,
            boot: disk.boot,
            name: "node\(node)",
            zone: "",
            weight: 100,
            address: world.address(node)
        )
        let key = DiskKey(space: PeerRow.Space.configuration.rawValue, key: [])
        if let bytes = world.disk(node).rows[key] {
            return make(identity, read(bytes), node, in: &world)
        }
        let welcomer = (0..<world.count).first { world.process($0) != nil }
            .flatMap { world.process($0)?.peer }
        let configuration =
            welcomer?.configuration
            ?? Peer.founding(identity, ring: RingID(bits: NodeID(high: world.drawSeed(), low: 1)))
        world.keep([DiskRow(key: key, value: configuration.encoded)], on: node)
        var process = make(identity, configuration, node, in: &world)
        if let welcomer {
            process.peer.meet(welcomer.membership.facts, now: world.localTime(node))
        }
        return process
    }

    private static func read(_ bytes: [UInt8]) -> RingConfiguration {
        do {
            return try RingConfiguration(encoded: bytes[...])
        } catch {
            preconditionFailure("a peer reads the configuration that it wrote: \(error)")
        }
    }

    private static func make(
        _ identity: PeerIdentity,
        _ configuration: RingConfiguration,
        _ node: Int,
        in world: inout World<Self>
    ) -> Self {
        let rows = world.disk(node).rows.compactMap { entry -> PeerRow? in
            guard let space = PeerRow.Space(rawValue: entry.key.space), space != .configuration
            else { return nil }
            return PeerRow(space: space, key: entry.key.key, value: entry.value)
        }
        do {
            let peer = try Peer(
                identity: identity,
                configuration: configuration,
                rows: rows,
                parameters: world.settings.parameters,
                seed: world.drawSeed(),
                now: world.localTime(node)
            )
            return PeerProcess(peer: peer)
        } catch {
            preconditionFailure("a peer reads what it wrote: \(error)")
        }
    }

    package var deadline: Instant { peer.deadline }

    package mutating func tick(now: Instant) { peer.tick(now: now) }

    package mutating func receive(datagram: Datagram, from source: SocketAddress, now: Instant) {
        guard keys.contains(datagram.key) else {
            unopened += 1
            return peer.unknownKey(from: source, now: now)
        }
        _ = peer.receive(datagram: datagram.bytes, from: source, now: now)
    }

    package mutating func receive(frame: [UInt8], from sender: NodeID, now: Instant) {
        _ = peer.receive(frame: frame, from: sender, now: now)
    }

    package mutating func portClosed(at address: SocketAddress, now: Instant) {
        peer.portClosed(at: address, now: now)
    }

    package mutating func leave(now: Instant) { peer.leave(now: now) }

    package mutating func takeEffects() -> [PeerEffect] {
        let effects = peer.effects
        peer.effects = []
        return effects
    }

    package static func carry(
        _ effect: PeerEffect,
        from node: Int,
        in world: inout World<Self>
    ) {
        switch effect {
        case .datagram(let bytes, let address):
            guard let key = world.process(node)?.keys.first else { return }
            world.countSent(bytes.count + datagramOverhead)
            world.send(datagram: Datagram(bytes: bytes, key: key), from: node, to: address)
        case .frame(let bytes, let id, let address):
            world.countSent(bytes.count)
            world.send(frame: bytes, from: node, to: id, at: address)
        case .persist(let rows, let then):
            let written = rows.map {
                DiskRow(key: DiskKey(space: $0.space.rawValue, key: $0.key), value: $0.value)
            }
            world.persist(written, then: then, on: node)
        case .answer(let token, let answer): world.report(.answer(token, answer), from: node)
        case .event(let event): world.report(.event(event), from: node)
        }
    }

    /// What the seal and the headers of IPv4 and UDP add to a datagram.
    static let datagramOverhead = 45 + 28

    package static func word(of datagram: Datagram) -> UInt64 { StableHash.of(datagram.bytes) }

    package static func word(of bytes: [UInt8]) -> UInt64 { StableHash.of(bytes) }

    package static func describe(_ datagram: Datagram) -> String { describe(datagram.bytes) }

    package static func describe(_ bytes: [UInt8]) -> String {
        "\(bytes.count) bytes, hash \(StableHash.of(bytes))"
    }

    package static func meetDamaged(
        _ datagram: Datagram,
        using generator: inout SeededGenerator
    ) {
        var bytes = datagram.bytes
        guard !bytes.isEmpty else { return }
        let place = Int(generator.next() % UInt64(bytes.count))
        bytes[place] ^= UInt8(truncatingIfNeeded: generator.next() | 1)
        // The refusal is the point: neither a reading nor an error may crash.
        _ = try? MembershipDatagram(bytes)
    }
}
