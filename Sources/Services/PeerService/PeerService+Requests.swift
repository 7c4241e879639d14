package import Addressing
package import Determinism
package import RingIPAM
package import RingMembership
package import RingPeer
package import RingPlacement
package import RingRecords
package import RingRegisters

/// What a peer knows at one moment.
package struct PeerSnapshot: Sendable {
    /// The ring configuration in force.
    package let configuration: RingConfiguration
    /// This peer's own fact.
    package let own: MemberFact
    /// Everyone else.
    package let members: [Membership.Member]
    /// The clock that the members' times are on.
    package let now: Instant
    /// The revision of the newest event of which ``members`` shows the effect.
    package let memberRevision: UInt64
    /// What is under way between owners of records.
    package let records: Records.Status
}

extension PeerService {
    /// What the peer knows now; nil before it belongs to a ring.
    package func snapshot() -> PeerSnapshot? {
        guard let peer else { return nil }
        return PeerSnapshot(
            configuration: peer.configuration,
            own: peer.membership.own,
            members: peer.membership.members,
            now: now,
            memberRevision: memberLog.revision,
            records: peer.records.status
        )
    }

    /// Whether the peer belongs to a ring.
    package var isJoined: Bool { peer != nil }

    /// The topics under which this node has told of anything, as far as it remembers.
    package func ownTopics() -> [Topic] {
        guard let peer else { return [] }
        let store = peer.records.store
        return store.topicNames.filter {
            store.set($0, peer.identity.node)?.records.isEmpty == false
        }
    }

    /// Every address that this node has given out and not taken back.
    package func assignments() -> [AddressPool.Assignment] { peer?.pool.inUse ?? [] }

    /// The sets of a watched topic, and whether all that an owner had has arrived.
    package func watched(_ topic: Topic) -> (sets: [OriginSet], isSynced: Bool) {
        guard let peer else { return ([], false) }
        return (peer.records.store.sets(topic), peer.records.isSynced(topic))
    }

    /// Follows a topic; ``changes`` yields as it changes.
    package func watch(_ topic: Topic) {
        agentTopics.insert(topic)
        let now = now
        change { $0.watch(topic, now: now) }
    }

    /// Follows a topic no longer.
    package func unwatch(_ topic: Topic) {
        agentTopics.remove(topic)
        // Somebody else may follow it through the node API.
        guard topics[topic] == nil else { return }
        let now = now
        change { $0.unwatch(topic, now: now) }
    }

    /// The value of a register, linearizable.
    package func read(_ key: String) async throws(RegisterFailure) -> RegisterValue {
        switch await ask(.read(key: key)) {
        case .value(let value):
            // Whoever follows it has heard of nothing later, or will.
            noteRegister(key, value)
            return value
        // Nothing is changed by it, whatever became of it.
        case .indeterminate: throw .unavailable
        case let other: throw Self.failure(other)
        }
    }

    /// How a compare-and-set ended.
    package enum CompareAndSet: Hashable, Sendable {
        /// The register holds this now.
        case committed(RegisterValue)
        /// Its version was another than expected; it holds this.
        case conflict(RegisterValue)
    }

    /// Sets a register whose version is still the expected one; nil content deletes.
    package func compareAndSet(
        _ key: String,
        expectedVersion: UInt64,
        content: [UInt8]?
    ) async throws(RegisterFailure) -> CompareAndSet {
        let request = RegisterRequest.compareAndSet(
            key: key,
            expectedVersion: expectedVersion,
            content: content
        )
        switch await ask(request) {
        case .committed(let value): return .committed(value)
        case .conflict(let value): return .conflict(value)
        case let other: throw Self.failure(other)
        }
    }

    /// The names of all registers that begin so.
    package func list(_ prefix: String) async throws(RegisterFailure) -> [String] {
        switch await ask(.list(prefix: prefix)) {
        case .keys(let keys): return keys
        case .indeterminate: throw .unavailable
        case let other: throw Self.failure(other)
        }
    }

    /// Replaces this node's records under a topic; answered once so many owners hold them durably.
    package func publish(
        _ topic: Topic,
        _ records: [OriginSet.Record],
        level: Records.Level = .quorum
    ) async -> Records.Outcome {
        let answer = await request { peer, token, now in
            peer.publish(topic, records, level: level, token: token, now: now)
        }
        guard case .records(let outcome) = answer else { return .unanswered }
        return outcome
    }

    /// Asks so many owners what is held under a topic.
    package func contents(
        _ topic: Topic,
        level: Records.Level = .quorum
    ) async -> Records.Outcome {
        let answer = await request { $0.read(topic, level: level, token: $1, now: $2) }
        guard case .records(let outcome) = answer else { return .unanswered }
        return outcome
    }

    /// What this node itself holds under a topic, without asking anybody.
    ///
    /// Nil where it neither owns the topic's slot nor follows the topic: it may then hold what it
    /// told itself, but knows nothing of others.
    package func held(_ topic: Topic) -> [OriginSet]? {
        guard let records = peer?.records else { return nil }
        return records.owns(topic) || records.isSynced(topic) ? records.store.sets(topic) : nil
    }

    /// Finds an address of each plan for a holder, the wanted one where it lies in the plan, or
    /// none at all.
    package func allocate(
        _ plans: [BlockPlan],
        _ holder: AddressHolder,
        wanted: IPAddress? = nil
    ) async -> AddressOutcome {
        let wanted = wanted.map { [$0] } ?? []
        let answer = await request {
            $0.allocate(plans, holder: holder, wanted: wanted, token: $1, now: $2)
        }
        guard case .address(let outcome) = answer else { return .registersUnavailable }
        return outcome
    }

    /// Frees what a holder has in a pool; true once that is durable, nothing held included.
    package func release(pool: UInt64, _ holder: AddressHolder) async -> Bool {
        let answer = await request { peer, token, now in
            peer.release(pool: pool, holder: holder, token: token, now: now)
        }
        return answer == .address(.released)
    }

    private func ask(_ question: RegisterRequest) async -> RegisterOutcome {
        let answer = await request { $0.ask(question, token: $1, now: $2) }
        guard case .register(let outcome) = answer else { return .unavailable }
        return outcome
    }

    func request(
        _ body: (inout Peer, RequestToken, Instant) -> Void
    ) async -> PeerAnswer {
        guard peer != nil, !isStopped, failure == nil, !unwritten.isFull else {
            return .register(.unavailable)
        }
        let token = nextToken
        nextToken += 1
        let now = now
        return await withCheckedContinuation { continuation in
            callers[token] = continuation
            change { body(&$0, token, now) }
        }
    }

    private static func failure(_ outcome: RegisterOutcome) -> RegisterFailure {
        switch outcome {
        case .indeterminate: .indeterminate
        case .refused(let reason): .refused("\(reason)")
        case .unavailable, .value, .committed, .conflict, .keys: .unavailable
        }
    }
}
