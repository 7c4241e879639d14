package import Addressing
package import Determinism

extension Membership {
    /// What became of a datagram.
    package enum Reception: Hashable, Sendable {
        /// It was of this ring and was acted upon.
        case accepted
        /// It belongs to another ring.
        case foreign
        /// It came from this very process.
        case own
    }

    /// Takes in a datagram whose seal was good.
    @discardableResult
    package mutating func receive(
        _ datagram: MembershipDatagram,
        from source: SocketAddress,
        now: Instant
    ) -> Reception {
        guard datagram.ring == ring else { return .foreign }
        guard datagram.sender.id != own.id else {
            if datagram.sender.boot > own.boot {
                effects.append(.identityTaken(boot: datagram.sender.boot))
            }
            return .own
        }
        heed(datagram, from: source, now: now)
        for rumor in datagram.rumors { learn(rumor, now: now) }
        answer(datagram, from: source, now: now)
        compareDigest(of: datagram, now: now)
        if datagram.epoch > epoch {
            effects.append(.newerEpoch(datagram.epoch, from: datagram.sender.id))
        }
        return .accepted
    }

    /// Compares what the sender says of itself with what is known of it.
    private mutating func heed(
        _ datagram: MembershipDatagram,
        from source: SocketAddress,
        now: Instant
    ) {
        let claim = datagram.sender
        guard let known = table.claim(of: claim.id), known.boot >= claim.boot else {
            // A stranger, or a later life of a member: its name and place come over a stream.
            let isExplained = datagram.rumors.contains { $0.fact.id == claim.id }
            guard !isExplained, now >= nextStrangerAt else { return }
            nextStrangerAt = now.advanced(by: parameters.gossipInterval)
            effects.append(.sync(summary, to: claim.id, at: source))
            return
        }
        if known.boot == claim.boot { table.noteEpoch(datagram.epoch, of: claim.id) }
        if known == claim { return }
        if known.boot == claim.boot, isYounger(claim.age, than: known.age) {
            guard var fact = table[claim.id]?.fact else { return }
            fact.incarnation = claim.incarnation
            fact.status = claim.status
            learn(Rumor(fact: fact, accuser: claim.id), now: now)
        } else if known.status != .alive, isYounger(known.age, than: claim.age),
            !parameters.flaws.contains(.staleAliveUnanswered)
        {
            // It does not know what is said of it. The ack to a ping tells it as well.
            if case .ping = datagram.kind { return }
            send(.gossip, toAddress: source, about: claim.id)
        }
    }

    private mutating func answer(
        _ datagram: MembershipDatagram,
        from source: SocketAddress,
        now: Instant
    ) {
        switch datagram.kind {
        case .ping(let sequence, let target):
            // A ping for another node: the address was reused, and silence is the true answer.
            guard target == own.id, own.status != .left else { return }
            send(
                .ack(sequence: sequence),
                toAddress: source,
                about: datagram.sender.id,
                in: datagram.version
            )
        case .ack(let sequence):
            if let relay = relays.remove(sequence) {
                send(.ack(sequence: relay.sequence), toAddress: relay.requester)
            } else {
                noteAnsweredProbe(sequence, by: datagram.sender.id, now: now)
            }
        case .pingRequest(let sequence, let target, let address):
            guard relays.count < MembershipParameters.relaysMax, own.status != .left else { return }
            let relayed = makeSequence()
            relays[relayed] = Relay(
                requester: source,
                sequence: sequence,
                nackAt: now.advanced(by: ackTimeout)
            )
            send(.ping(sequence: relayed, target: target), toAddress: address, about: target)
        case .nack(let sequence):
            guard let probe = probes[sequence], probe.nacks < probe.helpers?.count ?? 0 else {
                return
            }
            probes[sequence]?.nacks += 1
        case .gossip:
            break
        }
    }

    func isYounger(_ age: MemberFact.Age, than other: MemberFact.Age) -> Bool {
        if parameters.flaws.contains(.bootIgnored) {
            return (age.incarnation, age.status) > (other.incarnation, other.status)
        }
        return age > other
    }

