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

    @Test("the planted mistake of an old copy that serves at once is not found out")
    func oldCopyServes() {
        var parameters = PeerParameters()
        parameters.registers.flaws = [.oldCopyServes]
        var net = PeerNet(count: 3, seed: 1, parameters: parameters)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        net.run(for: .seconds(2))
        net.crash(1)
        net.start(1)
        net.run(for: .seconds(3))
        net.crash(1)
        net.start(1, .rolledBack)
        let isFound = net.run(
            until: { $0.events[1]?.contains(.identityTaken) == true },
            limit: .seconds(5)
        )
        #expect(!isFound)
    }

    @Test("an old copy that was started twice is found out as well", arguments: 0..<10)
    func oldCopyStartedTwice(seed: UInt64) {
        var net = PeerNet(count: 3, seed: seed)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        net.run(for: .seconds(2))
        net.crash(1)
        net.start(1)
        net.run(for: .seconds(3))
        net.crash(1)
        net.start(1, .rolledBack)
        // It counts on to a boot that nobody has heard of, before anybody hears of this one.
        net.crash(1)
        net.start(1)
        let isFound = net.run(
            until: { $0.events[1]?.contains(.identityTaken) == true },
            limit: .seconds(5)
        )
        #expect(isFound)
    }

    @Test("a new steward on an old copy is not handed its group again", arguments: 0..<5)
    func newStewardForgets(seed: UInt64) {
        var net = PeerNet(count: 3, seed: seed)
        // Started anew before it was a steward, so that there is a copy of its disk from then.
        net.run(for: .milliseconds(300))
        net.crash(1)
        net.start(1)
        let isGrown = net.run(
            until: { net in
                (0..<3).allSatisfy { net.peer($0)?.stewardGroup?.count == 3 }
                    && stewards(net).count == 3
            },
            limit: .seconds(30)
        )
        #expect(isGrown)
        net.run(for: .seconds(2))
        net.crash(1)
        net.start(1, .rolledBack)
        let isFound = net.run(
            until: { $0.events[1]?.contains(.identityTaken) == true },
            limit: .seconds(30)
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

    /// Marks a member as leaving, as `genie-ring node remove` does first.
    private func mark(_ net: inout PeerNet, _ helper: Int, leaving node: NodeID) {
        guard let agreed = net.peer(helper)?.configuration,
            case .changed(let changed) = agreed.marking(leaving: node)
        else {
            Issue.record("not marked")
            return
        }
        let read = net.request(helper) { $0.ask(.read(key: "ring/config"), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[helper]?[read] != nil }, limit: .seconds(5))
        guard case .register(.value(let value)) = net.answers[helper]?[read] else {
            Issue.record("no configuration")
            return
        }
        let set = net.request(helper) {
            $0.ask(
                .compareAndSet(
                    key: "ring/config",
                    expectedVersion: value.version,
                    content: changed.encoded
                ),
                token: $1,
                now: $2
            )
        }
        _ = net.run(until: { $0.answers[helper]?[set] != nil }, limit: .seconds(5))
        net.request(helper) { peer, _, now in peer.adopt(agreed: changed, now: now) }
    }

    @Test(
        "a steward that is to leave is replaced at once, dead or alive, and without a spare the group is smaller",
        arguments: [(4, true, 3), (4, false, 3), (3, true, 1), (3, false, 1), (2, false, 1)]
    )
    func leaving(nodes: Int, isDead: Bool, wanted: Int) throws {
        var net = PeerNet(count: nodes, seed: 21)
        let isGrown = net.run(
            until: { net in
                (0..<nodes).allSatisfy {
                    stewards(net, $0).count == (nodes < 3 ? 1 : 3)
                        && net.peer($0)?.configuration.members.count == nodes
                }
            },
            limit: .seconds(30)
        )
        #expect(isGrown)
        let leaving = try #require((0..<nodes).last { stewards(net).contains(net.id($0)) })
        let helper = leaving == 0 ? 1 : 0
        if isDead {
            net.crash(leaving)
            net.run(for: .seconds(4))
        }
        mark(&net, helper, leaving: net.id(leaving))
        let isReplaced = net.run(
            until: { net in
                !stewards(net, helper).contains(net.id(leaving))
                    && stewards(net, helper).count == wanted
            },
            limit: .seconds(20)
        )
        #expect(isReplaced)
        // It is not chosen again, and registers go on.
        net.run(for: .seconds(20))
        #expect(!stewards(net, helper).contains(net.id(leaving)))
        let read = net.request(helper) { $0.ask(.read(key: "ring/config"), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[helper]?[read] != nil }, limit: .seconds(5))
        guard case .register(.value) = net.answers[helper]?[read] else {
            Issue.record("no value")
            return
        }
    }

    @Test(
        "a steward whose disk was wiped is replaced as soon as the new node at its address is there"
    )
    func wiped() throws {
        var net = PeerNet(count: 4, seed: 31)
        let isGrown = net.run(until: { stewards($0).count == 3 }, limit: .seconds(30))
        #expect(isGrown)
        let lost = try #require((1..<4).first { stewards(net).contains(net.id($0)) })
        let id = net.id(lost)
        net.crash(lost)
        net.run(for: .seconds(3))
        net.start(lost, .wiped)
        let isReplaced = net.run(
            until: { net in
                !stewards(net).contains(id) && stewards(net).count >= 3
            },
            limit: .seconds(60)
        )
        #expect(isReplaced)
    }
}
