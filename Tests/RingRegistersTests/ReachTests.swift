import Determinism
import RingRegisters
import Testing

@Suite("Proposer: whom a phase is sent to")
struct ReachTests {
    static let parameters = Proposer.Parameters()

    @Test("D8: a steward asks itself and the one behind it: each is asked by two", arguments: 0..<3)
    func reach_isAMajority(index: Int) throws {
        var stage = try Stage(own: RegisterNet.steward(index))
        stage.change(0, token: 1)
        let expected = [index, (index + 1) % 3].map(RegisterNet.steward)
        #expect(stage.sent.map(\.to) == expected, "phase one")
        stage.answer()
        #expect(stage.sent.map(\.to) == expected, "phase two")
        stage.answerAll()
        stage.read(token: 2)
        #expect(stage.sent.map(\.to) == expected, "a look")
        stage.answerAll()
        #expect(stage.outcomes.count == 2)
    }

    @Test("D8: chosen values follow to the third, of each register the last alone, in one go")
    func trail_isSentTogether() throws {
        var stage = try Stage(own: RegisterNet.steward(0))
        for version in UInt64(0)..<3 {
            stage.change(version, token: version)
            stage.change(version, key: "other", token: 10 + version)
            stage.answerAll()
        }
        #expect(stage.acceptors[2].accepted("k") == nil)
        stage.advance(Self.parameters.trailSpan)
        #expect(stage.sent.map(\.to) == [RegisterNet.steward(2), RegisterNet.steward(2)])
        stage.answerAll()
        #expect(stage.acceptors[2].accepted("k")?.version == 3)
        #expect(stage.acceptors[2].accepted("other")?.version == 3)
        #expect(stage.proposer.nextDeadline == nil)
    }

    @Test("D8: large values follow at once, so that few of them are kept")
    func trail_isBounded() throws {
        var stage = try Stage(own: RegisterNet.steward(0))
        let payload = [UInt8](repeating: 7, count: RegisterValue.payloadLengthMax)
        let count = Self.parameters.trailBytesMax / payload.count + 1
        for index in 0..<count {
            let command = RegisterCommand.compareAndSet(
                key: "large \(index)",
                expectedVersion: 0,
                payload: payload,
                stage.proposer.makeOperationID()
            )
            stage.proposer.start(command, token: UInt64(index), now: stage.now)
            stage.collect()
            stage.answerAll()
        }
        for index in 0..<count {
            #expect(stage.acceptors[2].accepted("large \(index)")?.version == 1)
        }
    }

    @Test("D8: where one of the majority is slow the third is asked, and before it for a while")
    func reach_slowIsLast() throws {
        let (own, slow, third) = (
            RegisterNet.steward(0), RegisterNet.steward(1), RegisterNet.steward(2)
        )
        var stage = try Stage(own: own)
        stage.change(0, token: 1)
        stage.sent.removeAll { $0.to == slow }
        stage.answer()
        stage.advance(Self.parameters.hedgeSpan)
        #expect(stage.sent.map(\.to) == [third])
        stage.answerAll()
        #expect(stage.outcomes[1] != nil)
        stage.change(1, token: 2)
        #expect(stage.sent.map(\.to) == [own, third])
        stage.answerAll()
        stage.advance(Self.parameters.slowSpan)
        stage.sent = []
        stage.change(2, token: 3)
        #expect(stage.sent.map(\.to) == [own, slow])
        // It is slow again: the next while is twice as long.
        stage.sent.removeAll { $0.to == slow }
        stage.answer()
        stage.advance(Self.parameters.hedgeSpan)
        stage.answerAll()
        stage.advance(Self.parameters.slowSpan)
        stage.sent = []
        stage.change(3, token: 4)
        #expect(stage.sent.map(\.to) == [own, third])
    }

    @Test("D8: one that does not serve yet is not waited for")
    func reach_notReady() throws {
        var stage = try Stage(own: RegisterNet.steward(0))
        stage.change(0, token: 1)
        let message = try #require(stage.sent.last).0
        stage.sent.removeLast()
        stage.answer()
        stage.proposer.receive(
            .notReady(round: message.round),
            from: RegisterNet.steward(1),
            now: stage.now
        )
        stage.collect()
        #expect(stage.sent.map(\.to) == [RegisterNet.steward(2)])
        stage.answerAll()
        #expect(stage.outcomes[1] != nil)
    }

