import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing

@Suite(
    "Recovery: registers whose stewards are lost are founded anew, and no address is given twice"
)
struct RecoveryTests {
    @Test(
        "two of three stewards' disks are destroyed: what is left serves again, blocks stay owned"
    )
    func disksDestroyed() throws {
        var ring = try RecoveryRing(seed: 3)
        let lost = Array(ring.stewards.prefix(2))
        let founder = try #require((0..<4).first { !lost.contains($0) })
        let lostIDs = lost.map { ring.net.id($0) }
        for node in lost { ring.net.crash(node) }
        ring.net.run(for: .seconds(4))

        // Only looking changes nothing, and says what there is.
        guard case .report(let report) = ring.recover(founder, nil) else {
            Issue.record("no report")
            return
        }
        #expect(SortedSet(report.lost).elements == SortedSet(lostIDs).elements)
        #expect(!report.isServing && report.quorum == 2 && report.told.count == 2)
        #expect(SortedSet(report.untold).elements == SortedSet(lostIDs).elements)
        // Others than the lost, or not all of them.
        #expect(ring.refusal(founder, [lostIDs[0]]) == .otherStewards(lost: report.lost.sorted()))
        #expect(ring.refusal(founder, [ring.net.id(founder)]) != nil)
        #expect(ring.net.peer(founder)?.configuration.registry.recoveries == 0)

        guard case .recovered(let configuration, _) = ring.recover(founder, lostIDs) else {
            Issue.record("not recovered")
            return
        }
        #expect(configuration.registry.recoveries == 1)
        for node in lost { ring.net.start(node, .wiped) }
        // New disks are new nodes; the stewards grow to three again.
        let isGrown = ring.net.run(
            until: { net in
                (0..<4).allSatisfy {
                    net.peer($0)?.configuration.stewards.members.count == 3
                        && net.peer($0)?.configuration.registry == configuration.registry
                        && net.peer($0)?.configuration.members.count == 6
                }
            },
            limit: .seconds(40)
        )
        #expect(isGrown)
        #expect(ring.read(founder, "test/a")?.payload == [7])
        #expect(ring.read(founder, "test/a")?.version ?? 0 > 1_000_000)
        // A register of which nothing was left goes on in the new era, too, and is followed.
        ring.net.request(founder) { peer, _, now in
            _ = peer.follow(register: "test/new", known: 0, now: now)
        }
        #expect(ring.create(founder, "test/new")?.version == 1_000_001)
        ring.net.run(for: .milliseconds(500))
        let isTold = ring.net.events[founder]?.contains {
            if case .register("test/new", let value) = $0 {
                value.version == 1_000_001
            } else {
                false
            }
        }
        #expect(isTold == true)

        // Whoever has blocks goes on; nobody claims one while the lost disks' owners are unasked.
        #expect(ring.add(founder, "more") != nil)
        guard case .blocksInDoubt(let nodes) = ring.outcome(lost[0], "new") else {
            Issue.record("a block was claimed")
            return
        }
        #expect(SortedSet(nodes).elements == SortedSet(lostIDs).elements)

        for id in lostIDs { ring.retire(founder, id) }
        ring.net.run(for: .seconds(45))
        let assigned = ring.add(lost[0], "new")
        #expect(assigned?.fence ?? 0 > 1_000_000)
        #expect(ring.duplicates.isEmpty)
    }

    @Test(
        "stewards that were given up come back: without registers, as another storage, with blocks",
        arguments: 0..<2
    )
    func returning(seed: UInt64) throws {
        var ring = try RecoveryRing(seed: seed)
        let lost = Array(ring.stewards.suffix(2))
        let founder = try #require((0..<4).first { !lost.contains($0) })
        for node in lost { ring.net.crash(node) }
        ring.net.run(for: .seconds(4))
        let storages = lost.compactMap { node in
            ring.storages[ring.net.id(node)]
        }
        guard case .recovered = ring.recover(founder, lost.map { ring.net.id($0) }) else {
            Issue.record("not recovered")
            return
        }
        for node in lost { ring.net.start(node) }
        let areBack = ring.net.run(
            until: { net in
                (0..<4).allSatisfy {
                    net.peer($0)?.configuration.registry.recoveries == 1
                        && net.peer($0)?.configuration.stewards.members.count == 3
                }
            },
            limit: .seconds(40)
        )
        #expect(areBack)
        for node in lost {
            let isTold = ring.net.events[node]?.contains {
                if case .registersGivenUp(let storage) = $0 {
                    return !storages.contains(storage)
                }
                return false
            }
            #expect(isTold == true)
        }
        let stewards = ring.net.peer(founder)?.configuration.stewards.members ?? []
        #expect(!stewards.contains { storages.contains($0.storage) })
        #expect(ring.read(lost[0], "test/a")?.payload == [7])
        // They tell of their blocks by themselves, and then blocks can be claimed again.
        ring.net.run(for: .seconds(10))
        for node in 0..<4 {
            for number in 0..<(node == lost[0] ? 70 : 2) { _ = ring.add(node, "n\(number)") }
        }
        #expect(ring.net.peer(lost[0])?.pool.inUse.count ?? 0 > 64)
        #expect(ring.duplicates.isEmpty)
        ring.expectOwned()
    }

