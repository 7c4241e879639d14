import Determinism

/// Rumors waiting to be passed on: one per subject, the least often told first, then the newest.
///
/// - Bounds: one entry per member, so at most the table's size; a rumor is dropped once it was told
///   often enough, and an older one about the same member when a younger one arrives.
struct RumorQueue: Sendable {
    private struct Entry: Sendable {
        let accuser: NodeID
        var told: Int
        var stamp: UInt64
    }

    /// A place in a level; void once its subject has another stamp.
    private struct Place: Sendable {
        let subject: NodeID
        let stamp: UInt64
    }

    private var entries = NodeMap<Entry>()
    /// Stacks by how often a rumor was told.
    private var levels: [[Place]] = []
    private var placeCount = 0
    private var stamp: UInt64 = 0

    /// A rumor that does not fit leaves room for shorter ones, so many times per datagram.
    private static let misfitsMax = 4

    /// Whether there is nothing to tell.
    var isEmpty: Bool { entries.isEmpty }

    /// The number of rumors.
    var count: Int { entries.count }

    /// Replaces what was to be told about a member by what the table says of it.
    mutating func add(_ subject: NodeID, accuser: NodeID) {
        stamp += 1
        entries[subject] = Entry(accuser: accuser, told: 0, stamp: stamp)
        push(Place(subject: subject, stamp: stamp), level: 0)
        if placeCount > 2 * entries.count + 64 { dropVoidPlaces() }
    }

    /// Takes rumors for one datagram that has `lengthMax` bytes left; each is told `toldMax` times.
    ///
    /// `fact` gives what is known of a subject now; nil drops the rumor.
    mutating func take(
        lengthMax: Int,
        toldMax: Int,
        fact: (NodeID) -> MemberFact?
    ) -> [Rumor] {
        guard !entries.isEmpty else { return [] }
        var left = lengthMax
        var taken: [Rumor] = []
        var misfits: [(place: Place, level: Int)] = []
        var level = 0
        while level < levels.count, taken.count < MembershipDatagram.rumorsMax,
            misfits.count < Self.misfitsMax
        {
            guard let place = levels[level].popLast() else {
                level += 1
                continue
            }
            placeCount -= 1
            guard let entry = entries[place.subject], entry.stamp == place.stamp else { continue }
            guard let fact = fact(place.subject) else {
                entries[place.subject] = nil
                continue
            }
            let rumor = Rumor(fact: fact, accuser: entry.accuser)
            guard rumor.encodedLength <= left else {
                misfits.append((place, level))
                continue
            }
            left -= rumor.encodedLength
            taken.append(rumor)
        }
        for misfit in misfits.reversed() { push(misfit.place, level: misfit.level) }
        for rumor in taken { noteTold(rumor.fact.id, toldMax: toldMax) }
        return taken
    }

    private mutating func noteTold(_ subject: NodeID, toldMax: Int) {
        guard var entry = entries[subject] else { return }
        entry.told += 1
        guard entry.told < toldMax else {
            entries[subject] = nil
            return
        }
        entries[subject] = entry
        push(Place(subject: subject, stamp: entry.stamp), level: entry.told)
    }

    private mutating func push(_ place: Place, level: Int) {
        while levels.count <= level { levels.append([]) }
        levels[level].append(place)
        placeCount += 1
    }

    private mutating func dropVoidPlaces() {
        let entries = entries
        for level in levels.indices {
            levels[level].removeAll { entries[$0.subject]?.stamp != $0.stamp }
        }
        placeCount = levels.reduce(0) { $0 + $1.count }
    }
}
