import Addressing
import Determinism
import RingIPAM
import RingRegisters

/// Rule A1: a block is claimed by compare-and-swap on its register, in an order of the node's own.
extension Peer {
    /// The blocks in front of a node's order that it looks at although they were somebody's.
    ///
    /// What it gave back itself is there, so registers do not grow with each block that comes and
    /// goes.
    private static let revisitedCount = 2

    /// Starts a claim of one more block of a plan, of a certain one where `block` says so, unless
    /// one is under way; `waiter` is the request that goes on with it.
    mutating func claim(_ plan: BlockPlan, block: Prefix?, waiter: UInt64?, now: Instant) {
        let key = ClaimKey(subnet: plan.key, block: block)
        guard allocator.claims[key] == nil else {
            if let waiter { allocator.claims[key]?.waiters.append(waiter) }
            return
        }
        // A spare block is not looked for as often as one that a pod waits for.
        let patience = waiter == nil ? allocator.parameters.sparePause : .zero
        if block == nil, let until = allocator.exhaustedUntil[plan.key],
            now < until.advanced(by: patience)
        {
            if let waiter { end(waiter, .exhausted, now: now) }
            return
        }
        allocator.claims[key] = BlockClaim(plan: plan, waiters: waiter.map { [$0] } ?? [])
        begin(key, now: now)
    }

    /// Begins with the claims that waited for the boot register.
    mutating func beginClaims(now: Instant) {
        for key in allocator.claims.keys { begin(key, now: now) }
    }

    private mutating func begin(_ key: ClaimKey, now: Instant) {
        guard let claim = allocator.claims[key], !claim.hasBegun else { return }
        guard now >= allocator.claimsBarredUntil else {
            return fail(key, .registersUnavailable, now: now)
        }
        guard allocator.mayClaim(now: now) else { return askBoot(now: now) }
        guard isDoubtless(now: now) else { return }
        allocator.claims[key]?.hasBegun = true
        if let block = key.block {
            allocator.claims[key]?.candidates = [.init(block: block, isListed: true)]
            tryNext(key, now: now)
        } else {
            ask(.claim(key), .list(prefix: claim.plan.registerPrefix), now: now)
        }
    }

    mutating func takeClaim(_ key: ClaimKey, _ outcome: RegisterOutcome, now: Instant) {
        guard let claim = allocator.claims[key] else { return }
        switch outcome {
        case .keys(let keys):
            let candidates = candidates(claim.plan, listed: keys)
            allocator.claims[key]?.candidates = candidates
            tryNext(key, now: now)
        case .committed:
            guard let candidate = claim.candidates.first else { return }
            finish(key, candidate.block, fence: candidate.fence, now: now)
        case .conflict(let value):
            if allocator.has(.duplicateClaimIsOwn), let candidate = claim.candidates.first {
                return finish(key, candidate.block, fence: candidate.fence, now: now)
            }
            consider(key, value, now: now)
        case .value(let value): consider(key, value, now: now)
        case .indeterminate:
            // Asked again, the register shows whose the block is.
            guard let candidate = claim.candidates.first else { return }
            ask(.claim(key), .read(key: claim.plan.registerKey(candidate.block)), now: now)
        case .unavailable, .refused: fail(key, .registersUnavailable, now: now)
        }
    }

    private func candidates(_ plan: BlockPlan, listed keys: [String]) -> [BlockClaim.Candidate] {
        let listed = SortedSet(keys.compactMap { plan.block(ofKey: $0) })
        let known = SortedSet(pool.blocks.filter { $0.subnet == plan.key }.map(\.prefix))
        let all = plan.candidates(for: identity.node).filter { !known.contains($0) }
            .map { BlockClaim.Candidate(block: $0, isListed: listed.contains($0)) }
        let rest = all.dropFirst(Self.revisitedCount)
        let ordered =
            Array(all.prefix(Self.revisitedCount)) + rest.filter { !$0.isListed }
            + rest.filter(\.isListed)
        guard plan.countClamped > UInt64(ordered.count + known.count) else { return ordered }
        // Blocks of a wide subnet that were not drawn, and that somebody had.
        let drawn = SortedSet(ordered.map(\.block))
        return ordered
            + listed.elements.filter { !drawn.contains($0) && !known.contains($0) }
            .map { BlockClaim.Candidate(block: $0, isListed: true) }
    }

