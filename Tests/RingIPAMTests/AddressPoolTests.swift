import Addressing
import Determinism
import RingIPAM
import Testing

@Suite("Address allocation: unique, repeatable, rested")
struct AddressPoolTests {
    private let node = NodeID(high: 1, low: 1)

    private func plan(_ subnet: String) throws -> BlockPlan {
        BlockPlan(pool: 7, subnet: try #require(Prefix(subnet)))
    }

    private func pool(_ plan: BlockPlan, blocks: [UInt64]) -> AddressPool {
        AddressPool(
            blocks: blocks.map { .init(pool: plan.pool, prefix: plan.block($0), fence: 1) },
            assignments: []
        )
    }

    private func holder(_ number: Int, _ interface: String = "eth0") -> AddressHolder {
        AddressHolder(containerID: "c\(number)", interfaceName: interface)
    }

    @Test(
        "a subnet falls into /26 blocks that cover it without overlap",
        arguments: [
            ("10.1.0.0/16", 1_024), ("10.1.0.0/24", 4), ("10.1.0.0/26", 1), ("10.1.0.0/30", 1),
        ]
    )
    func blocks(subnet: String, count: UInt64) throws {
        let plan = try plan(subnet)
        #expect(plan.count == count)
        #expect(plan.block(0).first == plan.subnet.first)
        #expect(plan.block(count - 1).last == plan.subnet.last)
        #expect(plan.candidates(for: node).sorted() == (0..<count).map { plan.block($0) })
        #expect(plan.registerKey(plan.block(count - 1)) == plan.registerPrefix + "\(count - 1)")
        #expect(plan.block(ofKey: plan.registerPrefix + "\(count - 1)") == plan.block(count - 1))
        #expect(plan.block(ofKey: plan.registerPrefix + "\(count)") == nil)
    }

    @Test("every address of a block is given out once; network, gateway and last never")
    func exhaustion() throws {
        let plan = try plan("10.1.0.0/26")
        var pool = pool(plan, blocks: [0])
        var seen: [IPAddress] = []
        for number in 0..<61 {
            guard
                case .assigned(let assignment) = pool.allocate(
                    plan,
                    holder: holder(number),
                    now: .zero
                )
            else {
                Issue.record("address \(number) was refused")
                return
            }
            seen.append(assignment.address)
        }
        #expect(Set(seen).count == 61)
        #expect(!seen.contains { ["10.1.0.0", "10.1.0.1", "10.1.0.63"].contains($0.description) })
        #expect(pool.allocate(plan, holder: holder(99), now: .zero) == .needsBlock)
        #expect(pool.freeCount(plan, now: .zero) == 0)
    }

    @Test("the same container and interface get the same address again")
    func idempotent() throws {
        let plan = try plan("10.1.0.0/24")
        var pool = pool(plan, blocks: [1])
        guard case .assigned(let first) = pool.allocate(plan, holder: holder(1), now: .zero) else {
            Issue.record("refused")
            return
        }
        #expect(pool.allocate(plan, holder: holder(1), now: .zero) == .existing(first))
        guard
            case .assigned(let second) = pool.allocate(plan, holder: holder(1, "eth1"), now: .zero)
        else {
            Issue.record("refused")
            return
        }
        #expect(first.address != second.address)
    }

    @Test("a freed address rests for a minute, and the longest-rested comes back first")
    func quarantine() throws {
        let plan = try plan("10.1.0.0/30")
        var pool = pool(plan, blocks: [0])
        guard case .assigned(let only) = pool.allocate(plan, holder: holder(1), now: .zero) else {
            Issue.record("refused")
            return
        }
        #expect(pool.release(pool: 7, holder: holder(1), now: .zero) == [only])
        #expect(pool.release(pool: 7, holder: holder(1), now: .zero).isEmpty)
        let early = Instant.zero.advanced(by: .seconds(59))
        #expect(pool.allocate(plan, holder: holder(2), now: early) == .needsBlock)
        let late = Instant.zero.advanced(by: .seconds(60))
        guard case .assigned(let again) = pool.allocate(plan, holder: holder(2), now: late) else {
            Issue.record("refused after its rest")
            return
        }
        #expect(again.address == only.address)
    }

    @Test("a late release by an old container does not free the new one's address")
    func lateRelease() throws {
        let plan = try plan("10.1.0.0/24")
        var pool = pool(plan, blocks: [0])
        _ = pool.allocate(plan, holder: holder(1), now: .zero)
        _ = pool.release(pool: 7, holder: holder(1), now: .zero)
        _ = pool.allocate(plan, holder: holder(2), now: .zero)
        #expect(pool.release(pool: 7, holder: holder(1), now: .zero).isEmpty)
        #expect(pool.inUse.map(\.holder) == [holder(2)])
    }

    @Test(
        "random allocations and releases never give one address to two holders",
        arguments: 0..<20
    )
    func random(seed: UInt64) throws {
        let plan = try plan("10.1.0.0/25")
        var generator = SeededGenerator(seed: seed)
        var pool = pool(plan, blocks: [0])
        var now = Instant.zero
        var model: [Int: IPAddress] = [:]
        for step in 0..<400 {
            now = now.advanced(by: .milliseconds(Int64.random(in: 0...4_000, using: &generator)))
            let number = Int.random(in: 0..<80, using: &generator)
            if step == 200 {
                pool.add(.init(pool: 7, prefix: plan.block(1), fence: 2))
            }
            if Bool.random(using: &generator) {
                switch pool.allocate(plan, holder: holder(number), now: now) {
                case .assigned(let assignment):
                    #expect(model[number] == nil)
                    #expect(!model.values.contains(assignment.address))
                    model[number] = assignment.address
                case .existing(let assignment): #expect(model[number] == assignment.address)
                case .needsBlock, .taken: break
                }
            } else {
                let freed = pool.release(pool: 7, holder: holder(number), now: now)
                #expect(freed.first?.address == model.removeValue(forKey: number))
            }
        }
        // What was durable makes the same pool again.
        let again = AddressPool(
            blocks: try pool.blocks.map { try .init(encoded: $0.encoded) },
            assignments: try pool.inUse.map { try .init(encoded: $0.encoded) }
        )
        #expect(again.inUse == pool.inUse)
        #expect(again.blocks == pool.blocks)
    }

    @Test("a block's owner is read back as written, and a cut one is refused")
    func ownerCodec() throws {
        for owner in [BlockOwner(node: node, fence: 4), BlockOwner(node: nil, fence: 9)] {
            #expect(try BlockOwner(encoded: owner.encoded) == owner)
            for length in 0..<owner.encoded.count {
                #expect(throws: (any Error).self) {
                    try BlockOwner(encoded: Array(owner.encoded[..<length]))
                }
            }
        }
    }

    @Test("a subnet is used while a pod has an address of it, whatever its neighbours have")
    func used() throws {
        let plans = try [6, 7, 8].map { number in
            BlockPlan(pool: number, subnet: try #require(Prefix("10.1.0.0/26")))
        }
        var pool = AddressPool(
            blocks: plans.map { .init(pool: $0.pool, prefix: $0.block(0), fence: 1) },
            assignments: []
        )
        #expect(!plans.contains { pool.isUsed($0.key) })
        for plan in plans { _ = pool.allocate(plan, holder: holder(1), now: .zero) }
        #expect(plans.allSatisfy { pool.isUsed($0.key) })
        _ = pool.release(pool: 7, holder: holder(1), now: .zero)
        #expect(plans.map { pool.isUsed($0.key) } == [true, false, true])
        #expect(!pool.isUsed(SubnetKey(pool: 6, isV4: false)))
    }
}
