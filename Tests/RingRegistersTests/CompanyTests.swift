import Determinism
import RingRegisters
import Testing

@Suite("Proposer: several commands at one register")
struct CompanyTests {
    @Test("D6: who waits when phase two is sent is told with it, in one round")
    func company_isToldTogether() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        guard case .committed(let first) = stage.outcomes[1] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        // The first begins phase two at once; the others come while it is under way and wait.
        stage.change(first.version, token: 2)
        for token in UInt64(3)...6 { stage.change(first.version, token: token) }
        #expect(stage.sent.count == 2, "phase two of one command, to a majority of three")
        stage.answer()
        guard case .committed(let second) = stage.outcomes[2] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(stage.outcomes[3] == nil, "it came after phase two was sent")
        // Nobody changes it further: one look for all four of them, and no write.
        #expect(stage.sent.isEmpty)
        stage.advance(.milliseconds(5))
        #expect(stage.sent.count == 2)
        stage.answer()
        for token in UInt64(3)...6 { #expect(stage.outcomes[token] == .conflict(second)) }
        #expect(stage.proposer.commandCount == 0)
    }

    @Test("D6: of those that lost against a change the oldest is told, the others when it is quiet")
    func losers_areNotToldAllAtOnce() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.change(1, token: 2)
        for token in UInt64(3)...5 { stage.change(1, token: token) }
        stage.answer()
        // Who won goes on at once, and the others go along.
        stage.change(2, token: 6)
        stage.answer()
        guard case .committed(let third) = stage.outcomes[6] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(stage.outcomes[3] == .conflict(third))
        #expect(stage.outcomes[4] == nil && stage.outcomes[5] == nil)
        stage.advance(.milliseconds(5))
        stage.answerAll()
        #expect(stage.outcomes[4] == .conflict(third) && stage.outcomes[5] == .conflict(third))
        #expect(stage.proposer.commandCount == 0)
    }

    @Test("D6: a command that came after phase two was sent does not take its outcome on trust")
    func latecomer_isNotToldOfWhatWasBefore() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.change(1, token: 2)
        // Phase two was answered, but that is under way yet; somebody else goes on from there.
        let answers = stage.sent.compactMap { message, steward in
            stage.acceptors[Int(steward.low)].receive(message, from: Stage.own)
                .map { ($0.answer, steward) }
        }
        stage.sent = []
        stage.interfere(version: 3)
        stage.change(1, token: 3)
        for (answer, steward) in answers {
            stage.proposer.receive(answer, from: steward, now: stage.now)
        }
        stage.collect()
        stage.advance(.milliseconds(5))
        stage.answerAll()
        guard case .conflict(let value) = stage.outcomes[3] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(value.version == 3)
    }

    @Test("a read is told what any majority agrees on, whoever of them answers first")
    func read_majorityAgrees() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.followTrail()
        // One steward alone has taken something younger.
        let ballot = Ballot(epoch: 1, counter: 77, proposer: Stage.own, boot: 1)
        let operation = OperationID(node: Stage.own, boot: 1, number: 99)
        let value = RegisterValue(version: 2, operation: operation, payload: [7])
        _ = stage.acceptors[0].receive(
            .accept(
                round: 9,
                epoch: 1,
                key: "k",
                AcceptedValue(ballot: ballot, value: value),
                next: ballot
            ),
            from: Stage.own
        )
        stage.read(token: 2)
        stage.answerAll()
        guard case .value(let read) = stage.outcomes[2] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(read.version == 1)
    }

    @Test("a read over two stewards that disagree goes on without the third after a moment")
    func read_thirdIsSilent() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.followTrail()
        let ballot = Ballot(epoch: 1, counter: 77, proposer: Stage.own, boot: 1)
        let operation = OperationID(node: Stage.own, boot: 1, number: 99)
        let value = RegisterValue(version: 2, operation: operation, payload: [7])
        _ = stage.acceptors[0].receive(
            .accept(
                round: 9,
                epoch: 1,
                key: "k",
                AcceptedValue(ballot: ballot, value: value),
                next: ballot
            ),
            from: Stage.own
        )
        stage.read(token: 2)
        stage.answer()
        #expect(stage.outcomes[2] == nil)
        #expect(
            stage.sent.count == 3,
            "the third may agree with one of them: all are looked at anew"
        )
        stage.sent.removeAll { $0.to == RegisterNet.steward(2) }
        stage.answer()
        #expect(stage.outcomes[2] == nil && stage.sent.isEmpty)
        // The other's ballot is in the way at first, and nobody answers what is handed on.
        for _ in 0..<80 {
            stage.advance(.milliseconds(20))
            stage.sent.removeAll { $0.to == RegisterNet.steward(2) }
            stage.answer()
        }
        guard case .value(let read) = stage.outcomes[2] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(read.version == 2, "what may have been chosen is carried through")
    }

    @Test("D7: after a lost race commands are handed on, and what nobody answers is done here")
    func handOn_andDoItself() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.interfere(version: 2)
        stage.change(1, token: 2)
        // Phase two is refused: somebody else is there.
        stage.answer()
        let handed = stage.sent.compactMap { message, steward -> NodeID? in
            if case .perform = message { steward } else { nil }
        }
        #expect(handed.count == 1)
        stage.change(2, token: 3)
        #expect(
            stage.sent.count { if case (.perform, _) = $0 { true } else { false } } == 2,
            "what comes next is handed on at once"
        )
        // Nobody answers.
        stage.sent = []
        stage.now = Instant(microseconds: 1_000_000)
        stage.proposer.tick(now: stage.now)
        stage.collect()
        stage.answerAll()
        #expect(stage.outcomes[2].map(isConflictOrUnknown) == true)
        guard case .committed(let value) = stage.outcomes[3] else {
            Issue.record("\(stage.outcomes)")
            return
        }
        #expect(value.version == 3)
    }

    @Test("D7: what was handed on and not heard of in time may have been carried out")
    func handOn_tooLate() throws {
        var stage = try Stage()
        stage.change(0, token: 1)
        stage.answerAll()
        stage.interfere(version: 2)
        stage.change(1, token: 2)
        stage.answer()
        stage.change(2, token: 3)
        #expect(stage.sent.contains { if case (.perform, _) = $0 { true } else { false } })
        stage.sent = []
        stage.now = stage.now.advanced(by: Proposer.Parameters().timeout)
        stage.proposer.tick(now: stage.now)
        stage.collect()
        #expect(stage.outcomes[3] == .indeterminate)
    }

    private func isConflictOrUnknown(_ outcome: RegisterOutcome) -> Bool {
        switch outcome {
        case .conflict, .indeterminate: true
        default: false
        }
    }

    @Test("D7: proposers that compete hand on, and what they are told fits together")
    func competing_handOn() {
        var net = RegisterNet(acceptors: 3, proposers: 3, seed: 5)
        for token in UInt64(1)...5 {
            for index in 0..<3 {
                let command = RegisterCommand.compareAndSet(
                    key: "k",
                    expectedVersion: token - 1,
                    payload: [UInt8(index)],
                    net.proposers[index].makeOperationID()
                )
                net.start(index, command, token: token)
            }
            for _ in 0..<2_000 { net.step() }
            let committed = (0..<3).count { index in
                if case .committed = net.outcomes[index]?[token] { true } else { false }
            }
            #expect(committed == 1, "round \(token)")
        }
        #expect(net.helpCount > 0)
    }
}
