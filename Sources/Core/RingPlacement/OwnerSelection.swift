/// Chooses the owners of one slot after another and counts what each member already owns.
///
/// Owners are taken in ranking order: first one for each zone wanted, then whoever is next; members
/// at their cap are passed over. Only where that leaves too few does a cap give way, because a slot
/// with too few owners, or with two in one zone, is the greater harm.
struct OwnerSelection {
    private let zones: [Int]
    private let zoneCountWanted: Int
    private let ownerCount: Int
    private let caps: [Int]
    private var loads: [Int]

    init(_ configuration: RingConfiguration) {
        let members = configuration.members
        let names = Self.ascendingZones(of: members)
        let eligible = members.lazy.filter { $0.weight > 0 }
        let weighted = Self.ascendingZones(of: Array(eligible)).count
        zones = members.map { Self.position(of: $0.zone, in: names) }
        ownerCount = min(configuration.replicationFactor, eligible.count)
        zoneCountWanted = min(ownerCount, weighted)
        caps = LoadCap.caps(
            weights: members.map(\.weight),
            domains: weighted >= ownerCount ? zones : Array(members.indices),
            slotCount: configuration.slotCount,
            ownerCount: ownerCount
        )
        loads = Array(repeating: 0, count: members.count)
    }

    /// Takes the owners out of the front of a ranking; nil where no choice keeps every rule.
    mutating func strictOwners(among front: [Rendezvous.Candidate]) -> [Int]? {
        var owners: [Int] = []
        take(from: front, into: &owners, upTo: zoneCountWanted, newZone: true, capped: true)
        guard owners.count == zoneCountWanted else { return nil }
        take(from: front, into: &owners, upTo: ownerCount, newZone: false, capped: true)
        guard owners.count == ownerCount else { return nil }
        count(owners)
        return owners
    }

    /// Takes the owners out of a whole ranking, past the caps where nothing else is left.
    mutating func owners(among all: [Rendezvous.Candidate]) -> [Int] {
        var owners: [Int] = []
        take(from: all, into: &owners, upTo: zoneCountWanted, newZone: true, capped: true)
        take(from: all, into: &owners, upTo: zoneCountWanted, newZone: true, capped: false)
        take(from: all, into: &owners, upTo: ownerCount, newZone: false, capped: true)
        take(from: all, into: &owners, upTo: ownerCount, newZone: false, capped: false)
        precondition(owners.count == ownerCount)
        count(owners)
        return owners
    }

    private func take(
        from candidates: [Rendezvous.Candidate],
        into owners: inout [Int],
        upTo wanted: Int,
        newZone: Bool,
        capped: Bool
    ) {
        for candidate in candidates {
            if owners.count >= wanted { return }
            let member = candidate.member
            if capped && loads[member] >= caps[member] { continue }
            if owners.contains(member) { continue }
            if newZone && owners.contains(where: { zones[$0] == zones[member] }) { continue }
            owners.append(member)
        }
    }

    private mutating func count(_ owners: [Int]) {
        for owner in owners { loads[owner] += 1 }
    }

    private static func ascendingZones(of members: [RingMember]) -> [[UInt8]] {
        var names: [[UInt8]] = []
        let all = members.map { Array($0.zone.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        for name in all where names.last != name { names.append(name) }
        return names
    }

    private static func position(of zone: String, in names: [[UInt8]]) -> Int {
        let wanted = Array(zone.utf8)
        var low = 0
        var high = names.count
        while low < high {
            let middle = (low + high) / 2
            if names[middle].lexicographicallyPrecedes(wanted) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
