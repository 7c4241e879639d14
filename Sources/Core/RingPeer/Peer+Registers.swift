package import Determinism
import RingMembership
import RingPlacement
import RingRegisters
import Wire

/// A request about a register, as the service makes it.
package enum RegisterRequest: Hashable, Sendable {
    /// The value now, linearizable.
    case read(key: String)
    /// Sets the value if its version is still the expected one; nil content deletes.
    case compareAndSet(key: String, expectedVersion: UInt64, content: [UInt8]?)
    /// The names of all registers that begin so.
    case list(prefix: String)
}

extension Peer {
    /// Makes a request about a register; answered by `.register`.
    package mutating func ask(_ request: RegisterRequest, token: RequestToken, now: Instant) {
        let number = makeNumber()
        callers[number] = token
        start(request, number: number, now: now)
        collect(now: now)
    }

    static func makeAcceptor(
        _ identity: PeerIdentity,
        _ configuration: RingConfiguration,
        _ rows: [PeerRow]
    ) throws(WireError) -> Acceptor {
        var acceptorRows: [AcceptorRow] = []
        for row in rows where row.space == .acceptor {
            acceptorRows.append(try AcceptorRow(key: row.key, encoded: row.value ?? []))
        }
        return Acceptor(
            storage: identity.storage,
            epoch: configuration.stewards.epoch,
            rows: acceptorRows
        )
    }

    static func makeProposer(
        _ identity: PeerIdentity,
        _ configuration: RingConfiguration,
        seed: UInt64
    ) -> Proposer {
        Proposer(
            own: identity.node,
            boot: identity.boot,
            stewards: configuration.stewards.members.map(\.node),
            epoch: configuration.stewards.epoch,
            seed: seed
        )
    }

    /// Starts a request under a number of this peer's own.
    mutating func start(_ request: RegisterRequest, number: UInt64, now: Instant) {
        let command: RegisterCommand =
            switch request {
            case .read(let key): .read(key: key)
            case .list(let prefix): .list(prefix: prefix)
            case .compareAndSet(let key, let version, let content):
                .compareAndSet(
                    key: key,
                    expectedVersion: version,
                    payload: content,
                    proposer.makeOperationID()
                )
            }
        proposer.start(command, token: number, now: now)
        carryProposer(now: now)
    }

    mutating func tickProposer(now: Instant) {
        guard let deadline = proposer.nextDeadline, now >= deadline else { return }
        proposer.tick(now: now)
        carryProposer(now: now)
    }

    /// Takes in a message about registers, as steward or as proposer.
    mutating func takeRegister(
        _ bytes: [UInt8],
        from peer: NodeID,
        now: Instant
    ) throws(WireError) {
        let message = try RegisterMessage(bytes[...])
        if message.isAnswer {
            proposer.receive(message, from: peer, now: now)
            carryProposer(now: now)
            return
        }
        // Rule P1: who is no steward in its own configuration holds no registers.
        guard let steward = configuration.stewards.steward(on: identity.node),
            steward.storage == identity.storage,
            let step = acceptor.receive(message),
            let answer = frameEffect(.register(step.answer.encoded), to: peer)
        else { return }
        let rows = step.row.map { row in
            [PeerRow(space: .acceptor, key: Array(row.key.utf8), value: row.encoded)]
        }
        // Also an answer without a row waits for the writes before it: it may speak of their rows.
        effects.append(.persist(rows ?? [], then: [answer]))
    }

    private mutating func carryProposer(now: Instant) {
        while !proposer.effects.isEmpty {
            let pending = proposer.effects
            proposer.effects = []
            for effect in pending {
                switch effect {
                case .send(let message, let steward):
                    send(.register(message.encoded), to: steward)
                case .finished(let number, let outcome):
                    finish(number, outcome, now: now)
                }
            }
        }
    }

    private mutating func finish(_ number: UInt64, _ outcome: RegisterOutcome, now: Instant) {
        if takeForConfigurationJob(number, outcome, now: now) { return }
        if takeForClaim(number, outcome, now: now) { return }
        guard let token = callers.remove(number) else { return }
        effects.append(.answer(token, .register(outcome)))
    }
}
