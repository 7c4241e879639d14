import Addressing
import Determinism
package import RingIPAM
import RingPlacement
import RingRegisters
import Wire

/// Rules A0 and A3: who may give out this node's addresses, and which blocks go back.
extension Peer {
    /// Blocks that are on their way back at once.
    private static let returnsMax = 16

    /// What is known of the boot register; nil before this process found itself in it.
    package var bootRecord: BootRecord? { allocator.boot.confirmed }

    /// The plan of a subnet that addresses were asked of; nil while none were.
    package func plan(_ subnet: SubnetKey) -> BlockPlan? { allocator.plans[subnet] }

    mutating func tickAllocator(now: Instant) {
        guard now >= allocator.nextUpkeepAt else { return }
        allocator.nextUpkeepAt = now.advanced(by: allocator.parameters.upkeepInterval)
        if allocator.boot.confirmed == nil {
            allocator.nextUpkeepAt = min(
                allocator.nextUpkeepAt,
                now.advanced(by: BootJob.retryInterval)
            )
        }
        if now >= allocator.boot.nextAt { askBoot(now: now) }
        guard allocator.boot.confirmed != nil else { return }
        tickRegistryCheck(now: now)
        keepUp(now: now)
        tickReclaim(now: now)
    }

    // MARK: The boot register

    mutating func askBoot(now: Instant) {
        guard case .idle = allocator.boot.step, !allocator.has(.bootUnchecked) else { return }
        allocator.boot.step = .reading
        allocator.boot.askedAt = now
        ask(.boot, .read(key: BootRecord.registerKey(identity.node)), now: now)
    }

    mutating func takeBoot(_ outcome: RegisterOutcome, now: Instant) {
        let step = allocator.boot.step
        allocator.boot.step = .idle
        switch (step, outcome) {
        case (.writing(let record), .committed): confirm(record, now: now)
        case (_, .value(let value)), (_, .conflict(let value)): compare(value, now: now)
        case (.writing, .indeterminate): askBoot(now: now)
        default:
            allocator.boot.nextAt = now.advanced(by: BootJob.retryInterval)
            failWaiting(now: now)
        }
    }

    /// Holds the register against what the disk remembers, and writes this process into it.
    private mutating func compare(_ value: RegisterValue, now: Instant) {
        let held = value.payload.flatMap { try? BootRecord(encoded: $0) }
        let boot = allocator.boot
        if let held, !held.isRemoved, held.token == boot.token, held.boot >= boot.boot,
            held == boot.confirmed || allocator.ledger.attempts.contains(held)
        {
            return confirm(held, now: now)
        }
        // One that cannot be read is nobody that this disk remembers.
        let isExpected = allocator.ledger.expects(held) && (held != nil || value.payload == nil)
        let record = allocator.ledger.next(over: held, boot: boot.boot, token: boot.token)
        allocator.ledger.attempt(record)
        var rows = [allocator.ledgerRow]
        if !isExpected, !allocator.has(.oldEraAdopted) { rows += suspendAll() }
        allocator.boot.step = .writing(record)
        allocator.boot.confirmed = nil
        let request = RegisterRequest.compareAndSet(
            key: BootRecord.registerKey(identity.node),
            expectedVersion: value.version,
            content: record.encoded
        )
        persist(rows) { $0.ask(.boot, request, now: now) }
    }

    private mutating func confirm(_ record: BootRecord, now: Instant) {
        allocator.boot.verifiedAt = allocator.boot.askedAt
        // Drawn, so that nodes that started together do not ask together for ever.
        let interval = allocator.parameters.verifyInterval.milliseconds
        let wait = Int64.random(in: interval * 3 / 4...interval, using: &generator)
        allocator.boot.nextAt = now.advanced(by: .milliseconds(wait))
        if allocator.boot.confirmed != record {
            allocator.boot.confirmed = record
            allocator.ledger.confirm(record)
            effects.append(.persist([allocator.ledgerRow], then: []))
        }
        // One that was removed comes in again only now.
        if !isSettled { configurationJob.nextAt = min(configurationJob.nextAt, now) }
        let parked = allocator.parked
        allocator.parked = []
        for number in parked { proceed(number, now: now) }
        beginClaims(now: now)
    }

    /// Gives out nothing more of any block; the rows that say so.
    private mutating func suspendAll() -> [PeerRow] {
        pool.blocks.filter { $0.state == .active }.compactMap { block in
            pool.set(.suspended, of: block).map { row($0) }
        }
    }

    // MARK: Blocks that go back