    @Test("killed at any step, run again: one registry, what was written, and no address twice")
    func kills() throws {
        let template = try RecoveryRing(seed: 11)
        var hadRecovered: Set<Bool> = []
        for step in 0..<12 {
            var ring = template
            let lost = Array(ring.stewards.prefix(2))
            let lostIDs = lost.map { ring.net.id($0) }
            let left = (0..<4).filter { !lost.contains($0) }
            let founder = left[step % 2]
            let victim = left[step / 2 % 2]
            for node in lost { ring.net.crash(node) }
            ring.net.run(for: .seconds(4))
            ring.net.request(founder) { $0.recover(givenUp: lostIDs, token: $1, now: $2) }
            // A read that nobody answers ends after three seconds; what follows takes milliseconds.
            ring.net.run(for: .milliseconds(2_990 + Int64(step) * 6))
            hadRecovered.insert(ring.net.peer(founder)?.configuration.registry.recoveries == 1)
            ring.net.crash(victim)
            ring.net.run(for: .seconds(1))
            ring.net.start(victim)
            ring.net.run(for: .seconds(8))
            for _ in 0..<4
            where ring.net.peer(founder)?.configuration.registry.recoveries != 1 {
                _ = ring.recover(founder, lostIDs)
            }
            let isWhole = ring.net.run(
                until: { net in
                    left.allSatisfy { net.peer($0)?.configuration.registry.recoveries == 1 }
                },
                limit: .seconds(20)
            )
            #expect(isWhole, "step \(step)")
            let registries = Set(left.map { ring.net.peer($0)?.configuration.registry })
            #expect(registries.count == 1, "step \(step)")
            #expect(ring.read(left[0], "test/a")?.payload == [7], "step \(step)")
            for node in left { _ = ring.add(node, "after") }
            #expect(ring.duplicates.isEmpty, "step \(step)")
            ring.net.run(for: .seconds(5))
            ring.expectOwned()
        }
        // Before and after the founding, or the steps missed it.
        #expect(hadRecovered == [false, true])
    }

    @Test("with every steward lost, blocks are still their owners', and nothing else is known")
    func allLost() throws {
        var ring = try RecoveryRing(seed: 5)
        let lost = ring.stewards
        let founder = try #require((0..<4).first { !lost.contains($0) })
        for node in lost { ring.net.crash(node) }
        ring.net.run(for: .seconds(4))
        guard case .recovered = ring.recover(founder, lost.map { ring.net.id($0) }) else {
            Issue.record("not recovered")
            return
        }
        ring.net.run(for: .seconds(3))
        #expect(ring.read(founder, "test/a")?.payload == nil)
        ring.expectOwned()
        #expect(ring.net.peer(founder)?.bootRecord?.era == 1)
    }

    @Test("registers that answer are not recovered, whatever is given up")
    func notNeeded() throws {
        var ring = try RecoveryRing(seed: 2)
        let lost = ring.stewards[0]
        ring.net.crash(lost)
        ring.net.run(for: .seconds(4))
        let helper = lost == 0 ? 1 : 0
        #expect(ring.refusal(helper, [ring.net.id(lost)]) == .notNeeded)
        #expect(ring.refusal(helper, []) == .notNeeded)
        guard case .report(let report) = ring.recover(helper, nil) else {
            Issue.record("no report")
            return
        }
        #expect(report.isServing && report.lost == [ring.net.id(lost)])
    }

    @Test("recovered on both sides of a cut: neither follows the other, and both say so")
    func fork() throws {
        var ring = try RecoveryRing(seed: 7)
        let dead = ring.stewards[0]
        let (one, two) = (ring.stewards[1], ring.stewards[2])
        ring.net.crash(dead)
        ring.net.cut(two, true)
        ring.net.run(for: .seconds(5))
        let ids = [dead, one, two].map { ring.net.id($0) }
        guard case .recovered(let first, _) = ring.recover(one, [ids[0], ids[2]]),
            case .recovered(let second, _) = ring.recover(two, [ids[0], ids[1]])
        else {
            Issue.record("not recovered")
            return
        }
        ring.net.cut(two, false)
        ring.net.run(for: .seconds(30))
        #expect(ring.net.peer(one)?.configuration.registry == first.registry)
        #expect(ring.net.peer(two)?.configuration.registry == second.registry)
        for node in [one, two] {
            let isTold = ring.net.events[node]?.contains {
                if case .registryForked = $0 { true } else { false }
            }
            #expect(isTold == true)
        }
        let stewards = ring.net.peer(one)?.configuration.stewards.members.map(\.node) ?? []
        #expect(!stewards.contains(ids[2]))
    }
}

