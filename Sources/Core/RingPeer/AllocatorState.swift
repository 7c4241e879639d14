import Addressing
import Determinism
import RingIPAM
import RingRegisters
import Wire

/// One request for addresses: one for each plan, or none at all.
struct AddressRequest: Sendable {
    let plans: [BlockPlan]
    let holder: AddressHolder
    let wanted: [IPAddress]
    /// All that asked for the same while it was under way.
    var tokens: [RequestToken]
    var done: [AddressPool.Assignment] = []
    /// Those of ``done`` that nobody has heard of yet and that no row holds.
    var fresh: [AddressPool.Assignment] = []
}

/// What a claim is for: any block of a subnet, or a certain one.
struct ClaimKey: Comparable, Sendable {
    let subnet: SubnetKey
    let block: Prefix?

    static func < (lhs: ClaimKey, rhs: ClaimKey) -> Bool {
        guard lhs.subnet == rhs.subnet else { return lhs.subnet < rhs.subnet }
        guard let right = rhs.block else { return false }
        return lhs.block.map { $0 < right } ?? true
    }
}

/// A block of a pool.
struct BlockKey: Comparable, Sendable {
    let pool: UInt64
    let prefix: Prefix

    static func < (lhs: BlockKey, rhs: BlockKey) -> Bool {
        (lhs.pool, lhs.prefix) < (rhs.pool, rhs.prefix)
    }
}

/// The claim of one more block, by compare-and-swap on the block's register.
struct BlockClaim: Sendable {
    struct Candidate: Sendable {
        let block: Prefix
        /// Whether its register was written before, so that it has to be read first.
        let isListed: Bool
        /// The fence under which it was asked for.
        var fence: UInt64 = 1
    }

    let plan: BlockPlan
    var waiters: [UInt64] = []
    var candidates: [Candidate] = []
    var hasBegun = false
    /// Who has the last block that was looked at.
    var owner: NodeID?
}

/// The way of a block back to the ring.
struct BlockReturn: Sendable {
    enum Step: Sendable {
        case reading
        case setting
        case waiting(until: Instant)
        case readingAgain
        case freeing
    }

    var step = Step.reading
}

/// What an outcome of a register is for.
enum AllocatorTask: Sendable {
    case boot
    case claim(ClaimKey)
    case giveBack(BlockKey)
    case reclaim
    case registryCheck
    case unasked
}

/// How this process stands with the node's boot register.
struct BootJob: Sendable {
    enum Step: Sendable {
        case idle
        case reading
        case writing(BootRecord)
    }

    let boot: UInt64
    let token: UInt64
    var step = Step.idle
    /// What the register held when it was last seen to be this process's; nil before that.
    var confirmed: BootRecord?
    /// When a look at the register that saw ``confirmed`` began.
    var verifiedAt = Instant.zero
    var askedAt = Instant.zero
    var nextAt: Instant

    static let retryInterval = Span.milliseconds(300)
}

/// The allocator's part of a peer beside the addresses themselves.
struct AllocatorState: Sendable {
    let parameters: IPAMParameters
    var ledger = BootLedger()
    var boot: BootJob
    var plans = SortedMap<SubnetKey, BlockPlan>()
    var requests = SortedMap<UInt64, AddressRequest>()
    /// Requests that wait until the boot register was asked.
    var parked: [UInt64] = []
    var claims = SortedMap<ClaimKey, BlockClaim>()
    var tasks = SortedMap<UInt64, AllocatorTask>()
    var exhaustedUntil = SortedMap<SubnetKey, Instant>()
    var returns = SortedMap<BlockKey, BlockReturn>()
    var emptySince = SortedMap<BlockKey, Instant>()
    var reclaim = ReclaimJob()
    var registryCheck = RegistryCheck(settled: nil)
    /// Until then no block is claimed: this peer told somebody which it has, for good.
    var claimsBarredUntil = Instant.zero
    var nextUpkeepAt: Instant
    /// Claims that brought a block, and that did not; for people.
    var claimsMade: UInt64 = 0
    var claimsFailed: UInt64 = 0

    private enum RowKind {
        static let ledger: UInt8 = 0
        static let subnet: UInt8 = 1
        static let settled: UInt8 = 2
    }

    /// Makes the state out of the rows of its space.
    init(
        rows: [PeerRow],
        boot: UInt64,
        token: UInt64,
        parameters: IPAMParameters,
        now: Instant
    ) throws(WireError) {
        self.parameters = parameters
        self.boot = BootJob(boot: boot, token: token, nextAt: now)
        nextUpkeepAt = now
        for row in rows {
            switch row.key.first {
            case RowKind.ledger: ledger = try BootLedger(encoded: row.value ?? [])
            case RowKind.subnet:
                let plan = try Self.plan(row.value ?? [])
                plans[plan.key] = plan
            case RowKind.settled:
                var reader = ByteReader(row.value ?? [])
                registryCheck.settled = try reader.readNodeID("registry")
                try reader.finish()
            default: throw .malformed(field: "allocator row")
            }
        }
        guard parameters.flaws.contains(.bootUnchecked) else { return }
        self.boot.confirmed = ledger.next(over: ledger.confirmed, boot: boot, token: token)
    }

    /// When the allocator wants to be called next.
    var deadline: Instant { nextUpkeepAt }

    func has(_ flaw: IPAMFlaw) -> Bool { parameters.flaws.contains(flaw) }

    /// Whether a claim may begin: the boot register was seen to be this process's a moment ago.
    ///
    /// A process that was stopped in between has looked too long ago, so it looks again.
    func mayClaim(now: Instant) -> Bool {
        guard boot.confirmed != nil else { return false }
        if has(.bootUnchecked) || has(.pauseUnnoticed) { return true }
        return now.since(boot.verifiedAt) <= parameters.pauseLongest
    }

    var ledgerRow: PeerRow {
        PeerRow(space: .allocator, key: [RowKind.ledger], value: ledger.encoded)
    }

    /// Says in which registry this node's blocks were found in order; nil before there was one.
    var settledRow: PeerRow? {
        registryCheck.settled.map { registry in
            var value = ByteWriter()
            value.write(registry)
            return PeerRow(space: .allocator, key: [RowKind.settled], value: value.bytes)
        }
    }

    static func row(_ plan: BlockPlan) -> PeerRow {
        var key = ByteWriter()
        key.write(RowKind.subnet)
        key.write(plan.pool)
        key.write(plan.subnet.isV4)
        return PeerRow(space: .allocator, key: key.bytes, value: value(plan))
    }

    private static func value(_ plan: BlockPlan) -> [UInt8] {
        var value = ByteWriter()
        value.write(plan.pool)
        value.write(plan.subnet.first)
        value.write(UInt8(plan.subnet.length))
        return value.bytes
    }

    private static func plan(_ bytes: [UInt8]) throws(WireError) -> BlockPlan {
        var reader = ByteReader(bytes)
        let pool = try reader.readInteger("pool", as: UInt64.self)
        let first = try reader.readIPAddress("subnet")
        let length = Int(try reader.readInteger("subnet length", as: UInt8.self))
        guard let subnet = Prefix(first: first, length: length) else {
            throw .malformed(field: "subnet length")
        }
        try reader.finish()
        return BlockPlan(pool: pool, subnet: subnet)
    }
}
