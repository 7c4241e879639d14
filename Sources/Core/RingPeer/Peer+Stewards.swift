import Addressing
package import Determinism
import RingMembership
import RingPlacement
package import RingRegisters
import Wire

/// Keeps the group of stewards as it should be: one of them looks, has a successor chosen in a
/// register, and leads the registers over.
///
/// Who leads does not matter for safety: the successor of each group is chosen once, and everybody
/// who finds a change unfinished may finish it.
struct StewardJob: Sendable {
    enum Step: Sendable {
        case idle
        /// The register of the successor is being read.
        case reading(number: UInt64)
        /// Nodes are asked for the identity of their databases.
        case identifying(
            nodes: [NodeID],
            storages: SortedMap<NodeID, NodeID>,
            round: UInt64,
            version: UInt64,
            until: Instant
        )
        /// The successor is being chosen.
        case choosing(number: UInt64)
        /// The registers are being led over.
        case changing(StewardChange, until: Instant)
    }

    var step = Step.idle
    var nextAt: Instant
    /// Nodes that did not say which storage they are, and until when they are passed over.
    var silent = SortedMap<NodeID, Instant>()
    /// When the register was last read.
    var readAt: Instant?
    /// When the stewards were last asked whether all of them serve.
    var checkedAt: Instant?
    /// Since when this peer's acceptor has been sealed.
    var sealedAt: Instant?
    /// Since when it has been sealed for a registry that nobody told of.
    var strandedAt: Instant?
    /// The youngest group that was seen in force.
    var activeEpoch: UInt64 = 0
    /// The youngest group of which every steward was seen to serve.
    var completeEpoch: UInt64 = 0

    init(nextAt: Instant) {
        self.nextAt = nextAt
    }

    /// The register that holds the successor of the group it is kept by.
    static let key = "ring/stewards"
    static let interval = Span.seconds(1)
    static let identifyPatience = Span.seconds(1)
    static let changePatience = Span.seconds(20)
    /// A sealed acceptor lets whoever leads finish for this long.
    static let finishPatience = Span.seconds(2)
    /// A recovery that sealed an acceptor has long come to its end after this.
    static let strandedPatience = Span.seconds(60)
    /// A node that stayed silent is not chosen for this long.
    static let silencePatience = Span.seconds(60)
    /// Stewards that missed the hand-over are looked for this often.
    static let checkInterval = Span.seconds(10)

    var deadline: Instant {
        switch step {
        case .idle: nextAt
        case .reading, .choosing: nextAt.advanced(by: .seconds(60))
        case .identifying(_, _, _, _, let until): until
        case .changing(let change, let until): min(change.deadline ?? until, until)
        }
    }
}

extension Peer {
    /// When the job wants to be looked at; never, where this peer is no steward.
    var stewardDeadline: Instant? {
        if case .idle = stewardJob.step, acceptor.group == nil { return nil }
        return stewardJob.deadline
    }

    mutating func tickStewardJob(now: Instant) {
        guard let deadline = stewardDeadline, now >= deadline else { return }
        retireOldAcceptor()
        switch stewardJob.step {
        case .idle:
            let pause = Int64.random(in: 500...1_000, using: &generator)
            stewardJob.nextAt = now.advanced(by: .milliseconds(pause))
            if finishSealed(now: now) || bringUpLateStewards(now: now) { return }
            guard isStranded(now: now) || (leadsStewards && hasReasonToRead(now: now)) else {
                return
            }
            stewardJob.readAt = now
            let number = makeNumber()
            stewardJob.step = .reading(number: number)
            start(.read(key: StewardJob.key), number: number, now: now)
        case .reading, .choosing: stewardJob.step = .idle
        case .identifying(let nodes, let storages, _, let version, _):
            for node in nodes where storages[node] == nil {
                // Chosen again and again, it would keep the group from ever changing.
                stewardJob.silent[node] = now.advanced(by: StewardJob.silencePatience)
            }
            choose(nodes.filter { storages[$0] != nil }, storages, version: version, now: now)
        case .changing(var change, let until):
            guard now < until else {
                stewardJob.step = .idle
                // What could not be led may never be: the disks of the group before may be gone.
                // Before it is tried again, the group itself is looked after.
                stewardJob.checkedAt = now
                return
            }
            change.tick(now: now)
            follow(change, now: now)
        }
    }

    /// The stewards that this peer's acceptor serves with; nil where it is none.
    package var stewardGroup: [NodeID]? { acceptor.group?.members.map(\.node) }

