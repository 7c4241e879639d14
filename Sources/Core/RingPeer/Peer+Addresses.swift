package import Addressing
package import Determinism
package import RingIPAM
import RingRegisters
import Wire

extension Peer {
    /// Finds an address for `holder`; answered by `.address`.
    package mutating func allocate(
        _ plan: BlockPlan,
        holder: AddressHolder,
        wanted: IPAddress? = nil,
        token: RequestToken,
        now: Instant
    ) {
        let wanted = wanted.map { [$0] } ?? []
        allocate([plan], holder: holder, wanted: wanted, token: token, now: now)
    }

    /// Finds one address of each plan for `holder`, or none at all; answered by `.address`.
    ///
    /// There are one or two plans, one of each family, all of one pool; each of the wanted
    /// addresses must be one that a plan may give out.
    package mutating func allocate(
        _ plans: [BlockPlan],
        holder: AddressHolder,
        wanted: [IPAddress],
        token: RequestToken,
        now: Instant
    ) {
        precondition((1...2).contains(plans.count), "a pool has one subnet, or one of each family")
        for plan in plans { allocator.plans[plan.key] = plan }
        let stray = wanted.first { address in !plans.contains { $0.isAssignable(address) } }
        if let stray {
            effects.append(.answer(token, .address(.addressUnusable(stray))))
            return
        }
        // One that repeats itself is answered with the first.
        for (number, request) in allocator.requests
        where request.holder == holder && request.plans.first?.pool == plans.first?.pool {
            allocator.requests[number]?.tokens.append(token)
            return
        }
        let number = makeNumber()
        allocator.requests[number] = AddressRequest(
            plans: plans,
            holder: holder,
            wanted: wanted,
            tokens: [token]
        )
        proceed(number, now: now)
        collect(now: now)
    }

    /// Frees what `holder` has in a pool, of both families; answered by `.address` once it is
    /// durable, also when there was nothing.
    package mutating func release(
        pool: UInt64,
        holder: AddressHolder,
        token: RequestToken,
        now: Instant
    ) {
        for (number, request) in allocator.requests
        where request.holder == holder && request.plans.first?.pool == pool {
            end(number, .released, now: now)
        }
        let freed = self.pool.release(pool: pool, holder: holder, now: now)
        let rows = freed.map { row($0, isHeld: false) }
        let answer = PeerEffect.answer(token, .address(.released))
        if allocator.has(.releasedBeforeDurable) {
            effects += [answer, .persist(rows, then: [])]
        } else {
            effects.append(.persist(rows, then: [answer]))
        }
    }

    /// Takes a request as far as it goes without another block.
    mutating func proceed(_ number: UInt64, now: Instant) {
        guard var request = allocator.requests[number] else { return }
        while request.done.count < request.plans.count {
            let plan = request.plans[request.done.count]
            // A0: before this process knows its disk to be the newest it gives out nothing new.
            if allocator.boot.confirmed == nil, pool.assignment(plan, request.holder) == nil {
                allocator.requests[number] = request
                allocator.parked.append(number)
                return askBoot(now: now)
            }
            let wanted = request.wanted.first { plan.subnet.contains($0) }
            let found = pool.allocate(plan, holder: request.holder, wanted: wanted, now: now)
            switch found {
            case .existing(let assignment), .assigned(let assignment):
                if let wanted, assignment.address != wanted {
                    allocator.requests[number] = request
                    return end(number, .addressTaken(wanted, by: identity.node), now: now)
                }
                request.done.append(assignment)
                if case .assigned = found { request.fresh.append(assignment) }
            case .taken:
                allocator.requests[number] = request
                let address = wanted ?? plan.subnet.first
                return end(number, .addressTaken(address, by: identity.node), now: now)
            case .needsBlock:
                allocator.requests[number] = request
                let block = wanted.flatMap { plan.block(containing: $0) }
                return claim(plan, block: block, waiter: number, now: now)
            }
        }
        complete(number, request, now: now)
    }

    private mutating func complete(_ number: UInt64, _ request: AddressRequest, now: Instant) {
        allocator.requests[number] = nil
        let outcome: AddressOutcome =
            request.done.count == 2
            ? .assignedPair(request.done[0], request.done[1]) : .assigned(request.done[0])
        let answers = request.tokens.map { PeerEffect.answer($0, .address(outcome)) }
        let rows = request.fresh.map { row($0, isHeld: true) }
        if allocator.has(.assignedBeforeDurable) {
            effects += answers + [.persist(rows, then: [])]
        } else {
            // Behind the writes that are under way, one of which may be an older assignment's own.
            effects.append(.persist(rows, then: answers))
        }
        // The next block is claimed ahead of need, so that no pod waits for a quorum.
        for plan in request.plans where plan.countClamped > 1 && !pool.hasSpare(plan, now: now) {
            claim(plan, block: nil, waiter: nil, now: now)
        }
    }

    /// Ends a request without addresses; nothing of it stays taken.
    mutating func end(_ number: UInt64, _ outcome: AddressOutcome, now: Instant) {
        guard let request = allocator.requests.remove(number) else { return }
        allocator.parked.removeAll { $0 == number }
        if allocator.has(.halfPairKept) {
            effects.append(.persist(request.fresh.map { row($0, isHeld: true) }, then: []))
        } else {
            for assignment in request.fresh { pool.cancel(assignment) }
        }
        for token in request.tokens { effects.append(.answer(token, .address(outcome))) }
    }

    func row(_ assignment: AddressPool.Assignment, isHeld: Bool) -> PeerRow {
        PeerRow(
            space: .assignments,
            key: Self.key(assignment.pool, assignment.address),
            value: [isHeld ? 1 : 0] + assignment.encoded
        )
    }

    func row(_ block: AddressPool.Block) -> PeerRow {
        PeerRow(
            space: .blocks,
            key: Self.key(block.pool, block.prefix.first),
            value: block.encoded
        )
    }

    static func key(_ pool: UInt64, _ address: IPAddress) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(pool)
        writer.write(raw: address.bytes)
        return writer.bytes
    }

    /// Has what `body` wants done wait until rows are durable.
    mutating func persist(_ rows: [PeerRow], then body: (inout Peer) -> Void) {
        let before = effects
        effects = []
        body(&self)
        effects = before + [.persist(rows, then: effects)]
    }

    /// Asks a register for the allocator.
    mutating func ask(_ task: AllocatorTask, _ request: RegisterRequest, now: Instant) {
        let number = makeNumber()
        allocator.tasks[number] = task
        start(request, number: number, now: now)
    }

    /// Whether an outcome was the allocator's own; if so it was acted upon.
    mutating func takeForClaim(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        guard let task = allocator.tasks.remove(number) else { return false }
        switch task {
        case .boot: takeBoot(outcome, now: now)
        case .claim(let key): takeClaim(key, outcome, now: now)
        case .giveBack(let key): takeReturn(key, outcome, now: now)
        case .reclaim: takeReclaim(outcome, now: now)
        case .registryCheck: takeRegistryCheck(outcome, now: now)
        case .unasked: takeUnasked(outcome, now: now)
        }
        return true
    }
}
