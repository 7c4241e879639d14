import Determinism
import HistoryCheck
import Testing

@Suite("Histories of registers are judged")
struct RegisterCheckTests {
    private func check(_ events: [HistoryEvent]) throws -> RegisterCheck {
        RegisterCheck(try Operation.pair(events))
    }

    private func read(
        _ process: Int,
        _ version: UInt64,
        _ content: String?,
        from: Int64,
        until: Int64
    ) -> [HistoryEvent] {
        [
            HistoryEvent(process: process, .invoke, .read, key: "k", at: from),
            HistoryEvent(
                process: process,
                .ok,
                .read,
                key: "k",
                .init(version: version, content: content),
                at: until
            ),
        ]
    }

    private func cas(
        _ process: Int,
        _ expected: UInt64,
        _ content: String,
        _ kind: HistoryEvent.Kind,
        from: Int64,
        until: Int64
    ) -> [HistoryEvent] {
        var output = HistoryEvent.Value()
        if kind == .ok { output = .init(version: expected + 1, content: content) }
        return [
            HistoryEvent(
                process: process,
                .invoke,
                .cas,
                key: "k",
                .init(expected: expected, content: content),
                at: from
            ),
            HistoryEvent(process: process, kind, .cas, key: "k", output, at: until),
        ]
    }

    @Test("a read that overlaps a change may show what was before it or what is after it")
    func overlap() throws {
        let change = cas(1, 0, "a", .ok, from: 10, until: 20)
        #expect(try check(change + read(2, 0, nil, from: 12, until: 15)).holds)
        #expect(try check(change + read(2, 1, "a", from: 12, until: 15)).holds)
        #expect(try check(change + read(2, 1, "a", from: 21, until: 25)).holds)
        #expect(try !check(change + read(2, 0, nil, from: 21, until: 25)).holds)
        #expect(try !check(change + read(2, 1, "a", from: 1, until: 9)).holds)
    }

    @Test("two readers see one order of two changes")
    func oneOrder() throws {
        let changes =
            cas(1, 0, "a", .ok, from: 0, until: 50) + cas(2, 1, "b", .ok, from: 0, until: 50)
        let forward =
            read(3, 1, "a", from: 10, until: 11) + read(4, 2, "b", from: 12, until: 13)
        let backward =
            read(3, 2, "b", from: 10, until: 11) + read(4, 1, "a", from: 12, until: 13)
        #expect(try check(changes + forward).holds)
        #expect(try !check(changes + backward).holds)
    }

    @Test("only one of two changes of the same version takes effect")
    func lostUpdate() throws {
        let both = cas(1, 0, "a", .ok, from: 0, until: 9) + cas(2, 0, "b", .ok, from: 0, until: 9)
        #expect(try !check(both).holds)
    }

    @Test("a change of unknown outcome may take effect late, or never, but not twice or too soon")
    func unknownOutcome() throws {
        let unknown = cas(1, 0, "a", .info, from: 10, until: 20)
        #expect(try check(unknown + read(2, 0, nil, from: 100, until: 110)).holds)
        #expect(try check(unknown + read(2, 1, "a", from: 100, until: 110)).holds)
        let late = read(2, 0, nil, from: 100, until: 110) + read(2, 1, "a", from: 120, until: 130)
        #expect(try check(unknown + late).holds)
        let undone = read(2, 1, "a", from: 100, until: 110) + read(2, 0, nil, from: 120, until: 130)
        #expect(try !check(unknown + undone).holds)
        #expect(try !check(unknown + read(2, 1, "a", from: 1, until: 9)).holds)
    }

    @Test("a change that failed for certain never shows")
    func failed() throws {
        let failed = cas(1, 0, "a", .fail, from: 10, until: 20)
        #expect(try check(failed + read(2, 0, nil, from: 30, until: 40)).holds)
        #expect(try !check(failed + read(2, 1, "a", from: 30, until: 40)).holds)
    }

    @Test("a refusal tells of another version than the expected one, and of one that was held")
    func conflicts() throws {
        func refused(_ expected: UInt64, holds version: UInt64) -> [HistoryEvent] {
            [
                HistoryEvent(
                    process: 2,
                    .invoke,
                    .cas,
                    key: "k",
                    .init(expected: expected, content: "b"),
                    at: 30
                ),
                HistoryEvent(
                    process: 2,
                    .ok,
                    .cas,
                    key: "k",
                    .init(version: version, content: "a", isConflict: true),
                    at: 40
                ),
            ]
        }
        let change = cas(1, 0, "a", .ok, from: 10, until: 20)
        #expect(try check(change + refused(0, holds: 1)).holds)
        #expect(try !check(change + refused(1, holds: 1)).holds)
        #expect(try !check(change + refused(0, holds: 2)).holds)
    }