    /// The groups of stewards that this peer's acceptor and proposer know of.
    package var stewardGroups: [StewardSet] {
        [acceptor.group, acceptor.successor, proposer.group].compactMap(\.self)
    }

    /// The stewards that this peer is leading the registers over to; nil while it is not.
    package var stewardsUnderWay: [NodeID]? {
        guard case .changing(let change, _) = stewardJob.step else { return nil }
        return change.next.members.map(\.node)
    }

    /// The register is read where the group should be another one, and now and then to find a
    /// change that somebody began.
    private func hasReasonToRead(now: Instant) -> Bool {
        let isDue = stewardJob.readAt.map { now.since($0) >= StewardJob.checkInterval } ?? true
        return isDue
            || StewardPolicy.successor(
                of: proposer.group,
                configuration: configuration,
                standing: { standing($0, now: now) }
            ) != nil
    }

    /// Of the stewards that can be reached the first leads; a peer that is none never does.
    private var leadsStewards: Bool {
        let first = proposer.group.members.first { membership.isReachable($0.node) }
        return first?.node == identity.node && acceptor.successor == nil
    }

    /// A sealed acceptor sees to it that the next group begins, should its leader have gone.
    private mutating func finishSealed(now: Instant) -> Bool {
        guard let group = acceptor.group, let next = acceptor.successor,
            // A registry that is founded anew is not led to: its founder begins it.
            next.epoch == group.epoch + 1, stewardJob.activeEpoch < next.epoch
        else {
            stewardJob.sealedAt = nil
            return false
        }
        let sealedAt = stewardJob.sealedAt ?? now
        stewardJob.sealedAt = sealedAt
        guard now.since(sealedAt) >= StewardJob.finishPatience else { return true }
        lead(from: group, to: next, now: now)
        return true
    }

    /// Whether this acceptor was sealed for a recovery that has come to nothing.
    ///
    /// It serves no more in its group, which may go on without it: only a group that follows has it
    /// serve again, and nobody else sees a reason for one.
    private mutating func isStranded(now: Instant) -> Bool {
        guard let group = acceptor.group, let next = acceptor.successor,
            next.epoch != group.epoch + 1, group == proposer.group
        else {
            stewardJob.strandedAt = nil
            return false
        }
        let since = stewardJob.strandedAt ?? now
        stewardJob.strandedAt = since
        return now.since(since) >= StewardJob.strandedPatience
    }

    /// Whether an outcome was the job's own; if so it was acted upon.
    mutating func takeForStewardJob(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        switch stewardJob.step {
        case .reading(number):
            stewardJob.step = .idle
            if case .value(let value) = outcome { considerStewards(value, now: now) }
        case .choosing(number):
            stewardJob.step = .idle
            // Committed, lost or uncertain: the register tells, at once.
            stewardJob.nextAt = now
        default: return false
        }
        return true
    }

    private mutating func considerStewards(_ value: RegisterValue, now: Instant) {
        let group = proposer.group
        if let content = value.payload {
            var reader = ByteReader(content)
            guard let chosen = try? StewardSet(from: &reader) else {
                // Written by a later release: not to be overwritten.
                return effects.append(.event(.registerUnreadable(StewardJob.key)))
            }
            if chosen.epoch == group.epoch + 1 { return lead(from: group, to: chosen, now: now) }
        }
        stewardJob.activeEpoch = max(stewardJob.activeEpoch, group.epoch)
        let wanted = StewardPolicy.successor(
            of: group,
            configuration: configuration,
            standing: { standing($0, now: now) }
        )
        guard let nodes = wanted ?? (isStranded(now: now) ? group.members.map(\.node) : nil) else {
            return
        }
        let round = makeNumber()
        stewardJob.step = .identifying(
            nodes: nodes,
            storages: SortedMap(),
            round: round,
            version: value.version,
            until: now.advanced(by: StewardJob.identifyPatience)
        )
        for node in nodes {
            send(registerFrame(.identify(round: round)), to: node)
        }
    }

    /// A steward that was away while the group began is handed the copy once it is there.
    ///
    /// Seals and copies of a change that is over are answered as before, and whoever serves says so
    /// at once: leading it again is how to find out who does not.
    private mutating func bringUpLateStewards(now: Instant) -> Bool {
        guard let previous = acceptor.previous, let group = acceptor.group,
            group == proposer.group, stewardJob.completeEpoch < group.epoch,
            stewardJob.checkedAt.map({ now.since($0) >= StewardJob.checkInterval }) ?? true
        else { return false }
        stewardJob.checkedAt = now
        lead(from: previous, to: group, now: now)
        return true
    }

