package import Addressing
package import Determinism

/// One subnet of a pool: a pool has at most one of each family.
package struct SubnetKey: Hashable, Comparable, Sendable {
    /// The pool: the pod group's number.
    package let pool: UInt64
    /// Whether it is the IPv4 subnet.
    package let isV4: Bool

    /// Makes a key.
    package init(pool: UInt64, isV4: Bool) {
        self.pool = pool
        self.isV4 = isV4
    }

    package static func < (lhs: SubnetKey, rhs: SubnetKey) -> Bool {
        lhs.pool == rhs.pool ? lhs.isV4 && !rhs.isV4 : lhs.pool < rhs.pool
    }
}

/// How a subnet falls into blocks, and which block a node should try for first.
///
/// A block is a /26 (IPv6: a /122), or the whole subnet where that is smaller.
/// - Source: Calico's block size; the order is rendezvous hashing, so that nodes that claim at the
///   same time rarely want the same block.
package struct BlockPlan: Hashable, Sendable {
    /// The pool: the pod group's number.
    package let pool: UInt64
    /// The subnet that is divided.
    package let subnet: Prefix
    /// Addresses that are not given out.
    package let exclusions: [AddressRange]

    /// The bits that vary inside a block.
    package static let hostBits = 6

    /// The most blocks that are listed to find one; in a wider subnet they are drawn.
    ///
    /// An IPv4 /8 has as many.
    private static let listedMax: UInt64 = 1 << 18

    /// The blocks that are drawn where they are too many to list.
    ///
    /// All of them are taken with a chance of one in 10^19 as long as half of the subnet is free.
    private static let drawnCount = 64

    /// Makes the plan of one subnet.
    package init(pool: UInt64, subnet: Prefix, exclusions: [AddressRange] = []) {
        self.pool = pool
        self.subnet = subnet
        self.exclusions = exclusions
    }

    /// The subnet's key.
    package var key: SubnetKey { SubnetKey(pool: pool, isV4: subnet.isV4) }

    /// The length of a block's prefix.
    package var blockLength: Int { max(subnet.length, (subnet.isV4 ? 32 : 128) - Self.hostBits) }

    private var indexBits: Int { blockLength - subnet.length }

    /// The number of blocks; nil from 2^63 on.
    package var count: UInt64? { indexBits < 63 ? 1 << UInt64(indexBits) : nil }

    /// The number of blocks for people and in sums: the largest number where there are more.
    package var countClamped: UInt64 { count ?? UInt64(Int64.max) }

    /// One block by its number.
    package func block(_ index: UInt64) -> Prefix {
        precondition(index < countClamped, "a block index lies inside its plan")
        return block(high: 0, low: index)
    }

    /// The block that an address of the subnet lies in; nil for any other.
    package func block(containing address: IPAddress) -> Prefix? {
        guard subnet.contains(address) else { return nil }
        return Prefix.containing(address, length: blockLength)
    }

    /// The block whose number is the lowest ``indexBits`` of 128 bits; that is never too many.
    private func block(high: UInt64, low: UInt64) -> Prefix {
        let shift = UInt64((subnet.isV4 ? 32 : 128) - blockLength)
        let bits = UInt64(indexBits)
        let keptLow = bits >= 64 ? low : low & ((1 << bits) - 1)
        let keptHigh = bits <= 64 ? 0 : high & ((1 << (bits - 64)) - 1)
        // A shift of 64 or more gives zero, as it should.
        let address = IPAddress(
            high: subnet.first.high | keptHigh << shift | keptLow >> (64 - shift),
            low: subnet.first.low | keptLow << shift
        )
        guard let block = Prefix(first: address, length: blockLength) else {
            preconditionFailure("block \(high):\(low) of \(subnet) is aligned")
        }
        return block
    }

    /// What the names of all the plan's registers begin with: `ipam/POOL/`, or `ipam6/POOL/`.
    package var registerPrefix: String {
        (subnet.isV4 ? "ipam/" : "ipam6/") + String(pool, radix: 16) + "/"
    }

    /// The name of a block's register: `ipam/POOL/INDEX`, or `ipam6/POOL/FIRST` with the first
    /// address in 32 hexadecimal digits, as there are more blocks than numbers.
    package func registerKey(_ block: Prefix) -> String {
        guard !subnet.isV4 else {
            let index = (block.first.low - subnet.first.low) >> UInt64(32 - blockLength)
            return registerPrefix + String(index)
        }
        return registerPrefix + NodeID(high: block.first.high, low: block.first.low).description
    }

    /// The block that a register's name speaks of; nil for a name that is no block's.
    package func block(ofKey key: String) -> Prefix? {
        guard key.hasPrefix(registerPrefix) else { return nil }
        let name = key.dropFirst(registerPrefix.count)
        if subnet.isV4 {
            guard let index = UInt64(name), index < countClamped, String(index) == name else {
                return nil
            }
            return block(index)
        }
        guard let bits = NodeID(name),
            let block = Prefix(
                first: IPAddress(high: bits.high, low: bits.low),
                length: blockLength
            ), subnet.contains(block.first)
        else { return nil }
        return block
    }

    /// Blocks in the order in which `node` should try for them: all of them, or some of very many.
    package func candidates(for node: NodeID) -> [Prefix] {
        guard let count, count <= Self.listedMax else { return drawn(for: node) }
        let scored = (0..<count).map { index in
            (Self.score(pool: pool, node, index).value, index)
        }
        return scored.sorted { $0 > $1 }.map { block($0.1) }.filter(isUsable)
    }

    private func drawn(for node: NodeID) -> [Prefix] {
        var seen = SortedSet<Prefix>()
        var blocks: [Prefix] = []
        for number in 0..<UInt64(Self.drawnCount) {
            let low = Self.score(pool: pool, node, number).value
            let block = block(high: StableHash.mix(low), low: low)
            guard !seen.contains(block), isUsable(block) else { continue }
            seen.insert(block)
            blocks.append(block)
        }
        return blocks
    }

    private static func score(pool: UInt64, _ node: NodeID, _ number: UInt64) -> StableHash {
        var hash = StableHash(seed: pool)
        hash.combine(node.high)
        hash.combine(node.low)
        hash.combine(number)
        return hash
    }

    /// Whether a pod may have `address`: the family's rules allow it, and it is not excluded.
    package func isAssignable(_ address: IPAddress) -> Bool {
        subnet.isHost(address) && !exclusions.contains { $0.contains(address) }
    }

    /// The addresses of a block that pods may have.
    package func assignable(in block: Prefix) -> [IPAddress] {
        (0..<(block.count ?? 0)).compactMap { block.first.advanced(by: $0) }.filter(isAssignable)
    }

    /// A block that is excluded as a whole is of no use.
    private func isUsable(_ block: Prefix) -> Bool {
        let isTouched = exclusions.contains { $0.first <= block.last && block.first <= $0.last }
        // Only the end of a wide IPv6 subnet has blocks without a pod's address.
        guard isTouched || (!subnet.isV4 && subnet.length <= 64) else { return true }
        return !assignable(in: block).isEmpty
    }
}
