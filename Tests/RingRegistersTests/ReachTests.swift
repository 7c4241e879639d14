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
