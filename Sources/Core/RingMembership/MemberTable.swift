package import Determinism

/// Everyone but this peer, in constant time: looked up by identity, drawn at random, probed in
/// turn, and summed up in digests.
///
/// Members that are present (alive or suspect) stand in the probe order, a permutation with a
/// cursor: those before it were probed in this round. The gone stand apart.
struct MemberTable: Sendable {
    /// A member and where it stands in the probe order, or among the gone.
    private struct Entry: Sendable {
        var member: Membership.Member
        var place: Int32
    }

    private var entries = NodeMap<Entry>()
    /// Positions in `entries`, present members only.
    private var order: [UInt32] = []
    private var cursor = 0
    private var gone: [UInt32] = []
    private(set) var digests: MemberDigests

    /// Makes the table of a peer that knows only itself.
    init(own: MemberFact) {
        digests = MemberDigests()
        digests.add(own)
    }

    /// The number of members, present and gone.
    var count: Int { entries.count }

    /// The number of members that are alive or suspect.
    var presentCount: Int { order.count }

    /// The number of members that are dead or left.
    var goneCount: Int { gone.count }

    /// All members, in an order that follows from the table's history.
    var members: [Membership.Member] { entries.values.map(\.member) }

    /// One member.
    subscript(id: NodeID) -> Membership.Member? {
        entries.position(of: id).map { entries[$0].member }
    }

    /// What changes of one member within a boot; nil for strangers.
    ///
    /// Much cheaper than the whole member, and all that most datagrams need.
    func claim(of id: NodeID) -> MemberClaim? {
        entries.position(of: id).map { entries[$0].member.fact.claim }
    }

    /// Notes the newest ring epoch that a member told of.
    mutating func noteEpoch(_ epoch: UInt64, of id: NodeID) {
        guard let position = entries.position(of: id), entries[position].member.epoch < epoch
        else { return }
        entries[position].member.epoch = epoch
    }

    /// Changes what does not touch a member's fact.
    mutating func note(_ id: NodeID, _ change: (inout Membership.Member) -> Void) {
        guard let position = entries.position(of: id) else { return }
        let before = entries[position].member.fact
        change(&entries[position].member)
        precondition(entries[position].member.fact.age == before.age, "facts change by put")
    }

    /// Stores a member, new or known; a new one gets a random place in the probe order.
    mutating func put(_ member: Membership.Member, using generator: inout SeededGenerator) {
        let isGone = member.fact.status.isGone
        if !isGone { digests.add(member.fact) }
        guard let position = entries.position(of: member.fact.id) else {
            entries.append(member.fact.id, Entry(member: member, place: 0))
            enter(entries.count - 1, isGone: isGone, using: &generator)
            return
        }
        let known = entries[position].member.fact
        if !known.status.isGone { digests.subtract(known) }
        entries[position].member = member
        guard known.status.isGone != isGone else { return }
        leave(position, isGone: known.status.isGone)
        enter(position, isGone: isGone, using: &generator)
    }

    /// Forgets a member that is gone.
    mutating func forget(_ id: NodeID) {
        guard let position = entries.position(of: id) else { return }
        precondition(entries[position].member.fact.status.isGone, "only the gone are forgotten")
        leave(position, isGone: true)
        let last = entries.count - 1
        entries.remove(id)
        guard position != last else { return }
        // The last entry lies here now.
        let place = Int(entries[position].place)
        if entries[position].member.fact.status.isGone {
            gone[place] = UInt32(position)
        } else {
            order[place] = UInt32(position)
        }
    }

    /// This peer's own fact changed.
    mutating func replaceOwn(_ old: MemberFact, by new: MemberFact) {
        if !old.status.isGone { digests.subtract(old) }
        if !new.status.isGone { digests.add(new) }
    }

    private mutating func enter(
        _ position: Int,
        isGone: Bool,
        using generator: inout SeededGenerator
    ) {
        if isGone {
            entries[position].place = Int32(gone.count)
            gone.append(UInt32(position))
            return
        }
        order.append(UInt32(position))
        settle(order.count - 1)
        // At a random place among those that this round has still to probe.
        swapPlaces(
            Int.random(in: min(cursor, order.count - 1)..<order.count, using: &generator),
            order.count - 1
        )
    }

    private mutating func leave(_ position: Int, isGone: Bool) {
        let place = Int(entries[position].place)
        if isGone {
            let last = gone.removeLast()
            guard place < gone.count else { return }
            gone[place] = last
            entries[Int(last)].place = Int32(place)
            return
        }
        var hole = place
        if hole < cursor {
            // Kept apart: whoever was not probed yet must not come to lie before the cursor.
            cursor -= 1
            swapPlaces(hole, cursor)
            hole = cursor
        }
        swapPlaces(hole, order.count - 1)
        order.removeLast()
    }

