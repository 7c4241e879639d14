import Determinism
import RingMembership
import Simulation
import Statistics
import Testing

@Suite("Membership in scenarios: what the ring promises, node by node")
struct MembershipScenarioTests {
    @Test("nodes that greet a few others are soon of one mind", arguments: [2, 3, 5, 20, 60])
    func bootstrap(count: Int) {
        var world = MembershipWorld(nodes: count, seed: UInt64(count), start: .joining)
        let span = world.run(until: { $0.disagreement() == nil }, limit: .seconds(4))
        #expect(span != nil, "\(world.disagreement() ?? "")")
        #expect(world.removals.isEmpty)
    }

    @Test("a gone node of five is found by all in 2.5 s, of any seed", arguments: 0..<20)
    func detection(seed: UInt64) {
        var world = MembershipWorld(nodes: 5, seed: seed)
        world.run(for: .milliseconds(1_000 + 37 * Int64(seed)))
        let start = world.now
        world.crash(2)
        world.run(for: .seconds(4))
        let found = world.detections(of: 2, since: start)
        #expect(found.keys.sorted() == [0, 1, 3, 4])
        #expect(found.values.allSatisfy { $0 <= .milliseconds(2_500) }, "\(found)")
        #expect(world.removals.count == 4)
    }

    @Test("a crash behind a closed port is found in half a second, in the median")
    func closedPort() throws {
        var spans: [Span] = []
        for seed in 0..<15 {
            var world = MembershipWorld(nodes: 5, seed: UInt64(seed))
            world.run(for: .seconds(1))
            let start = world.now
            world.crash(2, isHostGone: false)
            world.run(for: .seconds(3))
            let found = world.detections(of: 2, since: start)
            #expect(found.keys.sorted() == [0, 1, 3, 4])
            spans += found.values
        }
        let percentiles = try #require(Percentiles(milliseconds: spans))
        #expect(percentiles.p50 <= 500, "\(spans)")
    }

    @Test("five per cent loss and pauses of a second remove nobody", arguments: 0..<10)
    func lossAndPauses(seed: UInt64) {
        var world = MembershipWorld(nodes: 7, seed: seed)
        world.begin(Fault(.loss, amount: 50))
        for round in 0..<12 {
            world.pause((round * 3 + Int(seed)) % 7, for: .seconds(1))
            world.run(for: .seconds(5))
        }
        #expect(world.removals.isEmpty, "\(String(describing: world.removals.first))")
        world.heal()
        world.run(for: .seconds(3))
        #expect(world.disagreement() == nil)
    }

    @Test("two nodes find each other gone, and back", arguments: 0..<5)
    func two(seed: UInt64) {
        var world = MembershipWorld(nodes: 2, seed: seed, start: .joining)
        world.run(for: .seconds(2))
        let start = world.now
        world.crash(1)
        world.run(for: .seconds(5))
        #expect(world.detections(of: 1, since: start)[0] ?? .seconds(9) <= .seconds(4))
        world.restart(1)
        let span = world.run(until: { $0.disagreement() == nil }, limit: .seconds(3))
        #expect(span != nil)
        world.partition([0], [1], for: .seconds(60))
        world.run(for: .seconds(60))
        #expect(!world.reaches(0, 1) && !world.reaches(1, 0))
        let healed = world.run(until: { $0.disagreement() == nil }, limit: .seconds(20))
        #expect(healed != nil)
    }

    @Test("a partition of an hour heals by itself")
    func longPartition() {
        var world = MembershipWorld(nodes: 5, seed: 11)
        world.partition([0, 1], [2, 3, 4], for: .seconds(3_600))
        world.run(for: .seconds(3_600))
        #expect(!world.reaches(0, 2) && !world.reaches(4, 1))
        let span = world.run(
            until: { $0.disagreement(isHoldingAllowed: false) == nil },
            limit: .seconds(30)
        )
        #expect(span != nil, "\(world.disagreement() ?? "")")
    }

    @Test("a wiped node is another node, and the old one stays gone")
    func wiped() throws {
        var world = MembershipWorld(nodes: 4, seed: 3)
        world.run(for: .seconds(1))
        let old = try #require(world.id(2))
        world.crash(2)
        world.run(for: .seconds(4))
        world.restart(2, .wiped)
        let span = world.run(until: { $0.disagreement() == nil }, limit: .seconds(3))
        #expect(span != nil, "\(world.disagreement() ?? "")")
        #expect(world.membership(0)?.isReachable(old) == false)
        world.run(for: .seconds(30))
        #expect(world.membership(0)?.isReachable(old) == false)
    }

    @Test("the same node at a new address supersedes the old one at once", arguments: 0..<5)
    func moved(seed: UInt64) throws {
        var world = MembershipWorld(nodes: 5, seed: seed)
        world.run(for: .seconds(2))
        let id = try #require(world.id(3))
        world.crash(3)
        world.run(for: .milliseconds(300))
        world.restart(3, .moved)
        let address = world.world.address(3)
        let span = world.run(
            until: { world in
                [0, 1, 2, 4].allSatisfy {
                    world.membership($0)?.member(id)?.fact.address == address
                        && world.reaches($0, 3)
                }
            },
            limit: .seconds(2)
        )
        #expect(span != nil)
        world.run(for: .seconds(10))
        #expect(world.disagreement() == nil)
        #expect(world.removals.allSatisfy { !$0.isLive })
    }

