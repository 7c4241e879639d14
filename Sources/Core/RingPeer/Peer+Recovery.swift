package import Determinism
import RingIPAM
import RingMembership
import RingPlacement
import RingRegisters
import Wire

/// `genie-ring ring recover`: what is left of the registers when a majority of the stewards is
/// lost, and a new registry out of it.
///
/// Why no address is given twice by it: every block that anybody told of is its owner's in the new
/// registry, with the highest fence that was told or read. What a member that was not asked may
/// have beyond that is unknown, so while there is such a member nobody claims a block
/// (``RingIPAM/UnaskedNode``). Who was asked for good claims nothing more of the old registry.
extension Peer {
    /// Finds out what is left of the registers; answered by `.recovery`.
    ///
    /// With the stewards that are lost in `givenUp`, and with none forgotten and none too many,
    /// founds them anew here. Nothing is changed where the registers answer.
    package mutating func recover(givenUp: [NodeID]?, token: RequestToken, now: Instant) {
        guard recoveryJob == nil else {
            return effects.append(.answer(token, .recovery(.refused(.busy, nil))))
        }
        let number = makeNumber()
        recoveryJob = RecoveryJob(
            token: token,
            givenUp: givenUp.map { SortedSet($0).elements },
            round: makeNumber(),
            readNumber: number,
            nextAskAt: now,
            until: now.advanced(by: RecoveryJob.surveyPatience)
        )
        start(.read(key: Self.configurationKey), number: number, now: now)
        tickRecovery(now: now)
        collect(now: now)
    }

    var recoveryDeadline: Instant? {
        recoveryJob.map { min($0.nextAskAt, $0.until) }
    }

    mutating func tickRecovery(now: Instant) {
        guard var job = recoveryJob, now >= min(job.nextAskAt, job.until) else { return }
        if now >= job.nextAskAt {
            job.nextAskAt = now.advanced(by: RecoveryJob.askInterval)
            recoveryJob = job
            askAgain(job)
        }
        guard now >= job.until else { return considerRecovery(now: now) }
        switch job.step {
        case .surveying: judge(now: now)
        case .binding:
            // Who was there a moment ago may hold what nobody else does.
            let present = job.report?.stewards.filter { $0.state == .present }.map(\.node) ?? []
            let silent = present.filter { job.told[$0] == nil }
            guard silent.isEmpty else {
                return endRecovery(.refused(.interrupted(silent: silent), job.report))
            }
            beginCopy(now: now)
        case .copying(let copy, _):
            let read = copy.readNodes
            let silent = job.told.keys.filter { isCopied($0, job) && !read.contains($0) }
            endRecovery(.refused(.interrupted(silent: silent), job.report))
        }
    }

    private mutating func askAgain(_ job: RecoveryJob) {
        let isBinding: Bool
        switch job.step {
        case .surveying: isBinding = false
        case .binding: isBinding = true
        case .copying(var copy, let wanted):
            copy.ask()
            sendRequests(&copy)
            recoveryJob?.step = .copying(copy, wanted)
            return
        }
        let question = RecoveryMessage.ask(round: job.round, isBinding: isBinding)
        for member in SortedSet(configuration.members.map(\.id) + [identity.node]).elements
        where job.told[member] == nil {
            send(.recovery(question.encoded), to: member)
        }
    }

    private mutating func sendRequests(_ copy: inout StewardCopy) {
        for (message, steward) in copy.requests { send(registerFrame(message), to: steward) }
        copy.requests = []
    }

    /// Takes in a question of a peer that recovers, or an answer to one's own.
    mutating func takeRecovery(
        _ bytes: [UInt8],
        from peer: NodeID,
        now: Instant
    ) throws(WireError) {
        switch try RecoveryMessage(bytes[...]) {
        case .ask(let round, let isBinding):
            if isBinding { barClaims(now: now) }
            let answer = RecoveryMessage.told(round: round, testimony)
            // Behind the writes that are under way: what is told is on the disk.
            let frame = frameEffect(.recovery(answer.encoded), to: peer)
            effects.append(.persist([], then: [frame].compactMap(\.self)))
        case .told(let round, let testimony):
            guard recoveryJob?.round == round else { return }
            recoveryJob?.told[peer] = testimony
            considerRecovery(now: now)
        }
    }

    /// Ends what wants a block, so that none comes in after it was told which there are.
    private mutating func barClaims(now: Instant) {
        allocator.claimsBarredUntil = now.advanced(by: RecoveryJob.claimBar)
        allocator.tasks.removeAll { _, task in
            if case .claim = task { true } else { false }
        }
        for key in allocator.claims.keys { fail(key, .registersUnavailable, now: now) }
    }

    private var testimony: Testimony {
        let boot = allocator.boot.confirmed ?? allocator.ledger.confirmed
        let blocks = pool.blocks.compactMap { block -> Testimony.Block? in
            guard let plan = allocator.plans[block.subnet] else { return nil }
            // A block that is not given out from is of a time that is over.
            let era = max(1, boot?.era ?? 1) - (block.state == .active ? 0 : 1)
            return Testimony.Block(
                key: plan.registerKey(block.prefix),
                owner: BlockOwner(node: identity.node, fence: block.fence, era: era)
            )
        }
        return Testimony(
            epoch: configuration.epoch,
            registry: configuration.registry.id,
            group: acceptor.group,
            successor: acceptor.successor,
            boot: boot,
            blocks: Array(blocks.prefix(Testimony.blocksMax))
        )
    }

    /// Whether an outcome was the recovery's own; if so it was acted upon.
    mutating func takeForRecovery(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        guard let job = recoveryJob, job.readNumber == number else { return false }
        switch outcome {
        case .value: recoveryJob?.isServing = true
        case .committed, .conflict, .keys, .unavailable, .indeterminate, .refused:
            recoveryJob?.isServing = false
        }
        considerRecovery(now: now)
        return true
    }