    private mutating func keepUp(now: Instant) {
        for block in pool.blocks {
            let key = BlockKey(pool: block.pool, prefix: block.prefix)
            let isEmpty = pool.isEmpty(block, now: now)
            if !isEmpty {
                allocator.emptySince[key] = nil
            } else if allocator.emptySince[key] == nil {
                allocator.emptySince[key] = now
            }
            guard let plan = allocator.plans[block.subnet] else { continue }
            switch block.state {
            case .active:
                guard isSurplus(block, plan, now: now) else { continue }
                giveBack(key, block, plan, now: now)
            case .suspended:
                guard isEmpty || allocator.has(.releasedInUse) else { continue }
                giveBack(key, block, plan, now: now)
            case .draining: goOn(key, plan, now: now)
            }
        }
    }

    private func isSurplus(_ block: AddressPool.Block, _ plan: BlockPlan, now: Instant) -> Bool {
        if allocator.has(.releasedInUse), !pool.isEmpty(block, now: now) {
            return pool.hasSpare(plan, besides: block, now: now)
        }
        let key = BlockKey(pool: block.pool, prefix: block.prefix)
        guard let since = allocator.emptySince[key] else { return false }
        let isAsked = allocator.requests.contains { $1.plans.contains { $0.key == plan.key } }
        if !pool.isUsed(plan.key), !isAsked {
            return now.since(since) >= allocator.parameters.idleAfter
        }
        return now.since(since) >= allocator.parameters.surplusAfter
            && pool.hasSpare(plan, besides: block, now: now)
    }

    /// Locally first: nothing is given out of the block any more, durably, before the ring hears.
    private mutating func giveBack(
        _ key: BlockKey,
        _ block: AddressPool.Block,
        _ plan: BlockPlan,
        now: Instant
    ) {
        guard allocator.returns.count < Self.returnsMax,
            let draining = pool.set(.draining, of: block)
        else { return }
        allocator.returns[key] = BlockReturn()
        let register = plan.registerKey(block.prefix)
        persist([row(draining)]) { $0.ask(.giveBack(key), .read(key: register), now: now) }
    }

    private mutating func goOn(_ key: BlockKey, _ plan: BlockPlan, now: Instant) {
        switch allocator.returns[key]?.step {
        case nil: allocator.returns[key] = BlockReturn()
        case .waiting(let until) where now >= until: allocator.returns[key]?.step = .readingAgain
        case .waiting, .reading, .setting, .readingAgain, .freeing: return
        }
        ask(.giveBack(key), .read(key: plan.registerKey(key.prefix)), now: now)
    }

    mutating func takeReturn(_ key: BlockKey, _ outcome: RegisterOutcome, now: Instant) {
        guard let block = pool.block(key.pool, key.prefix),
            let plan = allocator.plans[block.subnet],
            let step = allocator.returns[key]?.step
        else { return }
        switch (step, outcome) {
        case (.reading, .value(let value)), (.readingAgain, .value(let value)):
            compare(key, block, plan, value, now: now)
        case (.setting, .committed): wait(key, now: now)
        case (.freeing, .committed): forget(key, block)
        default: allocator.returns[key] = nil
        }
    }

    private mutating func compare(
        _ key: BlockKey,
        _ block: AddressPool.Block,
        _ plan: BlockPlan,
        _ value: RegisterValue,
        now: Instant
    ) {
        guard let owner = value.payload.flatMap({ try? BlockOwner(encoded: $0) }),
            owner.node == identity.node, owner.fence == block.fence
        else { return forget(key, block) }
        let next: BlockOwner
        switch (owner.state, allocator.returns[key]?.step) {
        case (.owned, _):
            next = .draining(identity.node, fence: owner.fence, era: owner.era)
            allocator.returns[key]?.step = .setting
        case (.draining, .readingAgain):
            next = BlockOwner(node: nil, fence: owner.fence)
            allocator.returns[key]?.step = .freeing
        case (.draining, _): return wait(key, now: now)
        case (.free, _): return forget(key, block)
        }
        let request = RegisterRequest.compareAndSet(
            key: plan.registerKey(block.prefix),
            expectedVersion: value.version,
            content: next.encoded
        )
        ask(.giveBack(key), request, now: now)
    }

    private mutating func wait(_ key: BlockKey, now: Instant) {
        let drain = allocator.has(.drainSkipped) ? .zero : allocator.parameters.releaseDrain
        allocator.returns[key]?.step = .waiting(until: now.advanced(by: drain))
    }

    private mutating func forget(_ key: BlockKey, _ block: AddressPool.Block) {
        allocator.returns[key] = nil
        allocator.emptySince[key] = nil
        var rows = pool.remove(block).map { address in
            PeerRow(space: .assignments, key: Self.key(block.pool, address), value: nil)
        }
        rows.append(
            PeerRow(space: .blocks, key: Self.key(block.pool, block.prefix.first), value: nil)
        )
        effects.append(.persist(rows, then: []))
    }
}
