package import Determinism

/// Seals stewards of one group and reads what they hold: the first half of every way from one
/// group to another.
///
/// It sends nothing itself; answers may come twice, late or out of order.
package struct StewardCopy: Sendable {
    /// What has been read from one sealed steward.
    private struct Source: Sendable {
        var isSealed = false
        var isWhole = false
        var entries: [RegisterEntry] = []
    }

    /// The group whose stewards are sealed.
    let group: StewardSet
    /// The group that they are told to make way for.
    let next: StewardSet
    /// Requests that wait to be sent, oldest first.
    package var requests: [(message: RegisterMessage, steward: NodeID)] = []

    private let round: UInt64
    private let wanted: Int
    private let flaws: [RegisterFlaw]
    private var sources = SortedMap<NodeID, Source>()

    /// Begins with the stewards on `nodes`, of which `wanted` have to be read whole.
    ///
    /// A change from a living group wants a majority of it; what is read of fewer is what a lost
    /// majority left behind.
    package init(
        of group: StewardSet,
        to next: StewardSet,
        nodes: [NodeID],
        wanted: Int,
        round: UInt64,
        flaws: [RegisterFlaw] = []
    ) {
        precondition(next.epoch > group.epoch, "a group is followed by a younger one")
        self.group = group
        self.next = next
        self.round = round
        self.wanted = wanted
        self.flaws = flaws
        for node in nodes { sources[node] = Source() }
        ask()
    }

    /// Whether enough have been read.
    package var isComplete: Bool { sources.values.count(where: \.isWhole) >= wanted }

    /// The stewards that have been read whole.
    package var readNodes: [NodeID] { sources.filter { $0.value.isWhole }.map(\.key) }

    /// Asks the silent, once more.
    package mutating func ask() {
        for node in sources.keys { ask(node) }
    }

    /// Takes in an answer; one of another round or of another kind changes nothing.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID) {
        switch message {
        case .sealed(round):
            guard sources[steward]?.isSealed == false else { return }
            sources[steward]?.isSealed = true
            ask(steward)
        case .entries(round, let entries, let isLast):
            noteEntries(entries, isLast: isLast, from: steward)
        default: break
        }
    }

    private mutating func ask(_ node: NodeID) {
        guard let source = sources[node], !source.isWhole else { return }
        let message: RegisterMessage =
            source.isSealed
            ? .fetch(round: round, epoch: group.epoch, after: source.entries.last?.key)
            : .seal(round: round, epoch: group.epoch, next: next)
        requests.append((message, node))
    }

    private mutating func noteEntries(
        _ entries: [RegisterEntry],
        isLast: Bool,
        from node: NodeID
    ) {
        guard var source = sources[node], !source.isWhole else { return }
        // An answer that came twice repeats names that are there already.
        let last = source.entries.last?.key
        let news = entries.filter { entry in last.map { entry.key > $0 } ?? true }
        // An empty part that is not the last would be asked for again for ever.
        guard news.count == entries.count, isLast || !entries.isEmpty,
            source.entries.count + news.count <= RegisterMessage.registersMax
        else { return }
        source.entries += news
        source.isWhole = isLast
        sources[node] = source
        if !isLast { ask(node) }
    }

    /// The newest value of each register among the stewards that were read whole, by name.
    package var newest: [RegisterEntry] {
        var newest = SortedMap<String, AcceptedValue>()
        for (_, source) in sources where source.isWhole && !flaws.contains(.copySkipped) {
            for entry in source.entries {
                let known = newest[entry.key]
                if known.map({ $0.ballot < entry.accepted.ballot }) ?? true {
                    newest[entry.key] = entry.accepted
                }
            }
        }
        return newest.map { RegisterEntry(key: $0.key, accepted: $0.value) }
    }
}
