package import Addressing
package import Determinism
package import Wire

/// What holds an address: one interface of one container.
package struct AddressHolder: Hashable, Comparable, Sendable {
    /// The container, as the runtime calls it.
    package let containerID: String
    /// The interface's name in the pod.
    package let interfaceName: String

    /// Makes a holder.
    package init(containerID: String, interfaceName: String) {
        self.containerID = containerID
        self.interfaceName = interfaceName
    }

    package static func < (lhs: AddressHolder, rhs: AddressHolder) -> Bool {
        (lhs.containerID, lhs.interfaceName) < (rhs.containerID, rhs.interfaceName)
    }
}

/// The blocks that this node owns, and who holds which of their addresses.
///
/// Rules (A2, A3 of the allocator):
/// - an address is given out only inside an owned block, and the gift is durable before it is told;
/// - the same holder gets the same address again, so a retry after a lost answer leaks nothing;
/// - a freed address rests before it is given out again, the longest-rested first.
package struct AddressPool: Sendable {
    /// A block that this node owns.
    package struct Block: Hashable, Sendable {
        /// The pool it belongs to.
        package let pool: UInt64
        /// Its addresses.
        package let prefix: Prefix
        /// The fence under which it was claimed.
        package let fence: UInt64

        /// Makes a block.
        package init(pool: UInt64, prefix: Prefix, fence: UInt64) {
            self.pool = pool
            self.prefix = prefix
            self.fence = fence
        }
    }

    /// An address in use.
    package struct Assignment: Hashable, Sendable {
        /// The pool it was taken from.
        package let pool: UInt64
        /// The address.
        package let address: IPAddress
        /// Who holds it.
        package let holder: AddressHolder
        /// The fence of its block.
        package let fence: UInt64

        /// Makes an assignment.
        package init(pool: UInt64, address: IPAddress, holder: AddressHolder, fence: UInt64) {
            self.pool = pool
            self.address = address
            self.holder = holder
            self.fence = fence
        }
    }

    /// How an allocation went.
    package enum Allocation: Hashable, Sendable {
        /// A new assignment, which must be durable before it is told to anybody.
        case assigned(Assignment)
        /// The holder had this one already.
        case existing(Assignment)
        /// No owned block of the pool has a free address: claim another.
        case needsBlock
    }

    /// How long a freed address rests.
    ///
    /// The default is 60 s, longer than any map lags behind.
    package let rest: Span
    /// The blocks, in the order in which they were claimed.
    package private(set) var blocks: [Block] = []
    private var assignments = SortedMap<AddressKey, Assignment>()
    private var holders = SortedMap<HolderKey, IPAddress>()
    private var resting = SortedMap<AddressKey, Instant>()

    private struct AddressKey: Comparable, Sendable {
        let pool: UInt64
        let address: IPAddress
        static func < (lhs: AddressKey, rhs: AddressKey) -> Bool {
            (lhs.pool, lhs.address) < (rhs.pool, rhs.address)
        }
    }

    private struct HolderKey: Comparable, Sendable {
        let pool: UInt64
        let holder: AddressHolder
        static func < (lhs: HolderKey, rhs: HolderKey) -> Bool {
            (lhs.pool, lhs.holder) < (rhs.pool, rhs.holder)
        }
    }

    /// Makes the pool out of what was durable; how long an address has rested already is not known,
    /// so one that rests begins anew.
    package init(
        blocks: [Block],
        assignments: [Assignment],
        resting freed: [Assignment] = [],
        rest: Span = .seconds(60),
        now: Instant = .zero
    ) {
        self.rest = rest
        self.blocks = blocks
        for assignment in assignments { insert(assignment) }
        for assignment in freed {
            let key = AddressKey(pool: assignment.pool, address: assignment.address)
            resting[key] = now.advanced(by: rest)
        }
    }

    /// Checks that rows name no address twice, which only a damaged database does.
    package static func checkDistinct(_ assignments: [Assignment]) throws(WireError) {
        var seen = SortedSet<AddressKey>()
        for assignment in assignments {
            let key = AddressKey(pool: assignment.pool, address: assignment.address)
            guard !seen.contains(key) else { throw .malformed(field: "address") }
            seen.insert(key)
        }
    }

    /// Adds a block that was claimed; claiming it again changes nothing.
    package mutating func add(_ block: Block) {
        guard !blocks.contains(where: { $0.pool == block.pool && $0.prefix == block.prefix })
        else { return }
        blocks.append(block)
    }

    /// Finds an address for `holder`.
    package mutating func allocate(
        _ plan: BlockPlan,
        holder: AddressHolder,
        now: Instant
    ) -> Allocation {
        if let address = holders[HolderKey(pool: plan.pool, holder: holder)],
            let assignment = assignments[AddressKey(pool: plan.pool, address: address)]
        {
            return .existing(assignment)
        }
        for block in blocks where block.pool == plan.pool {
            guard let address = freeAddress(in: block, plan, now: now) else { continue }
            let assignment = Assignment(
                pool: plan.pool,
                address: address,
                holder: holder,
                fence: block.fence
            )
            insert(assignment)
            resting[AddressKey(pool: plan.pool, address: address)] = nil
            return .assigned(assignment)
        }
        return .needsBlock
    }

    /// Frees what `holder` has in the pool; nil when it has nothing, which is no error.
    package mutating func release(
        pool: UInt64,
        holder: AddressHolder,
        now: Instant
    ) -> Assignment? {
        guard let address = holders.remove(HolderKey(pool: pool, holder: holder)) else {
            return nil
        }
        let key = AddressKey(pool: pool, address: address)
        resting[key] = now.advanced(by: rest)
        return assignments.remove(key)
    }

    /// All addresses in use.
    package var inUse: [Assignment] { assignments.values }

    /// The addresses of a pool that could be given out now.
    package func freeCount(_ plan: BlockPlan, now: Instant) -> Int {
        blocks.filter { $0.pool == plan.pool }.reduce(0) { sum, block in
            sum + addresses(of: block).count { isFree($0, plan, now: now) }
        }
    }

    private mutating func insert(_ assignment: Assignment) {
        let key = AddressKey(pool: assignment.pool, address: assignment.address)
        precondition(assignments[key] == nil, "an address has one holder")
        assignments[key] = assignment
        let holder = HolderKey(pool: assignment.pool, holder: assignment.holder)
        holders[holder] = assignment.address
    }

    private func addresses(of block: Block) -> [IPAddress] {
        (0..<(block.prefix.count ?? 0)).compactMap { block.prefix.first.advanced(by: $0) }
    }

    private func isFree(_ address: IPAddress, _ plan: BlockPlan, now: Instant) -> Bool {
        let key = AddressKey(pool: plan.pool, address: address)
        guard plan.isAssignable(address), assignments[key] == nil else { return false }
        return resting[key].map { $0 <= now } ?? true
    }

    /// A never-used address first; then the one that rested longest.
    private func freeAddress(in block: Block, _ plan: BlockPlan, now: Instant) -> IPAddress? {
        let free = addresses(of: block).filter { isFree($0, plan, now: now) }
        return free.min { lhs, rhs in
            let left = resting[AddressKey(pool: plan.pool, address: lhs)] ?? .zero
            let right = resting[AddressKey(pool: plan.pool, address: rhs)] ?? .zero
            return (left, lhs) < (right, rhs)
        }
    }
}

