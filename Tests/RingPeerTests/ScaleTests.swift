import Determinism
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing

/// Costs that must not grow with the ring, at sizes that a debug build runs in seconds.
@Suite("What a larger ring costs: few epochs, changes instead of tables, nobody asks everybody")
struct ScaleTests {
    private static let hello: UInt8 = 1
    private static let request: UInt8 = 5
    private static let whole: UInt8 = 6
    private static let registers: UInt8 = 7
    private static let change: UInt8 = 13
    /// The kinds of messages about registers.
    private static let look: UInt8 = 9

    private func isWhole(_ net: PeerNet, _ nodes: Int) -> Bool {
        (0..<nodes).allSatisfy { index in
            guard let peer = net.peer(index) else { return false }
            return peer.configuration.members.count == nodes
                && peer.membership.presentCount == nodes
        }
    }

    private func whole(_ nodes: Int, seed: UInt64) -> PeerNet {
        var net = PeerNet(count: nodes, seed: seed)
        let isDone = net.run(until: { isWhole($0, nodes) }, limit: .seconds(60))
        #expect(isDone)
        return net
    }

    private func messages(_ net: PeerNet, _ kind: UInt8) -> UInt64 {
        net.world.traffic.amount(kind: kind).messages
    }

    @Test("forty nodes that start at once are in the configuration after a few epochs")
    func joiningTogether() throws {
        let net = whole(40, seed: 5)
        // One founds the ring; the group of stewards grows twice, each in an epoch of its own.
        let epoch = try #require(net.peer(0)?.configuration.epoch)
        #expect(epoch <= 12, "epoch \(epoch)")
    }

    @Test("in a ring at rest only stewards read the configuration's register")
    func registerReads() throws {
        let nodes = 24
        var net = whole(nodes, seed: 6)
        net.run(for: .seconds(15))
        let before = net.world.traffic.amount(kind: Self.registers, inner: Self.look).messages
        net.run(for: .seconds(60))
        let looks =
            net.world.traffic.amount(kind: Self.registers, inner: Self.look).messages - before
        let stewards = try #require(net.peer(0)?.configuration.stewards.members.count)
        // Each steward reads the configuration every ten seconds, the first one two registers more;
        // each node its own boot register at least every 45 s.
        let reads = UInt64(stewards * 8 + 16 + nodes * 2)
        #expect(looks <= reads * UInt64(stewards), "\(looks) looks")
    }

    @Test("one more node costs the others a change each, and no table")
    func changesTravel() throws {
        let nodes = 20
        var net = whole(nodes, seed: 7)
        net.run(for: .seconds(5))
        let before = net.world.traffic
        let added = net.world.addNode()
        net.world.start(added)
        let isDone = net.run(until: { isWhole($0, nodes + 1) }, limit: .seconds(20))
        #expect(isDone)
        net.run(for: .seconds(2))
        let after = net.world.traffic
        func sent(_ kind: UInt8) -> UInt64 {
            after.amount(kind: kind).messages - before.amount(kind: kind).messages
        }
        #expect(sent(Self.whole) == 0)
        // Whoever hears of the epoch from several at once asks one of them.
        #expect(sent(Self.request) <= UInt64(nodes * 2))
        #expect(sent(Self.change) <= UInt64(nodes * 2))
        let looks =
            after.amount(kind: Self.registers, inner: Self.look).messages
            - before.amount(kind: Self.registers, inner: Self.look).messages
        // Nobody looks at its boot register because somebody else joined.
        #expect(looks <= UInt64(5 * 20), "\(looks) looks")
    }

    @Test("after a restart of all nodes at once each greets a few", arguments: [10, 30])
    func massRestart(nodes: Int) {
        var net = whole(nodes, seed: 8)
        net.run(for: .seconds(2))
        for node in 0..<nodes { net.crash(node) }
        net.run(for: .seconds(1))
        let before = messages(net, Self.hello)
        for node in 0..<nodes { net.start(node) }
        net.run(for: .milliseconds(1_900))
        #expect(messages(net, Self.hello) - before <= UInt64(nodes * 3))
        let isDone = net.run(until: { isWhole($0, nodes) }, limit: .seconds(20))
        #expect(isDone)
    }