    @Test("a node on an old copy of its disk finds out, stops, and comes back as another")
    func rolledBack() {
        var world = MembershipWorld(nodes: 4, seed: 2)
        world.run(for: .seconds(2))
        world.crash(1)
        world.restart(1)
        world.run(for: .seconds(2))
        // Accused once in this life, it has an incarnation that the copy does not know of.
        _ = world.accuse(1, by: 0)
        world.run(for: .seconds(2))
        world.crash(1)
        world.restart(1, .rolledBack)
        world.run(for: .seconds(5))
        #expect(world.takenIdentities.map(\.subject) == [1])
        world.heal()
        let span = world.run(until: { $0.disagreement() == nil }, limit: .seconds(5))
        #expect(span != nil, "\(world.disagreement() ?? "")")
    }

    @Test("all nodes at once restarted find together again", arguments: [3, 8, 40])
    func massRestart(count: Int) {
        var world = MembershipWorld(nodes: count, seed: UInt64(count), start: .joining)
        world.run(for: .seconds(5))
        let everyone = Array(0..<count)
        world.begin(Fault(.crash, nodes: everyone), for: .seconds(2))
        world.run(for: .seconds(2))
        let span = world.run(until: { $0.disagreement() == nil }, limit: .seconds(10))
        #expect(span != nil, "\(world.disagreement() ?? "")")
        #expect(world.removals.allSatisfy { !$0.isLive })
    }

    @Test("who says good-bye is gone at once and not searched for")
    func leave() throws {
        var world = MembershipWorld(nodes: 6, seed: 9)
        world.run(for: .seconds(1))
        let id = try #require(world.id(5))
        world.leave(5)
        world.run(for: .milliseconds(500))
        for node in 0..<5 { #expect(world.membership(node)?.member(id)?.fact.status == .left) }
    }

    @Test("rumors that did not reach somebody are mended within a second", arguments: 0..<10)
    func misses(seed: UInt64) {
        var world = MembershipWorld(nodes: 5, seed: seed)
        world.run(for: .seconds(1))
        world.begin(Fault(.loss, amount: 300))
        let own = world.accuse(2, by: 0)
        world.run(for: .milliseconds(500))
        world.heal()
        let span = world.run(
            until: { $0.coverage(of: 2, boot: 1, incarnation: own + 1) == 5 },
            limit: .seconds(1)
        )
        #expect(span != nil)
    }

    @Test("where datagrams are swallowed and streams are not, nobody is removed but people told")
    func datagramsBlocked() {
        var world = MembershipWorld(nodes: 4, seed: 8)
        world.world.streamsIgnoreLoss = true
        world.begin(Fault(.loss, amount: 1_000))
        world.run(for: .seconds(15))
        #expect(world.removals.isEmpty)
        #expect(!world.blockedDatagrams.isEmpty)
    }

    @Test("clocks that run apart by half a per cent remove nobody")
    func drift() {
        var world = MembershipWorld(nodes: 6, seed: 12)
        world.begin(Fault(.drift, nodes: [0, 1, 2], amount: 5_000))
        world.begin(Fault(.drift, nodes: [3, 4], amount: -5_000))
        world.run(for: .seconds(60))
        #expect(world.removals.isEmpty)
        #expect(world.disagreement() == nil)
    }
}

@Suite("Membership at scale: large rings in virtual time")
struct MembershipScaleTests {
    @Test("of 1,000 nodes all survivors find a gone one within 3 s")
    func detection() {
        var world = MembershipWorld(nodes: 1_000, seed: 1)
        world.run(for: .milliseconds(200))
        let start = world.now
        world.crash(500)
        world.run(for: .seconds(3))
        let found = world.detections(of: 500, since: start)
        #expect(found.count == 999)
        #expect(world.removals.count == 999)
    }

    @Test(
        "a node that loses half its time is removed once a minute at the most, and nobody else",
        arguments: [Fault.Kind.deaf, .mute]
    )
    func flipFlop(kind: Fault.Kind) {
        var world = MembershipWorld(nodes: 100, seed: 21)
        for _ in 0..<15 {
            world.begin(Fault(kind, nodes: [42], amount: 1_000), for: .seconds(20))
            world.run(for: .seconds(40))
        }
        let removals = world.removals.filter { $0.observer != 42 }
        let ofItself = removals.filter { $0.subject == 42 }
        // 99 observers, ten minutes.
        #expect(ofItself.count <= 99 * 10, "\(ofItself.count) removals")
        let ofOthers = removals.filter { $0.subject != 42 }
        #expect(ofOthers.isEmpty, "\(ofOthers.count), first \(ofOthers.first?.at ?? .zero)")
    }
}
