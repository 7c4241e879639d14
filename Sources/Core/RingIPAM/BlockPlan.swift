package import Addressing
package import Determinism

/// How a subnet falls into blocks, and which block a node should try for first.
///
/// A block is a /26, or the whole subnet where that is smaller.
/// - Source: Calico's block size; the order is rendezvous hashing, so that nodes that claim at the
///   same time rarely want the same block.
package struct BlockPlan: Hashable, Sendable {
    /// The pool: the pod group's number.
    package let pool: UInt64
    /// The subnet that is divided.
    package let subnet: Prefix

    /// The length of a block's prefix, unless the subnet is longer.
    package static let blockLength = 26

    /// Makes the plan of one subnet; IPv4 only.
    package init(pool: UInt64, subnet: Prefix) {
        precondition(subnet.isV4, "blocks of IPv6 subnets are not planned yet")
        self.pool = pool
        self.subnet = subnet
    }

    /// The number of blocks.
    package var count: Int { 1 << max(0, Self.blockLength - subnet.length) }

    /// One block's addresses.
    package func block(_ index: Int) -> Prefix {
        precondition((0..<count).contains(index), "a block index lies inside its plan")
        let length = max(subnet.length, Self.blockLength)
        let step = UInt64(index) << UInt64(32 - length)
        guard let first = subnet.first.advanced(by: step),
            let block = Prefix(first: first, length: length)
        else { preconditionFailure("block \(index) of \(subnet) is aligned") }
        return block
    }

    /// The name of a block's register: `ipam/POOL/INDEX`.
    package func registerKey(_ index: Int) -> String { registerPrefix + String(index) }

    /// What the names of all the plan's registers begin with.
    package var registerPrefix: String { "ipam/\(String(pool, radix: 16))/" }

    /// The block that a register's name speaks of.
    package func index(ofKey key: String) -> Int? {
        guard key.hasPrefix(registerPrefix), let index = Int(key.dropFirst(registerPrefix.count)),
            (0..<count).contains(index)
        else { return nil }
        return index
    }

    /// All blocks in the order in which `node` should try for them.
    package func candidates(for node: NodeID) -> [Int] {
        let scored = (0..<count).map { index in
            var hash = StableHash(seed: pool)
            hash.combine(node.high)
            hash.combine(node.low)
            hash.combine(UInt64(index))
            return (hash.value, index)
        }
        return scored.sorted { $0 > $1 }.map(\.1)
    }

    /// Whether a pod may have `address`: not the network's own, not the gateway, not the last.
    package func isAssignable(_ address: IPAddress) -> Bool {
        subnet.contains(address) && address != subnet.first && address != subnet.last
            && address != subnet.first.advanced(by: 1)
    }
}
