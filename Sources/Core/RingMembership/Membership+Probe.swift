package import Determinism

extension Membership {
    /// Does what is due: probes, relays, suspicions, rumors.
    package mutating func tick(now: Instant) {
        noteStall(now: now)
        expireProbes(now: now)
        expireRelays(now: now)
        expireSuspicions(now: now)
        releaseHeld(now: now)
        if now >= nextProbeAt {
            nextProbeAt = now.advanced(by: parameters.probeInterval * (localHealth + 1))
            if let target = nextProbeTarget() { startProbe(target, .round, now: now) }
        }
        if now >= nextGoneProbeAt {
            nextGoneProbeAt = now.advanced(by: parameters.goneProbeInterval)
            probeGoneMember(now: now)
        }
        if now >= nextGossipAt, !rumors.isEmpty, table.presentCount > 0 {
            nextGossipAt = now.advanced(by: parameters.gossipInterval)
            for target in table.draw(parameters.gossipFanout, using: &generator) {
                send(.gossip, to: target)
            }
        }
    }

    /// The wait for a direct ack.
    var ackTimeout: Span { roundTrips.ackTimeout(parameters) }

    /// The wait until a probe has failed.
    var probeDeadline: Span {
        max(parameters.probeDeadlineShortest, ackTimeout * 2 + .milliseconds(50))
    }

    /// Time in which this process did not run does not count against others: it saw no answers
    /// because it did not listen.
    ///
    /// It forgets its probes, accuses nobody for one period, and grants every suspect the time that
    /// was lost; all of it anew after a long stop, since refutations may have come and gone.
    private mutating func noteStall(now: Instant) {
        let late = now.since(nextDutyAt)
        guard late > parameters.stallShortest, !parameters.flaws.contains(.pauseUndetected) else {
            return
        }
        counters.stalls += 1
        probes = SortedMap()
        relays = SortedMap()
        accusesFrom = now.advanced(by: probeDeadline)
        let isLong = late > probeDeadline + parameters.probeInterval
        for (id, suspicion) in suspicions {
            suspicions[id] =
                isLong
                ? makeSuspicion(
                    incarnation: suspicion.incarnation,
                    accuser: suspicion.accusers[0],
                    now: now
                ) : suspicion.postponed(by: late)
        }
        findFirstSuspicion()
    }

    mutating func startProbe(_ target: MemberFact, _ purpose: Probe.Purpose, now: Instant) {
        guard probes.count < MembershipParameters.probesMax else { return }
        let scale = localHealth + 1
        let sequence = makeSequence()
        counters.probesSent += 1
        let deadline = purpose == .closedPort ? ackTimeout : probeDeadline
        probes[sequence] = Probe(
            target: target.id,
            purpose: purpose,
            sentAt: now,
            indirectAt: now.advanced(by: ackTimeout * scale),
            failsAt: now.advanced(by: deadline * scale),
            helpers: purpose == .round ? nil : []
        )
        send(.ping(sequence: sequence, target: target.id), to: target)
        if purpose == .gone { effects.append(.probeOverStream(sequence: sequence, target: target)) }
    }

    /// Whoever has a probe under way already is passed over.
    private mutating func nextProbeTarget() -> MemberFact? {
        for _ in 0..<min(4, table.presentCount) {
            guard let fact = table.nextToProbe(using: &generator) else { return nil }
            // Who cannot understand a ping is not to be accused for its silence.
            if !isProbing(fact.id), fact.versions.common(with: own.versions) != nil { return fact }
        }
        return nil
    }

    private func isProbing(_ id: NodeID, _ purpose: Probe.Purpose = .round) -> Bool {
        probes.contains { $0.value.target == id && $0.value.purpose == purpose }
    }

    /// Looks into somebody else's accusation out of turn, so that the innocent is heard and the
    /// dead confirmed soon; a few peers do, however large the ring.
    mutating func inquire(_ fact: MemberFact, accuser: NodeID, now: Instant) {
        guard accuser != own.id, now >= accusesFrom, !isProbing(fact.id),
            fact.versions.common(with: own.versions) != nil,
            Int.random(in: 0..<max(1, table.presentCount), using: &generator)
                < parameters.inquirersWanted
        else { return }
        startProbe(fact, .round, now: now)
    }

