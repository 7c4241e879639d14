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
        _ rows: [PeerRow],
        _ parameters: PeerParameters
    ) throws(WireError) -> Acceptor {
        let stewards = configuration.stewards
        let own = Steward(node: identity.node, storage: identity.storage)
        let isFounder = stewards.epoch == 1 && stewards.members == [own]
        return try Acceptor(
            storage: identity.storage,
            founding: isFounder ? stewards : nil,
            rows: rows.filter { $0.space == .acceptor }.map {
                AcceptorRow(key: $0.key, value: $0.value)
            },
            flaws: parameters.registers.flaws
        )
    }

    static func makeProposer(
        _ identity: PeerIdentity,
        _ configuration: RingConfiguration,
        _ acceptor: Acceptor,
        _ parameters: PeerParameters,
        seed: UInt64
    ) -> Proposer {
        // The acceptor may have become a steward of a group that no configuration tells of yet.
        let known = [configuration.stewards] + [acceptor.group].compactMap(\.self)
        let life = identity.boot << 32 | seed >> 32
        return Proposer(
            own: identity.node,
            boot: life,
            group: known.max { $0.epoch < $1.epoch } ?? configuration.stewards,
            parameters: parameters.registers,
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
            takeForChange(message, from: peer, now: now)
            takeVouched(message, from: peer, now: now)
            takeNews(message, from: peer, now: now)
            takeForRecovery(message, from: peer, now: now)
            carryProposer(now: now)
            return
        }
        if case .perform(let round, let command) = message {
            return perform(command, round: round, for: peer, now: now)
        }
        guard let step = acceptor.receive(message, from: peer) else { return }
        // The rows are kept also where the asker's address is not known: they are remembered now.
        let answer = frameEffect(registerFrame(step.answer), to: peer)
        // A steward of a younger group knows of it first.
        if let group = acceptor.group { proposer.adopt(group, now: now) }
        carryProposer(now: now)
        let rows = step.rows.map { PeerRow(space: .acceptor, key: $0.key, value: $0.value) }
        // Also an answer without a row waits for the writes before it: it may speak of their rows.
        let news = news(of: message, answeredBy: step.answer, from: peer, now: now)
        effects.append(.persist(rows, then: [answer].compactMap(\.self) + news))
        beginVouching(now: now)
    }

    /// Carries out what another proposer handed on.
    private mutating func perform(
        _ command: RegisterCommand,
        round: UInt64,
        for peer: NodeID,
        now: Instant
    ) {
        let number = makeNumber()
        helped[number] = HelpedPeer(node: peer, round: round)
        proposer.start(command, token: number, now: now)
        carryProposer(now: now)
    }

    mutating func carryProposer(now: Instant) {
        while !proposer.effects.isEmpty {
            let pending = proposer.effects
            proposer.effects = []
            for effect in pending {
                switch effect {
                case .send(let message, let steward):
                    send(registerFrame(message), to: steward)
                case .finished(let number, let outcome):
                    finish(number, outcome, now: now)
                case .adopted(let group):
                    configurationJob.nextAt = now
                    following.adopt(group, now: now)
                    carryFollowing(now: now)
                }
            }
        }
    }

    private mutating func finish(_ number: UInt64, _ outcome: RegisterOutcome, now: Instant) {
        if takeForConfigurationJob(number, outcome, now: now) { return }
        if takeForRecovery(number, outcome, now: now) { return }
        if takeForStewardJob(number, outcome, now: now) { return }
        if takeForClaim(number, outcome, now: now) { return }
        if let peer = helped.remove(number) {
            let message = RegisterMessage.performed(round: peer.round, outcome)
            return send(registerFrame(message), to: peer.node)
        }
        if takeForFollowing(number, outcome, now: now) { return }
        guard let token = callers.remove(number) else { return }
        effects.append(.answer(token, .register(outcome)))
    }
}

/// A proposer that handed a command on, and its number for it.
struct HelpedPeer: Sendable {
    let node: NodeID
    let round: UInt64
}
