import Addressing
import Determinism
import RingIPAM
import RingPeer
import Simulation
import Testing

@Suite("Planted mistakes of the allocator are caught, each by the scenario it breaks")
struct AddressFlawTests {
    @Test("pods under faults: no address is held twice", arguments: 0..<4 as Range<UInt64>)
    func law(seed: UInt64) {
        #expect(AddressWorld.run(seed: seed) == [])
    }

    @Test(
        "the scenario holds without the mistake, and breaks with it",
        arguments: IPAMFlaw.allCases.filter { $0 != .pauseUnnoticed }
    )
    func caught(flaw: IPAMFlaw) throws {
        #expect(try isBroken(flaw, flaws: []) == false)
        #expect(try isBroken(flaw, flaws: [flaw]))
    }

    private func isBroken(_ flaw: IPAMFlaw, flaws: [IPAMFlaw]) throws -> Bool {
        switch flaw {
        case .assignedBeforeDurable: try losesWhatItTold(flaws, isRelease: false)
        case .releasedBeforeDurable: try losesWhatItTold(flaws, isRelease: true)
        case .quarantineSkipped: try reusesAtOnce(flaws)
        case .halfPairKept: try keepsHalf(flaws)
        case .bootUnchecked, .oldEraAdopted: try trustsOldDisk(flaws)
        case .drainSkipped: try givesBack(flaws).isFreeTooSoon
        case .fenceNotRaised: try givesBack(flaws).nextFence == 1
        case .reclaimedOnSilence: try takesFromSilent(flaws)
        case .duplicateClaimIsOwn: try claimsTwice(flaws)
        case .releasedInUse: try givesBackInUse(flaws)
        case .pauseUnnoticed: false
        }
    }

    private func plan(_ subnet: String) throws -> BlockPlan {
        BlockPlan(pool: 5, subnet: try #require(Prefix(subnet)))
    }

    private func holder(_ name: String) -> AddressHolder {
        AddressHolder(containerID: name, interfaceName: "eth0")
    }

    // MARK: One peer

    private func ask(_ disk: inout OneDisk, _ plans: [BlockPlan], _ name: String) -> PeerAnswer? {
        let token = disk.ask {
            $0.allocate(plans, holder: holder(name), wanted: [], token: $1, now: $2)
        }
        disk.run(until: token)
        return disk.answers[token]
    }

    private func free(_ disk: inout OneDisk, _ name: String) -> PeerAnswer? {
        let token = disk.ask { $0.release(pool: 5, holder: holder(name), token: $1, now: $2) }
        disk.run(until: token)
        return disk.answers[token]
    }

    private func losesWhatItTold(_ flaws: [IPAMFlaw], isRelease: Bool) throws -> Bool {
        let plan = try plan("10.1.0.0/29")
        var start = OneDisk()
        start.flaws = flaws
        try start.start()
        if isRelease { _ = ask(&start, [plan], "a") }
        start.writes = 0
        for write in 1...12 {
            var disk = start
            disk.cutAt = write
            let answer = isRelease ? free(&disk, "a") : ask(&disk, [plan], "a")
            guard disk.peer == nil else { break }
            try disk.start()
            let held = disk.peer?.pool.inUse.map(\.address) ?? []
            switch answer {
            case .address(.assigned(let told)) where !held.contains(told.address): return true
            case .address(.released) where !held.isEmpty: return true
            default: break
            }
        }
        return false
    }

    private func reusesAtOnce(_ flaws: [IPAMFlaw]) throws -> Bool {
        let plan = try plan("10.1.0.0/30")
        var disk = OneDisk()
        disk.flaws = flaws
        try disk.start()
        _ = ask(&disk, [plan], "a")
        _ = free(&disk, "a")
        return ask(&disk, [plan], "b") != .address(.exhausted)
    }

    private func keepsHalf(_ flaws: [IPAMFlaw]) throws -> Bool {
        let plans = [try plan("10.1.0.0/29"), try plan("fd00::8/127")]
        var disk = OneDisk()
        disk.flaws = flaws
        try disk.start()
        _ = ask(&disk, plans, "a")
        #expect(ask(&disk, plans, "b") == .address(.exhausted))
        return disk.peer?.pool.inUse.count != 2
    }

    // MARK: Several peers

    private func net(_ count: Int, _ flaws: [IPAMFlaw]) -> PeerNet {
        var net = PeerNet(count: count, seed: 1, parameters: AddressWorld.parameters(flaws))
        net.run(for: .seconds(8))
        return net
    }

    private func add(
        _ net: inout PeerNet,
        _ node: Int,
        _ plan: BlockPlan,
        _ name: String
    ) -> AddressPool.Assignment? {
        let token = net.request(node) {
            $0.allocate(plan, holder: holder(name), token: $1, now: $2)
        }
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(6))
        guard case .address(.assigned(let one)) = net.answers[node]?[token] else { return nil }
        return one
    }

    private func trustsOldDisk(_ flaws: [IPAMFlaw]) throws -> Bool {
        var net = net(2, flaws)
        let plan = try plan("10.1.0.0/24")
        _ = add(&net, 1, plan, "a")
        net.crash(1)
        net.start(1)
        net.run(for: .seconds(2))
        let lost = try #require(add(&net, 1, plan, "b"))
        net.crash(1)
        net.start(1, .rolledBack)
        net.run(for: .seconds(2))
        return add(&net, 1, plan, "c")?.address == lost.address
    }

    private func givesBack(
        _ flaws: [IPAMFlaw]
    ) throws -> (isFreeTooSoon: Bool, nextFence: UInt64?) {
        var net = net(2, flaws)
        let plan = try plan("10.1.0.0/26")
        _ = add(&net, 1, plan, "a")
        net.request(1) { $0.release(pool: 5, holder: holder("a"), token: $1, now: $2) }
        // It rests for 6 s, is idle for 5 s and drains for 6 s.
        net.run(for: .seconds(14))
        let soon = add(&net, 0, plan, "b")
        net.run(for: .seconds(10))
        return (soon != nil, (soon ?? add(&net, 0, plan, "b"))?.fence)
    }

    private func takesFromSilent(_ flaws: [IPAMFlaw]) throws -> Bool {
        var net = net(2, flaws)
        let plan = try plan("10.1.0.0/26")
        _ = add(&net, 1, plan, "a")
        net.crash(1)
        net.run(for: .seconds(40))
        return add(&net, 0, plan, "b") != nil
    }

    private func claimsTwice(_ flaws: [IPAMFlaw]) throws -> Bool {
        var net = net(2, flaws)
        let plan = try plan("10.1.0.0/26")
        let tokens = [0, 1].map { node in
            net.request(node) {
                $0.allocate(plan, holder: holder("c\(node)"), token: $1, now: $2)
            }
        }
        net.run(for: .seconds(5))
        let assigned = tokens.enumerated().filter { node, token in
            if case .address(.assigned) = net.answers[node]?[token] { true } else { false }
        }
        return assigned.count > 1
    }

    private func givesBackInUse(_ flaws: [IPAMFlaw]) throws -> Bool {
        var net = net(1, flaws)
        let plan = try plan("10.1.0.0/24")
        for number in 0..<40 { _ = add(&net, 0, plan, "c\(number)") }
        net.run(for: .seconds(10))
        let pool = try #require(net.peer(0)?.pool)
        return pool.inUse.contains { held in
            !pool.blocks.contains { $0.prefix.contains(held.address) && $0.state == .active }
        }
    }
}
