import Determinism
import RingRegisters
import Testing

@Suite("Acceptors: promises kept, values told")
struct AcceptorTests {
    private let node = NodeID(high: 1, low: 1)

    private func ballot(_ counter: UInt64) -> Ballot {
        Ballot(counter: counter, proposer: node, boot: 1)
    }

    private func value(_ version: UInt64) -> RegisterValue {
        RegisterValue(
            version: version,
            operation: OperationID(node: node, boot: 1, number: version),
            payload: [UInt8(version)]
        )
    }

    @Test("ballot zero never wins")
    func zero() {
        var acceptor = Acceptor(storage: node, epoch: 1, rows: [])
        let step = acceptor.receive(.prepare(round: 1, epoch: 1, key: "k", ballot: .zero))
        #expect(step?.answer == .rejected(round: 1, promised: .zero))
        #expect(step?.row == nil)
    }

    @Test("a promise blocks lower ballots in both phases, and no higher one")
    func promise() {
        var acceptor = Acceptor(storage: node, epoch: 1, rows: [])
        let first = acceptor.receive(.prepare(round: 1, epoch: 1, key: "k", ballot: ballot(5)))
        #expect(first?.answer == .promise(round: 1, nil))
        #expect(first?.row?.promised == ballot(5))
        let low = acceptor.receive(.prepare(round: 2, epoch: 1, key: "k", ballot: ballot(4)))
        #expect(low?.answer == .rejected(round: 2, promised: ballot(5)))
        let accepted = AcceptedValue(ballot: ballot(4), value: value(1))
        let late = acceptor.receive(.accept(round: 3, epoch: 1, key: "k", accepted))
        #expect(late?.answer == .rejected(round: 3, promised: ballot(5)))
        let high = acceptor.receive(.prepare(round: 4, epoch: 1, key: "k", ballot: ballot(6)))
        #expect(high?.answer == .promise(round: 4, nil))
        // Other registers are not concerned.
        let other = acceptor.receive(.prepare(round: 5, epoch: 1, key: "j", ballot: ballot(1)))
        #expect(other?.answer == .promise(round: 5, nil))
    }

    @Test("a value that was taken is told to later ballots, also after a restart from the rows")
    func restart() throws {
        var acceptor = Acceptor(storage: node, epoch: 1, rows: [])
        let accepted = AcceptedValue(ballot: ballot(3), value: value(1))
        let step = acceptor.receive(.accept(round: 1, epoch: 1, key: "k", accepted))
        let row = try #require(step?.row)
        let read = try AcceptorRow(key: Array("k".utf8), encoded: row.encoded)
        #expect(read == row)
        var again = Acceptor(storage: node, epoch: 1, rows: [read])
        let low = again.receive(.prepare(round: 2, epoch: 1, key: "k", ballot: ballot(2)))
        #expect(low?.answer == .rejected(round: 2, promised: ballot(3)))
        let high = again.receive(.prepare(round: 3, epoch: 1, key: "k", ballot: ballot(4)))
        #expect(high?.answer == .promise(round: 3, accepted))
    }

    @Test("another steward epoch is refused, whatever is asked")
    func epoch() {
        var acceptor = Acceptor(storage: node, epoch: 2, rows: [])
        let accepted = AcceptedValue(ballot: ballot(1), value: value(1))
        for message in [
            RegisterMessage.prepare(round: 1, epoch: 1, key: "k", ballot: ballot(9)),
            .accept(round: 1, epoch: 3, key: "k", accepted), .list(round: 1, epoch: 1, prefix: ""),
        ] {
            #expect(acceptor.receive(message)?.answer == .wrongEpoch(round: 1, current: 2))
        }
    }

    @Test("listing names what holds content and begins so, in order")
    func list() {
        var acceptor = Acceptor(storage: node, epoch: 1, rows: [])
        for key in ["b/2", "a/1", "b/1", "c"] {
            let accepted = AcceptedValue(ballot: ballot(1), value: value(1))
            _ = acceptor.receive(.accept(round: 1, epoch: 1, key: key, accepted))
        }
        let deleted = RegisterValue(version: 2, operation: .none, payload: nil)
        let accepted = AcceptedValue(ballot: ballot(2), value: deleted)
        _ = acceptor.receive(.accept(round: 1, epoch: 1, key: "b/2", accepted))
        let step = acceptor.receive(.list(round: 9, epoch: 1, prefix: "b/"))
        #expect(step?.answer == .keys(round: 9, ["b/1"]))
    }

    static let messages: [RegisterMessage] = {
        let ballot = Ballot(counter: 1, proposer: NodeID(high: 2, low: 3), boot: 4)
        let value = RegisterValue(
            version: 1,
            operation: OperationID(node: NodeID(high: 5, low: 6), boot: 7, number: 8),
            payload: [9]
        )
        let accepted = AcceptedValue(ballot: ballot, value: value)
        return [
            .prepare(round: 1, epoch: 2, key: "k", ballot: ballot),
            .accept(round: 1, epoch: 2, key: "k", accepted),
            .accept(round: 1, epoch: 2, key: "k", AcceptedValue(ballot: ballot, value: .never)),
            .list(round: 1, epoch: 2, prefix: "p"), .promise(round: 1, nil),
            .promise(round: 1, accepted), .accepted(round: 1),
            .rejected(round: 1, promised: ballot), .wrongEpoch(round: 1, current: 2),
            .keys(round: 1, ["a", "b"]),
        ]
    }()

    @Test("every message is read back as written, and no shorter", arguments: messages)
    func roundTrip(message: RegisterMessage) throws {
        let bytes = message.encoded
        #expect(try RegisterMessage(bytes[...]) == message)
        for length in 0..<bytes.count {
            #expect(throws: (any Error).self) { try RegisterMessage(bytes[..<length]) }
        }
    }

    @Test("damaged bytes never crash the reader", arguments: 0..<10)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            for message in Self.messages {
                var bytes = message.encoded
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                    in: 0...255,
                    using: &generator
                )
                _ = try? RegisterMessage(bytes[...])
            }
        }
    }
}
