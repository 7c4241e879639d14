import Addressing
import Determinism
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Simulation
import Testing

@Suite("A whole ring in virtual time: one configuration, unique addresses, records that stay")
struct PeerTests {
    private func expectSoon(
        _ net: inout PeerNet,
        limit: Span,
        location: SourceLocation = #_sourceLocation,
        _ condition: (PeerNet) -> Bool
    ) {
        let isMet = net.run(until: condition, limit: limit)
        #expect(isMet, sourceLocation: location)
    }

    private func isWhole(_ net: PeerNet, _ count: Int) -> Bool {
        (0..<count).allSatisfy { index in
            net.peer(index).map {
                $0.configuration.members.count == count
                    && $0.membership.members.filter { !$0.fact.status.isGone }.count == count - 1
            } ?? true
        }
    }

    @Test(
        "nodes that join end in one configuration with everybody in it",
        arguments: [1, 2, 3, 5, 9]
    )
    func joining(count: Int) {
        var net = PeerNet(count: count, seed: UInt64(count))
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, count) }
        let digests = (0..<count).compactMap { net.peer($0)?.configuration.digest }
        #expect(Set(digests).count == 1)
    }

    @Test("the same seed gives the same run, another seed another", arguments: [1, 2])
    func determinism(seed: UInt64) {
        func trace(_ seed: UInt64) -> UInt64 {
            var net = PeerNet(count: 4, seed: seed)
            net.lossPercent = 5
            net.run(for: .seconds(4))
            return net.trace.value
        }
        #expect(trace(seed) == trace(seed))
        #expect(trace(seed) != trace(seed + 10))
    }

    @Test(
        "increments by compare-and-swap from all nodes are never lost or doubled",
        arguments: 0..<10
    )
    func increments(seed: UInt64) throws {
        var net = PeerNet(count: 4, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 4) }
        var committed: UInt64 = 0
        for round in 0..<12 {
            let node = round % 4
            let read = net.request(node) { $0.ask(.read(key: "counter"), token: $1, now: $2) }
            expectSoon(&net, limit: .seconds(5)) { $0.answers[node]?[read] != nil }
            guard case .register(.value(let value)) = net.answers[node]?[read] else {
                Issue.record("no value")
                return
            }
            // Two nodes try from the same version: at most one of them may win.
            let rival = (node + 1) % 4
            let tokens = [node, rival].map { index in
                (
                    index,
                    net.request(index) {
                        $0.ask(
                            .compareAndSet(
                                key: "counter",
                                expectedVersion: value.version,
                                content: [UInt8(index)]
                            ),
                            token: $1,
                            now: $2
                        )
                    }
                )
            }
            expectSoon(&net, limit: .seconds(10)) { net in
                tokens.allSatisfy { net.answers[$0.0]?[$0.1] != nil }
            }
            let wins = tokens.filter { index, token in
                if case .register(.committed) = net.answers[index]?[token] { true } else { false }
            }
            #expect(wins.count == 1)
            committed += 1
            #expect(value.version == committed - 1)
        }
    }

    @Test("no two nodes ever give out one address, and exhaustion is told", arguments: 0..<5)
    func uniqueAddresses(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 3) }
        let plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/25")))
        var tokens: [(Int, RequestToken)] = []
        for number in 0..<140 {
            let node = number % 3
            let holder = AddressHolder(containerID: "c\(number)", interfaceName: "eth0")
            tokens.append(
                (node, net.request(node) { $0.allocate(plan, holder: holder, token: $1, now: $2) })
            )
            if number % 7 == 0 { net.run(for: .milliseconds(20)) }
        }
        expectSoon(&net, limit: .seconds(10)) { net in
            tokens.allSatisfy { net.answers[$0.0]?[$0.1] != nil }
        }
        var addresses: [IPAddress] = []
        var exhausted = 0
        for (node, token) in tokens {
            switch net.answers[node]?[token] {
            case .address(.assigned(let assignment)): addresses.append(assignment.address)
            case .address(.exhausted): exhausted += 1
            default: Issue.record("unexpected answer")
            }
        }
        // Two blocks for three nodes: two own one each, the third gets nothing and says so.
        #expect(Set(addresses).count == addresses.count)
        #expect(addresses.count + exhausted == 140)
        #expect(exhausted >= 140 / 3)
    }

    @Test("a crash and restart keeps addresses, blocks and registers", arguments: 0..<5)
    func restart(seed: UInt64) throws {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 3) }
        let plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/24")))
        let holder = AddressHolder(containerID: "a", interfaceName: "eth0")
        // The steward itself: its promises and values must be there after the crash.
        let first = net.request(0) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[0]?[first] != nil }
        guard case .address(.assigned(let before)) = net.answers[0]?[first] else {
            Issue.record("not assigned")
            return
        }
        net.crash(0)
        net.run(for: .seconds(4))
        #expect(net.peer(1)?.membership.isReachable(net.id(0)) == false)
        net.start(0)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 3) }
        let again = net.request(0) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[0]?[again] != nil }
        #expect(net.answers[0]?[again] == .address(.assigned(before)))
        let read = net.request(1) { $0.ask(.list(prefix: plan.registerPrefix), token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[1]?[read] != nil }
        guard case .register(.keys(let keys)) = net.answers[1]?[read] else {
            Issue.record("no keys")
            return
        }
        #expect(keys.count == 1)
    }

    @Test("without the steward, reads end as unavailable and owned blocks still serve")
    func stewardDown() throws {
        var net = PeerNet(count: 3, seed: 9)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 3) }
        let plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/24")))
        let holder = AddressHolder(containerID: "a", interfaceName: "eth0")
        let first = net.request(1) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[1]?[first] != nil }
        net.crash(0)
        net.run(for: .seconds(3))
        let read = net.request(1) { $0.ask(.read(key: "x"), token: $1, now: $2) }
        let other = AddressHolder(containerID: "b", interfaceName: "eth0")
        let second = net.request(1) { $0.allocate(plan, holder: other, token: $1, now: $2) }
        let foreign = BlockPlan(pool: 6, subnet: try #require(Prefix("10.2.0.0/24")))
        let third = net.request(1) { $0.allocate(foreign, holder: other, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(6)) { ($0.answers[1]?.count ?? 0) >= 4 }
        #expect(net.answers[1]?[read] == .register(.unavailable))
        guard case .address(.assigned) = net.answers[1]?[second] else {
            Issue.record("an owned block must serve alone")
            return
        }
        #expect(net.answers[1]?[third] == .address(.registersUnavailable))
    }

    @Test("a record survives its origin, and a watcher on another node sees it", arguments: 0..<5)
    func recordSurvives(seed: UInt64) {
        var net = PeerNet(count: 3, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 3) }
        let topic = Topic("red/web")
        net.request(2) { peer, _, now in peer.watch(topic, now: now) }
        let records = [OriginSet.Record(key: "a", content: [1])]
        let token = net.request(1) { $0.publish(topic, records, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[1]?[token] != nil }
        guard case .records(.stored) = net.answers[1]?[token] else {
            Issue.record("not stored")
            return
        }
        net.crash(1)
        net.run(for: .seconds(3))
        #expect(net.peer(2)?.records.store.sets(topic).first?.records == records)
        #expect(net.peer(2)?.records.isSynced(topic) == true)
        let read = net.request(0) { $0.read(topic, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(5)) { $0.answers[0]?[read] != nil }
        guard case .records(.contents(let sets)) = net.answers[0]?[read] else {
            Issue.record("not read")
            return
        }
        #expect(sets.first?.records == records)
    }

    @Test("a node that was cut off comes back, and nothing it was told is lost", arguments: 0..<3)
    func partition(seed: UInt64) {
        var net = PeerNet(count: 4, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 4) }
        let topic = Topic("red/web")
        net.request(3) { peer, _, now in peer.watch(topic, now: now) }
        net.run(for: .seconds(1))
        net.cut(3, true)
        let records = [OriginSet.Record(key: "a", content: [1])]
        net.request(1) { $0.publish(topic, records, token: $1, now: $2) }
        net.run(for: .seconds(20))
        #expect(net.peer(1)?.membership.isReachable(net.id(3)) == false)
        net.cut(3, false)
        expectSoon(&net, limit: .seconds(20)) { net in
            isWhole(net, 4) && net.peer(3)?.records.store.sets(topic).first?.records == records
        }
    }

    @Test("a block that a crash left claimed and unknown is found again", arguments: 0..<20)
    func crashDuringClaim(seed: UInt64) throws {
        var net = PeerNet(count: 2, seed: seed)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 2) }
        // One block: lost to this node, it would be lost to everybody.
        let plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/26")))
        let holder = AddressHolder(containerID: "a", interfaceName: "eth0")
        net.request(1) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        net.run(for: .milliseconds(4 + 2 * Int64(seed)))
        net.crash(1)
        net.run(for: .seconds(1))
        net.start(1)
        expectSoon(&net, limit: .seconds(10)) { isWhole($0, 2) }
        let token = net.request(1) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        expectSoon(&net, limit: .seconds(10)) { $0.answers[1]?[token] != nil }
        guard case .address(.assigned) = net.answers[1]?[token] else {
            Issue.record("\(String(describing: net.answers[1]?[token]))")
            return
        }
    }

    @Test("a freed address rests across a restart")
    func restAcrossRestart() throws {
        var net = PeerNet(count: 1, seed: 3)
        net.run(for: .seconds(1))
        let plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/30")))
        let first = AddressHolder(containerID: "a", interfaceName: "eth0")
        let second = AddressHolder(containerID: "b", interfaceName: "eth0")
        net.request(0) { $0.allocate(plan, holder: first, token: $1, now: $2) }
        net.run(for: .seconds(1))
        let freed = net.request(0) { $0.release(pool: 5, holder: first, token: $1, now: $2) }
        net.run(for: .seconds(1))
        #expect(net.answers[0]?[freed] == .address(.released))
        net.crash(0)
        net.start(0)
        let early = net.request(0) { $0.allocate(plan, holder: second, token: $1, now: $2) }
        net.run(for: .seconds(2))
        #expect(net.answers[0]?[early] == .address(.exhausted))
        net.run(for: .seconds(60))
        let late = net.request(0) { $0.allocate(plan, holder: second, token: $1, now: $2) }
        net.run(for: .seconds(1))
        guard case .address(.assigned) = net.answers[0]?[late] else {
            Issue.record("still resting")
            return
        }
    }

    @Test("a peer of another ring is refused with the ring's name")
    func otherRing() throws {
        var net = PeerNet(count: 1, seed: 1)
        let stranger = MemberFact(
            id: NodeID(high: 5, low: 5),
            boot: 1,
            name: "stranger",
            address: PeerNet.address(7)
        )
        let hello = PeerFrame.hello(ring: RingID(bits: NodeID(high: 1, low: 2)), sender: stranger)
        var peer = try #require(net.peer(0))
        _ = peer.receive(frame: hello.encoded, from: stranger.id, now: net.now)
        let frames = peer.effects.compactMap { effect -> PeerFrame? in
            if case .frame(let bytes, _, _) = effect { try? PeerFrame(bytes) } else { nil }
        }
        guard case .refusal(.ring, let ring, let reason) = try #require(frames.first) else {
            Issue.record("not refused")
            return
        }
        #expect(ring == peer.configuration.ringID)
        #expect(reason.contains("stranger"))
        net.run(for: .milliseconds(10))
    }

    @Test("damaged frames and datagrams never crash a peer", arguments: 0..<10)
    func damaged(seed: UInt64) throws {
        var net = PeerNet(count: 2, seed: seed)
        net.run(for: .seconds(1))
        var peer = try #require(net.peer(0))
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<400 {
            let bytes = (0..<Int.random(in: 0..<80, using: &generator)).map { index in
                index == 0
                    ? UInt8.random(in: 1...8, using: &generator)
                    : UInt8.random(in: 0...255, using: &generator)
            }
            _ = peer.receive(frame: bytes, from: net.id(1), now: net.now)
            _ = peer.receive(datagram: bytes, from: PeerNet.address(1), now: net.now)
        }
        #expect(peer.configuration.members.count <= 2)
    }
}
