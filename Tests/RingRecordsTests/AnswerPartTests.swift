import Determinism
import RingRecords
import Testing

@Suite("Answers in parts: one of which a part is missing does not count")
struct AnswerPartTests {
    private let own = NodeID(high: 0, low: 9)
    private let owner = NodeID(high: 0, low: 1)
    private let topic = Topic("t")
    private let standing = RecordMessage.Standing(isWhole: true, sources: [])

    private func records() -> Records {
        let view = OwnershipView(epoch: 1, ownersBySlot: [[owner]])
        var records = Records(own: own, boot: 3, stored: [], view: view, seed: 1, now: .zero)
        records.noteReachable(owner, true, now: .zero)
        return records
    }

    private func set(_ number: UInt64) -> OriginSet {
        OriginSet(
            topic: topic,
            origin: NodeID(high: 1, low: number),
            version: RecordVersion(boot: 1, sequence: 1),
            records: []
        )
    }

    private func contents(_ part: UInt32, isLast: Bool = false) -> RecordMessage {
        .contents(
            epoch: 1,
            request: 7,
            standing,
            part: part,
            isLast: isLast,
            sets: [set(UInt64(part))]
        )
    }

    private func outcome(_ messages: [RecordMessage]) -> [OriginSet]? {
        var records = records()
        records.read(topic, level: .one, request: 7, now: .zero)
        for message in messages { records.receive(message, from: owner, now: .zero) }
        for effect in records.effects.flatMap(behindWrites) {
            if case .finished(7, .contents(let sets)) = effect { return sets }
        }
        return nil
    }

    private func behindWrites(_ effect: Records.Effect) -> [Records.Effect] {
        if case .afterWrites(let effects) = effect { effects } else { [effect] }
    }

    @Test("a read takes an answer of all parts in order, also the second answer after a broken one")
    func read() {
        #expect(outcome([contents(0), contents(1), contents(2, isLast: true)])?.count == 3)
        #expect(outcome([contents(0), contents(2, isLast: true)]) == nil)
        #expect(outcome([contents(1), contents(2, isLast: true)]) == nil)
        let again = [
            contents(0), contents(2, isLast: true), contents(0), contents(1, isLast: true),
        ]
        #expect(outcome(again)?.count == 2)
        // Asked again meanwhile: what belongs to the first answer still counts.
        var records = records()
        records.read(topic, level: .one, request: 7, now: .zero)
        records.receive(contents(0), from: owner, now: .zero)
        records.tick(now: Instant(microseconds: 600_000))
        records.receive(contents(1, isLast: true), from: owner, now: Instant(microseconds: 600_001))
        let sets = records.effects.flatMap(behindWrites).compactMap { effect -> [OriginSet]? in
            if case .finished(7, .contents(let sets)) = effect { sets } else { nil }
        }
        #expect(sets.map(\.count) == [2])
    }

    private func snapshot(_ part: UInt32, revision: UInt64 = 0) -> RecordMessage {
        .snapshot(
            epoch: 1,
            topic: topic,
            standing,
            part: part,
            revision: revision,
            sets: [set(UInt64(part))]
        )
    }

    private func isSynced(_ messages: [RecordMessage]) -> Bool {
        var records = records()
        records.watch(topic, now: .zero)
        for message in messages { records.receive(message, from: owner, now: .zero) }
        return records.isSynced(topic)
    }

    @Test("a watch is synced by all parts in order, and asks again where one was lost")
    func watch() {
        #expect(isSynced([snapshot(0), snapshot(1), snapshot(2, revision: 5)]))
        #expect(!isSynced([snapshot(0), snapshot(2, revision: 5)]))
        #expect(!isSynced([snapshot(1), snapshot(2, revision: 5)]))
        var records = records()
        records.watch(topic, now: .zero)
        records.receive(snapshot(0), from: owner, now: .zero)
        records.receive(snapshot(2, revision: 5), from: owner, now: .zero)
        records.effects = []
        records.tick(now: Instant(microseconds: 700_000))
        let questions = records.effects.compactMap { effect -> [OriginVersion]? in
            if case .send(.watch(_, _, after: 0, let known), to: owner) = effect {
                known
            } else {
                nil
            }
        }
        // What has come is not sent again.
        #expect(questions.map(\.count) == [2])
    }
}
