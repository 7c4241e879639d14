package import Addressing
package import Determinism
package import RingMembership
package import RingPeer
package import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// A whole production peer as a process: its own bytes on the wire, its own rows on the disk.
package struct PeerProcess: SimulatedProcess {
    /// What all peers of a world are made with.
    package struct Settings: Sendable {
        /// The parameters of the peer's parts.
        package var parameters = PeerParameters()
        /// The slots of a ring that is founded.
        package var slotCount = RingConfiguration.slotCountDefault
        /// Whether a peer that is told to stop does; otherwise that is told as an event only.
        package var stopsWhenTold = false
        /// A planted mistake: what depends on a write is done before the write is durable.
        package var forgetsToSync = false
        /// The versions that a node speaks, by its number; all others speak this release's.
        package var versions = SortedMap<Int, ProtocolRange>()
        /// Node n lies in zone n modulo this; 0 puts all in one without a name.
        package var zoneCount = 0
        /// Whether news of members are reported; in a large ring they are most of what happens.
        package var reportsMembers = true

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
    /// Datagrams that came, by the version that they were in.
    package private(set) var heardVersions = SortedMap<UInt8, Int>()
    /// Datagrams that came and were sealed with a key that the peer did not have.
    package private(set) var unopened = 0

    /// The key that comes from the cluster's secret.
    package static let secretKey = RingKey.ID(number: 1)

    /// The names of the keys that the peer has, the first of which seals.
    package var keys: [RingKey.ID] { Self.keys(of: peer) }

    private static func keys(of peer: Peer) -> [RingKey.ID] {
        peer.configuration.gossipKeys.all(secret: secretKey).map(\.id)
    }

    /// ``keys`` as of the epoch it was last asked in, read in place: every datagram asks.
    private var keyring: (epoch: UInt64, keys: [RingKey.ID])?

    private mutating func readKeys() -> [RingKey.ID] {
        if let keyring, keyring.epoch == peer.configuration.epoch { return keyring.keys }
        let keys = keys
        keyring = (peer.configuration.epoch, keys)
        return keys
    }

    /// The key that seals.
    mutating func readSealingKey() -> RingKey.ID? { readKeys().first }

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
            zone: world.settings.zoneCount > 0 ? "zone\(node % world.settings.zoneCount)" : "",
            weight: 100,
            address: world.address(node),
            versions: world.settings.versions[node] ?? .spoken
        )
        let key = DiskKey(space: PeerRow.Space.configuration.rawValue, key: [])
        let welcomer = (0..<world.count).first { world.process($0) != nil }
            .flatMap { world.process($0)?.peer }
        if let bytes = world.disk(node).rows[key] {
            var process = make(identity, read(bytes), node, in: &world)
            // One that was taken out is looked for by nobody, and the others may have moved since:
            // it asks whom it was told to join through.
            if let welcomer, welcomer.configuration.member(disk.node) == nil {
                process.peer.meet(welcomer.membership.facts, now: world.localTime(node))
            }
            return process
        }
        let configuration =
            welcomer?.configuration ?? rememberedConfiguration(in: world)
            ?? founding(identity, in: &world)
        world.keep([DiskRow(key: key, value: configuration.encoded)], on: node)
        var process = make(identity, configuration, node, in: &world)
        if let welcomer {
            process.peer.meet(welcomer.membership.facts, now: world.localTime(node))
        }
        return process
    }

    /// What any disk knows of the ring: whoever joins while nobody runs waits until somebody does.
    private static func rememberedConfiguration(in world: World<Self>) -> RingConfiguration? {
        let key = DiskKey(space: PeerRow.Space.configuration.rawValue, key: [])
        return (0..<world.count).lazy.compactMap { world.disk($0).rows[key] }.first.map(read)
    }

    private static func founding(
        _ identity: PeerIdentity,
        in world: inout World<Self>
    ) -> RingConfiguration {
        let ring = RingID(bits: NodeID(high: world.drawSeed(), low: 1))
        return Peer.founding(identity, ring: ring, slotCount: world.settings.slotCount)
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
        guard readKeys().contains(datagram.key) else {
            unopened += 1
            return peer.unknownKey(from: source, now: now)
        }
        if let version = datagram.bytes.first { heardVersions[version, default: 0] += 1 }
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
            guard let key = world.nodes[node].process?.readSealingKey() else { return }
            world.countSent(bytes.count + datagramOverhead, kind: 0)
            world.send(datagram: Datagram(bytes: bytes, key: key), from: node, to: address)
        case .frame(let bytes, let id, let address):
            world.countSent(
                bytes.count,
                kind: bytes.first ?? 0,
                inner: bytes.count > 1 ? bytes[1] : 0
            )
            world.send(frame: bytes, from: node, to: id, at: address)
        case .persist(let rows, let then):
            let written = rows.map {
                DiskRow(key: DiskKey(space: $0.space.rawValue, key: $0.key), value: $0.value)
            }
            guard world.settings.forgetsToSync else {
                return world.persist(written, then: then, on: node)
            }
            world.persist(written, then: [], on: node)
            world.perform(then, on: node)
        case .answer(let token, let answer): world.report(.answer(token, answer), from: node)
        case .event(let event):
            if case .member = event, !world.settings.reportsMembers { return }
            world.report(.event(event), from: node)
            guard world.settings.stopsWhenTold else { return }
            if case .identityTaken = event { world.stopForGood(node) }
            if case .twin = event { world.crash(node) }
        }
    }

    /// What the seal and the headers of IPv4 and UDP add to a datagram.
    static let datagramOverhead = 45 + 28

    package static func word(of datagram: Datagram) -> UInt64 { StableHash.of(datagram.bytes) }

    package static func word(of bytes: [UInt8]) -> UInt64 { StableHash.of(bytes) }

    package static func describe(_ datagram: Datagram) -> String {
        guard let read = try? MembershipDatagram(datagram.bytes) else { return "unreadable" }
        return short("\(read)")
    }

    package static func describe(_ bytes: [UInt8]) -> String {
        switch try? PeerFrame(bytes) {
        case .register(let content):
            short((try? RegisterMessage(content[...])).map { "\($0)" } ?? "unreadable")
        case .record(let content):
            short((try? RecordMessage(content[...])).map { "\($0)" } ?? "unreadable")
        case .configuration(let configuration): "configuration of epoch \(configuration.epoch)"
        case .welcome(let configuration, _): "welcome to epoch \(configuration.epoch)"
        case let frame?: short("\(frame)")
        case nil: "unreadable"
        }
    }

    /// The text without what every message repeats, cut to a line.
    private static func short(_ text: String) -> String {
        var text = text
        for module in ["RingRecords", "RingRegisters", "RingMembership", "Determinism"] {
            text = text.replacing("\(module).", with: "")
        }
        return String(text.prefix(400))
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