extension AddressPool.Block {
    /// The row's bytes: pool 8, first address 16, length 1, fence 8.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(pool)
        writer.write(prefix.first)
        writer.write(UInt8(prefix.length))
        writer.write(fence)
        return writer.bytes
    }

    /// Reads a row.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        let pool = try reader.readInteger("pool", as: UInt64.self)
        let first = try reader.readIPAddress("block")
        let length = Int(try reader.readInteger("block length", as: UInt8.self))
        // A wider one would have every address of it looked at.
        guard let prefix = Prefix(first: first, length: length),
            prefix.hostBits <= 32 - BlockPlan.blockLength
        else { throw .malformed(field: "block length") }
        self.init(pool: pool, prefix: prefix, fence: try reader.readInteger("fence"))
        try reader.finish()
    }
}

extension AddressPool.Assignment {
    /// The row's bytes: pool 8, address 16, fence 8, container id, interface name.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(pool)
        writer.write(address)
        writer.write(fence)
        writer.write(holder.containerID)
        writer.write(holder.interfaceName)
        return writer.bytes
    }

    /// Reads a row.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        let pool = try reader.readInteger("pool", as: UInt64.self)
        let address = try reader.readIPAddress("address")
        let fence = try reader.readInteger("fence", as: UInt64.self)
        let holder = AddressHolder(
            containerID: try reader.readText("container id", max: 255),
            interfaceName: try reader.readText("interface", max: 15)
        )
        self.init(pool: pool, address: address, holder: holder, fence: fence)
        try reader.finish()
    }
}