    /// A steward's answer about what it holds.
    mutating func takeForRecovery(_ message: RegisterMessage, from steward: NodeID, now: Instant) {
        guard let job = recoveryJob, case .copying(var copy, let wanted) = job.step else { return }
        copy.receive(message, from: steward)
        sendRequests(&copy)
        recoveryJob?.step = .copying(copy, wanted)
        if copy.isComplete { found(wanted, copy.newest, now: now) }
    }

    /// Goes on as soon as nothing more is to be waited for.
    private mutating func considerRecovery(now: Instant) {
        guard let job = recoveryJob else { return }
        switch job.step {
        case .surveying:
            let areAllHeard = configuration.members.allSatisfy { member in
                job.told[member.id] != nil
                    || membership.member(member.id)?.fact.status.isGone ?? false
            }
            if job.isServing != nil, areAllHeard { judge(now: now) }
        case .binding:
            let isAwaited = job.report?.told.contains { job.told[$0] == nil } ?? false
            if !isAwaited { beginCopy(now: now) }
        case .copying: break
        }
    }

    private mutating func judge(now: Instant) {
        guard var job = recoveryJob else { return }
        let report = makeReport(job, now: now)
        guard let givenUp = job.givenUp else { return endRecovery(.report(report)) }
        if let refusal = refusal(job, report, givenUp) {
            return endRecovery(.refused(refusal, report))
        }
        job.report = report
        job.step = .binding
        job.round = makeNumber()
        job.told = SortedMap()
        job.nextAskAt = now
        job.until = now.advanced(by: RecoveryJob.bindingPatience)
        recoveryJob = job
        tickRecovery(now: now)
    }

    private func refusal(
        _ job: RecoveryJob,
        _ report: RecoveryReport,
        _ givenUp: [NodeID]
    ) -> RecoveryRefusal? {
        if report.isServing { return .notNeeded }
        guard configuration.member(identity.node) != nil else { return .notMember }
        let ahead = job.told.first { _, testimony in
            testimony.epoch > configuration.epoch
                || testimony.registry != configuration.registry.id
        }
        if let ahead { return .behind(ahead.key) }
        let lost = SortedSet(report.lost).elements
        // Where none is lost there is nothing to give up, and waiting is the way out.
        guard givenUp == lost, !lost.isEmpty else { return .otherStewards(lost: lost) }
        return nil
    }

    private func makeReport(_ job: RecoveryJob, now: Instant) -> RecoveryReport {
        let group = youngestGroup(job)
        let stewards = group.members.map { steward in
            RecoveryReport.Steward(
                node: steward.node,
                storage: steward.storage,
                state: state(of: steward.node, group, job, now: now)
            )
        }
        let members = configuration.members.map(\.id)
        return RecoveryReport(
            registry: configuration.registry,
            epoch: configuration.epoch,
            stewards: stewards,
            quorum: group.quorum,
            isServing: job.isServing == true,
            told: members.filter { job.told[$0] != nil },
            untold: members.filter { job.told[$0] == nil },
            blocks: job.told.reduce(0) { $0 + $1.value.blocks.count }
        )
    }

    private func youngestGroup(_ job: RecoveryJob) -> StewardSet {
        let held = job.told.compactMap(\.value.group)
        return (held + [configuration.stewards]).max { $0.epoch < $1.epoch }
            ?? configuration.stewards
    }

    private func state(
        of node: NodeID,
        _ group: StewardSet,
        _ job: RecoveryJob,
        now: Instant
    ) -> RecoveryReport.Steward.State {
        if let testimony = job.told[node] {
            return testimony.group?.epoch == group.epoch ? .present : .forgot
        }
        let member = membership.member(node)
        return .silent(for: member.flatMap { $0.fact.status.isGone ? now.since($0.since) : nil })
    }

    /// Whether a peer holds registers of the youngest group that anybody holds.
    private func isCopied(_ node: NodeID, _ job: RecoveryJob) -> Bool {
        let youngest = job.told.compactMap(\.value.group?.epoch).max()
        return youngest != nil && job.told[node]?.group?.epoch == youngest
    }

    private mutating func beginCopy(now: Instant) {
        guard var job = recoveryJob else { return }
        let epochs = job.told.map(\.value.epoch)
        let groups = job.told.flatMap { [$0.value.group, $0.value.successor] }.compactMap(\.self)
        let change = configuration.recovered(
            registry: NodeID(using: &generator),
            founder: Steward(node: identity.node, storage: acceptor.storage),
            afterEpoch: epochs.max() ?? 0,
            afterStewardEpoch: max(proposer.group.epoch, groups.map(\.epoch).max() ?? 0)
        )
        guard case .changed(let wanted) = change else {
            return endRecovery(.refused(.exhausted, job.report))
        }
        let sources = job.told.keys.filter { isCopied($0, job) }
        guard let group = sources.first.flatMap({ job.told[$0]?.group }) else {
            // Nothing is left but what members told.
            return found(wanted, [], now: now)
        }
        job.round = makeNumber()
        var copy = StewardCopy(
            of: group,
            to: wanted.stewards,
            nodes: sources,
            wanted: sources.count,
            round: job.round
        )
        sendRequests(&copy)
        job.step = .copying(copy, wanted)
        job.nextAskAt = now.advanced(by: RecoveryJob.askInterval)
        job.until = now.advanced(by: RecoveryJob.copyPatience)
        recoveryJob = job
    }

    mutating func endRecovery(_ outcome: RecoveryOutcome) {
        guard let job = recoveryJob else { return }
        recoveryJob = nil
        effects.append(.answer(job.token, .recovery(outcome)))
    }
}
