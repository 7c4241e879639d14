import Addressing
import Determinism
import RingMembership
import Testing

@Suite("Membership: found dead in time, never falsely, everyone of one mind")
struct MembershipTests {
    @Test("peers that know one seed find each other and agree", arguments: [2, 3, 5, 20])
    func bootstrap(count: Int) {
        var net = MembershipNet(count: count, seed: UInt64(count))
        net.run(for: .seconds(3))
        #expect(net.peers.allSatisfy { $0.members.count == count - 1 })
        #expect(Set(net.peers.map(\.digest)).count == 1)
        #expect(net.changes.allSatisfy { $0.member.status == .alive })
    }

    @Test("a blackholed peer of five is found by all survivors within 2.5 s", arguments: 0..<30)
    func blackhole(seed: UInt64) throws {
        var net = MembershipNet(count: 5, seed: seed)
        net.run(for: .milliseconds(3_000 + Int64(seed) * 37))
        net.changes = []
        net.isRunning[2] = false
        let killedAt = net.now
        net.run(for: .seconds(4))
        let dead = net.changes.filter { $0.member.status == .dead }
        #expect(dead.map(\.observer).sorted() == [0, 1, 3, 4])
        #expect(dead.allSatisfy { $0.member.id == MembershipNet.id(2) })
        let last = try #require(dead.map(\.at).max())
        #expect(last.since(killedAt) < .milliseconds(2_500))
    }

    @Test("five per cent loss and a pause of a second kill nobody", arguments: 0..<20)
    func lossAndPause(seed: UInt64) {
        var net = MembershipNet(count: 5, seed: seed)
        net.lossPercent = 5
        net.run(for: .seconds(20))
        let paused = Int(seed % 5)
        net.isRunning[paused] = false
        net.run(for: .seconds(1))
        net.isRunning[paused] = true
        net.run(for: .seconds(20))
        #expect(net.changes.allSatisfy { !$0.member.status.isGone })
        #expect(Set(net.peers.map(\.digest)).count == 1)
    }

    @Test("a restarted peer supersedes its own death at once")
    func restart() {
        var net = MembershipNet(count: 3, seed: 1)
        net.run(for: .seconds(2))
        net.isRunning[1] = false
        net.run(for: .seconds(4))
        #expect(!net.peers[0].isReachable(MembershipNet.id(1)))
        net.restart(1, boot: 2, knowing: 0)
        net.run(for: .seconds(2))
        #expect(net.peers.indices.allSatisfy { net.peers[$0].isReachable(MembershipNet.id(1)) })
        #expect(net.peers[0].member(MembershipNet.id(1))?.fact.boot == 2)
        #expect(Set(net.peers.map(\.digest)).count == 1)
    }

    @Test("a peer declared dead while it was cut off comes back by refuting")
    func healsAfterPartition() {
        var net = MembershipNet(count: 5, seed: 7)
        net.run(for: .seconds(2))
        net.isRunning[4] = false
        net.run(for: .seconds(60))
        #expect(!net.peers[0].isReachable(MembershipNet.id(4)))
        net.isRunning[4] = true
        net.run(for: .seconds(15))
        #expect(net.peers.allSatisfy { $0.isReachable(MembershipNet.id(4)) })
        #expect(net.peers[4].own.incarnation > 0)
        #expect(Set(net.peers.map(\.digest)).count == 1)
    }

