import Determinism
import RingMembership
import RingPlacement
import RingRegisters

/// Which nodes should hold the registers: one, then three, then five, in zones apart, and none that
/// was away for long.
///
/// A steward that is lost keeps its place until another node can take it: a smaller group would
/// survive no more, and its disk may come back. Only a node that is to leave makes a group smaller.
struct StewardPolicy: Sendable {
    /// How a node stands, as membership sees it.
    enum Standing: Sendable {
        /// It can be asked to be a steward.
        case present
        /// It is away, and not for long yet.
        case away
        /// It was away for so long that another should take its place.
        case lost
    }

    /// The number of stewards that a ring of so many usable nodes should have.
    static func countWanted(nodes: Int) -> Int {
        switch nodes {
        case ..<3: 1
        case 3...4: 3
        default: 5
        }
    }

    /// The nodes of the group that should follow; nil when the present one should stay.
    ///
    /// Members that somebody with authority takes out of the ring are in no group that follows.
    static func successor(
        of group: StewardSet,
        configuration: RingConfiguration,
        standing: (NodeID) -> Standing
    ) -> [NodeID]? {
        let usable = configuration.members.filter {
            !configuration.leaving.contains($0.id) && isUsable(standing($0.id))
        }
        var chosen = group.members.map(\.node).filter { node in
            usable.contains { $0.id == node }
        }
        let wanted = max(countWanted(nodes: usable.count), chosen.count)
        let candidates = usable.filter { member in
            guard case .present = standing(member.id) else { return false }
            return !chosen.contains(member.id)
        }
        chosen += fill(wanted - chosen.count, from: candidates, beside: chosen, configuration)
        guard hasLeaving(group, configuration) || chosen.count >= group.members.count else {
            return nil
        }
        // An even group survives no more losses than the odd one below it.
        if chosen.count > 1, chosen.count % 2 == 0 {
            let absent = chosen.lastIndex { node in
                if case .present = standing(node) { false } else { true }
            }
            chosen.remove(at: absent ?? chosen.count - 1)
        }
        let isSame = SortedSet(chosen) == SortedSet(group.members.map(\.node))
        return chosen.isEmpty || isSame ? nil : chosen
    }

    /// Whether a member that is to leave the ring holds registers.
    static func hasLeaving(_ group: StewardSet, _ configuration: RingConfiguration) -> Bool {
        group.members.contains { configuration.leaving.contains($0.node) }
    }

    /// Nodes for so many places, from the zones that have the fewest stewards.
    private static func fill(
        _ count: Int,
        from candidates: [RingMember],
        beside chosen: [NodeID],
        _ configuration: RingConfiguration
    ) -> [NodeID] {
        var uses = SortedMap<String, Int>()
        for node in chosen { uses[configuration.member(node)?.zone ?? "", default: 0] += 1 }
        var left = candidates.map { (member: $0, score: score($0.id, configuration)) }
        var filled: [NodeID] = []
        while filled.count < count, !left.isEmpty {
            let index = left.indices.min { first, second in
                let firstUses = uses[left[first].member.zone] ?? 0
                let secondUses = uses[left[second].member.zone] ?? 0
                return firstUses == secondUses
                    ? left[first].score > left[second].score : firstUses < secondUses
            }
            guard let index else { break }
            let member = left.remove(at: index).member
            filled.append(member.id)
            uses[member.zone, default: 0] += 1
        }
        return filled
    }

    private static func isUsable(_ standing: Standing) -> Bool {
        if case .lost = standing { false } else { true }
    }

    /// Drawn per ring, so that not every ring has the same nodes for stewards.
    private static func score(_ node: NodeID, _ configuration: RingConfiguration) -> UInt64 {
        var hash = StableHash(seed: 3)
        hash.combine(configuration.ringID.bits.low)
        hash.combine(node.high)
        hash.combine(node.low)
        return hash.value
    }
}
