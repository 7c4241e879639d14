import Addressing
package import Determinism
package import RingIPAM
import RingMembership
import RingRegisters
import Wire

/// The claim of one more block for a pool, by compare-and-swap on the block's register.
struct BlockClaim: Sendable {
    /// Somebody who waits for an address out of the block.
    struct Waiter: Sendable {
        let holder: AddressHolder
        let token: RequestToken
    }

    let plan: BlockPlan
    var waiters: [Waiter] = []
    var candidates: [Int] = []
    var attemptsLeft = 64
    /// The block whose claim ended without a word: it may be this node's already.
    var uncertain: Int?
    /// Taken blocks that this node does not know as its own; looked into before it gives up.
    var unknown: [Int] = []
}

extension Peer {
    /// When a pool has fewer free addresses than this, the next block is claimed ahead of need.
    static let freeLowMark = 16

    /// Finds an address for `holder`; answered by `.address`.
    package mutating func allocate(
        _ plan: BlockPlan,
        holder: AddressHolder,
        token: RequestToken,
        now: Instant
    ) {
        let waiter = BlockClaim.Waiter(holder: holder, token: token)
        if !assign(plan, waiter, now: now) {
            startClaim(plan, now: now)
            claims[plan.pool]?.waiters.append(waiter)
        } else if plan.count > 1, pool.freeCount(plan, now: now) < Self.freeLowMark {
            startClaim(plan, now: now)
        }
        collect(now: now)
    }

    /// Frees what `holder` has in a pool; answered by `.address` once it is durable, also when
    /// there was nothing.
    package mutating func release(
        pool: UInt64,
        holder: AddressHolder,
        token: RequestToken,
        now: Instant
    ) {
        let freed = self.pool.release(pool: pool, holder: holder, now: now)
        let rows = freed.map { [row($0, isHeld: false)] } ?? []
        effects.append(.persist(rows, then: [.answer(token, .address(.released))]))
    }

    private mutating func assign(
        _ plan: BlockPlan,
        _ waiter: BlockClaim.Waiter,
        now: Instant
    ) -> Bool {
        switch pool.allocate(plan, holder: waiter.holder, now: now) {
        case .assigned(let assignment):
            let answer = PeerEffect.answer(waiter.token, .address(.assigned(assignment)))
            effects.append(.persist([row(assignment, isHeld: true)], then: [answer]))
        case .existing(let assignment):
            // Behind the writes that are under way, one of which may be this assignment's own.
            let answer = PeerEffect.answer(waiter.token, .address(.assigned(assignment)))
            effects.append(.persist([], then: [answer]))
        case .needsBlock:
            return false
        }
        return true
    }

    private func row(_ assignment: AddressPool.Assignment, isHeld: Bool) -> PeerRow {
        var writer = ByteWriter()
        writer.write(assignment.pool)
        writer.write(raw: assignment.address.bytes)
        return PeerRow(
            space: .assignments,
            key: writer.bytes,
            value: [isHeld ? 1 : 0] + assignment.encoded
        )
    }

    private mutating func startClaim(_ plan: BlockPlan, now: Instant) {
        guard claims[plan.pool] == nil else { return }
        claims[plan.pool] = BlockClaim(plan: plan)
        let number = makeNumber()
        claimsByRequest[number] = plan.pool
        start(.list(prefix: plan.registerPrefix), number: number, now: now)
    }

    /// Whether an outcome was a claim's own; if so it was acted upon.
    mutating func takeForClaim(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        guard let poolID = claimsByRequest.remove(number), var claim = claims[poolID] else {
            return false
        }
        switch outcome {
        case .keys(let keys):
            let taken = SortedSet(keys.compactMap { claim.plan.index(ofKey: $0) })
            claim.candidates = claim.plan.candidates(for: identity.node)
                .filter { !taken.contains($0) }
            let known = SortedSet(
                pool.blocks.filter { $0.pool == poolID }.map(\.prefix)
            )
            claim.unknown = taken.elements.filter { !known.contains(claim.plan.block($0)) }
            claims[poolID] = claim
            tryNextCandidate(poolID, now: now)
        case .committed:
            finishClaim(claim, now: now)
        case .conflict(let value):
            if claim.uncertain == claim.candidates.first, isOwned(value) {
                finishClaim(claim, now: now)
                return true
            }
            claims[poolID]?.candidates.removeFirst()
            tryNextCandidate(poolID, now: now)
        case .indeterminate:
            // Asked again, the register shows whose the block is.
            claims[poolID]?.uncertain = claim.candidates.first
            tryNextCandidate(poolID, now: now)
        case .value(let value):
            takeUnknown(poolID, value, now: now)
        case .unavailable, .refused:
            fail(claim, .registersUnavailable)
        }
        return true
    }

    private func isOwned(_ value: RegisterValue) -> Bool {
        let owner = value.payload.flatMap { try? BlockOwner(encoded: $0) }
        return owner?.node == identity.node
    }

    private mutating func tryNextCandidate(_ poolID: UInt64, now: Instant) {
        guard let claim = claims[poolID] else { return }
        guard let index = claim.candidates.first, claim.attemptsLeft > 0 else {
            return lookIntoUnknown(poolID, now: now)
        }
        claims[poolID]?.attemptsLeft -= 1
        let number = makeNumber()
        claimsByRequest[number] = poolID
        let request = RegisterRequest.compareAndSet(
            key: claim.plan.registerKey(index),
            expectedVersion: 0,
            content: BlockOwner(node: identity.node, fence: 1).encoded
        )
        start(request, number: number, now: now)
    }

    /// Reads the next taken block that this node does not know as its own.
    ///
    /// A claim whose end this node did not live to write down left such a block. No address of it
    /// was ever given out: that needs the block's row.
    private mutating func lookIntoUnknown(_ poolID: UInt64, now: Instant) {
        guard let claim = claims[poolID] else { return }
        guard let index = claim.unknown.first else { return fail(claim, .exhausted) }
        let number = makeNumber()
        claimsByRequest[number] = poolID
        start(.read(key: claim.plan.registerKey(index)), number: number, now: now)
    }

    private mutating func takeUnknown(_ poolID: UInt64, _ value: RegisterValue, now: Instant) {
        guard var claim = claims[poolID], let index = claim.unknown.first else { return }
        if isOwned(value) {
            claim.candidates = [index]
            return finishClaim(claim, now: now)
        }
        claims[poolID]?.unknown.removeFirst()
        lookIntoUnknown(poolID, now: now)
    }

    private mutating func finishClaim(_ claim: BlockClaim, now: Instant) {
        claims[claim.plan.pool] = nil
        guard let index = claim.candidates.first else { return }
        let block = AddressPool.Block(
            pool: claim.plan.pool,
            prefix: claim.plan.block(index),
            fence: 1
        )
        pool.add(block)
        var key = ByteWriter()
        key.write(block.pool)
        key.write(raw: block.prefix.first.bytes)
        effects.append(
            .persist([PeerRow(space: .blocks, key: key.bytes, value: block.encoded)], then: [])
        )
        for waiter in claim.waiters where !assign(claim.plan, waiter, now: now) {
            startClaim(claim.plan, now: now)
            claims[claim.plan.pool]?.waiters.append(waiter)
        }
    }

    private mutating func fail(_ claim: BlockClaim, _ outcome: AddressOutcome) {
        claims[claim.plan.pool] = nil
        for waiter in claim.waiters { effects.append(.answer(waiter.token, .address(outcome))) }
    }
}
