package import Addressing
package import Determinism
import RingMembership
package import RingPeer
package import RingPlacement
import RingRecords

/// A ring of real ``RingPeer/Peer`` values on a virtual clock, network and disk.
///
/// Everything follows from the seed: the same seed gives the same run. A crash loses what was not
/// durable yet, and with it every effect that waited for it.
package struct PeerNet {
    /// The step of the clock.
    package static let quantum = Span.milliseconds(2)

    /// The virtual time.
    package private(set) var now = Instant.zero
    /// The share of datagrams that are lost, in per cent; frames are never lost while both ends
    /// run.
    package var lossPercent = 0
    /// Answers by node and token.
    package private(set) var answers: [Int: [RequestToken: PeerAnswer]] = [:]
    /// Events by node, oldest first.
    package private(set) var events: [Int: [PeerEvent]] = [:]
    /// Datagrams by node that came and were sealed with a key that the node did not have.
    package private(set) var unopened: [Int: Int] = [:]
    /// A hash of everything that was delivered, for comparing runs.
    package private(set) var trace = StableHash(seed: 0)

    private var nodes: [Node] = []
    private var packets: [Packet] = []
    private var order = 0
    private var generator: SeededGenerator

    private struct Node {
        let id: NodeID
        let storage: NodeID
        var boot: UInt64 = 0
        var peer: Peer?
        var disk = SortedMap<DiskKey, [UInt8]>()
        var writes: [(doneAt: Instant, rows: [PeerRow], then: [PeerEffect])] = []
        var nextToken: RequestToken = 1
        var isCut = false
    }

    private struct DiskKey: Comparable {
        let space: Int
        let key: [UInt8]
        static func < (lhs: DiskKey, rhs: DiskKey) -> Bool {
            lhs.space == rhs.space
                ? lhs.key.lexicographicallyPrecedes(rhs.key) : lhs.space < rhs.space
        }
    }

    private enum Content {
        case datagram([UInt8], key: RingKey.ID)
        case frame([UInt8])
    }

    /// The key that comes from the cluster's secret.
    package static let secretKey = RingKey.ID(number: 1)

    /// The names of the keys that a node has, the first of which seals.
    package func keys(_ index: Int) -> [RingKey.ID] {
        let keys = nodes[index].peer?.configuration.gossipKeys.all(secret: Self.secretKey)
        return keys?.map(\.id) ?? []
    }

    private struct Packet {
        let arrivesAt: Instant
        let order: Int
        let source: Int
        let target: Int
        let content: Content
    }

    /// Founds a ring on the first of `count` nodes; the others join it.
    package init(count: Int, seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        for _ in 0..<count {
            nodes.append(
                Node(id: NodeID(using: &generator), storage: NodeID(using: &generator))
            )
        }
        found()
        for index in 1..<max(1, count) { start(index) }
    }

    /// The identity of a node.
    package func id(_ index: Int) -> NodeID { nodes[index].id }

    /// The peer on a node; nil while it is down.
    package func peer(_ index: Int) -> Peer? { nodes[index].peer }

    /// Where a node's ring port is.
    package static func address(_ index: Int) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x0a00_0001 + UInt32(index)), port: 7_940)
    }

    private func identity(_ index: Int) -> PeerIdentity {
        PeerIdentity(
            node: nodes[index].id,
            storage: nodes[index].storage,
            boot: nodes[index].boot,
            name: "node\(index)",
            zone: "",
            weight: 100,
            address: Self.address(index)
        )
    }

    private mutating func found() {
        nodes[0].boot = 1
        let ring = RingID(using: &generator)
        let configuration = Peer.founding(identity(0), ring: ring)
        let row = PeerRow(space: .configuration, key: [], value: configuration.encoded)
        keep([row], on: 0)
        enter(0, configuration)
    }

    /// Starts a node from its disk; one without a ring joins through the first that runs.
    package mutating func start(_ index: Int) {
        precondition(nodes[index].peer == nil, "a node runs once")
        nodes[index].boot += 1
        let key = DiskKey(space: PeerRow.Space.configuration.rawValue, key: [])
        if let bytes = nodes[index].disk[key],
            let configuration = try? RingConfiguration(encoded: bytes[...])
        {
            return enter(index, configuration)
        }
        guard let seed = nodes.indices.first(where: { nodes[$0].peer != nil }),
            let welcomer = nodes[seed].peer
        else { preconditionFailure("somebody runs while another joins") }
        enter(index, welcomer.configuration)
        keep(
            [
                PeerRow(
                    space: .configuration,
                    key: [],
                    value: welcomer.configuration.encoded
                )
            ],
            on: index
        )
        let facts = welcomer.membership.facts
        act(index) { $0.meet(facts, now: $1) }
    }

    private mutating func enter(_ index: Int, _ configuration: RingConfiguration) {
        let rows = nodes[index].disk.compactMap { entry -> PeerRow? in
            guard let space = PeerRow.Space(rawValue: entry.key.space), space != .configuration
            else { return nil }
            return PeerRow(space: space, key: entry.key.key, value: entry.value)
        }
        do {
            nodes[index].peer = try Peer(
                identity: identity(index),
                configuration: configuration,
                rows: rows,
                seed: generator.next(),
                now: now
            )
        } catch {
            preconditionFailure("a peer reads what it wrote: \(error)")
        }
    }

    /// Ends a node's process at once; what was not durable is lost.
    package mutating func crash(_ index: Int) {
        nodes[index].peer = nil
        nodes[index].writes = []
        answers[index] = nil
    }

    /// Cuts a node off from all others, or joins it to them again.
    package mutating func cut(_ index: Int, _ isCut: Bool) {
        nodes[index].isCut = isCut
    }

    /// Makes a request; its answer appears in ``answers`` under the token.
    @discardableResult
    package mutating func request(
        _ index: Int,
        _ body: (inout Peer, RequestToken, Instant) -> Void
    ) -> RequestToken {
        let token = nodes[index].nextToken
        nodes[index].nextToken += 1
        act(index) { body(&$0, token, $1) }
        return token
    }

    /// Runs the clock.
    package mutating func run(for span: Span) {
        let end = now.advanced(by: span)
        while now < end { step() }
    }

    /// Runs the clock until `isDone` holds, for `limit` at the most; false when it never did.
    package mutating func run(until isDone: (PeerNet) -> Bool, limit: Span) -> Bool {
        let end = now.advanced(by: limit)
        while now < end {
            if isDone(self) { return true }
            step()
        }
        return isDone(self)
    }

    private mutating func step() {
        now = now.advanced(by: Self.quantum)
        deliver()
        for index in nodes.indices {
            finishWrites(index)
            guard let peer = nodes[index].peer, now >= peer.deadline else { continue }
            act(index) { $0.tick(now: $1) }
        }
    }

    private mutating func deliver() {
        let due = packets.filter { $0.arrivesAt <= now }.sorted { $0.order < $1.order }
        packets.removeAll { $0.arrivesAt <= now }
        for packet in due {
            let isLocal = packet.source == packet.target
            guard nodes[packet.target].peer != nil,
                isLocal || (!nodes[packet.source].isCut && !nodes[packet.target].isCut)
            else { continue }
            trace.combine(UInt64(packet.target))
            let source = nodes[packet.source].id
            switch packet.content {
            case .datagram(let bytes, let key):
                trace.combine(bytes)
                let address = Self.address(packet.source)
                guard keys(packet.target).contains(key) else {
                    unopened[packet.target, default: 0] += 1
                    act(packet.target) { $0.unknownKey(from: address, now: $1) }
                    continue
                }
                act(packet.target) { _ = $0.receive(datagram: bytes, from: address, now: $1) }
            case .frame(let bytes):
                trace.combine(bytes)
                act(packet.target) { _ = $0.receive(frame: bytes, from: source, now: $1) }
            }
        }
    }

    private mutating func finishWrites(_ index: Int) {
        while let write = nodes[index].writes.first, write.doneAt <= now {
            nodes[index].writes.removeFirst()
            keep(write.rows, on: index)
            perform(write.then, on: index)
        }
    }

    private mutating func keep(_ rows: [PeerRow], on index: Int) {
        for row in rows {
            nodes[index].disk[DiskKey(space: row.space.rawValue, key: row.key)] = row.value
        }
    }

    private mutating func act(_ index: Int, _ body: (inout Peer, Instant) -> Void) {
        guard var peer = nodes[index].peer else { return }
        body(&peer, now)
        let effects = peer.effects
        peer.effects = []
        nodes[index].peer = peer
        perform(effects, on: index)
    }

    private mutating func perform(_ effects: [PeerEffect], on index: Int) {
        for effect in effects {
            switch effect {
            case .datagram(let bytes, let address):
                guard Int.random(in: 0..<100, using: &generator) >= lossPercent else { continue }
                guard let target = node(at: address), let key = keys(index).first else { continue }
                send(.datagram(bytes, key: key), from: index, to: target)
            case .frame(let bytes, let id, _):
                guard let target = nodes.firstIndex(where: { $0.id == id }) else { continue }
                send(.frame(bytes), from: index, to: target)
            case .persist(let rows, let then):
                let delay = Span.milliseconds(Int64.random(in: 1...8, using: &generator))
                // A disk is first in, first out.
                let earliest = nodes[index].writes.last?.doneAt ?? now
                let doneAt = max(earliest, now.advanced(by: delay))
                nodes[index].writes.append((doneAt, rows, then))
            case .answer(let token, let answer): answers[index, default: [:]][token] = answer
            case .event(let event): events[index, default: []].append(event)
            }
        }
    }

    private func node(at address: SocketAddress) -> Int? {
        nodes.indices.first { Self.address($0) == address }
    }

    private mutating func send(_ content: Content, from source: Int, to target: Int) {
        order += 1
        let delay = Span.milliseconds(Int64.random(in: 1...6, using: &generator))
        var arrivesAt = now.advanced(by: delay)
        if case .frame = content {
            // A stream keeps its order.
            let last = packets.last { packet in
                if case .frame = packet.content {
                    packet.source == source && packet.target == target
                } else {
                    false
                }
            }
            arrivesAt = max(arrivesAt, last?.arrivesAt ?? arrivesAt)
        }
        packets.append(
            Packet(
                arrivesAt: arrivesAt,
                order: order,
                source: source,
                target: target,
                content: content
            )
        )
    }
}
