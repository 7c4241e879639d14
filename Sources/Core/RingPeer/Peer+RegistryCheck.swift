import Determinism
import RingIPAM
import RingPlacement
import RingRegisters

/// What a peer does once after each recovery: it finds its blocks in the new registry, writes those
/// that are missing there, and says so by taking its name from the unasked.
struct RegistryCheck: Sendable {
    enum Step: Sendable {
        case idle
        case reading(BlockKey)
        case writing(BlockKey)
        case readingUnasked
        case writingUnasked
    }

    var step = Step.idle
    /// The blocks that are left to look at.
    var queue: [BlockKey] = []
    var nextAt = Instant.zero
    /// The registry in which everything was found in order; a row tells it after a restart.
    var settled: NodeID?
    /// The registry in which no node is unasked any more.
    var doubtlessIn: NodeID?
    /// Whether the unasked are being listed.
    var isListing = false
    /// Those that were listed and not read yet.
    var unasked: [NodeID] = []

    init(settled: NodeID?) {
        self.settled = settled
    }

    static let retryInterval = Span.seconds(1)
}

extension Peer {
    /// Whether this peer has yet to find its blocks in the registry.
    var isRegistryUnchecked: Bool {
        configuration.registry.recoveries > 0
            && allocator.registryCheck.settled != configuration.registry.id
    }

    mutating func tickRegistryCheck(now: Instant) {
        guard isRegistryUnchecked, case .idle = allocator.registryCheck.step,
            now >= allocator.registryCheck.nextAt
        else { return }
        allocator.registryCheck.nextAt = now.advanced(by: RegistryCheck.retryInterval)
        // Those on their way back are looked after by that.
        allocator.registryCheck.queue = pool.blocks.filter { $0.state != .draining }.map {
            BlockKey(pool: $0.pool, prefix: $0.prefix)
        }
        checkNext(now: now)
    }

    private mutating func checkNext(now: Instant) {
        while let key = allocator.registryCheck.queue.first {
            if let block = pool.block(key.pool, key.prefix),
                let plan = allocator.plans[block.subnet]
            {
                allocator.registryCheck.step = .reading(key)
                return ask(.registryCheck, .read(key: plan.registerKey(key.prefix)), now: now)
            }
            allocator.registryCheck.queue.removeFirst()
        }
        allocator.registryCheck.step = .readingUnasked
        ask(.registryCheck, .read(key: UnaskedNode.registerKey(identity.node)), now: now)
    }

    mutating func takeRegistryCheck(_ outcome: RegisterOutcome, now: Instant) {
        let step = allocator.registryCheck.step
        allocator.registryCheck.step = .idle
        switch (step, outcome) {
        case (.reading(let key), .value(let value)): compare(key, value, now: now)
        case (.writing, .committed):
            allocator.registryCheck.queue.removeFirst()
            checkNext(now: now)
        case (.readingUnasked, .value(let value)) where value.payload != nil:
            allocator.registryCheck.step = .writingUnasked
            let request = RegisterRequest.compareAndSet(
                key: UnaskedNode.registerKey(identity.node),
                expectedVersion: value.version,
                content: nil
            )
            ask(.registryCheck, request, now: now)
        case (.readingUnasked, .value), (.writingUnasked, .committed): settleRegistry()
        // Anything else is looked at anew, from the first block on.
        default: break
        }
    }

    private mutating func settleRegistry() {
        allocator.registryCheck.settled = configuration.registry.id
        effects.append(.persist([allocator.settledRow].compactMap(\.self), then: []))
    }

    /// Holds a block of this node against its register.
    private mutating func compare(_ key: BlockKey, _ value: RegisterValue, now: Instant) {
        guard let block = pool.block(key.pool, key.prefix),
            let plan = allocator.plans[block.subnet]
        else { return }
        let owner = value.payload.flatMap { try? BlockOwner(encoded: $0) }
        let isOwn = owner?.node == identity.node && owner?.fence == block.fence
        // A lower fence is of an earlier time, whoever's it was.
        let isMissing =
            value.payload == nil
            || owner.map { owner in
                owner.fence < block.fence || (owner.node == nil && owner.fence == block.fence)
            } ?? false
        if isMissing {
            let boot = max(1, allocator.boot.confirmed?.era ?? 1)
            let era = boot - (block.state == .active ? 0 : 1)
            let wanted = BlockOwner(node: identity.node, fence: block.fence, era: era)
            allocator.registryCheck.step = .writing(key)
            let request = RegisterRequest.compareAndSet(
                key: plan.registerKey(key.prefix),
                expectedVersion: value.version,
                content: wanted.encoded
            )
            return ask(.registryCheck, request, now: now)
        }
        if !isOwn || owner?.state != .owned, block.state == .active,
            let suspended = pool.set(.suspended, of: block)
        {
            // Somebody else's by now: its pods are told of under a fence that is over.
            effects.append(.persist([row(suspended)], then: []))
        }
        allocator.registryCheck.queue.removeFirst()
        checkNext(now: now)
    }

    // MARK: Claims while nodes are unasked

    /// Whether blocks may be claimed as far as the registry's past goes; asks where it is not
    /// known.
    mutating func isDoubtless(now: Instant) -> Bool {
        let registry = configuration.registry
        if registry.recoveries == 0 || allocator.registryCheck.doubtlessIn == registry.id {
            return true
        }
        guard !allocator.registryCheck.isListing else { return false }
        allocator.registryCheck.isListing = true
        ask(.unasked, .list(prefix: UnaskedNode.registerPrefix), now: now)
        return false
    }

    mutating func takeUnasked(_ outcome: RegisterOutcome, now: Instant) {
        switch outcome {
        case .keys(let keys):
            allocator.registryCheck.unasked = keys.compactMap { UnaskedNode.node(ofKey: $0) }
        // A name may be of one that is settled: a steward that was cut off did not hear of it.
        case .value(let value) where value.payload == nil:
            allocator.registryCheck.unasked.removeFirst()
        case .value:
            let nodes = allocator.registryCheck.unasked
            allocator.registryCheck.isListing = false
            return failClaims(.blocksInDoubt(nodes), now)
        default:
            allocator.registryCheck.isListing = false
            return failClaims(.registersUnavailable, now)
        }
        if let node = allocator.registryCheck.unasked.first {
            return ask(.unasked, .read(key: UnaskedNode.registerKey(node)), now: now)
        }
        allocator.registryCheck.isListing = false
        allocator.registryCheck.doubtlessIn = configuration.registry.id
        beginClaims(now: now)
    }

    private mutating func failClaims(_ outcome: AddressOutcome, _ now: Instant) {
        for (key, claim) in allocator.claims where !claim.hasBegun { fail(key, outcome, now: now) }
    }

    /// The lowest fence of a claim: above every one that was given out before the last recovery.
    var fenceLowest: UInt64 {
        1 + UInt64(configuration.registry.recoveries) * RecoveryJob.fenceSkip
    }
}