    /// Takes in one rumor: the younger fact stays, and what is new is passed on.
    ///
    /// A stranger out of somebody's table is not where `isPassedOn` says so.
    mutating func learn(_ rumor: Rumor, isPassedOn: Bool = true, now: Instant) {
        var fact = rumor.fact
        guard fact.id != own.id else { return refute(rumor, now: now) }
        guard let known = table[fact.id] else {
            // Also of somebody gone whom nobody here knew: the news must reach whom it concerns.
            let isDropped = parameters.flaws.contains(.accusationOfUnknownDropped)
            guard !(fact.status.isGone && isDropped), makeRoom(for: fact) else { return }
            return record(rumor, previous: nil, isPassedOn: isPassedOn, now: now)
        }
        if isYounger(fact.age, than: known.fact.age) {
            let isHole = known.fact.status.isGone && fact.status >= .suspect
            if isHole, parameters.flaws.contains(.staleIncarnationHole) { return }
            let isHearsay =
                rumor.fact.status == .dead && rumor.accuser != own.id
                && isHearsay(known, now: now)
            if isHearsay { fact.status = .suspect }
            if isYounger(fact.age, than: known.fact.age) {
                record(Rumor(fact: fact, accuser: rumor.accuser), previous: known, now: now)
            }
            if isHearsay { shorten(fact.id, to: parameters.suspicionHearsay, now: now) }
        } else if fact.status == .suspect, known.fact.age == fact.age {
            confirm(fact.id, by: rumor.accuser)
        }
    }

    /// Whether a new member has a place in the table: of a full one the member that has been gone
    /// longest makes room, but not for another one that is gone.
    private mutating func makeRoom(for fact: MemberFact) -> Bool {
        if table.count < MembershipParameters.membersMax { return true }
        let oldest = table.goneMembers.min { $0.since < $1.since }
        guard !fact.status.isGone, let oldest else { return false }
        table.forget(oldest.fact.id)
        return true
    }

    /// Whether a death comes too soon to be believed: it is not suspected here, or only just.
    ///
    /// Somebody who hears nobody calls everybody dead; the innocent get time to answer.
    private func isHearsay(_ known: Member, now: Instant) -> Bool {
        guard !parameters.flaws.contains(.deathTakenFromTable) else { return false }
        guard known.fact.status == .suspect else { return known.fact.status == .alive }
        guard let suspicion = suspicions[known.fact.id] else { return false }
        return now.since(suspicion.startedAt) < parameters.suspicionTrusted
    }

    private mutating func confirm(_ id: NodeID, by accuser: NodeID) {
        let isRepeatCounted = parameters.flaws.contains(.confirmationsCountedTwice)
        guard var suspicion = suspicions[id],
            suspicion.confirm(by: accuser, isRepeatCounted: isRepeatCounted) == .shortened
        else { return }
        suspicions[id] = suspicion
        noteDue(suspicion.deadline)
        rumors.add(id, accuser: accuser)
    }

    private mutating func record(
        _ rumor: Rumor,
        previous: Member?,
        isPassedOn: Bool = true,
        now: Instant
    ) {
        var member = Member(fact: rumor.fact, since: now)
        if let previous {
            let isSameBoot = previous.fact.boot == rumor.fact.boot
            if isSameBoot {
                member.epoch = previous.epoch
                member.roundTrip = previous.roundTrip
                member.removals = previous.removals
                member.removedAt = previous.removedAt
                member.heldUntil = previous.heldUntil
                if previous.fact.status == rumor.fact.status { member.since = previous.since }
            }
            damp(&member, previous: previous, now: now)
        }
        table.put(member, using: &generator)
        changedAt = now
        held[member.fact.id] = member.heldUntil
        suspicions[member.fact.id] = nil
        if member.fact.status != previous?.fact.status {
            counters.suspicions += member.fact.status == .suspect ? 1 : 0
            counters.deaths += member.fact.status == .dead ? 1 : 0
        }
        if member.fact.status == .suspect {
            let suspicion = makeSuspicion(
                incarnation: member.fact.incarnation,
                accuser: rumor.accuser,
                now: now
            )
            suspicions[member.fact.id] = suspicion
            noteDue(suspicion.deadline)
            inquire(member.fact, accuser: rumor.accuser, now: now)
        }
        if isPassedOn { rumors.add(member.fact.id, accuser: rumor.accuser) }
        if previous?.fact.status != member.fact.status || previous?.fact.boot != member.fact.boot {
            effects.append(.changed(member))
        }
    }