    @Test("a peer that leaves is left, not dead, and is not suspected first")
    func leave() {
        var net = MembershipNet(count: 4, seed: 3)
        net.run(for: .seconds(2))
        net.changes = []
        net.peers[3].leave(now: net.now)
        net.run(for: .milliseconds(100))
        net.isRunning[3] = false
        net.run(for: .seconds(4))
        #expect(
            net.changes.filter { $0.observer != 3 }.map(\.member.status) == [.left, .left, .left]
        )
    }

    @Test("evidence of a closed port finds a crash within half a second")
    func portClosed() throws {
        var net = MembershipNet(count: 5, seed: 5)
        net.run(for: .seconds(2))
        net.changes = []
        net.isRunning[2] = false
        let fact = try #require(net.peers[0].member(MembershipNet.id(2))?.fact)
        let killedAt = net.now
        net.peers[0].portClosed(fact, now: net.now)
        net.run(for: .milliseconds(700))
        let dead = net.changes.filter { $0.member.status == .dead }
        #expect(dead.map(\.observer).sorted() == [0, 1, 3, 4])
        #expect(try #require(dead.first?.at).since(killedAt) <= .milliseconds(500))
    }

    @Test("a datagram of another ring changes nothing")
    func foreignRing() {
        var net = MembershipNet(count: 2, seed: 1)
        let stranger = MemberFact(
            id: NodeID(high: 77, low: 0),
            boot: 1,
            name: "x",
            address: MembershipNet.address(9)
        )
        let datagram = MembershipDatagram(
            kind: .gossip,
            ring: NodeID(high: 1, low: 1),
            sender: stranger.claim,
            digest: 0,
            epoch: 0
        )
        let result = net.peers[0].receive(datagram, from: stranger.address, now: .zero)
        #expect(result == .foreign)
        #expect(net.peers[0].member(stranger.id) == nil)
    }

    @Test("another process with this identity and a higher boot is reported")
    func identityTaken() {
        var net = MembershipNet(count: 2, seed: 1)
        var twin = net.peers[0].own
        twin.boot = 5
        net.peers[0].merge([twin], from: twin.id, now: .zero)
        #expect(net.peers[0].effects.contains(.identityTaken(boot: 5)))
    }
}

@Suite("Suspicion: shortened by each further accuser, once")
struct SuspicionTests {
    private let ids = (0..<5).map { NodeID(high: 0, low: UInt64($0)) }

    @Test("deadlines at 2, 1.5 and 1 s for one, two and three accusers")
    func confirmations() {
        var suspicion = Suspicion(
            incarnation: 1,
            accuser: ids[0],
            shortest: .seconds(1),
            longest: .seconds(2),
            confirmationsWanted: 2,
            now: .zero
        )
        #expect(suspicion.deadline.since(.zero) == .seconds(2))
        #expect(suspicion.confirm(by: ids[0]) == .repeated)
        #expect(suspicion.confirm(by: ids[1]) == .shortened)
        #expect(suspicion.deadline.since(.zero) == .milliseconds(1_500))
        #expect(suspicion.confirm(by: ids[2]) == .shortened)
        #expect(suspicion.deadline.since(.zero) == .seconds(1))
        #expect(suspicion.confirm(by: ids[3]) == .enough)
    }
}

@Suite("Membership datagrams: whole or refused")
struct MembershipDatagramTests {
    private static func sample(_ kind: MembershipDatagram.Kind) -> MembershipDatagram {
        let fact = MemberFact(
            id: NodeID(high: 1, low: 2),
            boot: 3,
            incarnation: 4,
            status: .suspect,
            name: "node",
            zone: "zone",
            address: MembershipNet.address(1)
        )
        return MembershipDatagram(
            kind: kind,
            ring: MembershipNet.ring,
            sender: fact.claim,
            digest: 5,
            epoch: 6,
            rumors: [Rumor(fact: fact, accuser: NodeID(high: 7, low: 8))]
        )
    }

    static let kinds: [MembershipDatagram.Kind] = [
        .ping(sequence: 1, target: NodeID(high: 2, low: 3)), .ack(sequence: 4),
        .pingRequest(
            sequence: 5,
            target: NodeID(high: 6, low: 7),
            address: MembershipNet.address(2)
        ),
        .nack(sequence: 8), .gossip,
    ]

    @Test("every kind is read back as it was written, and no shorter", arguments: kinds)
    func roundTrip(kind: MembershipDatagram.Kind) throws {
        let datagram = Self.sample(kind)
        let bytes = datagram.encoded
        #expect(try MembershipDatagram(bytes) == datagram)
        for length in 0..<bytes.count {
            #expect(throws: (any Error).self) { try MembershipDatagram(Array(bytes[..<length])) }
        }
    }

    @Test("random and damaged bytes never crash the reader", arguments: 0..<10)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            var bytes = Self.sample(Self.kinds[Int(generator.next() % 5)]).encoded
            for _ in 0..<3 {
                let index = Int.random(in: bytes.indices, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? MembershipDatagram(bytes)
        }
    }

    @Test("no datagram exceeds the budget, however much there is to tell")
    func budget() {
        var net = MembershipNet(count: 60, seed: 2)
        net.run(for: .milliseconds(50))
        for _ in 0..<40 {
            net.peers[0].tick(now: net.now)
            net.now = net.now.advanced(by: .milliseconds(100))
            for case .send(let datagram, _) in net.peers[0].effects {
                #expect(datagram.encoded.count <= 1_200)
            }
            net.peers[0].effects = []
        }
    }
}
