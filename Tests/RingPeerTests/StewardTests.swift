import Determinism
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing

@Suite("Stewards: one, then three, then five, and replaced when they are lost")
struct StewardTests {
    private func stewards(_ net: PeerNet, _ index: Int = 0) -> Set<NodeID> {
        Set(net.peer(index)?.configuration.stewards.members.map(\.node) ?? [])
    }

    @Test(
        "a ring of three has three stewards soon, one of two has one",
        arguments: [(2, 1), (3, 3), (5, 5)]
    )
    func growth(nodes: Int, wanted: Int) {
        var net = PeerNet(count: nodes, seed: UInt64(nodes))
        let isGrown = net.run(
            until: { net in (0..<nodes).allSatisfy { stewards(net, $0).count == wanted } },
            limit: .seconds(30)
        )
        #expect(isGrown)
        net.run(for: .seconds(5))
        #expect(stewards(net).count == wanted)
    }

    @Test("what the registers held before the stewards grew is there after it")
    func copied() {
        var net = PeerNet(count: 3, seed: 8)
        let token = net.request(0) { peer, token, now in
            peer.ask(
                .compareAndSet(key: "test/a", expectedVersion: 0, content: [1, 2]),
                token: token,
                now: now
            )
        }
        _ = net.run(until: { $0.answers[0]?[token] != nil }, limit: .seconds(5))
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        // The founder, until now the only one that held it, is gone.
        net.crash(0)
        net.run(for: .seconds(5))
        let read = net.request(1) { $0.ask(.read(key: "test/a"), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[1]?[read] != nil }, limit: .seconds(5))
        guard case .register(.value(let value)) = net.answers[1]?[read] else {
            Issue.record("no value: \(String(describing: net.answers[1]?[read]))")
            return
        }
        #expect(value.payload == [1, 2])
    }

    @Test("a steward that is lost for five minutes is replaced by one that is there")
    func replaced() throws {
        var net = PeerNet(count: 4, seed: 5)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        guard let lost = (0..<4).first(where: { stewards(net).contains(net.id($0)) }) else {
            return
        }
        let witness = lost == 0 ? 1 : 0
        net.crash(lost)
        net.run(for: .seconds(240))
        #expect(stewards(net, witness).contains(net.id(lost)))
        let isReplaced = net.run(
            until: { net in
                !stewards(net, witness).contains(net.id(lost)) && stewards(net, witness).count == 3
            },
            limit: .seconds(120)
        )
        #expect(isReplaced)
    }

    @Test("a steward on an old copy of its disk is found out before it serves", arguments: 0..<10)
    func oldCopy(seed: UInt64) {
        var net = PeerNet(count: 3, seed: seed)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        net.run(for: .seconds(2))
        // A copy is made at each start; the life after it is forgotten.
        net.crash(1)
        net.start(1)
        net.run(for: .seconds(3))
        net.crash(1)
        net.start(1, .rolledBack)
        let isFound = net.run(
            until: { $0.events[1]?.contains(.identityTaken) == true },
            limit: .seconds(5)
        )
        #expect(isFound)
    }

    @Test("all stewards restarted at once serve again soon", arguments: 0..<5)
    func massRestart(seed: UInt64) {
        var net = PeerNet(count: 3, seed: seed)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        for index in 0..<3 { net.crash(index) }
        for index in 0..<3 { net.start(index) }
        let token = net.request(0) { $0.ask(.read(key: "ring/config"), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[0]?[token] != nil }, limit: .seconds(4))
        guard case .register(.value) = net.answers[0]?[token] else {
            Issue.record("no value: \(String(describing: net.answers[0]?[token]))")
            return
        }
    }

    @Test("a steward that missed the hand-over is handed the copy when it is back")
    func late() throws {
        var net = PeerNet(count: 4, seed: 12)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        let token = net.request(0) { peer, token, now in
            peer.ask(
                .compareAndSet(key: "test/a", expectedVersion: 0, content: [1, 2]),
                token: token,
                now: now
            )
        }
        let isWritten = net.run(until: { $0.answers[0]?[token] != nil }, limit: .seconds(5))
        #expect(isWritten)
        // One is lost for good; the node that takes its place is cut off just when it is chosen.
        let lost = try #require((1..<4).first { stewards(net).contains(net.id($0)) })
        let spare = try #require((1..<4).first { !stewards(net).contains(net.id($0)) })
        net.crash(lost)
        let isChosen = net.run(
            until: { net in
                (0..<4).contains {
                    net.peer($0)?.stewardsUnderWay?.contains(net.id(spare)) == true
                }
            },
            limit: .seconds(400)
        )
        #expect(isChosen)
        net.cut(spare, true)
        net.run(for: .seconds(40))
        net.cut(spare, false)
        let isServing = net.run(
            until: { $0.peer(spare)?.stewardGroup?.contains($0.id(spare)) == true },
            limit: .seconds(60)
        )
        #expect(isServing)
    }
}
