import Determinism

/// Rumors waiting to be passed on: one per subject, the least often told first.
///
/// - Bounds: one entry per member, so at most the table's size; a rumor is dropped once it was told
///   often enough, and an older one about the same member when a younger one arrives.
struct RumorQueue: Sendable {
    private struct Entry: Sendable {
        var rumor: Rumor
        var told: Int
    }

    private var entries = SortedMap<NodeID, Entry>()

    /// Whether there is nothing to tell.
    var isEmpty: Bool { entries.isEmpty }

    /// Replaces what was to be told about the rumor's subject.
    mutating func add(_ rumor: Rumor) {
        entries[rumor.fact.id] = Entry(rumor: rumor, told: 0)
    }

    /// Takes rumors for one datagram that has `lengthMax` bytes left; each is told `toldMax` times.
    mutating func take(lengthMax: Int, toldMax: Int) -> [Rumor] {
        guard !entries.isEmpty else { return [] }
        var left = lengthMax
        var taken: [Rumor] = []
        let order = entries.sorted { ($0.value.told, $0.key) < ($1.value.told, $1.key) }
        for (id, entry) in order where taken.count < MembershipDatagram.rumorsMax {
            let length = entry.rumor.encodedLength
            guard length <= left else { continue }
            left -= length
            taken.append(entry.rumor)
            if entry.told + 1 >= toldMax {
                entries[id] = nil
            } else {
                entries[id] = Entry(rumor: entry.rumor, told: entry.told + 1)
            }
        }
        return taken
    }
}

extension Rumor {
    /// The bytes that the rumor takes in a datagram: the fixed fields of a fact are 55, the accuser
    /// 16.
    var encodedLength: Int {
        fact.name.utf8.count + fact.zone.utf8.count + 55 + 16
    }
}