    @Test("a committed change tells of the next version and of its own content")
    func soundness() throws {
        var change = cas(1, 0, "a", .ok, from: 10, until: 20)
        change[1].value.version = 2
        #expect(try !check(change).holds)
    }

    @Test("what an atomic register gives is explained", arguments: 1...60 as ClosedRange<UInt64>)
    func atomic(seed: UInt64) throws {
        let events = AtomicRegister.history(seed: seed)
        let check = try check(events)
        #expect(check.holds, "\(check.violations.map(\.text))")
        let read = try HistoryEvent.read(HistoryEvent.text(events))
        #expect(read == events)
    }

    @Test(
        "a read of what was overwritten before it began is found",
        arguments: 1...40 as ClosedRange<UInt64>
    )
    func staleRead(seed: UInt64) throws {
        var events = AtomicRegister.history(seed: seed, forgottenPercent: 0)
        let operations = try Operation.pair(events)
        // The newest change that had ended when the read began, and one before it.
        let changes = operations.filter { $0.function == .cas && $0.output.isConflict != true }
        let stale = try #require(
            operations.last { read in
                read.function == .read && changes.filter { $0.end < read.begin }.count >= 2
            }
        )
        let index = try #require(
            events.firstIndex { $0.process == stale.process && $0.type == .ok }
        )
        events[index].value = .init(version: 1, content: changes[0].output.content)
        let check = try check(events)
        #expect(!check.holds)
        let violation = try #require(check.violations.first)
        #expect(violation.operations.contains { $0.process == stale.process })
        #expect(violation.operations.count <= operations.count)
    }

    @Test("an update that is lost is found", arguments: 1...40 as ClosedRange<UInt64>)
    func lostUpdate(seed: UInt64) throws {
        var events = AtomicRegister.history(seed: seed, forgottenPercent: 0)
        let committed = events.filter {
            $0.type == .ok && $0.function == .cas && $0.value.isConflict != true
        }
        // One that others were built on is told of as certainly without effect.
        let newest = committed.compactMap(\.value.version).max() ?? 0
        let victim = try #require(committed.last { $0.value.version ?? 0 < newest })
        let index = try #require(events.firstIndex(of: victim))
        events[index].type = .fail
        #expect(try !check(events).holds)
    }

    @Test("a long history with unknown outcomes is judged within a bounded number of steps")
    func long() throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            let events = AtomicRegister.history(
                seed: seed,
                count: 1_000,
                width: 8,
                forgottenPercent: 4
            )
            let check = RegisterCheck(try Operation.pair(events), stepsMax: 500_000)
            #expect(check.holds, "\(check.undecided)")
        }
    }

    @Test("a search that is given up is neither right nor wrong")
    func givenUp() throws {
        let events = AtomicRegister.history(seed: 3)
        let check = RegisterCheck(try Operation.pair(events), stepsMax: 10)
        #expect(check.undecided == ["k"])
        #expect(check.violations.isEmpty)
        #expect(!check.holds)
    }

    @Test("a counter-example is the shortest beginning, and says who was told what when")
    func counterExample() throws {
        var events = cas(1, 0, "a", .ok, from: 1_000, until: 2_000)
        events += read(2, 1, "a", from: 3_000, until: 4_000)
        events += read(3, 0, nil, from: 5_000, until: 6_000)
        events += cas(4, 1, "b", .ok, from: 7_000, until: 8_000)
        let violation = try #require(try check(events).violations.first)
        #expect(violation.operations.map(\.process) == [1, 3])
        #expect(
            violation.text == """
                register k: no order of these operations explains what they were told
                  [0.000 .. 0.001 ms] process 1: cas version 0 to a -> committed
                  [0.004 .. 0.005 ms] process 3: read -> version 0, nothing
                """
        )
    }

    @Test("a history whose beginnings and ends do not match is refused")
    func malformed() {
        let begin = HistoryEvent(process: 1, .invoke, .read, key: "k", at: 1)
        let end = HistoryEvent(process: 1, .ok, .read, key: "k", at: 2)
        #expect(throws: HistoryError.busy(process: 1, timeNanoseconds: 1)) {
            try Operation.pair([begin, begin])
        }
        #expect(throws: HistoryError.idle(process: 1, timeNanoseconds: 2)) {
            try Operation.pair([end])
        }
        #expect(throws: HistoryError.self) { try HistoryEvent.read("{}\n") }
    }
}
