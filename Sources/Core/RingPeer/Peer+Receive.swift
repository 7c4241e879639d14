package import Addressing
package import Determinism
package import RingMembership
import RingPlacement
package import RingRecords
import RingRegisters
package import Wire

extension Peer {
    /// What became of a datagram or frame.
    package enum Reception: Hashable, Sendable {
        /// It was acted upon.
        case accepted
        /// It cannot be read.
        case unreadable(WireError)
        /// It is in a version that is not spoken here, or a frame of a kind that a later release
        /// has; it is left alone.
        case unknown(UInt8)
        /// It belongs to another ring, or came from this very process.
        case foreign
    }

    /// Takes in a datagram whose seal was good.
    package mutating func receive(
        datagram bytes: [UInt8],
        from source: SocketAddress,
        now: Instant
    ) -> Reception {
        if let version = bytes.first, !identity.versions.contains(version) {
            return .unknown(version)
        }
        let datagram: MembershipDatagram
        do throws(WireError) {
            datagram = try MembershipDatagram(bytes, speaking: identity.versions)
        } catch {
            return .unreadable(error)
        }
        let result = membership.receive(datagram, from: source, now: now)
        collect(now: now)
        return result == .accepted ? .accepted : .foreign
    }

    /// Takes in a frame from a peer whose certificate was good.
    package mutating func receive(
        frame bytes: [UInt8],
        from peer: NodeID,
        now: Instant
    ) -> Reception {
        if let kind = bytes.first, kind > PeerFrame.kindLast { return .unknown(kind) }
        if let greeting = Greeting(frame: bytes), refuse(greeting, from: peer) { return .foreign }
        do throws(WireError) {
            try take(PeerFrame(bytes), from: peer, now: now)
        } catch {
            effects.append(.event(.refusedFrame(from: peer, reason: error.description)))
            return .unreadable(error)
        }
        collect(now: now)
        return .accepted
    }

    /// Somebody's host answered that its ring port is closed.
    package mutating func portClosed(at address: SocketAddress, now: Instant) {
        let member = membership.members.first {
            $0.fact.address == address && !$0.fact.status.isGone
        }
        guard let member else { return }
        membership.portClosed(member.fact, now: now)
        collect(now: now)
    }

    private mutating func take(
        _ frame: PeerFrame,
        from peer: NodeID,
        now: Instant
    ) throws(WireError) {
        switch frame {
        case .hello(let ring, let sender):
            guard sender.id == peer else { throw .malformed(field: "sender") }
            welcome(sender, ring: ring, now: now)
        case .welcome(let configuration, let facts):
            guard configuration.ringID == self.configuration.ringID else { return }
            consider(configuration, of: peer, now: now)
            membership.merge(facts, from: peer, now: now)
        case .refusal(_, _, let reason):
            effects.append(.event(.refusedFrame(from: peer, reason: reason)))
        case .membership(let message):
            guard membership.receive(message, from: peer, now: now) else {
                throw .malformed(field: "sender")
            }
        case .probe(let sequence, let epoch):
            answerProbe(sequence, epoch: epoch, from: peer, now: now)
        case .probeAnswer(let sequence, let epoch, let fact):
            guard fact.id == peer else { throw .malformed(field: "sender") }
            membership.streamAnswered(sequence: sequence, by: fact, now: now)
            compareEpoch(epoch, of: peer, now: now)
        case .configurationRequest(let epoch): compareEpochs(epoch, with: peer, now: now)
        case .configurationChange(let delta): take(delta, from: peer, now: now)
        case .admission(let epoch, let member):
            try takeAdmission(member, epoch: epoch, from: peer, now: now)
        case .configuration(let configuration):
            consider(configuration, of: peer, now: now)
        case .register(let bytes):
            guard isOfRegistry(nil, peer, now: now) else { return }
            try takeRegister(bytes, from: peer, now: now)
        case .registerOf(let registry, let bytes):
            guard isOfRegistry(registry, peer, now: now) else { return }
            try takeRegister(bytes, from: peer, now: now)
        case .recovery(let bytes): try takeRecovery(bytes, from: peer, now: now)
        case .record(let bytes):
            records.receive(try RecordMessage(bytes[...]), from: peer, now: now)
        }
    }

    private mutating func answerProbe(
        _ sequence: UInt32,
        epoch: UInt64,
        from peer: NodeID,
        now: Instant
    ) {
        guard membership.own.status != .left else { return }
        let answer = PeerFrame.probeAnswer(
            sequence: sequence,
            epoch: configuration.epoch,
            membership.own
        )
        send(answer, to: peer)
        compareEpoch(epoch, of: peer, now: now)
    }

    private mutating func compareEpoch(_ epoch: UInt64, of peer: NodeID, now: Instant) {
        noteEpoch(epoch, of: peer)
        guard epoch > configuration.epoch else { return }
        pullConfiguration(epoch, from: peer, now: now)
    }

