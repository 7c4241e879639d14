import Determinism
import RingRegisters
import Testing
import Wire

@Suite("Messages about registers that no honest peer sends")
struct HostileMessageTests {
    private let own = NodeID(high: 0, low: 1)
    private let steward = NodeID(high: 0, low: 2)
    private let operation = OperationID(node: NodeID(high: 0, low: 2), boot: 1, number: 1)

    private func proposer(seed: UInt64 = 1) -> Proposer {
        Proposer(
            own: own,
            boot: 1,
            group: StewardSet(epoch: 1, members: [Steward(node: steward, storage: steward)]),
            seed: seed
        )
    }

    /// The round of what was asked last.
    private func round(_ proposer: Proposer) -> UInt64 {
        guard case .send(let message, _) = proposer.effects.last else { return 0 }
        return message.round
    }

    private func promise(round: UInt64, version: UInt64) -> RegisterMessage {
        let ballot = Ballot(epoch: 1, counter: 1, proposer: steward, boot: 1)
        let value = RegisterValue(version: version, operation: operation, payload: nil)
        return .promise(round: round, AcceptedValue(ballot: ballot, value: value))
    }

    @Test(
        "a register at its last version is changed no more, and nothing traps",
        arguments: [(.max, .max), (.max, .max - 1), (.max - 1, .max), (0, .max)]
            as [(held: UInt64, expected: UInt64)]
    )
    func lastVersion_isConflict(held: UInt64, expected: UInt64) {
        var proposer = proposer()
        let id = proposer.makeOperationID()
        proposer.start(
            .compareAndSet(key: "k", expectedVersion: expected, payload: [1], id),
            token: 7,
            now: .zero
        )
        let answer = promise(round: round(proposer), version: held)
        proposer.receive(answer, from: steward, now: .zero)
        let value = RegisterValue(version: held, operation: operation, payload: nil)
        #expect(proposer.effects.last == .finished(token: 7, .conflict(value)))
    }

    @Test("what a steward answers to an earlier process of the node is nobody's answer")
    func earlierProcess_isNotMistaken() {
        var earlier = proposer(seed: 1)
        var later = proposer(seed: 2)
        for command in 0..<3 {
            earlier.start(.read(key: "k\(command)"), token: 7, now: .zero)
            later.start(.read(key: "k\(command)"), token: 7, now: .zero)
        }
        let before = later.effects
        for late in round(earlier) - 2...round(earlier) {
            later.receive(.seen(round: late, nil), from: steward, now: .zero)
        }
        #expect(later.effects == before)
        later.receive(.seen(round: round(later), nil), from: steward, now: .zero)
        #expect(later.effects != before)
    }

    @Test("what a message does not use has to be zero", arguments: [5, 6, 8] as [UInt8])
    func unusedNumber_isMalformed(kind: UInt8) throws {
        let message: RegisterMessage =
            switch kind {
            case 5: .accepted(round: 1)
            case 6: .rejected(round: 1, promised: .zero)
            default: .keys(round: 1, ["k"])
            }
        var bytes = message.encoded
        #expect(bytes[0] == kind)
        #expect(try RegisterMessage(bytes[...]) == message)
        bytes[16] = 1
        #expect(throws: WireError.malformed(field: "number")) { try RegisterMessage(bytes[...]) }
    }

    @Test("content that is said to be absent and comes all the same is malformed")
    func absentContent_isMalformed() throws {
        let value = RegisterValue(version: 1, operation: operation, payload: [9])
        let ballot = Ballot(epoch: 1, counter: 1, proposer: steward, boot: 1)
        let message = RegisterMessage.seen(round: 1, AcceptedValue(ballot: ballot, value: value))
        var bytes = message.encoded
        // Before the content: its length of four bytes, and whether there is any.
        bytes[bytes.count - 6] = 0
        #expect(throws: WireError.malformed(field: "has payload")) {
            try RegisterMessage(bytes[...])
        }
    }
}
