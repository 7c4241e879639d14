import Determinism
import RingRegisters
import Testing

@Suite("Acceptors: promises kept, values told")
struct AcceptorTests {
    private let node = NodeID(high: 1, low: 1)

    private func ballot(_ counter: UInt64) -> Ballot {
        Ballot(epoch: 1, counter: counter, proposer: node, boot: 1)
    }

    private func value(_ version: UInt64) -> RegisterValue {
        RegisterValue(
            version: version,
            operation: OperationID(node: node, boot: 1, number: version),
            payload: [UInt8(version)]
        )
    }

    private func group(_ epoch: UInt64, _ numbers: UInt64...) -> StewardSet {
        StewardSet(
            epoch: epoch,
            members: numbers.map {
                Steward(node: NodeID(high: 1, low: $0), storage: NodeID(high: 3, low: $0))
            }
        )
    }

    private func acceptor(_ group: StewardSet?, number: UInt64 = 1) throws -> Acceptor {
        var acceptor = try Acceptor(
            storage: NodeID(high: 3, low: number),
            founding: group,
            rows: []
        )
        acceptor.trust()
        return acceptor
    }

    private func accept(
        _ round: UInt64,
        _ accepted: AcceptedValue,
        key: String = "k"
    ) -> RegisterMessage {
        .accept(round: round, epoch: 1, key: key, accepted, next: .zero)
    }

    private func take(
        _ message: RegisterMessage,
        by acceptor: inout Acceptor
    ) throws -> Acceptor.Step {
        let step = acceptor.receive(message, from: node)
        return try #require(step)
    }

    @Test("ballot zero never wins")
    func zero() throws {
        var acceptor = try acceptor(group(1, 1))
        let step = acceptor.receive(
            .prepare(round: 1, epoch: 1, key: "k", ballot: .zero),
            from: node
        )
        #expect(step?.answer == .rejected(round: 1, promised: .zero))
        #expect(step?.rows.isEmpty == true)
    }

    @Test("a promise blocks lower ballots in both phases, and no higher one")
    func promise() throws {
        var acceptor = try acceptor(group(1, 1))
        func prepare(_ round: UInt64, _ key: String, _ counter: UInt64) -> RegisterMessage? {
            let ballot = ballot(counter)
            return acceptor.receive(
                .prepare(round: round, epoch: 1, key: key, ballot: ballot),
                from: node
            )?.answer
        }
        #expect(prepare(1, "k", 5) == .promise(round: 1, nil))
        #expect(prepare(2, "k", 4) == .rejected(round: 2, promised: ballot(5)))
        let accepted = AcceptedValue(ballot: ballot(4), value: value(1))
        let late = acceptor.receive(accept(3, accepted), from: node)
        #expect(late?.answer == .rejected(round: 3, promised: ballot(5)))
        #expect(prepare(4, "k", 6) == .promise(round: 4, nil))
        // Other registers are not concerned.
        #expect(prepare(5, "j", 1) == .promise(round: 5, nil))
    }

    @Test("phase two promises the next ballot as well, and blocks what is between")
    func nextBallot() throws {
        var acceptor = try acceptor(group(1, 1))
        let accepted = AcceptedValue(ballot: ballot(2), value: value(1))
        _ = acceptor.receive(
            .accept(round: 1, epoch: 1, key: "k", accepted, next: ballot(9)),
            from: node
        )
        let between = acceptor.receive(
            .prepare(round: 2, epoch: 1, key: "k", ballot: ballot(8)),
            from: node
        )
        #expect(between?.answer == .rejected(round: 2, promised: ballot(9)))
        let second = AcceptedValue(ballot: ballot(9), value: value(2))
        #expect(acceptor.receive(accept(3, second), from: node)?.answer == .accepted(round: 3))
    }

