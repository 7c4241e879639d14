package import Determinism

extension Membership {
    /// The host of `fact` answered that nobody listens on the member's port.
    ///
    /// That is a hint, which anybody can forge: it makes this peer look at once, and if the member
    /// does not answer, its suspicion is short.
    package mutating func portClosed(_ fact: MemberFact, now: Instant) {
        guard now >= accusesFrom, let member = table[fact.id], !member.fact.status.isGone,
            member.fact.boot == fact.boot,
            suspicions[fact.id].map({
                $0.deadline > now.advanced(by: parameters.suspicionPortClosed)
            }) ?? true,
            !probes.contains(where: {
                $0.value.target == fact.id && $0.value.purpose == .closedPort
            })
        else { return }
        startProbe(member.fact, .closedPort, now: now)
    }

    mutating func accuseClosed(_ fact: MemberFact, now: Instant) {
        accuse(fact, by: own.id, now: now)
        shorten(fact.id, to: parameters.suspicionPortClosed, now: now)
        // It hears of it at once: should it live after all, gossip might not come round in time.
        if let accused = table[fact.id]?.fact { send(.gossip, to: accused) }
    }

    /// Ends a suspicion after `span` unless it would end before.
    mutating func shorten(_ id: NodeID, to span: Span, now: Instant) {
        let end = now.advanced(by: span)
        guard let suspicion = suspicions[id], suspicion.deadline > end else { return }
        suspicions[id] = suspicion.ending(at: end)
        noteDue(end)
    }

    mutating func accuse(_ fact: MemberFact, by accuser: NodeID, now: Instant) {
        guard !fact.status.isGone else { return }
        var accusation = fact
        accusation.status = .suspect
        learn(Rumor(fact: accusation, accuser: accuser), now: now)
    }

    func makeSuspicion(incarnation: UInt64, accuser: NodeID, now: Instant) -> Suspicion {
        Suspicion(
            incarnation: incarnation,
            accuser: accuser,
            shortest: parameters.suspicionShortest,
            longest: parameters.suspicionLongest,
            // Of the others, the suspect does not confirm.
            confirmationsWanted: min(
                parameters.confirmationsWanted,
                max(0, table.presentCount - 1)
            ),
            now: now
        )
    }

    mutating func expireSuspicions(now: Instant) {
        guard let suspicionsDueAt, now >= suspicionsDueAt else { return }
        for (id, suspicion) in suspicions where now >= suspicion.deadline {
            guard var fact = table[id]?.fact, !parameters.flaws.contains(.suspicionForgotten) else {
                continue
            }
            fact.status = .dead
            learn(Rumor(fact: fact, accuser: own.id), now: now)
        }
        findFirstSuspicion()
        if parameters.flaws.contains(.suspicionForgotten) { self.suspicionsDueAt = nil }
    }

    mutating func noteDue(_ instant: Instant) {
        suspicionsDueAt = suspicionsDueAt.map { min($0, instant) } ?? instant
    }

    mutating func findFirstSuspicion() {
        suspicionsDueAt = nil
        for (_, suspicion) in suspicions { noteDue(suspicion.deadline) }
    }
}
