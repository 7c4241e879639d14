import Addressing
package import Determinism
import RingMembership
import RingPlacement
package import RingRegisters
import Wire

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
        case .identifying(let asked): conclude(asked, now: now)
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

    /// The groups of stewards that this peer knows of: those in force, and one that may follow.
    package var stewardGroups: [StewardSet] {
        let underWay: StewardSet? =
            if case .changing(let change, _) = stewardJob.step { change.next } else { nil }
        let chosen = acceptor.accepted(StewardJob.key)?.payload.flatMap { content in
            var reader = ByteReader(content)
            return try? StewardSet(from: &reader)
        }
        return [acceptor.group, acceptor.successor, proposer.group, underWay, chosen]
            .compactMap(\.self)
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
            if chosen.epoch == group.epoch + 1 {
                return identify(chosen.members.map(\.node), .leading(to: chosen), now: now)
            }
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
        identify(nodes, .choosing(version: value.version), now: now)
    }

    private mutating func identify(
        _ nodes: [NodeID],
        _ purpose: StewardJob.Identification.Purpose,
        now: Instant
    ) {
        let round = makeNumber()
        stewardJob.step = .identifying(
            StewardJob.Identification(
                purpose: purpose,
                nodes: nodes,
                round: round,
                until: now.advanced(by: StewardJob.identifyPatience)
            )
        )
        for node in nodes { send(registerFrame(.identify(round: round)), to: node) }
    }

    /// Goes on with those that said which storage they are.
    private mutating func conclude(_ asked: StewardJob.Identification, now: Instant) {
        stewardJob.step = .idle
        switch asked.purpose {
        case .choosing(let version):
            for node in asked.nodes where asked.storages[node] == nil {
                // Chosen again and again, it would keep the group from ever changing.
                stewardJob.silent[node] = now.advanced(by: parameters.stewardSilentFor)
            }
            let present = asked.nodes.filter { asked.storages[$0] != nil }
            choose(present, of: asked.nodes.count, asked.storages, version: version, now: now)
        case .leading(let chosen):
            // The present group ends with the first seal: not for one that could not begin, as
            // its nodes went or lost their disks while it was chosen.
            guard asked.isComplete, chosen.epoch == proposer.group.epoch + 1 else { return }
            lead(from: proposer.group, to: chosen, now: now)
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
        of askedCount: Int,
        _ storages: SortedMap<NodeID, NodeID>,
        version: UInt64,
        now: Instant
    ) {
        stewardJob.step = .idle
        let group = proposer.group
        // One that did not answer makes the number even; one fewer is still more than there are.
        let isWhole = nodes.count == askedCount
        let nodes = nodes.count % 2 == 0 ? nodes.dropLast() : nodes[...]
        // A group that gets smaller for a node that leaves gets no smaller for one that is silent:
        // that one is passed over when another group is worked out.
        let mayShrink = StewardPolicy.hasLeaving(group, configuration) && isWhole
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
        case .identifying(var asked):
            guard case .identity(asked.round, let storage) = message, asked.nodes.contains(peer)
            else { return }
            asked.storages[peer] = storage
            if asked.isComplete { asked.until = now }
            stewardJob.step = .identifying(asked)
        case .idle, .reading, .choosing: break
        }
    }
}