    private mutating func expireProbes(now: Instant) {
        for (sequence, probe) in probes {
            if probe.helpers == nil, now >= probe.indirectAt { askHelpers(sequence, probe) }
            guard now >= probe.failsAt else { continue }
            // Of those that are suspect by now nothing was to be expected.
            let helpersAsked = (probes[sequence]?.helpers ?? []).count {
                table.claim(of: $0)?.status == .alive
            }
            probes[sequence] = nil
            if overdue.count >= MembershipParameters.overdueMax, let oldest = overdue.keys.first {
                overdue[oldest] = nil
            }
            overdue[sequence] = probe.sentAt
            fail(probe, helpersAsked: helpersAsked, now: now)
        }
    }

    private mutating func fail(_ probe: Probe, helpersAsked: Int, now: Instant) {
        guard let member = table[probe.target], probe.purpose != .gone else { return }
        counters.probesFailed += 1
        if probe.purpose == .closedPort {
            if now >= accusesFrom { accuseClosed(member.fact, now: now) }
            return
        }
        if probe.isAnsweredOverStream { return effects.append(.datagramsBlocked(member)) }
        // Lifeguard: missing nacks mean that we, not the target, may be unwell.
        let missed = helpersAsked == 0 ? 1 : helpersAsked - min(helpersAsked, probe.nacks)
        localHealth = min(Self.localHealthMax, localHealth + missed)
        if now >= accusesFrom { accuse(member.fact, by: own.id, now: now) }
    }

    private mutating func askHelpers(_ sequence: UInt32, _ probe: Probe) {
        let helpers = table.draw(parameters.helpersMax, using: &generator) {
            $0.status == .alive && $0.id != probe.target
        }
        probes[sequence]?.helpers = helpers.map(\.id)
        guard let target = table[probe.target]?.fact else { return }
        let kind = MembershipDatagram.Kind.pingRequest(
            sequence: sequence,
            target: target.id,
            address: target.address
        )
        for helper in helpers { send(kind, to: helper) }
        // Asked again directly: with few helpers, one lost datagram must not accuse anybody.
        send(.ping(sequence: sequence, target: target.id), to: target)
        effects.append(.probeOverStream(sequence: sequence, target: target))
    }

    mutating func noteAnsweredProbe(_ sequence: UInt32, by sender: NodeID, now: Instant) {
        // Too late to count as an answer, but it tells how long answers take here.
        if let sentAt = overdue.remove(sequence) { roundTrips.add(now.since(sentAt)) }
        guard let probe = probes[sequence] else { return }
        let isDirect = sender == probe.target
        guard isDirect || !parameters.flaws.contains(.indirectAnswerIgnored) else { return }
        probes[sequence] = nil
        counters.probesAnswered += 1
        if probe.purpose == .round { localHealth = max(0, localHealth - 1) }
        guard isDirect else { return }
        let roundTrip = now.since(probe.sentAt)
        roundTrips.add(roundTrip)
        table.note(probe.target) { $0.roundTrip = roundTrip }
    }

    /// A member answered a probe over a stream with its own fact.
    ///
    /// That keeps a present one from being accused; a gone one is told what is said of it, since
    /// datagrams may not reach it.
    package mutating func streamAnswered(sequence: UInt32, by fact: MemberFact, now: Instant) {
        guard let probe = probes[sequence], probe.target == fact.id else { return }
        probes[sequence]?.isAnsweredOverStream = true
        merge([fact], from: fact.id, now: now)
        guard let member = table[fact.id], member.fact.status.isGone else { return }
        effects.append(.sync(summary, to: fact.id, at: fact.address))
    }

    private mutating func expireRelays(now: Instant) {
        for (sequence, relay) in relays where now >= relay.nackAt {
            relays[sequence] = nil
            send(.nack(sequence: relay.sequence), toAddress: relay.requester)
        }
    }

    private mutating func probeGoneMember(now: Instant) {
        for member in table.goneMembers
        where now.since(member.since) > parameters.goneRetention {
            table.forget(member.fact.id)
        }
        guard let member = table.drawGone(using: &generator),
            !parameters.flaws.contains(.goneNeverProbed)
        else { return }
        startProbe(member.fact, .gone, now: now)
    }

    private mutating func releaseHeld(now: Instant) {
        for (id, instant) in held where now >= instant {
            held[id] = nil
            table.note(id) { $0.heldUntil = nil }
            if let member = table[id], member.isReachable { effects.append(.changed(member)) }
        }
    }
}