    /// Writes a register over whatever it holds.
    private func write(_ key: String, _ content: [UInt8], at node: Int, _ net: inout PeerNet) {
        let read = net.request(node) { $0.ask(.read(key: key), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[node]?[read] != nil }, limit: .seconds(5))
        guard case .register(.value(let value)) = net.answers[node]?[read] else {
            Issue.record("\(key) was not read")
            return
        }
        let written = net.request(node) {
            let set = RegisterRequest.compareAndSet(
                key: key,
                expectedVersion: value.version,
                content: content
            )
            $0.ask(set, token: $1, now: $2)
        }
        _ = net.run(until: { $0.answers[node]?[written] != nil }, limit: .seconds(5))
        guard case .register(.committed) = net.answers[node]?[written] else {
            Issue.record("\(key) was not written")
            return
        }
    }

    @Test("a request to be let in counts for nothing while the node's boot register says removed")
    func staleAdmission() throws {
        var net = whole(4, seed: 9)
        net.run(for: .seconds(5))
        // Of four nodes three are stewards.
        let group = try #require(net.peer(0)).configuration.stewards
        let outsider = try #require((0..<4).first { group.steward(on: net.id($0)) == nil })
        let steward = try #require((0..<4).first { $0 != outsider })
        let subject = net.id(outsider)
        let before = try #require(net.peer(steward)?.configuration)
        let member = try #require(before.member(subject))
        net.crash(outsider)
        guard case .changed(let smaller) = before.removing(subject) else {
            Issue.record("not removed")
            return
        }
        let boot = BootRecord.registerKey(subject)
        let removed = BootRecord(boot: 1, token: 0, era: 1, isRemoved: true)
        write(boot, removed.encoded, at: steward, &net)
        write(Peer.configurationKey, smaller.encoded, at: steward, &net)
        net.request(steward) { peer, _, now in peer.adopt(agreed: smaller, now: now) }
        // Whatever configuration it has seen: a steward may hold the request for seconds.
        for epoch in [before.epoch, smaller.epoch] {
            let late = PeerFrame.admission(epoch: epoch, member)
            net.request(steward) { peer, _, now in
                _ = peer.receive(frame: late.encoded, from: subject, now: now)
            }
            net.run(for: .seconds(5))
            #expect(net.peer(steward)?.configuration.member(subject) == nil)
        }
        // The node is back and has begun another era.
        let next = BootRecord(boot: 2, token: 5, era: 2)
        write(boot, next.encoded, at: steward, &net)
        let again = PeerFrame.admission(epoch: smaller.epoch, member)
        net.request(steward) { peer, _, now in
            _ = peer.receive(frame: again.encoded, from: subject, now: now)
        }
        net.run(for: .seconds(5))
        #expect(net.peer(steward)?.configuration.member(subject) == member)
    }

    @Test("nodes come in also while the first steward does not answer")
    func stewardAway() {
        var net = whole(5, seed: 10)
        net.run(for: .seconds(15))
        let stewards = net.peer(0)?.stewardGroup ?? []
        let first = (0..<5).first { stewards.first == net.id($0) } ?? 0
        // Paused for less than it takes to be found: others still take it for reachable.
        net.world.begin(Fault(.pause, nodes: [first]), lasting: .seconds(30))
        let added = net.world.addNode()
        net.world.start(added)
        let others = (0...5).filter { $0 != first }
        let isDone = net.run(
            until: { net in
                others.allSatisfy { net.peer($0)?.configuration.members.count == 6 }
            },
            limit: .seconds(20)
        )
        #expect(isDone)
    }
}