    @Test("a value that was taken is told to later ballots, also after a restart from the rows")
    func restart() throws {
        var acceptor = try acceptor(group(1, 1))
        let accepted = AcceptedValue(ballot: ballot(3), value: value(1))
        let rows = try take(accept(1, accepted), by: &acceptor).rows
        var again = try Acceptor(
            storage: acceptor.storage,
            founding: group(1, 1),
            rows: rows
        )
        let low = again.receive(
            .prepare(round: 2, epoch: 1, key: "k", ballot: ballot(2)),
            from: node
        )
        #expect(low?.answer == .rejected(round: 2, promised: ballot(3)))
        let high = again.receive(
            .prepare(round: 3, epoch: 1, key: "k", ballot: ballot(4)),
            from: node
        )
        #expect(high?.answer == .promise(round: 3, accepted))
    }

    @Test("sealed is sealed, after a restart too: the group that follows is all it tells")
    func seal() throws {
        var acceptor = try acceptor(group(1, 1, 2, 3))
        let accepted = AcceptedValue(ballot: ballot(3), value: value(1))
        var rows = try take(accept(1, accepted), by: &acceptor).rows
        let next = group(2, 2, 3, 4)
        let step = try take(.seal(round: 2, epoch: 1, next: next), by: &acceptor)
        #expect(step.answer == .sealed(round: 2))
        rows += step.rows
        var again = try Acceptor(storage: acceptor.storage, founding: nil, rows: rows)
        again.trust()
        for message in [
            RegisterMessage.prepare(round: 9, epoch: 1, key: "k", ballot: ballot(9)),
            accept(9, accepted), .list(round: 9, epoch: 1, prefix: ""),
            .look(round: 9, epoch: 1, key: "k"),
            .seal(round: 9, epoch: 1, next: group(2, 7)),
        ] {
            #expect(again.receive(message, from: node)?.answer == .wrongEpoch(round: 9, next))
        }
        #expect(
            again.receive(.fetch(round: 3, epoch: 1, after: nil), from: node)?.answer
                == .entries(
                    round: 3,
                    [RegisterEntry(key: "k", accepted: accepted)],
                    isLast: true
                )
        )
    }

    @Test("an old copy of a steward's disk is told of by those who knew the later life")
    func vouch() throws {
        var witness = try acceptor(group(1, 1, 2, 3), number: 2)
        let storage = NodeID(high: 3, low: 1)
        func isOutlived(
            _ count: UInt64,
            _ life: UInt64,
            last: (UInt64, UInt64)?,
            _ attempts: [UInt64] = []
        ) -> Bool? {
            let asked = LifeQuestion(
                life: StorageLife(count: count, number: life),
                last: last.map { StorageLife(count: $0.0, number: $0.1) },
                attempts: attempts
            )
            let question = RegisterMessage.vouch(round: 1, storage: storage, asked)
            guard case .vouched(1, let isOutlived) = witness.receive(question, from: node)?.answer
            else { return nil }
            return isOutlived
        }
        #expect(isOutlived(1, 70, last: nil) == false)
        // Asked again; started again before anybody vouched, and again after somebody had.
        #expect(isOutlived(1, 70, last: nil) == false)
        #expect(isOutlived(1, 71, last: nil, [70]) == false)
        #expect(isOutlived(2, 90, last: (1, 71), [70]) == false)
        // Two starts that this witness alone heard of, before a third that it was away for.
        #expect(isOutlived(2, 91, last: (1, 71), [70, 90]) == false)
        #expect(isOutlived(3, 95, last: (2, 92), [90, 91]) == false)
        // It had lives that this witness was away for: one, and several.
        #expect(isOutlived(4, 110, last: (3, 100), [95]) == false)
        #expect(isOutlived(9, 150, last: (8, 140)) == false)
        // Copies from before the last life, wherever they were taken.
        #expect(isOutlived(9, 151, last: (8, 140)) == true)
        #expect(isOutlived(4, 152, last: (3, 100)) == true)
        #expect(isOutlived(1, 153, last: nil) == true)
        // A copy from between a start that nobody vouched for and the one that served.
        #expect(isOutlived(10, 160, last: (9, 150)) == false)
        #expect(isOutlived(10, 161, last: (9, 150), [160]) == false)
        #expect(isOutlived(10, 162, last: (9, 150), [160]) == true)
    }

    @Test("each start asks under a number of its own, and remembers those that came to nothing")
    func attempts() throws {
        var rows: [AcceptorRow] = []
        func restarted() throws -> Acceptor {
            try Acceptor(storage: NodeID(high: 3, low: 1), founding: nil, rows: rows)
        }
        var questions: [LifeQuestion] = []
        for number in [UInt64(70), 71, 72] {
            var acceptor = try restarted()
            let (question, row) = acceptor.beginLife(drawn: number)
            questions.append(question)
            rows = [try #require(row)]
            if number == 71, let trusted = acceptor.trust() { rows = [trusted] }
        }
        #expect(questions[0].attempts == [] && questions[0].last == nil)
        #expect(questions[1].life == StorageLife(count: 1, number: 71))
        #expect(questions[1].attempts == [70] && questions[1].last == nil)
        #expect(questions[2].life == StorageLife(count: 2, number: 72))
        #expect(questions[2].last == StorageLife(count: 1, number: 71))
        #expect(questions[2].attempts == [70])
    }

    @Test("an acceptor among others serves nothing before they have vouched for it")
    func untrusted() throws {
        var acceptor = try Acceptor(
            storage: NodeID(high: 3, low: 1),
            founding: group(1, 1, 2, 3),
            rows: []
        )
        let look = RegisterMessage.look(round: 4, epoch: 1, key: "k")
        #expect(acceptor.receive(look, from: node)?.answer == .notReady(round: 4))
        acceptor.trust()
        #expect(acceptor.receive(look, from: node)?.answer == .seen(round: 4, nil))
    }

    @Test("a group is begun once all parts are there, and never begun again")
    func install() throws {
        var acceptor = try acceptor(nil, number: 4)
        let next = group(2, 2, 3, 4)
        func hand(
            _ part: UInt32,
            _ version: UInt64,
            isLast: Bool,
            from peer: UInt64 = 1
        ) -> RegisterMessage? {
            let accepted = AcceptedValue(ballot: ballot(version), value: value(version))
            return acceptor.receive(
                .install(
                    round: 1,
                    next,
                    part: part,
                    [RegisterEntry(key: "k\(part)", accepted: accepted)],
                    isLast: isLast
                ),
                from: NodeID(high: 1, low: peer)
            )?.answer
        }
        let before = StewardSet(epoch: 0, members: next.members)
        let first = RegisterMessage.install(round: 1, before, part: 0, [], isLast: true)
        #expect(acceptor.receive(first, from: node) == nil)
        #expect(hand(1, 1, isLast: true) == .notReady(round: 1))
        #expect(hand(0, 1, isLast: false) == .installed(round: 1, part: 0))
        #expect(acceptor.group == nil)
        // Somebody else begins anew: the first one's parts are void.
        #expect(hand(0, 5, isLast: false, from: 2) == .installed(round: 1, part: 0))
        #expect(hand(1, 1, isLast: true) == .notReady(round: 1))
        #expect(hand(1, 6, isLast: true, from: 2) == .installed(round: 1, part: 1))
        // Nobody has heard of this life of its database yet.
        #expect(!acceptor.isTrusted)
        acceptor.trust()
        #expect(acceptor.group == next)
        // Late copies change nothing.
        #expect(hand(0, 9, isLast: true) == .installed(round: 1, part: 0))
        let seen = acceptor.receive(.look(round: 7, epoch: 2, key: "k0"), from: node)?.answer
        #expect(seen == .seen(round: 7, AcceptedValue(ballot: ballot(5), value: value(5))))
    }

    @Test("who was never a steward of an epoch says so, and never that there is nothing")
    func neverSteward() throws {
        var acceptor = try acceptor(nil, number: 4)
        for message in [
            RegisterMessage.fetch(round: 1, epoch: 1, after: nil),
            .look(round: 1, epoch: 1, key: "k"), .list(round: 1, epoch: 1, prefix: ""),
            .seal(round: 1, epoch: 1, next: group(2, 4)),
        ] {
            #expect(acceptor.receive(message, from: node)?.answer == .notReady(round: 1))
        }
        // Another database is another acceptor, whatever its node.
        let foreign = acceptor.receive(
            .install(round: 1, group(2, 1, 2, 3), part: 0, [], isLast: true),
            from: node
        )
        #expect(foreign == nil)
    }

    @Test("listing names what holds content and begins so, in order")
    func list() throws {
        var acceptor = try acceptor(group(1, 1))
        for key in ["b/2", "a/1", "b/1", "c"] {
            let accepted = AcceptedValue(ballot: ballot(1), value: value(1))
            _ = acceptor.receive(accept(1, accepted, key: key), from: node)
        }
        let deleted = RegisterValue(version: 2, operation: .none, payload: nil)
        let accepted = AcceptedValue(ballot: ballot(2), value: deleted)
        _ = acceptor.receive(accept(1, accepted, key: "b/2"), from: node)
        let step = acceptor.receive(.list(round: 9, epoch: 1, prefix: "b/"), from: node)
        #expect(step?.answer == .keys(round: 9, ["b/1"]))
    }

    static let messages: [RegisterMessage] = {
        let ballot = Ballot(epoch: 2, counter: 1, proposer: NodeID(high: 2, low: 3), boot: 4)
        let value = RegisterValue(
            version: 1,
            operation: OperationID(node: NodeID(high: 5, low: 6), boot: 7, number: 8),
            payload: [9]
        )
        let accepted = AcceptedValue(ballot: ballot, value: value)
        let group = StewardSet(
            epoch: 3,
            members: [Steward(node: NodeID(high: 1, low: 1), storage: NodeID(high: 2, low: 2))]
        )
        return [
            .prepare(round: 1, epoch: 2, key: "k", ballot: ballot),
            .accept(round: 1, epoch: 2, key: "k", accepted, next: ballot),
            .list(round: 1, epoch: 2, prefix: "p"), .promise(round: 1, nil),
            .promise(round: 1, accepted), .accepted(round: 1), .notReady(round: 1),
            .rejected(round: 1, promised: ballot), .wrongEpoch(round: 1, group),
            .keys(round: 1, ["a", "b"]), .look(round: 1, epoch: 2, key: "k"),
            .seen(round: 1, accepted), .seen(round: 1, nil), .sealed(round: 1),
            .seal(round: 1, epoch: 2, next: group), .fetch(round: 1, epoch: 2, after: nil),
            .fetch(round: 1, epoch: 2, after: "k"), .identify(round: 1),
            .entries(round: 1, [RegisterEntry(key: "k", accepted: accepted)], isLast: false),
            .install(
                round: 1,
                group,
                part: 7,
                [RegisterEntry(key: "k", accepted: accepted)],
                isLast: true
            ), .installed(round: 1, part: 3), .identity(round: 1, storage: NodeID(high: 4, low: 5)),
            .vouch(
                round: 1,
                storage: NodeID(high: 4, low: 5),
                LifeQuestion(
                    life: StorageLife(count: 6, number: 7),
                    last: nil,
                    attempts: []
                )
            ),
            .vouch(
                round: 1,
                storage: NodeID(high: 4, low: 5),
                LifeQuestion(
                    life: StorageLife(count: 6, number: 7),
                    last: StorageLife(count: 3, number: 2),
                    attempts: [8, 9]
                )
            ),
            .vouched(round: 1, knowsLaterLife: true),
            .follow(round: 1, epoch: 2, [FollowedVersion(key: "k", version: 3)]),
            .news(round: 1, [RegisterEntry(key: "k", accepted: accepted)], isLast: false),
            .news(round: 1, [], isLast: true),
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
