import Determinism

/// Which stewards a phase is sent to (D8).
///
/// A phase needs a majority. What the others do with it costs them a message, a write and an answer
/// that nobody waits for, so they are asked only where one of the majority is slow or refuses or
/// they disagree, and learn of chosen values a little later: of each register the last, all in one
/// write. Whom that does not reach has an older value until the register changes again, as somebody
/// who was cut off.
///
/// A steward begins with itself and goes on with the one behind it in the group's order, so while
/// none is slow each is asked by as many as any other. How far they are from each other does not
/// count as long as they answer in time.
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

    /// A steward that did not answer in time.
    struct Slowness: Sendable {
        /// Until when it is asked last.
        var until: Instant
        /// For how long it was, that time.
        var span: Span
    }

    /// The stewards from this one on, in the group's order; slow ones last.
    static func preference(
        own: NodeID,
        group: StewardSet,
        isSlow: (NodeID) -> Bool
    ) -> [NodeID] {
        let nodes = group.members.map(\.node)
        guard !nodes.isEmpty else { return [] }
        let first = nodes.firstIndex(of: own) ?? Int(own.low % UInt64(nodes.count))
        let turned = Array(nodes[first...] + nodes[..<first])
        return turned.filter { !isSlow($0) } + turned.filter(isSlow)
    }

    func isSlow(_ steward: NodeID, now: Instant) -> Bool {
        slow[steward].map { now < $0.until } ?? false
    }

    /// Orders the stewards anew.
    mutating func order(now: Instant) {
        preference = Self.preference(own: own, group: group) { isSlow($0, now: now) }
        preferenceEnd = slow.values.map(\.until).filter { now < $0 }.min()
    }

    /// Whom the next phase of a command is sent to.
    mutating func nextAsked(_ operation: Operation, now: Instant) -> [NodeID] {
        if let end = preferenceEnd, now >= end { order(now: now) }
        // Names are put together from answers: with everybody's there is less chance of an old one.
        if case .list = operation.command { return preference }
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

    /// Those that have not answered in time are asked last for a while; this node never is, since
    /// what holds it up holds up the answers of the others, too.
    mutating func noteSlow(_ operation: Operation, now: Instant) {
        for steward in operation.asked where request(operation, to: steward) != nil {
            guard !operation.rejections.contains(steward) else { continue }
            noteSlow(steward, now: now)
        }
    }

    private mutating func noteSlow(_ steward: NodeID, now: Instant) {
        guard steward != own, !isSlow(steward, now: now) else { return }
        let doubled = slow[steward].map { Span(microseconds: 2 * $0.span.microseconds) }
        let span = min(doubled ?? parameters.slowSpan, parameters.slowMax)
        slow[steward] = Slowness(until: now.advanced(by: span), span: span)
        order(now: now)
    }

    /// One that answers again is not away: it is tried again after the shortest while.
    mutating func noteAnswer(of steward: NodeID) {
        guard slow[steward] != nil else { return }
        slow[steward]?.span = parameters.slowSpan
    }

    /// A steward that does not serve yet is no member of a majority.
    mutating func noteNotReady(_ round: UInt64, from steward: NodeID, now: Instant) {
        guard let operation = operations[round], operation.asked.contains(steward) else { return }
        if case .handedOn = operation.phase { return }
        noteSlow(steward, now: now)
        if !isWide(operation) { widen(operation, now: now) }
    }

    /// A value was chosen: those that were not asked are to have it as well.
    mutating func leaveTrail(_ operation: Operation, now: Instant) {
        guard !isWide(operation), case .accepting(let accepted, _, _) = operation.phase else {
            return
        }
        let key = operation.command.key
        for steward in preference where !operation.asked.contains(steward) {
            guard let message = request(operation, to: steward) else { continue }
            let replaced = trail.messages[steward]?[key]
            trail.messages[steward, default: SortedMap()][key] = message
            trail.byteCount += RegisterEntry(key: key, accepted: accepted).weight
            if case .accept(_, _, _, let earlier, _) = replaced {
                trail.byteCount -= RegisterEntry(key: key, accepted: earlier).weight
            }
        }
        trail.dueAt = trail.dueAt ?? now.advanced(by: parameters.trailSpan)
        if trail.byteCount > parameters.trailBytesMax { sendTrail() }
    }

    /// Has what is to follow go to the stewards beyond a majority, at once.
    package mutating func sendTrail() {
        let messages = trail.messages
        trail = Trail()
        for (steward, late) in messages {
            for message in late.values { effects.append(.send(message, to: steward)) }
        }
    }
}