    @Test(
        "D8: where one has promised another, the third decides, in both phases, in either order",
        arguments: [true, false]
    )
    func reach_thirdDecides(isRefusalFirst: Bool) throws {
        let own = RegisterNet.steward(0)
        var stage = try Stage(own: own)
        stage.change(0, token: 1)
        stage.answerAll()
        stage.followTrail()
        // Another's phase one has come to the second alone.
        let rival = Ballot(epoch: 1, counter: 500, proposer: NodeID(high: 0, low: 8), boot: 1)
        let prepare = RegisterMessage.prepare(round: 1, epoch: 1, key: "k", ballot: rival)
        _ = stage.acceptors[1].receive(prepare, from: rival.proposer)
        stage.change(1, token: 2)
        #expect(stage.sent.count == 2)
        if isRefusalFirst { stage.sent.reverse() }
        stage.answer()
        #expect(stage.sent.map(\.to) == [RegisterNet.steward(2)])
        stage.answerAll()
        #expect(stage.outcomes[2].map { if case .committed = $0 { true } else { false } } == true)
        // A read of another finds the value at the third and at the first.
        #expect(stage.acceptors[2].accepted("k")?.version == 2)
    }

    @Test("D8: phase two is not left to one that has refused phase one")
    func reach_phaseTwoStaysWide() throws {
        let own = RegisterNet.steward(0)
        var stage = try Stage(own: own)
        let rival = Ballot(epoch: 1, counter: 500, proposer: NodeID(high: 0, low: 8), boot: 1)
        let prepare = RegisterMessage.prepare(round: 1, epoch: 1, key: "k", ballot: rival)
        _ = stage.acceptors[1].receive(prepare, from: rival.proposer)
        stage.change(0, token: 1)
        stage.answer()
        #expect(stage.sent.map(\.to) == [RegisterNet.steward(2)], "phase one")
        stage.answer()
        #expect(Set(stage.sent.map(\.to)).contains(RegisterNet.steward(2)), "phase two")
        stage.answerAll()
        #expect(stage.outcomes[1].map { if case .committed = $0 { true } else { false } } == true)
    }

    @Test("D8: a read over two that disagree looks at all three anew, and writes nothing")
    func read_looksAnew() throws {
        var stage = try Stage(own: RegisterNet.steward(1))
        let other = NodeID(high: 0, low: 8)
        for version in UInt64(1)...2 {
            let ballot = Ballot(epoch: 1, counter: version, proposer: other, boot: 1)
            let operation = OperationID(node: other, boot: 1, number: version)
            let value = RegisterValue(version: version, operation: operation, payload: [1])
            // The second of two changes has not come to the third steward.
            for index in version == 1 ? [0, 1, 2] : [0, 1] {
                let accepted = AcceptedValue(ballot: ballot, value: value)
                _ = stage.acceptors[index].receive(
                    .accept(round: 1, epoch: 1, key: "k", accepted, next: ballot),
                    from: other
                )
            }
        }
        stage.read(token: 1)
        #expect(stage.sent.map(\.to) == [RegisterNet.steward(1), RegisterNet.steward(2)])
        stage.answer()
        #expect(stage.sent.count == 3)
        #expect(stage.sent.allSatisfy { if case .look = $0.0 { true } else { false } })
        stage.answer()
        guard case .value(let read) = stage.outcomes[1] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(read.version == 2)
        #expect(stage.sent.isEmpty)
    }

    @Test("D8: everybody is asked after a lost race")
    func reach_afterLostRace() throws {
        var stage = try Stage(own: RegisterNet.steward(0))
        stage.change(0, token: 1)
        stage.answerAll()
        stage.interfere(version: 2)
        stage.change(1, token: 2)
        stage.answer()
        var asked: [NodeID] = []
        for _ in 0..<100 where asked.isEmpty {
            stage.advance(.milliseconds(1))
            asked = stage.sent.compactMap { message, steward in
                if case .prepare = message { steward } else { nil }
            }
        }
        #expect(asked.count == 3)
    }

    @Test("D8: what is yet to follow is dropped when other stewards come: a majority had it")
    func trail_otherGroup() throws {
        var stage = try Stage(own: RegisterNet.steward(0))
        stage.change(0, token: 1)
        stage.answerAll()
        stage.proposer.adopt(RegisterNet.group(2, 0..<3), now: stage.now)
        stage.collect()
        stage.advance(Self.parameters.trailSpan)
        #expect(stage.sent.isEmpty)
    }
}
