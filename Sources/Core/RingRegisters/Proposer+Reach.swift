import Determinism

/// Which stewards a phase is sent to (D8).
///
/// A phase needs a majority. What the others do with it costs them a message, a write and an answer
/// that nobody waits for, so they are asked only where the majority is slow, disagrees or refuses,
/// and learn of chosen values a little later, many in one message. The members of a group begin with
/// themselves and go on with the one behind them, so each is asked by as many as any other.
/// - Source: Moraru, Andersen, Kaminsky, "There Is More Consensus in Egalitarian Parliaments", on
///   thrifty proposers; Dean, Barroso, "The Tail at Scale", on hedged requests.
extension Proposer {
    /// Chosen values that are yet to follow to the stewards beyond a majority.
    struct Trail: Sendable {
        /// By steward and register: a later value takes the place of one before it.
        var messages = SortedMap<NodeID, SortedMap<String, RegisterMessage>>()
        var byteCount = 0
        var dueAt: Instant?
    }

    /// The stewards from this one on, in the group's order; slow ones last.
    static func preference(
        own: NodeID,
        group: StewardSet,
        slow: SortedMap<NodeID, Instant>
    ) -> [NodeID] {
        let nodes = group.members.map(\.node)
        guard !nodes.isEmpty else { return [] }
        let first = nodes.firstIndex(of: own) ?? Int(own.low % UInt64(nodes.count))
        let turned = Array(nodes[first...] + nodes[..<first])
        return turned.filter { slow[$0] == nil } + turned.filter { slow[$0] != nil }
    }

    /// Whom the next phase of a command is sent to.
    mutating func reach(_ operation: Operation, now: Instant) -> [NodeID] {
        if slow.values.contains(where: { now >= $0 }) {
            slow.removeAll { now >= $1 }
            preference = Self.preference(own: own, group: group, slow: slow)
        }
        return operation.lostRaces > 0 ? preference : Array(preference.prefix(majority))
    }

    /// Whether everybody was asked.
    func isWide(_ operation: Operation) -> Bool { operation.asked.count >= group.members.count }

    /// Asks the others too.
    mutating func widen(_ operation: Operation, now: Instant) {
        var operation = operation
        let others = preference.filter { !operation.asked.contains($0) }
        operation.asked += others
        operation.sentAt = now
        operations[operation.round] = operation
        for steward in others {
            guard let message = request(operation, to: steward) else { continue }
            effects.append(.send(message, to: steward))
        }
    }

    /// Those that have not answered in time are asked last for a while.
    mutating func noteSlow(_ operation: Operation, now: Instant) {
        for steward in operation.asked where request(operation, to: steward) != nil {
            guard !operation.rejections.contains(steward) else { continue }
            slow[steward] = now.advanced(by: parameters.slowSpan)
        }
        preference = Self.preference(own: own, group: group, slow: slow)
    }

    /// A value was chosen: those that were not asked are to have it as well.
    mutating func leaveTrail(_ operation: Operation, now: Instant) {
        guard !isWide(operation) else { return }
        for steward in preference where !operation.asked.contains(steward) {
            guard let message = request(operation, to: steward) else { continue }
            trail.messages[steward, default: SortedMap()][operation.command.key] = message
        }
        if case .accepting(let accepted, _, _) = operation.phase {
            trail.byteCount += accepted.value.payload?.count ?? 0
        }
        trail.dueAt = trail.dueAt ?? now.advanced(by: parameters.trailSpan)
        if trail.byteCount > parameters.trailBytesMax { sendTrail() }
    }

    /// Has what is to follow go to the stewards beyond a majority.
    mutating func sendTrail() {
        let messages = trail.messages
        trail = Trail()
        for (steward, late) in messages {
            for message in late.values { effects.append(.send(message, to: steward)) }
        }
    }
}
