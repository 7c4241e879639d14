package import Determinism

/// Leads the registers from one group of stewards to the next: seal, copy, activate.
///
/// The successor must have been chosen in a register of the present group before; then any number
/// of peers may drive the same change at once, and any of them may stop midway.
///
/// Safety: a value that was chosen in the present group was taken by a majority of it before each
/// of them sealed; that majority meets the sealed majority that is copied from, so the newest value
/// found there is it, or one decided on it. Every steward of the next group is handed a whole copy
/// before it serves, so no majority of the next group can miss it.
/// - Source: Lamport, Malkhi, Zhou, "Vertical Paxos and Primary-Backup Replication".
package struct StewardChange: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send a request to a steward.
        case send(RegisterMessage, to: NodeID)
    }

    /// How far the change is.
    package enum Progress: Hashable, Sendable {
        /// A majority of the present group has still to be sealed and read.
        case copying
        /// A majority of the next group has still to be handed the copy.
        case installing
        /// A majority of the next group serves.
        case active
        /// All of the next group serve.
        case complete
        /// Another, younger group is in force already.
        case superseded(StewardSet)
    }

    /// How much one steward of the next group was handed.
    private struct Target: Sendable {
        var part = 0
        var isServing = false
    }

    /// The group that is led from.
    package let current: StewardSet
    /// The group that is led to.
    package let next: StewardSet
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []
    /// How far it is.
    package private(set) var progress = Progress.copying

    private let round: UInt64
    private var copy: StewardCopy
    private var targets = SortedMap<NodeID, Target>()
    private var parts: [[RegisterEntry]] = []
    private var sentAt: Instant

    private static let resendInterval = Span.milliseconds(300)

    /// Begins a change; `round` tells this attempt from others by the same peer.
    package init(
        from current: StewardSet,
        to next: StewardSet,
        round: UInt64,
        flaws: [RegisterFlaw] = [],
        now: Instant
    ) {
        precondition(next.epoch == current.epoch + 1, "groups follow each other")
        self.current = current
        self.next = next
        self.round = round
        copy = StewardCopy(
            of: current,
            to: next,
            nodes: current.members.map(\.node),
            wanted: flaws.contains(.copyFromOne) ? 1 : current.quorum,
            round: round,
            flaws: flaws
        )
        sentAt = now
        for steward in next.members { targets[steward.node] = Target() }
        sendCopyRequests()
    }

    /// When ``tick(now:)`` wants to be called next; nil at the end.
    package var deadline: Instant? {
        switch progress {
        case .complete, .superseded: nil
        case .copying, .installing, .active: sentAt.advanced(by: Self.resendInterval)
        }
    }

    /// Asks the silent again.
    package mutating func tick(now: Instant) {
        guard let deadline, now >= deadline else { return }
        sentAt = now
        ask()
    }

    /// Takes in an answer; one of another round or of another kind changes nothing.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID) {
        switch message {
        case .sealed, .entries: noteCopied(message, from: steward)
        case .installed(round, let part): noteInstalled(Int(part), from: steward)
        case .notReady(round):
            // It has lost the parts before, or takes them from another peer: begin again later.
            if targets[steward]?.isServing == false { targets[steward]?.part = 0 }
        case .wrongEpoch(round, let group) where group.epoch > next.epoch:
            progress = .superseded(group)
        default: break
        }
    }

    private mutating func ask() {
        switch progress {
        case .copying:
            copy.ask()
            sendCopyRequests()
        case .installing, .active: for node in targets.keys { hand(node) }
        case .complete, .superseded: break
        }
    }

    private mutating func sendCopyRequests() {
        effects += copy.requests.map { .send($0.message, to: $0.steward) }
        copy.requests = []
    }

    private mutating func noteCopied(_ message: RegisterMessage, from steward: NodeID) {
        guard case .copying = progress else { return }
        copy.receive(message, from: steward)
        sendCopyRequests()
        guard copy.isComplete else { return }
        makeParts()
        progress = .installing
        ask()
    }

    private mutating func makeParts() {
        var part: [RegisterEntry] = []
        var weight = 0
        for entry in copy.newest {
            let isFull = weight + entry.weight > RegisterMessage.entryBytesMax
            if !part.isEmpty, isFull || part.count == RegisterMessage.entriesMax {
                parts.append(part)
                part = []
                weight = 0
            }
            part.append(entry)
            weight += entry.weight
        }
        parts.append(part)
    }

    private mutating func hand(_ node: NodeID) {
        guard let target = targets[node], !target.isServing else { return }
        let message = RegisterMessage.install(
            round: round,
            next,
            part: UInt32(target.part),
            parts[target.part],
            isLast: target.part == parts.count - 1
        )
        effects.append(.send(message, to: node))
    }

    private mutating func noteInstalled(_ part: Int, from node: NodeID) {
        guard var target = targets[node], !target.isServing, part == target.part else { return }
        if part == parts.count - 1 {
            target.isServing = true
        } else {
            target.part += 1
        }
        targets[node] = target
        guard target.isServing else { return hand(node) }
        let serving = targets.values.count(where: \.isServing)
        if serving >= next.quorum { progress = .active }
        if serving == next.members.count { progress = .complete }
    }
}
