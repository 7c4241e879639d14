/// How many slots each member may own before the next choice takes over.
///
/// The cap is 5/4 of a member's fair share, and never below the share rounded up. The fair share is
/// in proportion to weight, except that no zone (or, with fewer zones than owners, no member) can
/// hold a slot twice: what a heavy zone cannot take is shared among the others.
/// - Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", 2018.
enum LoadCap {
    /// The caps, by member index.
    ///
    /// `domains` holds for each member the number of its zone, or its own number where zones are
    /// too few.
    static func caps(weights: [Int], domains: [Int], slotCount: Int, ownerCount: Int) -> [Int] {
        precondition(weights.count == domains.count)
        var domainWeights = Array(repeating: 0, count: (domains.max() ?? -1) + 1)
        for (weight, domain) in zip(weights, domains) { domainWeights[domain] += weight }
        let fill = filled(domainWeights, slotCount: slotCount, ownerCount: ownerCount)
        return zip(weights, domains).map { weight, domain in
            // share = amount * weight / whole
            let isFull = fill.fullDomains.contains(domain)
            let amount = (isFull ? slotCount : fill.amount) * weight
            let whole = isFull ? domainWeights[domain] : fill.weight
            guard weight > 0 else { return 0 }
            return min(slotCount, max((amount + whole - 1) / whole, amount * 5 / (whole * 4)))
        }
    }

    /// Gives each domain that would hold a slot twice exactly one copy of each, until none would.
    private static func filled(
        _ domainWeights: [Int],
        slotCount: Int,
        ownerCount: Int
    ) -> (amount: Int, weight: Int, fullDomains: [Int]) {
        var amount = slotCount * ownerCount
        var weight = domainWeights.reduce(0, +)
        var fullDomains: [Int] = []
        // Each turn takes at least one whole copy away, so there are at most `ownerCount` turns.
        for _ in 0..<ownerCount {
            let full = domainWeights.indices.filter { domain in
                !fullDomains.contains(domain) && domainWeights[domain] > 0
                    && amount * domainWeights[domain] >= slotCount * weight
            }
            guard !full.isEmpty else { break }
            fullDomains += full
            amount -= slotCount * full.count
            weight -= full.reduce(0) { $0 + domainWeights[$1] }
        }
        precondition(amount >= 0 && weight >= 0)
        return (amount, weight, fullDomains)
    }
}