    private func standing(_ node: NodeID, now: Instant) -> StewardPolicy.Standing {
        if node == identity.node { return .present }
        guard let member = membership.member(node) else {
            // It was gone before this process began, and nobody has spoken of it since.
            let isLost =
                now.since(startedAt) >= parameters.stewardLostAfter
                || configuration.member(node).map { hasHeir(node, at: $0.address, now: now) }
                    ?? false
            return isLost ? .lost : .away
        }
        let span = now.since(member.since)
        if member.fact.status.isGone {
            let isLost =
                span >= parameters.stewardLostAfter
                || hasHeir(node, at: member.fact.address, now: now)
            return isLost ? .lost : .away
        }
        // Not before: who was silent because it was dying would keep its place for that long.
        if let until = stewardJob.silent[node], now < until { return .away }
        return member.isReachable && span >= parameters.stewardSettledAfter ? .present : .away
    }

    /// Whether another node lives at the address of one that is gone: it lost its disk, and will
    /// not be back as who it was.
    private func hasHeir(_ gone: NodeID, at address: SocketAddress, now: Instant) -> Bool {
        membership.members.contains {
            $0.fact.address == address && $0.fact.id != gone && $0.isReachable
                && now.since($0.since) >= parameters.stewardSettledAfter
        }
    }

    private mutating func choose(
        _ nodes: [NodeID],
        _ storages: SortedMap<NodeID, NodeID>,
        version: UInt64,
        now: Instant
    ) {
        stewardJob.step = .idle
        let group = proposer.group
        // One that did not answer makes the number even; one fewer is still more than there are.
        let nodes = nodes.count % 2 == 0 ? nodes.dropLast() : nodes[...]
        let mayShrink = StewardPolicy.hasLeaving(group, configuration)
        guard nodes.count % 2 == 1, mayShrink || nodes.count >= group.members.count else { return }
        let successor = StewardSet(
            epoch: group.epoch + 1,
            members: nodes.compactMap { node in
                storages[node].map { Steward(node: node, storage: $0) }
            }
        )
        var writer = ByteWriter()
        successor.write(to: &writer)
        let number = makeNumber()
        stewardJob.step = .choosing(number: number)
        let request = RegisterRequest.compareAndSet(
            key: StewardJob.key,
            expectedVersion: version,
            content: writer.bytes
        )
        start(request, number: number, now: now)
    }

    private mutating func lead(from group: StewardSet, to next: StewardSet, now: Instant) {
        let change = StewardChange(
            from: group,
            to: next,
            round: makeNumber(),
            flaws: parameters.registers.flaws,
            now: now
        )
        stewardJob.step = .idle
        follow(change, until: now.advanced(by: StewardJob.changePatience), now: now)
    }

    private mutating func follow(
        _ change: StewardChange,
        until end: Instant? = nil,
        now: Instant
    ) {
        var change = change
        let until: Instant
        if let end {
            until = end
        } else if case .changing(_, let running) = stewardJob.step {
            until = running
        } else {
            return
        }
        for case .send(let message, let node) in change.effects {
            send(registerFrame(message), to: node)
        }
        change.effects = []
        stewardJob.step = .changing(change, until: until)
        switch change.progress {
        case .copying, .installing: break
        case .active: activate(change.next, now: now)
        case .complete:
            activate(change.next, now: now)
            stewardJob.completeEpoch = change.next.epoch
            stewardJob.step = .idle
        case .superseded(let group):
            stewardJob.step = .idle
            activate(group, now: now)
        }
    }

    private mutating func activate(_ group: StewardSet, now: Instant) {
        guard group.epoch > stewardJob.activeEpoch else { return }
        stewardJob.activeEpoch = group.epoch
        proposer.adopt(group, now: now)
        carryProposer(now: now)
        // The configuration is to tell everybody.
        configurationJob.nextAt = now
    }

    /// Takes in an answer that belongs to a change of stewards.
    mutating func takeForChange(_ message: RegisterMessage, from peer: NodeID, now: Instant) {
        switch stewardJob.step {
        case .changing(var change, _):
            change.receive(message, from: peer)
            follow(change, now: now)
        case .identifying(let nodes, var storages, let round, let version, let until):
            guard case .identity(round, let storage) = message, nodes.contains(peer) else { return }
            storages[peer] = storage
            stewardJob.step = .identifying(
                nodes: nodes,
                storages: storages,
                round: round,
                version: version,
                until: storages.count == nodes.count ? now : until
            )
        case .idle, .reading, .choosing: break
        }
    }
}
