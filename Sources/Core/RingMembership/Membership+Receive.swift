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
        guard datagram.sender.id != own.id || datagram.sender.boot > own.boot else { return .own }
        learn(Rumor(fact: datagram.sender, accuser: datagram.sender.id), now: now)
        for rumor in datagram.rumors { learn(rumor, now: now) }
        answer(datagram, from: source, now: now)
        compareDigest(datagram, now: now)
        if datagram.epoch > epoch {
            effects.append(.newerEpoch(datagram.epoch, from: datagram.sender.id))
        }
        return .accepted
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
            send(.ack(sequence: sequence), toAddress: source, about: datagram.sender.id)
        case .ack(let sequence):
            if let relay = relays.remove(sequence) {
                send(.ack(sequence: relay.sequence), toAddress: relay.requester)
            } else {
                noteAnsweredProbe(sequence, now: now)
            }
        case .pingRequest(let sequence, let target, let address):
            guard relays.count < MembershipParameters.membersMax else { return }
            let relayed = makeSequence()
            relays[relayed] = Relay(
                requester: source,
                sequence: sequence,
                nackAt: now.advanced(by: parameters.ackTimeout)
            )
            send(.ping(sequence: relayed, target: target), toAddress: address)
        case .nack(let sequence):
            probes[sequence]?.nacks += 1
        case .gossip:
            break
        }
    }

    /// Unequal tables that stay unequal while nothing is being told are mended by an exchange.
    private mutating func compareDigest(_ datagram: MembershipDatagram, now: Instant) {
        guard datagram.digest != digest, !datagram.sender.status.isGone,
            now.since(changedAt) >= parameters.exchangeQuiet,
            exchangedAt.map({ now.since($0) >= parameters.exchangeInterval }) ?? true
        else { return }
        exchangedAt = now
        effects.append(.exchange(with: datagram.sender.id))
    }

    /// Takes in another peer's whole table.
    ///
    /// A member that the other believes dead becomes a suspect here and not a dead one, so that it
    /// has time to refute what may be old news.
    /// - Source: memberlist's merge rule for dead members.
    package mutating func merge(_ facts: [MemberFact], from peer: NodeID, now: Instant) {
        for var fact in facts.prefix(MembershipParameters.membersMax) {
            let isNews = table[fact.id].map { !$0.fact.status.isGone } ?? false
            if fact.status == .dead, isNews { fact.status = .suspect }
            learn(Rumor(fact: fact, accuser: peer), now: now)
        }
    }

    /// Takes in one rumor: the younger fact stays, and what is new is passed on.
    mutating func learn(_ rumor: Rumor, now: Instant) {
        let fact = rumor.fact
        guard fact.id != own.id else { return refute(rumor, now: now) }
        guard let known = table[fact.id] else {
            // Who is gone and was never known is nobody's news: told on, it would never be
            // forgotten.
            guard !fact.status.isGone, table.count < MembershipParameters.membersMax else { return }
            return record(rumor, previous: nil, now: now)
        }
        if fact.age > known.fact.age {
            record(rumor, previous: known, now: now)
        } else if fact.status == .suspect, known.fact.age == fact.age {
            if suspicions[fact.id]?.confirm(by: rumor.accuser) == .shortened { rumors.add(rumor) }
        }
    }

    private mutating func record(_ rumor: Rumor, previous: Member?, now: Instant) {
        let fact = rumor.fact
        let isSameStatus = previous?.fact.status == fact.status
        var member = Member(fact: fact, since: now, roundTrip: previous?.roundTrip)
        if let previous, isSameStatus, previous.fact.boot == fact.boot {
            member.since = previous.since
        }
        table[fact.id] = member
        changedAt = now
        suspicions[fact.id] = nil
        if fact.status == .suspect {
            suspicions[fact.id] = makeSuspicion(
                incarnation: fact.incarnation,
                accuser: rumor.accuser,
                now: now
            )
        }
        if previous == nil, !probeOrder.isEmpty {
            let position = Int.random(in: 0...probeOrder.count, using: &generator)
            probeOrder.insert(fact.id, at: position)
        }
        rumors.add(rumor)
        if !isSameStatus || previous?.fact.boot != fact.boot { effects.append(.changed(member)) }
    }

    /// Answers what is said of this very peer.
    private mutating func refute(_ rumor: Rumor, now: Instant) {
        let fact = rumor.fact
        if fact.boot > own.boot {
            effects.append(.identityTaken(boot: fact.boot))
            return
        }
        guard own.status != .left, fact.boot == own.boot, fact.status != .alive,
            fact.incarnation >= own.incarnation, fact.incarnation < UInt64.max
        else { return }
        own.incarnation = fact.incarnation + 1
        changedAt = now
        localHealth = min(Self.localHealthMax, localHealth + 1)
        let answer = Rumor(fact: own, accuser: own.id)
        rumors.add(answer)
        // Straight to the accuser: its countdown does not wait for gossip to come round.
        if let accuser = table[rumor.accuser]?.fact { send(.gossip, to: accuser, first: answer) }
    }
}

extension Membership {
    /// Sends to a member; one that is thought ill is told so, that it can refute at once.
    mutating func send(
        _ kind: MembershipDatagram.Kind,
        to member: MemberFact,
        first: Rumor? = nil
    ) {
        let accusation = accusationAgainst(member.id)
        send(kind, toAddress: member.address, rumors: [first, accusation].compactMap(\.self))
    }

    mutating func send(
        _ kind: MembershipDatagram.Kind,
        toAddress address: SocketAddress,
        about id: NodeID? = nil,
        rumors first: [Rumor] = []
    ) {
        var datagram = MembershipDatagram(
            kind: kind,
            ring: ring,
            sender: own,
            digest: digest,
            epoch: epoch,
            rumors: first + [id.flatMap(accusationAgainst)].compactMap(\.self)
        )
        let left = parameters.datagramLengthMax - datagram.encoded.count
        let toldMax = 3 * (Int.bitWidth - count().leadingZeroBitCount)
        datagram.rumors += rumors.take(lengthMax: left, toldMax: toldMax)
        effects.append(.send(datagram, to: address))
    }

    private func accusationAgainst(_ id: NodeID) -> Rumor? {
        guard let fact = table[id]?.fact, fact.status != .alive else { return nil }
        return Rumor(fact: fact, accuser: suspicions[id]?.accusers.first ?? own.id)
    }
}
