import Determinism
import RingRegisters

/// A proposer whose stewards answer when the test says so.
struct Stage {
    static let own = NodeID(high: 0, low: 9)
    static let group = RegisterNet.group(1, 0..<3)

    var proposer: Proposer
    var acceptors: [Acceptor]
    var now = Instant.zero
    var sent: [(RegisterMessage, to: NodeID)] = []
    var outcomes: [UInt64: RegisterOutcome] = [:]

    init(own: NodeID = Stage.own) throws {
        proposer = Proposer(own: own, boot: 1, group: Self.group, seed: 1)
        acceptors = try (0..<3).map { index in
            var acceptor = try Acceptor(
                storage: RegisterNet.steward(index),
                founding: Self.group,
                rows: []
            )
            acceptor.trust()
            return acceptor
        }
    }

    mutating func collect() {
        for effect in proposer.effects {
            switch effect {
            case .send(let message, let steward): sent.append((message, steward))
            case .finished(let token, let outcome): outcomes[token] = outcome
            case .adopted: break
            }
        }
        proposer.effects = []
    }

    mutating func change(_ expected: UInt64, key: String = "k", token: UInt64) {
        let command = RegisterCommand.compareAndSet(
            key: key,
            expectedVersion: expected,
            payload: [UInt8(token)],
            proposer.makeOperationID()
        )
        proposer.start(command, token: token, now: now)
        collect()
    }

    mutating func read(token: UInt64) {
        proposer.start(.read(key: "k"), token: token, now: now)
        collect()
    }

    /// Has the stewards answer what was sent so far, and nothing of what that leads to.
    mutating func answer() {
        let messages = sent
        sent = []
        for (message, steward) in messages {
            guard let step = acceptors[Int(steward.low)].receive(message, from: Self.own) else {
                continue
            }
            proposer.receive(step.answer, from: steward, now: now)
        }
        collect()
    }

    mutating func answerAll() {
        while !sent.isEmpty { answer() }
    }

    mutating func advance(_ span: Span) {
        now = now.advanced(by: span)
        proposer.tick(now: now)
        collect()
    }

    /// Has what was chosen come to the stewards beyond the majority that chose it.
    mutating func followTrail() {
        advance(Proposer.Parameters().trailSpan)
        answerAll()
    }

    /// Has another proposer change the register behind this one's back.
    mutating func interfere(version: UInt64) {
        let other = NodeID(high: 0, low: 8)
        let ballot = Ballot(epoch: 1, counter: 1_000 + version, proposer: other, boot: 1)
        let operation = OperationID(node: other, boot: 1, number: version)
        let value = RegisterValue(version: version, operation: operation, payload: [0xff])
        for index in acceptors.indices {
            _ = acceptors[index].receive(
                .accept(
                    round: 1,
                    epoch: 1,
                    key: "k",
                    AcceptedValue(ballot: ballot, value: value),
                    next: ballot
                ),
                from: other
            )
        }
    }
}
