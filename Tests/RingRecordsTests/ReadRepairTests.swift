import Determinism
import Testing

@testable import RingRecords

@Suite("A quorum read shows what every later one will show")
struct ReadRepairTests {
    private static let topic = Topic("red")
    private static let own = id(1)
    private static let second = id(2)
    private static let third = id(3)
    private static let origin = id(9)

    private static func id(_ number: UInt64) -> NodeID { NodeID(high: number, low: 0) }

    private static func set(_ sequence: UInt64) -> OriginSet {
        OriginSet(
            topic: topic,
            origin: origin,
            version: RecordVersion(boot: 1, sequence: sequence),
            records: []
        )
    }

    private func records(owners: [NodeID], holding set: OriginSet) -> Records {
        var records = Records(
            own: Self.own,
            boot: 1,
            stored: [set],
            view: OwnershipView(epoch: 1, ownersBySlot: [owners]),
            seed: 1,
            now: .zero
        )
        for node in [Self.second, Self.third] { records.noteReachable(node, true, now: .zero) }
        return records
    }

    /// What was told to whoever asked, behind whichever writes.
    private func outcome(_ effects: [Records.Effect]) -> Records.Outcome? {
        for effect in effects {
            switch effect {
            case .finished(_, let outcome): return outcome
            case .afterWrites(let then), .persist(_, let then):
                if let outcome = outcome(then) { return outcome }
            default: continue
            }
        }
        return nil
    }

    @Test("what comes after the time of a read is not told as if a write quorum had it")
    func late() throws {
        var records = records(owners: [Self.own, Self.second, Self.third], holding: Self.set(1))
        records.read(Self.topic, request: 7, now: .zero)
        records.effects = []
        let late = Instant.zero.advanced(by: records.parameters.requestTimeout)
        records.receive(
            .contents(
                epoch: 1,
                request: 7,
                .init(isWhole: false, sources: [Self.own]),
                part: 0,
                isLast: true,
                sets: [Self.set(2)]
            ),
            from: Self.second,
            now: late
        )
        guard case .incomplete(let sets, _) = outcome(records.effects) else {
            Issue.record("the read is not told to be incomplete")
            return
        }
        #expect(sets == [Self.set(2)])
    }

    @Test("what was being mended when the epoch changed is counted among the new owners only")
    func epochChanges() {
        var records = records(owners: [Self.own, Self.second], holding: Self.set(2))
        records.read(Self.topic, request: 7, now: .zero)
        // The second lacks it and says nothing, and a third becomes an owner.
        records.adopt(
            OwnershipView(epoch: 2, ownersBySlot: [[Self.own, Self.second, Self.third]]),
            now: .zero
        )
        records.effects = []
        let summary = SetSummary(
            topic: Self.topic,
            origin: Self.origin,
            version: Self.set(2).version
        )
        records.receive(
            .stored(epoch: 2, isOwner: true, summaries: [summary]),
            from: Self.third,
            now: .zero
        )
        #expect(outcome(records.effects) == nil)
    }

    @Test("a read that mends when an owner comes begins anew, with the former owners' word")
    func newOwner() {
        var records = records(owners: [Self.own, Self.second], holding: Self.set(2))
        records.read(Self.topic, request: 7, now: .zero)
        let owners = [Self.own, Self.second, Self.third]
        records.adopt(OwnershipView(epoch: 2, ownersBySlot: [owners]), now: .zero)
        records.effects = []
        let summary = SetSummary(
            topic: Self.topic,
            origin: Self.origin,
            version: Self.set(2).version
        )
        records.receive(
            .stored(epoch: 2, isOwner: true, summaries: [summary]),
            from: Self.third,
            now: .zero
        )
        // The second may still answer for itself, in the epoch that it knows.
        #expect(outcome(records.effects) == nil)
    }

    @Test("an owner takes over from a watcher what no owner holds any more")
    func watcherKnowsMore() {
        var records = records(owners: [Self.own], holding: Self.set(1))
        func asked(_ sequence: UInt64) -> [SetSummary] {
            records.effects = []
            let version = Self.set(sequence).version
            let known = [OriginVersion(origin: Self.origin, version: version)]
            records.receive(
                .watch(epoch: 1, topic: Self.topic, after: 0, known: known),
                from: Self.third,
                now: .zero
            )
            return records.effects.flatMap { effect -> [SetSummary] in
                if case .send(.fetch(1, let sets), to: Self.third) = effect { sets } else { [] }
            }
        }
        #expect(asked(1).isEmpty)
        #expect(asked(2).map(\.version) == [Self.set(2).version])
        records.receive(.put(epoch: 1, sets: [Self.set(2)]), from: Self.third, now: .zero)
        #expect(asked(2).isEmpty)
    }

    @Test("while a slot moves, what a read shows is on a write quorum of its former owners as well")
    func moving() {
        var records = records(owners: [Self.own, Self.second], holding: Self.set(2))
        let owners = [Self.own, Self.second, Self.third]
        records.adopt(OwnershipView(epoch: 2, ownersBySlot: [owners]), now: .zero)
        records.effects = []
        records.read(Self.topic, request: 7, now: .zero)
        records.receive(
            .contents(
                epoch: 2,
                request: 7,
                .init(isWhole: false, sources: [Self.own, Self.second]),
                part: 0,
                isLast: true,
                sets: [Self.set(2)]
            ),
            from: Self.third,
            now: .zero
        )
        // Two of three owners have it, but whoever is behind may ask the second alone.
        #expect(outcome(records.effects) == nil)
        let summary = SetSummary(
            topic: Self.topic,
            origin: Self.origin,
            version: Self.set(2).version
        )
        records.receive(
            .stored(epoch: 1, isOwner: true, summaries: [summary]),
            from: Self.second,
            now: .zero
        )
        #expect(outcome(records.effects) == .contents([Self.set(2)]))
    }

    @Test("a former owner that was removed for good is not waited for: it answers nobody any more")
    func removedFormers() {
        let fourth = Self.id(4)
        let fifth = Self.id(5)
        var records = records(
            owners: [Self.own, Self.second, Self.third],
            holding: Self.set(2)
        )
        for node in [fourth, fifth] { records.noteReachable(node, true, now: .zero) }
        records.adopt(
            OwnershipView(
                epoch: 2,
                ownersBySlot: [[Self.own, fourth, fifth]],
                members: SortedSet([Self.own, fourth, fifth, Self.origin])
            ),
            now: .zero
        )
        records.effects = []
        records.read(Self.topic, request: 7, now: .zero)
        for (node, sets) in [(fourth, [Self.set(2)]), (fifth, [])] {
            #expect(outcome(records.effects) == nil)
            records.receive(
                .contents(
                    epoch: 2,
                    request: 7,
                    .init(isWhole: true, sources: []),
                    part: 0,
                    isLast: true,
                    sets: sets
                ),
                from: node,
                now: .zero
            )
        }
        #expect(outcome(records.effects) == .contents([Self.set(2)]))
    }

    @Test(
        "of so many former owners left, so many must hold what is shown",
        arguments: [(3, 3, 2), (3, 2, 1), (3, 1, 0), (3, 0, 0), (2, 2, 2), (2, 1, 1), (1, 1, 1)]
    )
    func formersNeeded(count: Int, left: Int, needed: Int) {
        let formers = Records.FormerOwners(
            owners: (0..<left).map { Self.id(UInt64($0)) },
            count: count,
            until: .zero
        )
        #expect(formers.needed(writeQuorum: 2) == needed)
    }
}