    private mutating func welcome(_ sender: MemberFact, ring: RingID?, now: Instant) {
        guard ring == nil || ring == configuration.ringID else {
            let reason =
                "this is ring \(configuration.ringID), and \(sender.name) belongs to another"
            let refusal = PeerFrame.refusal(.ring, ring: configuration.ringID, reason: reason)
            effects.append(.frame(refusal.encoded, to: sender.id, at: sender.address))
            return
        }
        membership.merge([sender], from: sender.id, now: now)
        guard ring == nil else {
            // One of this ring that was started anew: both tell what the other lacks, and no more.
            send(.membership(membership.summary), to: sender.id)
            return send(.configurationRequest(epoch: configuration.epoch), to: sender.id)
        }
        let welcome = PeerFrame.welcome(configuration, membership.facts)
        effects.append(.frame(welcome.encoded, to: sender.id, at: sender.address))
    }

    /// Turns what the parts want done into what the service is to do, until nothing is left.
    mutating func collect(now: Instant) {
        while !membership.effects.isEmpty || !records.effects.isEmpty {
            let fromMembership = membership.effects
            membership.effects = []
            for effect in fromMembership { carry(effect, now: now) }
            let fromRecords = records.effects
            records.effects = []
            for effect in fromRecords {
                if case .newerEpoch(let epoch, let peer) = effect {
                    pullConfiguration(epoch, from: peer, now: now)
                } else {
                    effects.append(contentsOf: translate(effect))
                }
            }
        }
    }

    private mutating func carry(_ effect: Membership.Effect, now: Instant) {
        switch effect {
        case .send(let datagram, let address):
            effects.append(.datagram(datagram.encoded, to: address))
        case .sync(let message, let peer, let address):
            effects.append(.frame(PeerFrame.membership(message).encoded, to: peer, at: address))
        case .probeOverStream(let sequence, let target):
            let probe = PeerFrame.probe(sequence: sequence, epoch: configuration.epoch)
            effects.append(.frame(probe.encoded, to: target.id, at: target.address))
        case .changed(let member):
            let fact = member.fact
            records.noteReachable(fact.id, member.isReachable, boot: fact.boot, now: now)
            noteForFollowing(member, now: now)
            effects.append(.event(.member(member)))
        case .datagramsBlocked(let member):
            effects.append(.event(.datagramsBlocked(member)))
        case .newerEpoch(let epoch, let peer): pullConfiguration(epoch, from: peer, now: now)
        case .identityTaken:
            effects.append(.event(.identityTaken))
        case .twin:
            effects.append(.event(.twin))
        }
    }

    private mutating func translate(_ effect: Records.Effect) -> [PeerEffect] {
        switch effect {
        case .send(let message, let node):
            return [frameEffect(.record(message.encoded), to: node)].compactMap(\.self)
        case .persist(let set, let then):
            let key = recordKey(set.topic, set.origin)
            let row = PeerRow(space: .records, key: key, value: set.encoded)
            return [.persist([row], then: then.flatMap { translate($0) })]
        case .erase(let topic, let origin):
            let row = PeerRow(space: .records, key: recordKey(topic, origin), value: nil)
            return [.persist([row], then: [])]
        case .fence(let node, let boot):
            var value = ByteWriter()
            value.write(boot)
            let row = PeerRow(
                space: .retirements,
                key: withBytes(node),
                value: boot == 0 ? nil : withBytes(node) + value.bytes
            )
            return [.persist([row], then: [])]
        case .arrivalsEnded:
            return [.persist([arrivalsRow], then: [])]
        case .afterWrites(let then):
            return [.persist([], then: then.flatMap { translate($0) })]
        case .retired(let topic, let node): return [.event(.recordsRetired(topic, node))]
        case .changed(let set): return [.event(.records(set))]
        case .synced(let topic): return [.event(.synced(topic))]
        case .finished(let request, let outcome):
            guard let token = recordCallers.remove(request) else { return [] }
            return [.answer(token, .records(outcome))]
        case .ownPastUnknown: return [.event(.identityTaken)]
        case .newerEpoch: preconditionFailure("taken by the caller")
        }
    }

    private func recordKey(_ topic: Topic, _ origin: NodeID) -> [UInt8] {
        Array(topic.name.utf8) + [0] + withBytes(origin)
    }

    private func withBytes(_ id: NodeID) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(id)
        return writer.bytes
    }
}

extension Peer {
    /// Replaces this node's records under a topic; answered by `.records`.
    package mutating func publish(
        _ topic: Topic,
        _ content: [OriginSet.Record],
        level: Records.Level = .quorum,
        token: RequestToken,
        now: Instant
    ) {
        let request = makeNumber()
        recordCallers[request] = token
        records.publish(topic, content, level: level, request: request, now: now)
        collect(now: now)
    }

    /// Asks an owner what is held under a topic; answered by `.records`.
    package mutating func read(
        _ topic: Topic,
        level: Records.Level = .quorum,
        token: RequestToken,
        now: Instant
    ) {
        let request = makeNumber()
        recordCallers[request] = token
        records.read(topic, level: level, request: request, now: now)
        collect(now: now)
    }

    /// Follows a topic.
    package mutating func watch(_ topic: Topic, now: Instant) {
        records.watch(topic, now: now)
        collect(now: now)
    }

    /// Follows a topic no longer.
    package mutating func unwatch(_ topic: Topic, now: Instant) {
        records.unwatch(topic)
        collect(now: now)
    }
}

extension Peer {
    /// Takes in whom the welcoming peer knows.
    package mutating func meet(_ facts: [MemberFact], now: Instant) {
        membership.merge(facts, from: identity.node, now: now)
        collect(now: now)
    }
}
