import Addressing
import Determinism
import RingMembership

/// A handful of membership values joined by a virtual network: delay, loss and cuts, no real time.
struct MembershipNet {
    enum Content {
        case datagram(MembershipDatagram)
        case sync(MembershipSync)
        case probe(UInt32)
        case probeAnswer(UInt32, MemberFact)
    }

    struct Packet {
        let arrivesAt: Instant
        let order: Int
        let source: Int
        let target: Int
        let content: Content
    }

    static let ring = NodeID(high: 9, low: 9)
    static let quantum = Span.milliseconds(5)

    var now = Instant.zero
    var peers: [Membership] = []
    var isRunning: [Bool] = []
    var lossPercent = 0
    var areDatagramsBlocked = false
    var areStreamsOpen = true
    var blocked: [(observer: Int, member: NodeID)] = []
    var changes: [(at: Instant, observer: Int, member: MemberFact)] = []
    private var packets: [Packet] = []
    private var order = 0
    private var generator: SeededGenerator

    init(count: Int, seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        for index in 0..<count { addPeer(index, boot: 1) }
        // Everyone knows the first: what a join leaves behind.
        let first = peers[0].own
        for index in 1..<max(1, count) { peers[index].merge([first], from: first.id, now: now) }
    }

    static func id(_ index: Int) -> NodeID { NodeID(high: UInt64(index + 1), low: 0) }

    static func address(_ index: Int) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x0a00_0001 + UInt32(index)), port: 7_940)
    }

    private mutating func addPeer(_ index: Int, boot: UInt64) {
        let peer = Membership(
            own: MemberFact(
                id: Self.id(index),
                boot: boot,
                name: "n\(index)",
                address: Self.address(index)
            ),
            ring: Self.ring,
            seed: generator.next(),
            now: now
        )
        if index < peers.count {
            peers[index] = peer
            isRunning[index] = true
        } else {
            peers.append(peer)
            isRunning.append(true)
        }
    }

    mutating func restart(_ index: Int, boot: UInt64, knowing other: Int) {
        addPeer(index, boot: boot)
        peers[index].merge([peers[other].own], from: Self.id(other), now: now)
    }

    mutating func run(for span: Span) {
        let end = now.advanced(by: span)
        while now < end {
            now = now.advanced(by: Self.quantum)
            deliver()
            for index in peers.indices where isRunning[index] {
                if now >= peers[index].deadline { peers[index].tick(now: now) }
                collect(index)
            }
        }
    }

    private mutating func deliver() {
        let due = packets.filter { $0.arrivesAt <= now }.sorted { $0.order < $1.order }
        packets.removeAll { $0.arrivesAt <= now }
        for packet in due {
            guard isRunning[packet.target] else { continue }
            receive(packet)
            collect(packet.target)
        }
    }

    private mutating func receive(_ packet: Packet) {
        let source = Self.id(packet.source)
        switch packet.content {
        case .datagram(let datagram):
            peers[packet.target].receive(datagram, from: Self.address(packet.source), now: now)
        case .sync(let message):
            _ = peers[packet.target].receive(message, from: source, now: now)
        case .probe(let sequence):
            let own = peers[packet.target].own
            send(.probeAnswer(sequence, own), from: packet.target, to: Self.address(packet.source))
        case .probeAnswer(let sequence, let fact):
            peers[packet.target].streamAnswered(sequence: sequence, by: fact, now: now)
        }
    }

    private mutating func collect(_ index: Int) {
        let effects = peers[index].effects
        peers[index].effects = []
        for effect in effects {
            switch effect {
            case .send(let datagram, let target):
                guard Int.random(in: 0..<100, using: &generator) >= lossPercent else { continue }
                guard !areDatagramsBlocked else { continue }
                send(.datagram(datagram), from: index, to: target)
            case .sync(let message, _, let target):
                send(.sync(message), from: index, to: target)
            case .probeOverStream(let sequence, let target):
                guard areStreamsOpen else { continue }
                send(.probe(sequence), from: index, to: target.address)
            case .changed(let member):
                changes.append((now, index, member.fact))
            case .datagramsBlocked(let member): blocked.append((index, member.fact.id))
            case .newerEpoch, .identityTaken, .twin:
                break
            }
        }
    }

    private mutating func send(_ content: Content, from source: Int, to target: SocketAddress) {
        guard let other = peers.indices.first(where: { Self.address($0) == target }) else { return }
        let delay = Int64.random(in: 1...8, using: &generator)
        order += 1
        packets.append(
            Packet(
                arrivesAt: now.advanced(by: .milliseconds(delay)),
                order: order,
                source: source,
                target: other,
                content: content
            )
        )
    }
}
