import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingRegisters
import Simulation
import Testing

@Suite("The life of a block: free, owned, draining, free again")
struct BlockLifeTests {
    private static let parameters: PeerParameters = {
        var parameters = PeerParameters()
        parameters.ipam.rest = .seconds(2)
        parameters.ipam.releaseDrain = .seconds(3)
        parameters.ipam.reclaimDrain = .seconds(30)
        parameters.ipam.surplusAfter = .seconds(2)
        parameters.ipam.idleAfter = .seconds(4)
        parameters.ipam.reclaimInterval = .seconds(1)
        return parameters
    }()

    private func net(_ count: Int, seed: UInt64 = 1) -> PeerNet {
        var net = PeerNet(count: count, seed: seed, parameters: Self.parameters)
        net.run(for: .seconds(8))
        return net
    }

    private func holder(_ name: String) -> AddressHolder {
        AddressHolder(containerID: name, interfaceName: "eth0")
    }

    private func add(
        _ net: inout PeerNet,
        _ node: Int,
        _ plans: [BlockPlan],
        _ name: String,
        wanted: [IPAddress] = []
    ) -> AddressOutcome? {
        let holder = holder(name)
        let token = net.request(node) {
            $0.allocate(plans, holder: holder, wanted: wanted, token: $1, now: $2)
        }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(6))
        guard case .address(let outcome) = net.answers[node]?[token] else { return nil }
        return outcome
    }

    private func delete(_ net: inout PeerNet, _ node: Int, _ name: String) {
        let holder = holder(name)
        net.request(node) { $0.release(pool: 5, holder: holder, token: $1, now: $2) }
        net.run(for: .milliseconds(100))
    }

    private func read(_ net: inout PeerNet, _ node: Int, _ key: String) -> RegisterValue? {
        let token = net.request(node) { $0.ask(.read(key: key), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(3))
        guard case .register(.value(let value)) = net.answers[node]?[token] else { return nil }
        return value
    }

    private func set(_ net: inout PeerNet, _ node: Int, _ key: String, _ content: [UInt8]) {
        let version = read(&net, node, key)?.version ?? 0
        net.request(node) {
            $0.ask(
                .compareAndSet(key: key, expectedVersion: version, content: content),
                token: $1,
                now: $2
            )
        }
        net.run(for: .seconds(1))
    }

    private func owner(_ net: inout PeerNet, _ plan: BlockPlan, _ block: Prefix) -> BlockOwner? {
        read(&net, 0, plan.registerKey(block))?.payload.flatMap { try? BlockOwner(encoded: $0) }
    }

    private func plan(_ subnet: String) throws -> BlockPlan {
        BlockPlan(pool: 5, subnet: try #require(Prefix(subnet)))
    }

    @Test("an emptied subnet is free again after its drain, and the next owner has a higher fence")
    func release() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/26")
        guard case .assigned(let first) = add(&net, 1, [plan], "a") else {
            Issue.record("refused")
            return
        }
        #expect(first.fence == 1)
        #expect(add(&net, 0, [plan], "b") == .exhausted)
        delete(&net, 1, "a")
        net.run(for: .seconds(9))
        #expect(owner(&net, plan, plan.block(0))?.state == .draining)
        net.run(for: .seconds(6))
        #expect(owner(&net, plan, plan.block(0)) == BlockOwner(node: nil, fence: 1))
        #expect(net.peer(1)?.pool.blocks.isEmpty == true)
        guard case .assigned(let second) = add(&net, 0, [plan], "b") else {
            Issue.record("refused after it was free")
            return
        }
        #expect(second.fence == 2)
    }

    @Test("a spare block is there before it is needed, and goes back when it is needed no more")
    func spare() throws {
        var net = net(1)
        let plan = try plan("10.1.0.0/24")
        for number in 0..<40 { _ = add(&net, 0, [plan], "c\(number)") }
        net.run(for: .seconds(1))
        #expect(net.peer(0)?.pool.blocks.count == 2)
        for number in 0..<30 { delete(&net, 0, "c\(number)") }
        net.run(for: .seconds(15))
        #expect(net.peer(0)?.pool.blocks.count == 1)
    }

    @Test("of two families both or nothing, and the first is free again at once")
    func pairs() throws {
        var net = net(2)
        let wide = try plan("10.1.0.0/24")
        let narrow = try plan("fd00::8/127")
        guard case .assignedPair(let four, let six) = add(&net, 1, [wide, narrow], "a") else {
            Issue.record("refused")
            return
        }
        #expect(four.address.isV4 && six.address.description == "fd00::9")
        #expect(add(&net, 1, [wide, narrow], "b") == .exhausted)
        #expect(net.peer(1)?.pool.inUse.count == 2)
        delete(&net, 1, "a")
        #expect(net.peer(1)?.pool.inUse.isEmpty == true)
        net.run(for: .seconds(3))
        guard case .assignedPair = add(&net, 1, [wide, narrow], "b") else {
            Issue.record("refused after the first was gone")
            return
        }
    }

    @Test("a wanted address is had by one node only, and never from another's block")
    func wanted() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/24")
        let address = try #require(IPAddress("10.1.0.77"))
        guard case .assigned(let got) = add(&net, 0, [plan], "a", wanted: [address]) else {
            Issue.record("refused")
            return
        }
        #expect(got.address == address)
        #expect(
            add(&net, 1, [plan], "b", wanted: [address]) == .addressTaken(address, by: net.id(0))
        )
        #expect(
            add(&net, 0, [plan], "b", wanted: [address]) == .addressTaken(address, by: net.id(0))
        )
        let gateway = plan.subnet.gateway
        #expect(add(&net, 0, [plan], "c", wanted: [gateway]) == .addressUnusable(gateway))
    }

    @Test("a disk from before the last start gives out nothing of its old blocks (rule A0)")
    func rolledBack() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/24")
        _ = add(&net, 1, [plan], "a")
        net.crash(1)
        net.start(1)
        net.run(for: .seconds(2))
        guard case .assigned(let lost) = add(&net, 1, [plan], "b") else {
            Issue.record("refused")
            return
        }
        net.crash(1)
        net.start(1, .rolledBack)
        net.run(for: .seconds(3))
        #expect(net.peer(1)?.bootRecord?.era == 2)
        #expect(net.peer(1)?.pool.blocks.allSatisfy { $0.state != .active } == true)
        guard case .assigned(let next) = add(&net, 1, [plan], "c") else {
            Issue.record("refused a new block")
            return
        }
        #expect(plan.block(containing: next.address) != plan.block(containing: lost.address))
    }

    @Test(
        "without stewards owned blocks serve, nothing is claimed and nothing given back (rule A6)"
    )
    func stewardsAway() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/24")
        _ = add(&net, 1, [plan], "a")
        net.crash(0)
        net.run(for: .seconds(4))
        // A block has at most 64, and this one has "a" already.
        var outcomes: [AddressOutcome?] = []
        for number in 0..<64 { outcomes.append(add(&net, 1, [plan], "c\(number)")) }
        let served = outcomes.prefix { if case .assigned = $0 { true } else { false } }
        #expect(served.count >= 60)
        #expect(outcomes.dropFirst(served.count).allSatisfy { $0 == .registersUnavailable })
        #expect(served.count < outcomes.count)
        #expect(net.peer(1)?.pool.blocks.count == 1)
        net.start(0)
        net.run(for: .seconds(8))
        guard case .assigned = add(&net, 1, [plan], "late") else {
            Issue.record("refused although the steward is back")
            return
        }
    }

    @Test("a removed node's block drains under a higher fence, a silent node's stays (rule A4)")
    func reclaim() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/26")
        _ = add(&net, 1, [plan], "a")
        net.crash(1)
        net.run(for: .seconds(60))
        #expect(owner(&net, plan, plan.block(0)) == BlockOwner(node: net.id(1), fence: 1, era: 1))
        let removed = BootRecord(boot: 1, token: 0, era: 1, isRemoved: true)
        set(&net, 0, BootRecord.registerKey(net.id(1)), removed.encoded)
        set(&net, 0, NodeRetirement.registerKey(net.id(1)), NodeRetirement(era: 1).encoded)
        net.run(for: .seconds(5))
        #expect(owner(&net, plan, plan.block(0)) == .draining(net.id(1), fence: 2, era: 1))
        #expect(add(&net, 0, [plan], "b") == .exhausted)
        net.run(for: .seconds(35))
        #expect(owner(&net, plan, plan.block(0)) == BlockOwner(node: nil, fence: 2))
        #expect(read(&net, 0, NodeRetirement.registerKey(net.id(1)))?.payload == nil)
        guard case .assigned(let next) = add(&net, 0, [plan], "b") else {
            Issue.record("refused after the drain")
            return
        }
        #expect(next.fence == 3)
        // Should the node come back after all, it knows better than its disk.
        net.start(1)
        net.run(for: .seconds(4))
        #expect(net.peer(1)?.bootRecord?.era == 2)
        #expect(add(&net, 1, [plan], "c") == .exhausted)
    }

    @Test("a node that is taken out again while it drains loses what it got in between as well")
    func reclaim_again() throws {
        var net = net(2)
        let plan = try plan("10.1.0.0/24")
        func remove(era: UInt64) {
            let removed = BootRecord(boot: era, token: 0, era: era, isRemoved: true)
            set(&net, 0, BootRecord.registerKey(net.id(1)), removed.encoded)
            set(&net, 0, NodeRetirement.registerKey(net.id(1)), NodeRetirement(era: era).encoded)
        }
        func owners() -> [BlockOwner] {
            (0..<4).compactMap { owner(&net, plan, plan.block($0)) }.filter { $0.node == net.id(1) }
        }
        _ = add(&net, 1, [plan], "a")
        net.crash(1)
        net.run(for: .seconds(2))
        remove(era: 1)
        net.run(for: .seconds(5))
        #expect(owners().allSatisfy { $0.state == .draining } && !owners().isEmpty)
        net.start(1)
        net.run(for: .seconds(4))
        guard case .assigned = add(&net, 1, [plan], "b") else {
            Issue.record("refused although there are free blocks")
            return
        }
        net.crash(1)
        net.run(for: .seconds(2))
        #expect(owners().contains { $0.state == .owned && $0.era == 2 })
        remove(era: 2)
        net.run(for: .seconds(5))
        #expect(owners().contains { $0.era == 2 })
        #expect(owners().allSatisfy { $0.state == .draining })
    }
}