    private mutating func tryNext(_ key: ClaimKey, now: Instant) {
        guard let claim = allocator.claims[key] else { return }
        guard let candidate = claim.candidates.first else {
            guard key.block == nil else {
                let request = claim.waiters.first.flatMap { allocator.requests[$0] }
                let wanted = request?.wanted.first { claim.plan.subnet.contains($0) }
                let address = wanted ?? claim.plan.subnet.first
                return fail(key, .addressTaken(address, by: claim.owner), now: now)
            }
            allocator.exhaustedUntil[key.subnet] = now.advanced(
                by: allocator.parameters.exhaustedFor
            )
            return fail(key, .exhausted, now: now)
        }
        if candidate.isListed {
            ask(.claim(key), .read(key: claim.plan.registerKey(candidate.block)), now: now)
        } else {
            set(key, candidate, over: 0, now: now)
        }
    }

    private mutating func set(
        _ key: ClaimKey,
        _ candidate: BlockClaim.Candidate,
        over version: UInt64,
        now: Instant
    ) {
        guard let claim = allocator.claims[key] else { return }
        var candidate = candidate
        candidate.fence = max(candidate.fence, fenceLowest)
        allocator.claims[key]?.candidates[0] = candidate
        let era = allocator.boot.confirmed?.era ?? 0
        let owner = BlockOwner(node: identity.node, fence: candidate.fence, era: era)
        let request = RegisterRequest.compareAndSet(
            key: claim.plan.registerKey(candidate.block),
            expectedVersion: version,
            content: owner.encoded
        )
        ask(.claim(key), request, now: now)
    }

    /// Looks at what the first candidate's register holds.
    private mutating func consider(_ key: ClaimKey, _ value: RegisterValue, now: Instant) {
        guard var claim = allocator.claims[key], var candidate = claim.candidates.first else {
            return
        }
        let owner = value.payload.flatMap { try? BlockOwner(encoded: $0) }
        let isFree = value.payload == nil || owner?.state == .free
        if isFree {
            let raise: UInt64 = allocator.has(.fenceNotRaised) ? 0 : 1
            candidate.fence = max(fenceLowest, (owner?.fence ?? 0) + raise)
            allocator.claims[key]?.candidates[0] = candidate
            return set(key, candidate, over: value.version, now: now)
        }
        if let owner, owner.node == identity.node {
            if isOfThisEra(owner), owner.state == .owned {
                // A claim whose end this node did not see, or not live to write down; no address of
                // it was ever given out, as that needs the block's row.
                return finish(key, candidate.block, fence: owner.fence, now: now)
            }
            takeOver(claim.plan, candidate.block, owner)
        }
        claim.owner = owner?.node
        claim.candidates.removeFirst()
        allocator.claims[key] = claim
        tryNext(key, now: now)
    }

    private func isOfThisEra(_ owner: BlockOwner) -> Bool {
        owner.era == allocator.boot.confirmed?.era || allocator.has(.oldEraAdopted)
    }

    /// A block of this node that its disk does not know, from before the disk was lost or rolled
    /// back: the agent has taken off what pods there were, so it goes back.
    private mutating func takeOver(_ plan: BlockPlan, _ block: Prefix, _ owner: BlockOwner) {
        guard pool.block(plan.pool, block) == nil else { return }
        let block = AddressPool.Block(
            pool: plan.pool,
            prefix: block,
            fence: owner.fence,
            state: .suspended
        )
        pool.add(block)
        effects.append(.persist([row(block), AllocatorState.row(plan)], then: []))
    }

    private mutating func finish(_ key: ClaimKey, _ block: Prefix, fence: UInt64, now: Instant) {
        guard let claim = allocator.claims.remove(key) else { return }
        allocator.claimsMade += 1
        let block = AddressPool.Block(pool: claim.plan.pool, prefix: block, fence: fence)
        if pool.block(block.pool, block.prefix) == nil {
            pool.add(block)
            effects.append(.persist([row(block), AllocatorState.row(claim.plan)], then: []))
        }
        for waiter in claim.waiters { proceed(waiter, now: now) }
    }

    mutating func fail(_ key: ClaimKey, _ outcome: AddressOutcome, now: Instant) {
        guard let claim = allocator.claims.remove(key) else { return }
        allocator.claimsFailed += 1
        for waiter in claim.waiters { end(waiter, outcome, now: now) }
    }

    /// Ends what waits for a boot register that cannot be asked.
    mutating func failWaiting(now: Instant) {
        let parked = allocator.parked
        allocator.parked = []
        for number in parked { end(number, .registersUnavailable, now: now) }
        for (key, claim) in allocator.claims where !claim.hasBegun {
            fail(key, .registersUnavailable, now: now)
        }
    }
}
