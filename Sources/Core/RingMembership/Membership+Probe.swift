package import Determinism

extension Membership {
    /// Does what is due: probes, relays, suspicions, rumors.
    package mutating func tick(now: Instant) {
        detectOwnPause(now: now)
        lastTickAt = now
        expireProbes(now: now)
        expireRelays(now: now)
        expireSuspicions(now: now)
        if now >= nextProbeAt {
            nextProbeAt = now.advanced(by: parameters.probeInterval)
            startProbe(now: now)
        }
        if now >= nextGoneProbeAt {
            nextGoneProbeAt = now.advanced(by: parameters.goneProbeInterval)
            probeGoneMember(now: now)
        }
        if now >= nextGossipAt {
            nextGossipAt = now.advanced(by: parameters.gossipInterval)
            pushRumors()
        }
    }

    /// A process that was itself stopped saw no answers because it did not listen: it forgets its
    /// probes, grants every suspect a fresh countdown and accuses nobody for one period.
    private mutating func detectOwnPause(now: Instant) {
        guard now.since(lastTickAt) > parameters.probeDeadline + parameters.probeInterval else {
            return
        }
        probes = SortedMap()
        relays = SortedMap()
        accusesFrom = now.advanced(by: parameters.probeDeadline)
        for (id, suspicion) in suspicions {
            suspicions[id] = makeSuspicion(
                incarnation: suspicion.incarnation,
                accuser: suspicion.accusers[0],
                now: now
            )
        }
    }

    private mutating func startProbe(now: Instant) {
        guard let target = nextProbeTarget() else { return }
        let scale = localHealth + 1
        let sequence = makeSequence()
        probes[sequence] = Probe(
            target: target.id,
            sentAt: now,
            indirectAt: now.advanced(by: parameters.ackTimeout * scale),
            failsAt: now.advanced(by: parameters.probeDeadline * scale)
        )
        send(.ping(sequence: sequence, target: target.id), to: target)
    }

    /// Round robin over a shuffled order, so that everyone is probed once a round.
    private mutating func nextProbeTarget() -> MemberFact? {
        for _ in 0..<2 {
            while let id = probeOrder.popLast() {
                guard let fact = table[id]?.fact, !fact.status.isGone else { continue }
                guard !probes.values.contains(where: { $0.target == id }) else { continue }
                return fact
            }
            probeOrder = table.filter { !$0.value.fact.status.isGone }.map(\.key)
                .shuffled(using: &generator)
        }
        return nil
    }

    private mutating func expireProbes(now: Instant) {
        for (sequence, probe) in probes {
            if probe.helpers == nil, now >= probe.indirectAt {
                askHelpers(sequence, probe)
            }
            guard now >= probe.failsAt else { continue }
            probes[sequence] = nil
            noteFailedProbe(probe)
            guard now >= accusesFrom, let member = table[probe.target] else { continue }
            accuse(member.fact, by: own.id, now: now)
        }
    }

    private mutating func askHelpers(_ sequence: UInt32, _ probe: Probe) {
        let others = table.values.map(\.fact).filter {
            $0.status == .alive && $0.id != probe.target
        }
        let helpers = others.shuffled(using: &generator).prefix(parameters.helpersMax)
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
    }

    /// Lifeguard: missing nacks mean that we, not the target, may be unwell.
    private mutating func noteFailedProbe(_ probe: Probe) {
        let helpers = probe.helpers?.count ?? 0
        let missed = helpers == 0 ? 1 : helpers - min(helpers, probe.nacks)
        localHealth = min(Self.localHealthMax, localHealth + min(missed, 1))
    }

    mutating func noteAnsweredProbe(_ sequence: UInt32, now: Instant) {
        guard let probe = probes.remove(sequence) else { return }
        localHealth = max(0, localHealth - 1)
        if probe.helpers == nil { table[probe.target]?.roundTrip = now.since(probe.sentAt) }
    }

    private mutating func expireRelays(now: Instant) {
        for (sequence, relay) in relays where now >= relay.nackAt {
            relays[sequence] = nil
            send(.nack(sequence: relay.sequence), toAddress: relay.requester)
        }
    }

    private mutating func expireSuspicions(now: Instant) {
        for (id, suspicion) in suspicions where now >= suspicion.deadline {
            guard var fact = table[id]?.fact else { continue }
            fact.status = .dead
            learn(Rumor(fact: fact, accuser: own.id), now: now)
        }
    }

    private mutating func probeGoneMember(now: Instant) {
        let gone = table.values.filter { $0.fact.status.isGone }
        for member in gone where now.since(member.since) > parameters.goneRetention {
            table[member.fact.id] = nil
        }
        guard let member = gone.randomElement(using: &generator) else { return }
        send(.ping(sequence: makeSequence(), target: member.fact.id), to: member.fact)
    }

    private mutating func pushRumors() {
        guard !rumors.isEmpty else { return }
        let targets = table.values.map(\.fact).filter { !$0.status.isGone }
            .shuffled(using: &generator).prefix(parameters.gossipFanout)
        for target in targets { send(.gossip, to: target) }
    }

    /// The host of `fact` answered that nobody listens on the member's port: its process is gone.
    package mutating func portClosed(_ fact: MemberFact, now: Instant) {
        guard now >= accusesFrom, let member = table[fact.id], member.fact.status == .alive,
            member.fact.boot == fact.boot
        else { return }
        accuse(member.fact, by: own.id, now: now)
        guard let suspicion = suspicions[fact.id] else { return }
        suspicions[fact.id] = Suspicion(
            incarnation: suspicion.incarnation,
            accuser: own.id,
            shortest: parameters.suspicionPortClosed,
            longest: parameters.suspicionPortClosed,
            confirmationsWanted: 0,
            now: now
        )
        // It hears of it at once: should it live after all, gossip might not come round in time.
        if let accused = table[fact.id]?.fact { send(.gossip, to: accused) }
    }

    mutating func accuse(_ fact: MemberFact, by accuser: NodeID, now: Instant) {
        guard !fact.status.isGone else { return }
        var accusation = fact
        accusation.status = .suspect
        learn(Rumor(fact: accusation, accuser: accuser), now: now)
    }

    func makeSuspicion(incarnation: UInt64, accuser: NodeID, now: Instant) -> Suspicion {
        let others = table.values.count { !$0.fact.status.isGone } - 1
        return Suspicion(
            incarnation: incarnation,
            accuser: accuser,
            shortest: parameters.suspicionShortest,
            longest: parameters.suspicionLongest,
            confirmationsWanted: min(parameters.confirmationsWanted, max(0, others)),
            now: now
        )
    }
}
