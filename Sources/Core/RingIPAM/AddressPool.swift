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
    /// A block that this node has.
    package struct Block: Hashable, Sendable {
        /// What it is for.
        package enum State: UInt8, Sendable {
            /// Its addresses are given out.
            case active = 0
            /// Nothing is given out of it any more; it goes back when its pods are gone.
            case suspended = 1
            /// It is empty and on its way back.
            case draining = 2
        }

        /// The pool it belongs to.
        package let pool: UInt64
        /// Its addresses.
        package let prefix: Prefix
        /// The fence under which it was claimed.
        package let fence: UInt64
        /// What it is for.
        package var state: State

        /// Makes a block.
        package init(pool: UInt64, prefix: Prefix, fence: UInt64, state: State = .active) {
            self.pool = pool
            self.prefix = prefix
            self.fence = fence
            self.state = state
        }

        /// The subnet it is of.
        package var subnet: SubnetKey { SubnetKey(pool: pool, isV4: prefix.isV4) }
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
        /// The wanted address is held by another, or rests.
        case taken
        /// No owned block of the pool has a free address: claim another.
        case needsBlock
    }

    /// How long a freed address rests.
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
        let subnet: SubnetKey
        let holder: AddressHolder
        static func < (lhs: HolderKey, rhs: HolderKey) -> Bool {
            (lhs.subnet, lhs.holder) < (rhs.subnet, rhs.holder)
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

    /// Adds a block; one that is there already stays as it is.
    package mutating func add(_ block: Block) {
        guard self.block(block.pool, block.prefix) == nil else { return }
        blocks.append(block)
    }

    /// The block of those addresses; nil while this node does not have it.
    package func block(_ pool: UInt64, _ prefix: Prefix) -> Block? {
        blocks.first { $0.pool == pool && $0.prefix == prefix }
    }

    /// Gives a block another state; the block as it is then.
    package mutating func set(_ state: Block.State, of block: Block) -> Block? {
        let index = blocks.firstIndex { $0.pool == block.pool && $0.prefix == block.prefix }
        guard let index else { return nil }
        blocks[index].state = state
        return blocks[index]
    }

    /// Forgets a block; the addresses of it that rested, whose rows are of no more use.
    package mutating func remove(_ block: Block) -> [IPAddress] {
        blocks.removeAll { $0.pool == block.pool && $0.prefix == block.prefix }
        let rested = addresses(of: block).filter { resting[key(block.pool, $0)] != nil }
        for address in rested { resting[key(block.pool, address)] = nil }
        return rested
    }

    /// Finds an address for `holder`: the wanted one, or any.
    package mutating func allocate(
        _ plan: BlockPlan,
        holder: AddressHolder,
        wanted: IPAddress? = nil,
        now: Instant
    ) -> Allocation {
        if let assignment = assignment(plan, holder) { return .existing(assignment) }
        for block in blocks where block.subnet == plan.key && block.state == .active {
            if let wanted, !block.prefix.contains(wanted) { continue }
            if let wanted, !isFree(wanted, plan, now: now) { return .taken }
            guard let address = wanted ?? freeAddress(in: block, plan, now: now) else { continue }
            let assignment = Assignment(
                pool: plan.pool,
                address: address,
                holder: holder,
                fence: block.fence
            )
            insert(assignment)
            resting[key(plan.pool, address)] = nil
            return .assigned(assignment)
        }
        return .needsBlock
    }

    /// What `holder` has of a subnet.
    package func assignment(_ plan: BlockPlan, _ holder: AddressHolder) -> Assignment? {
        holders[HolderKey(subnet: plan.key, holder: holder)]
            .flatMap { assignments[key(plan.pool, $0)] }
    }

    /// Frees what `holder` has in the pool, of both families; nothing where it has nothing, which
    /// is no error.
    package mutating func release(
        pool: UInt64,
        holder: AddressHolder,
        now: Instant
    ) -> [Assignment] {
        [true, false].compactMap { isV4 in
            let subnet = SubnetKey(pool: pool, isV4: isV4)
            guard let address = holders.remove(HolderKey(subnet: subnet, holder: holder)) else {
                return nil
            }
            resting[key(pool, address)] = now.advanced(by: rest)
            return assignments.remove(key(pool, address))
        }
    }

    /// Takes back an assignment that nobody was told of: its address need not rest.
    package mutating func cancel(_ assignment: Assignment) {
        let subnet = SubnetKey(pool: assignment.pool, isV4: assignment.address.isV4)
        _ = holders.remove(HolderKey(subnet: subnet, holder: assignment.holder))
        _ = assignments.remove(key(assignment.pool, assignment.address))
    }

    /// All addresses in use.
    package var inUse: [Assignment] { assignments.values }

    /// The addresses that rest, and the moment from which each is free again.
    package func resting(now: Instant) -> [(pool: UInt64, address: IPAddress, until: Instant)] {
        resting.filter { $0.value > now }.map { ($0.key.pool, $0.key.address, $0.value) }
    }

    /// The addresses of a subnet that could be given out now.
    package func freeCount(_ plan: BlockPlan, now: Instant) -> Int {
        blocks.filter { $0.subnet == plan.key && $0.state == .active }.reduce(0) {
            $0 + freeCount(of: $1, plan, now: now)
        }
    }

    /// Whether a block other than `excepted` has at least half of its addresses free.
    package func hasSpare(_ plan: BlockPlan, besides excepted: Block? = nil, now: Instant) -> Bool {
        blocks.contains { block in
            block.subnet == plan.key && block.state == .active && block.prefix != excepted?.prefix
                && 2 * freeCount(of: block, plan, now: now)
                    >= plan.assignable(in: block.prefix).count
        }
    }

    /// Whether no address of a block is held or rests.
    package func isEmpty(_ block: Block, now: Instant) -> Bool {
        !addresses(of: block).contains { address in
            let key = key(block.pool, address)
            return assignments[key] != nil || (resting[key].map { $0 > now } ?? false)
        }
    }

    /// Whether any pod has an address of the subnet.
    package func isUsed(_ subnet: SubnetKey) -> Bool {
        // Holders lie in the order of their subnets.
        let first = HolderKey(
            subnet: subnet,
            holder: AddressHolder(containerID: "", interfaceName: "")
        )
        return holders.suffix(from: first).first?.key.subnet == subnet
    }

    private func freeCount(of block: Block, _ plan: BlockPlan, now: Instant) -> Int {
        addresses(of: block).count { isFree($0, plan, now: now) }
    }

    private func key(_ pool: UInt64, _ address: IPAddress) -> AddressKey {
        AddressKey(pool: pool, address: address)
    }

    private mutating func insert(_ assignment: Assignment) {
        let key = AddressKey(pool: assignment.pool, address: assignment.address)
        precondition(assignments[key] == nil, "an address has one holder")
        assignments[key] = assignment
        let subnet = SubnetKey(pool: assignment.pool, isV4: assignment.address.isV4)
        holders[HolderKey(subnet: subnet, holder: assignment.holder)] = assignment.address
    }

    private func addresses(of block: Block) -> some Sequence<IPAddress> {
        (0..<(block.prefix.count ?? 0)).lazy.compactMap { block.prefix.first.advanced(by: $0) }
    }

    private func isFree(_ address: IPAddress, _ plan: BlockPlan, now: Instant) -> Bool {
        guard plan.isAssignable(address), assignments[key(plan.pool, address)] == nil else {
            return false
        }
        return resting[key(plan.pool, address)].map { $0 <= now } ?? true
    }

    /// A never-used address first; then the one that rested longest.
    private func freeAddress(in block: Block, _ plan: BlockPlan, now: Instant) -> IPAddress? {
        var oldest: (until: Instant, address: IPAddress)?
        for address in addresses(of: block) where isFree(address, plan, now: now) {
            guard let until = resting[key(plan.pool, address)] else { return address }
            if oldest.map({ until < $0.until }) ?? true { oldest = (until, address) }
        }
        return oldest?.address
    }
}