    /// Holds back a member that comes and goes, so that requests do not follow it each time.
    ///
    /// Its first removal has no consequence, a restart none ever.
    private mutating func damp(_ member: inout Member, previous: Member, now: Instant) {
        let isRemoved = previous.isReachable && member.fact.status == .dead
        if isRemoved {
            let isRecent = member.removedAt.map { now.since($0) < parameters.flapMemory } ?? false
            member.removals = isRecent ? member.removals + 1 : 1
            member.removedAt = now
        }
        if previous.fact.status == .alive, member.fact.status != .alive {
            missedAt.append(now)
            if missedAt.count > MembershipParameters.membersMax { missedAt.removeFirst() }
        }
        let isBack = previous.fact.status.isGone && !member.fact.status.isGone
        guard isBack, member.removals > 1, let removedAt = member.removedAt,
            !parameters.flaws.contains(.flapUndamped)
        else { return }
        // Whoever missed more than half of the ring within the same while was itself cut off.
        let missed = missedAt.reversed().prefix { removedAt.since($0) < parameters.flapWindow }
            .count { $0 <= removedAt.advanced(by: parameters.flapWindow) }
        guard missed * 2 <= table.count else { return }
        let hold = min(
            parameters.flapHold * (1 << min(member.removals - 2, 8)),
            parameters.flapHoldLongest
        )
        let until = removedAt.advanced(by: hold)
        member.heldUntil = until > now ? until : nil
    }

    /// Answers what is said of this very peer.
    private mutating func refute(_ rumor: Rumor, now: Instant) {
        let fact = rumor.fact
        guard fact.boot <= own.boot else {
            effects.append(.identityTaken(boot: fact.boot))
            return
        }
        // At another address, or an incarnation that this process never issued.
        if fact.boot == own.boot,
            fact.address != own.address || fact.incarnation > own.incarnation
        {
            effects.append(.twin(boot: fact.boot))
            return
        }
        guard own.status != .left, fact.boot == own.boot, fact.status != .alive,
            fact.incarnation == own.incarnation, fact.incarnation < MemberFact.incarnationMax,
            !parameters.flaws.contains(.refutationMissing)
        else { return }
        let before = own
        own.incarnation = fact.incarnation + 1
        counters.refutations += 1
        table.replaceOwn(before, by: own)
        changedAt = now
        localHealth = min(Self.localHealthMax, localHealth + 1)
        rumors.add(own.id, accuser: own.id)
        // Straight to the accuser: its countdown does not wait for gossip to come round.
        let answer = Rumor(fact: own, accuser: own.id)
        if let accuser = table[rumor.accuser]?.fact { send(.gossip, to: accuser, first: answer) }
    }
}

// What is sent.
extension Membership {
    /// Sends to a member; one that is thought ill is told so, that it can refute at once.
    mutating func send(
        _ kind: MembershipDatagram.Kind,
        to member: MemberFact,
        first: Rumor? = nil
    ) {
        send(kind, toAddress: member.address, about: member.id, first: first)
    }

    mutating func send(
        _ kind: MembershipDatagram.Kind,
        toAddress address: SocketAddress,
        about id: NodeID? = nil,
        first: Rumor? = nil,
        in version: UInt8? = nil
    ) {
        guard let version = version ?? self.version(with: id) else { return }
        var told: [Rumor] = []
        if let first { told.append(first) }
        if let accusation = id.flatMap(accusationAgainst) { told.append(accusation) }
        var datagram = MembershipDatagram(
            version: version,
            kind: kind,
            ring: ring,
            sender: own.claim,
            digest: digest,
            epoch: epoch,
            rumors: told
        )
        if !rumors.isEmpty {
            let left = parameters.datagramLengthMax - datagram.encodedLength
            let (own, table) = (own, table)
            datagram.rumors += rumors.take(lengthMax: left, toldMax: toldMax) { id in
                id == own.id ? own : table[id]?.fact
            }
        }
        effects.append(.send(datagram, to: address))
    }

    /// The version to talk to a member in; nil where there is none in common.
    ///
    /// To a stranger it is the lowest, which is the likeliest to be understood.
    private func version(with id: NodeID?) -> UInt8? {
        guard own.versions.lowest < own.versions.highest, let id, let fact = table[id]?.fact
        else { return own.versions.lowest }
        return fact.versions.common(with: own.versions)
    }

    /// How often each peer tells a rumor: twice the logarithm of the ring, so that next to nobody
    /// is missed; syncs mend the rest.
    private var toldMax: Int { 2 * (Int.bitWidth - presentCount.leadingZeroBitCount) }

    private func accusationAgainst(_ id: NodeID) -> Rumor? {
        guard let claim = table.claim(of: id), claim.status != .alive,
            let fact = table[id]?.fact
        else { return nil }
        return Rumor(fact: fact, accuser: suspicions[id]?.accusers.first ?? own.id)
    }
}
