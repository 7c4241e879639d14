import Determinism
import RingIPAM
import RingMembership
import RingPlacement
import RingRegisters

/// The taking of blocks from nodes that somebody with authority took out of the ring.
struct ReclaimJob: Sendable {
    enum Step: Sendable {
        case idle
        case listing
        case readingRetirement
        case listingBlocks
        case readingBlock
        case changingBlock
        case endingRetirement
    }

    struct Drain: Sendable {
        let version: UInt64
        let since: Instant
    }

    var step = Step.idle
    var nextAt = Instant.zero
    /// The nodes that are left in this round.
    var nodes: [NodeID] = []
    var era: UInt64 = 0
    var retirementVersion: UInt64 = 0
    /// The registers that are left to read for the first of ``nodes``.
    var keys: [String] = []
    /// The registers of the first of ``nodes`` that are its own still.
    var found: [String] = []
    /// What is known to be a node's since its retirement had a version.
    ///
    /// Not all registers are read each time; a node that came back and was taken out again has
    /// others, and another version.
    var known = SortedMap<NodeID, (version: UInt64, keys: [String])>()
    var isWhole = true
    /// Since when this steward has seen a block draining in one version.
    var drains = SortedMap<String, Drain>()
}

/// Rule A4: the first steward that answers takes the blocks of removed nodes: it raises the fence,
/// lets them drain, and frees them.
///
/// Every step is a compare-and-swap, and a drain is measured on the clock of who frees it, so two
/// stewards that both think themselves the first do no harm.
extension Peer {
    mutating func tickReclaim(now: Instant) {
        guard case .idle = allocator.reclaim.step, now >= allocator.reclaim.nextAt else { return }
        allocator.reclaim.nextAt = now.advanced(by: allocator.parameters.reclaimInterval)
        let stewards = configuration.stewards.members.map(\.node)
        let first = stewards.sorted().first {
            $0 == identity.node || membership.isReachable($0)
        }
        guard first == identity.node else { return }
        allocator.reclaim.step = .listing
        ask(.reclaim, .list(prefix: NodeRetirement.registerPrefix), now: now)
    }

    mutating func takeReclaim(_ outcome: RegisterOutcome, now: Instant) {
        switch (allocator.reclaim.step, outcome) {
        case (.listing, .keys(let keys)):
            allocator.reclaim.nodes = keys.compactMap { NodeRetirement.node(ofKey: $0) }
            if allocator.has(.reclaimedOnSilence) {
                allocator.reclaim.nodes += membership.members.filter(\.fact.status.isGone)
                    .map(\.fact.id)
            }
            nextNode(now: now)
        case (.readingRetirement, .value(let value)): takeRetirement(value, now: now)
        case (.listingBlocks, .keys(let keys)):
            allocator.reclaim.keys = keys
            nextBlock(now: now)
        case (.readingBlock, .value(let value)): takeBlock(value, now: now)
        case (.changingBlock, .committed(let value)):
            if let key = allocator.reclaim.keys.first, value.payload.isDraining {
                allocator.reclaim.found.append(key)
                allocator.reclaim.drains[key] = .init(version: value.version, since: now)
            }
            doneWithBlock(now: now)
        case (.changingBlock, .conflict), (.changingBlock, .indeterminate):
            // Looked at again in the next round.
            allocator.reclaim.found += allocator.reclaim.keys.prefix(1)
            doneWithBlock(now: now)
        case (.endingRetirement, .committed), (.endingRetirement, .conflict):
            allocator.reclaim.nodes.removeFirst()
            nextNode(now: now)
        default: allocator.reclaim.step = .idle
        }
    }

    private mutating func nextNode(now: Instant) {
        guard let node = allocator.reclaim.nodes.first else {
            allocator.reclaim.step = .idle
            return
        }
        allocator.reclaim.step = .readingRetirement
        ask(.reclaim, .read(key: NodeRetirement.registerKey(node)), now: now)
    }

    private mutating func takeRetirement(_ value: RegisterValue, now: Instant) {
        guard let node = allocator.reclaim.nodes.first else { return }
        let retirement = value.payload.flatMap { try? NodeRetirement(encoded: $0) }
        guard retirement != nil || allocator.has(.reclaimedOnSilence) else {
            allocator.reclaim.nodes.removeFirst()
            return nextNode(now: now)
        }
        allocator.reclaim.era = retirement?.era ?? .max
        allocator.reclaim.retirementVersion = value.version
        allocator.reclaim.found = []
        if let known = allocator.reclaim.known[node], known.version == value.version,
            !known.keys.isEmpty
        {
            allocator.reclaim.isWhole = false
            allocator.reclaim.keys = known.keys
            nextBlock(now: now)
        } else {
            allocator.reclaim.isWhole = true
            allocator.reclaim.step = .listingBlocks
            ask(.reclaim, .list(prefix: "ipam"), now: now)
        }
    }

    private mutating func nextBlock(now: Instant) {
        guard let node = allocator.reclaim.nodes.first else { return }
        if let key = allocator.reclaim.keys.first {
            allocator.reclaim.step = .readingBlock
            return ask(.reclaim, .read(key: key), now: now)
        }
        allocator.reclaim.known[node] = (
            allocator.reclaim.retirementVersion, allocator.reclaim.found
        )
        guard allocator.reclaim.found.isEmpty, allocator.reclaim.isWhole else {
            allocator.reclaim.nodes.removeFirst()
            return nextNode(now: now)
        }
        allocator.reclaim.known[node] = nil
        allocator.reclaim.step = .endingRetirement
        let request = RegisterRequest.compareAndSet(
            key: NodeRetirement.registerKey(node),
            expectedVersion: allocator.reclaim.retirementVersion,
            content: nil
        )
        ask(.reclaim, request, now: now)
    }

    private mutating func doneWithBlock(now: Instant) {
        allocator.reclaim.keys.removeFirst()
        nextBlock(now: now)
    }

    private mutating func takeBlock(_ value: RegisterValue, now: Instant) {
        guard let node = allocator.reclaim.nodes.first, let key = allocator.reclaim.keys.first
        else {
            return
        }
        guard let owner = value.payload.flatMap({ try? BlockOwner(encoded: $0) }),
            owner.node == node, owner.era <= allocator.reclaim.era
        else {
            allocator.reclaim.drains[key] = nil
            return doneWithBlock(now: now)
        }
        let next: BlockOwner
        if owner.state == .owned {
            next = .draining(node, fence: owner.fence + 1, era: owner.era)
        } else {
            let seen = allocator.reclaim.drains[key].flatMap {
                $0.version == value.version ? $0.since : nil
            }
            if seen == nil {
                allocator.reclaim.drains[key] = .init(version: value.version, since: now)
            }
            let drain =
                allocator.has(.drainSkipped) ? .zero : allocator.parameters.reclaimDrain
            guard now.since(seen ?? now) >= drain else {
                allocator.reclaim.found.append(key)
                return doneWithBlock(now: now)
            }
            next = BlockOwner(node: nil, fence: owner.fence)
        }
        allocator.reclaim.step = .changingBlock
        let request = RegisterRequest.compareAndSet(
            key: key,
            expectedVersion: value.version,
            content: next.state == .free && UnaskedNode.node(ofKey: key) != nil
                ? nil : next.encoded
        )
        ask(.reclaim, request, now: now)
    }
}

extension [UInt8]? {
    fileprivate var isDraining: Bool {
        flatMap { try? BlockOwner(encoded: $0) }?.state == .draining
    }
}