    private mutating func swapPlaces(_ first: Int, _ second: Int) {
        guard first != second else { return }
        order.swapAt(first, second)
        settle(first)
        settle(second)
    }

    private mutating func settle(_ place: Int) {
        entries[Int(order[place])].place = Int32(place)
    }
}

// Drawing members.
extension MemberTable {
    /// The next member to probe: everyone once a round, in an order drawn anew for each round.
    mutating func nextToProbe(using generator: inout SeededGenerator) -> MemberFact? {
        guard !order.isEmpty else { return nil }
        if cursor >= order.count {
            cursor = 0
            for place in stride(from: order.count - 1, to: 0, by: -1) {
                swapPlaces(place, Int.random(in: 0...place, using: &generator))
            }
        }
        defer { cursor += 1 }
        return entries[Int(order[cursor])].member.fact
    }

    /// Up to `count` different present members for which `isWanted` holds.
    ///
    /// Draws with rejection from a large table; goes through all of a small one, where a few draws
    /// might miss the only helper there is.
    func draw(
        _ count: Int,
        using generator: inout SeededGenerator,
        where isWanted: (MemberFact) -> Bool = { _ in true }
    ) -> [MemberFact] {
        var drawn: [MemberFact] = []
        guard order.count > 8 * count else {
            for position in order.shuffled(using: &generator) where drawn.count < count {
                let fact = entries[Int(position)].member.fact
                if isWanted(fact) { drawn.append(fact) }
            }
            return drawn
        }
        for _ in 0..<8 * count where drawn.count < count {
            let place = Int.random(in: 0..<order.count, using: &generator)
            let fact = entries[Int(order[place])].member.fact
            if isWanted(fact), !drawn.contains(where: { $0.id == fact.id }) { drawn.append(fact) }
        }
        return drawn
    }

    /// One member that is gone.
    func drawGone(using generator: inout SeededGenerator) -> Membership.Member? {
        gone.randomElement(using: &generator).map { entries[Int($0)].member }
    }

    /// The members that are gone.
    var goneMembers: [Membership.Member] { gone.map { entries[Int($0)].member } }

    /// What is known of the members in some buckets of the digests.
    func facts(inBuckets wanted: [UInt8]) -> [MemberFact] {
        var isWanted = [Bool](repeating: false, count: MemberDigests.bucketCount)
        for bucket in wanted { isWanted[Int(bucket)] = true }
        return entries.values.map(\.member.fact).filter {
            isWanted[MemberDigests.bucket(of: $0.id)]
        }
    }
}

/// Sums over a table by which two peers find out whether, and where, they differ.
///
/// A sum has no order, so it is kept up to date as the table changes. Gone members and the
/// difference between alive and suspect are left out: peers forget the gone at different times, and
/// suspicions pass by themselves.
package struct MemberDigests: Sendable {
    /// The sums by bucket; a member's bucket follows from its identity.
    package private(set) var buckets = [UInt64](repeating: 0, count: bucketCount)
    /// The sum over all members.
    package private(set) var total: UInt64 = 0

    /// The number of buckets: as many as a byte can name.
    package static let bucketCount = 256

    /// The bucket of a member.
    package static func bucket(of id: NodeID) -> Int {
        Int(StableHash.mix(id.low ^ StableHash.mix(id.high)) >> 56)
    }

    /// The buckets whose sums differ from another peer's.
    package func differing(from theirs: [UInt64]) -> [UInt8] {
        precondition(theirs.count == Self.bucketCount, "a summary has one sum for each bucket")
        return buckets.indices.filter { buckets[$0] != theirs[$0] }.map(UInt8.init)
    }

    mutating func add(_ fact: MemberFact) {
        let term = Self.term(fact)
        buckets[Self.bucket(of: fact.id)] &+= term
        total &+= term
    }

    mutating func subtract(_ fact: MemberFact) {
        let term = Self.term(fact)
        buckets[Self.bucket(of: fact.id)] &-= term
        total &-= term
    }

    private static func term(_ fact: MemberFact) -> UInt64 {
        var hash = StableHash(seed: 1)
        hash.combine(fact.id.high)
        hash.combine(fact.id.low)
        hash.combine(fact.boot)
        hash.combine(fact.incarnation)
        return hash.value
    }
}