/// Four peers of which three are stewards, with a block each and a register written.
struct RecoveryRing {
    var net: PeerNet
    /// The nodes that hold registers.
    let stewards: [Int]
    /// The databases of the stewards.
    let storages: [NodeID: NodeID]
    private let plan: BlockPlan

    init(seed: UInt64) throws {
        var parameters = PeerParameters()
        parameters.ipam.rest = .seconds(2)
        parameters.ipam.reclaimDrain = .seconds(20)
        parameters.ipam.reclaimInterval = .seconds(1)
        net = PeerNet(count: 4, seed: seed, parameters: parameters)
        plan = BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/22")))
        let isGrown = net.run(
            until: { net in
                (0..<4).allSatisfy {
                    net.peer($0)?.configuration.stewards.members.count == 3
                        && net.peer($0)?.configuration.members.count == 4
                }
            },
            limit: .seconds(30)
        )
        try #require(isGrown)
        let group = try #require(net.peer(0)?.configuration.stewards)
        let ring = net
        stewards = (0..<4).filter { group.steward(on: ring.id($0)) != nil }
        storages = Dictionary(uniqueKeysWithValues: group.members.map { ($0.node, $0.storage) })
        for node in 0..<4 {
            for number in 0..<3 { _ = add(node, "first\(number)") }
        }
        let token = net.request(0) {
            $0.ask(
                .compareAndSet(key: "test/a", expectedVersion: 0, content: [7]),
                token: $1,
                now: $2
            )
        }
        _ = net.run(until: { $0.answers[0]?[token] != nil }, limit: .seconds(5))
        net.run(for: .seconds(2))
    }

    mutating func recover(_ node: Int, _ givenUp: [NodeID]?) -> RecoveryOutcome? {
        let token = net.request(node) { $0.recover(givenUp: givenUp, token: $1, now: $2) }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(40))
        guard case .recovery(let outcome) = net.answers[node]?[token] else { return nil }
        return outcome
    }

    mutating func refusal(_ node: Int, _ givenUp: [NodeID]) -> RecoveryRefusal? {
        guard case .refused(let refusal, _) = recover(node, givenUp) else { return nil }
        return refusal
    }

    mutating func read(_ node: Int, _ key: String) -> RegisterValue? {
        let token = net.request(node) { $0.ask(.read(key: key), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(5))
        guard case .register(.value(let value)) = net.answers[node]?[token] else { return nil }
        return value
    }

    mutating func create(_ node: Int, _ key: String) -> RegisterValue? {
        let token = net.request(node) {
            $0.ask(.compareAndSet(key: key, expectedVersion: 0, content: [1]), token: $1, now: $2)
        }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(5))
        guard case .register(.committed(let value)) = net.answers[node]?[token] else { return nil }
        return value
    }

    mutating func outcome(_ node: Int, _ name: String) -> AddressOutcome? {
        let holder = AddressHolder(containerID: "\(node)-\(name)", interfaceName: "eth0")
        let plan = plan
        let token = net.request(node) { $0.allocate(plan, holder: holder, token: $1, now: $2) }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(8))
        guard case .address(let outcome) = net.answers[node]?[token] else { return nil }
        return outcome
    }

    mutating func add(_ node: Int, _ name: String) -> AddressPool.Assignment? {
        guard case .assigned(let assignment) = outcome(node, name) else { return nil }
        return assignment
    }

    /// Takes a node out of the ring as the service does, but for its place in the configuration.
    mutating func retire(_ helper: Int, _ id: NodeID) {
        let removed = BootRecord(boot: 1, token: 0, era: 1, isRemoved: true)
        for (key, content) in [
            (BootRecord.registerKey(id), removed.encoded),
            (NodeRetirement.registerKey(id), NodeRetirement(era: 1).encoded),
        ] {
            let version = read(helper, key)?.version ?? 0
            net.request(helper) {
                $0.ask(
                    .compareAndSet(key: key, expectedVersion: version, content: content),
                    token: $1,
                    now: $2
                )
            }
            net.run(for: .seconds(1))
        }
    }

    /// Addresses that two running peers gave out.
    var duplicates: [IPAddress] {
        var seen: [IPAddress: Int] = [:]
        for node in 0..<4 {
            for assignment in net.peer(node)?.pool.inUse ?? [] {
                seen[assignment.address, default: 0] += 1
            }
        }
        return seen.filter { $0.value > 1 }.map(\.key)
    }

    /// Expects that the registers name the owner of every block that a running peer gives out from.
    mutating func expectOwned() {
        for node in 0..<4 {
            for block in net.peer(node)?.pool.blocks ?? [] where block.state == .active {
                let owner = read(node, plan.registerKey(block.prefix))?.payload
                    .flatMap { try? BlockOwner(encoded: $0) }
                #expect(owner?.node == net.id(node) && owner?.fence == block.fence)
            }
        }
    }
}
