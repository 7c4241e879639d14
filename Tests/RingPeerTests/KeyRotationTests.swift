import Determinism
import RingMembership
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing

@Suite("Gossip keys in virtual time: a rotation loses nobody, and who missed it comes back")
struct KeyRotationTests {
    private let new = RingKey.ID(number: 7)

    private func isWhole(_ net: PeerNet, _ nodes: [Int]) -> Bool {
        nodes.allSatisfy { index in
            nodes.allSatisfy { other in
                other == index || net.peer(index)?.membership.isReachable(net.id(other)) == true
            } && net.peer(index)?.configuration.members.count == 3
        }
    }

    private func expectSoon(
        _ net: inout PeerNet,
        seconds: Int64,
        location: SourceLocation = #_sourceLocation,
        _ condition: (PeerNet) -> Bool
    ) {
        let isMet = net.run(until: condition, limit: .seconds(seconds))
        #expect(isMet, sourceLocation: location)
    }

    private func key(_ net: PeerNet, _ index: Int) -> UInt32? { net.keys(index).first?.number }

    /// Makes one change of the keys by way of the register, as the service does.
    private func change(
        _ net: inout PeerNet,
        _ body: (RingConfiguration) -> RingConfiguration.Change
    ) throws {
        let read = net.request(0) {
            $0.ask(.read(key: Peer.configurationKey), token: $1, now: $2)
        }
        expectSoon(&net, seconds: 5) { $0.answers[0]?[read] != nil }
        guard case .register(.value(let value)) = net.answers[0]?[read],
            let content = value.payload,
            case .changed(let wanted) = body(try RingConfiguration(encoded: content[...]))
        else {
            Issue.record("nothing to change")
            return
        }
        let write = net.request(0) {
            let request = RegisterRequest.compareAndSet(
                key: Peer.configurationKey,
                expectedVersion: value.version,
                content: wanted.encoded
            )
            $0.ask(request, token: $1, now: $2)
        }
        expectSoon(&net, seconds: 5) { $0.answers[0]?[write] != nil }
        guard case .register(.committed) = net.answers[0]?[write] else {
            Issue.record("not committed")
            return
        }
        net.request(0) { peer, _, now in peer.adopt(agreed: wanted, now: now) }
    }

    /// The whole rotation; before each step the peers of `nodes` must be heard to have followed.
    private func rotate(_ net: inout PeerNet, among nodes: [Int]) throws {
        let secret = PeerNet.secretKey
        let origin = RingKey.Origin.generated(RingKey.Bytes([UInt8](repeating: 9, count: 32)))
        let steps: [(RingConfiguration) -> RingConfiguration.Change] = [
            { $0.installing(new, origin, secret: secret) },
            { $0.using(new, secret: secret) },
            { $0.removing(secret, secret: secret) },
        ]
        for step in steps {
            try change(&net, step)
            let ids = nodes.dropFirst().map { net.id($0) }
            let hasSpread = net.run(
                until: { net in
                    guard let peer = net.peer(0) else { return false }
                    return ids.allSatisfy { peer.heardEpoch(of: $0) >= peer.configuration.epoch }
                },
                limit: .seconds(10)
            )
            #expect(hasSpread)
        }
    }

    private func hasGone(_ net: PeerNet) -> Bool {
        (net.events.values.flatMap(\.self)).contains {
            if case .member(let member) = $0 { member.fact.status.isGone } else { false }
        }
    }

    @Test("no datagram is lost to a rotation, and nobody is thought dead", arguments: 0..<10)
    func rotation_losesNobody(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, seconds: 10) { isWhole($0, [0, 1, 2]) }
        try rotate(&net, among: [0, 1, 2])
        net.run(for: .seconds(2))
        #expect((0..<3).allSatisfy { key(net, $0) == 7 && net.keys($0).count == 1 })
        #expect(net.unopened.isEmpty)
        #expect(!hasGone(net))
    }

    @Test("a node that was down meanwhile, or cut off, comes back", arguments: 0..<10)
    func absent_comesBack(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, seconds: 10) { isWhole($0, [0, 1, 2]) }
        let isDown = seed % 2 == 0
        if isDown { net.crash(2) } else { net.cut(2, true) }
        let lost = net.id(2)
        let isFound = net.run(
            until: { $0.peer(0)?.membership.isReachable(lost) == false },
            limit: .seconds(10)
        )
        #expect(isFound)
        try rotate(&net, among: [0, 1])
        net.run(for: .seconds(10))
        #expect(isDown || key(net, 2) == 1)
        if isDown { net.start(2) } else { net.cut(2, false) }
        // Sooner than it would look at the register again.
        let isBack = net.run(
            until: { isWhole($0, [0, 1, 2]) && key($0, 2) == 7 },
            limit: .seconds(5)
        )
        #expect(isBack)
    }

    @Test("it comes back from any one that has followed, with no steward there", arguments: 0..<10)
    func absent_withoutStewards_comesBack(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, seconds: 10) { isWhole($0, [0, 1, 2]) }
        net.cut(2, true)
        let lost = net.id(2)
        expectSoon(&net, seconds: 10) { $0.peer(0)?.membership.isReachable(lost) == false }
        try rotate(&net, among: [0, 1])
        net.crash(0)
        net.run(for: .seconds(10))
        #expect(key(net, 2) == 1)
        net.cut(2, false)
        expectSoon(&net, seconds: 6) { isWhole($0, [1, 2]) && key($0, 2) == 7 }
    }

    @Test("a key that is forced on a node before it has it costs seconds", arguments: 0..<5)
    func forced_heals(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, seconds: 10) { isWhole($0, [0, 1, 2]) }
        net.cut(2, true)
        let secret = PeerNet.secretKey
        let origin = RingKey.Origin.generated(RingKey.Bytes([UInt8](repeating: 9, count: 32)))
        try change(&net) { $0.installing(new, origin, secret: secret) }
        try change(&net) { $0.using(new, secret: secret) }
        try change(&net) { $0.removing(secret, secret: secret) }
        net.cut(2, false)
        let isBack = net.run(
            until: { isWhole($0, [0, 1, 2]) && key($0, 2) == 7 },
            limit: .seconds(5)
        )
        #expect(isBack)
    }
}
