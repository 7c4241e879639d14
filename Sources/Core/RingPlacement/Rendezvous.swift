import Determinism

/// Ranks members for a slot by weighted rendezvous hashing.
///
/// A member's cost for a slot is -log2(h) / weight, h being a hash of both read as a fraction; the
/// smallest cost wins, and member i wins in proportion to its weight. A change of one member never
/// changes the order of the others.
/// - Source: Thaler, Ravishankar, "Using name-based mappings to increase hit rates", 1998; the
///   logarithmic weights are Schindelhauer, Schomaker, "Weighted distributed hash tables", 2005.
struct Rendezvous: Sendable {
    /// A member's place in a ranking.
    struct Candidate: Sendable {
        let cost: UInt64
        let member: Int

        /// Ties go to the lower id, which is the lower index.
        static func isBefore(_ lhs: Candidate, _ rhs: Candidate) -> Bool {
            (lhs.cost, lhs.member) < (rhs.cost, rhs.member)
        }
    }

    /// 2^24 / weight: a cost has 38 bits before it is multiplied by this, 62 after.
    private static let inverseBits: UInt64 = 24

    private let seeds: [UInt64]
    private let inverseWeights: [UInt64]
    private let members: [Int]

    /// Makes a ranking of the members that have a weight.
    init(_ configuration: RingConfiguration) {
        members = configuration.members.indices.filter { configuration.members[$0].weight > 0 }
        seeds = members.map { index in
            let id = configuration.members[index].id
            var hash = StableHash()
            hash.combine(id.high)
            hash.combine(id.low)
            return hash.value
        }
        inverseWeights = members.map {
            (1 << Self.inverseBits) / UInt64(configuration.members[$0].weight)
        }
    }

    /// The number of members that are ranked.
    var count: Int { members.count }

    /// Every member, best first.
    ///
    /// - Complexity: O(n log n)
    func ranking(for slot: Slot) -> [Candidate] {
        let slotSeed = Self.seed(of: slot)
        return members.indices
            .map { Candidate(cost: cost($0, slotSeed), member: members[$0]) }
            .sorted(by: Candidate.isBefore)
    }

    /// The `limit` best members, best first.
    ///
    /// - Complexity: O(n), with a logarithm only for what may be among the best.
    func best(_ limit: Int, for slot: Slot) -> [Candidate] {
        precondition(limit > 0)
        let slotSeed = Self.seed(of: slot)
        var best: [Candidate] = []
        var costMax = UInt64.max
        var index = 0
        let end = members.count
        while index < end {
            let hash = StableHash.mix(seeds[index] ^ slotSeed)
            // 1 - h is never above -log2(h), and costs one instruction.
            if (~hash >> 32) &* inverseWeights[index] <= costMax {
                let cost = cost(index, slotSeed)
                if cost < costMax || best.count < limit {
                    Self.insert(Candidate(cost: cost, member: members[index]), &best, limit)
                    if best.count == limit { costMax = best[limit - 1].cost }
                }
            }
            index += 1
        }
        return best
    }

    private static func insert(_ candidate: Candidate, _ best: inout [Candidate], _ limit: Int) {
        var index = best.count
        // Members come in ascending order, so an equal cost stays behind what is there.
        while index > 0, best[index - 1].cost > candidate.cost { index -= 1 }
        best.insert(candidate, at: index)
        if best.count > limit { best.removeLast() }
    }

    private func cost(_ index: Int, _ slotSeed: UInt64) -> UInt64 {
        let hash = StableHash.mix(seeds[index] ^ slotSeed)
        return BinaryLogarithm.shared.negated(of: hash) * inverseWeights[index]
    }

    private static func seed(of slot: Slot) -> UInt64 {
        StableHash.mix(UInt64(slot.index) + 1)
    }
}
