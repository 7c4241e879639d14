import Testing

@testable import HistoryCheck

@Suite("Histories of addresses, records, stamps and epochs are judged")
struct OtherChecksTests {
    private func pair(
        _ function: HistoryEvent.Function,
        _ key: String,
        _ output: HistoryEvent.Value = .init(),
        _ kind: HistoryEvent.Kind = .ok,
        process: Int = 1,
        from: Int64,
        until: Int64
    ) -> Operation {
        Operation(
            process: process,
            function: function,
            key: key,
            input: .init(),
            begin: from,
            kind: kind,
            output: output,
            end: until
        )
    }

    private func alloc(_ holder: String, _ address: String, _ from: Int64) -> Operation {
        pair(.alloc, holder, .init(content: address), from: from, until: from + 5)
    }

    private func free(
        _ holder: String,
        _ from: Int64,
        _ kind: HistoryEvent.Kind = .ok
    ) -> Operation {
        pair(.free, holder, .init(), kind, from: from, until: from + 5)
    }

    @Test("an address that was given back may be given out again")
    func reuse() {
        let check = AddressCheck([alloc("a", "1", 0), free("a", 20), alloc("b", "1", 21)])
        #expect(check.violations.isEmpty)
        #expect(check.reused == 1)
        #expect(check.holds.count == 2)
    }

    @Test("an address that is given back in the instant in which it came is not kept")
    func freedAtOnce() {
        let check = AddressCheck([alloc("a", "1", 0), free("a", 5), alloc("b", "1", 20)])
        #expect(check.violations.isEmpty)
        #expect(check.holds.map(\.holder) == ["b"])
    }

    @Test("an address that two have at once is found, also behind a short hold in between")
    func overlap() throws {
        let check = AddressCheck([
            alloc("a", "1", 0), alloc("b", "1", 10), free("b", 20), alloc("c", "1", 30),
            free("c", 40), free("a", 100), alloc("d", "2", 0), alloc("e", "1", 101),
        ])
        #expect(check.violations.map(\.second.holder) == ["b", "c"])
        #expect(check.violations.allSatisfy { $0.first.holder == "a" })
    }

    @Test("what is uncertain is no hold: an unknown gift, and what is being given back")
    func uncertain() {
        let unknown = pair(.alloc, "a", .init(), .info, from: 0, until: 5)
        #expect(AddressCheck([unknown, alloc("b", "1", 10)]).violations.isEmpty)
        let check = AddressCheck([alloc("a", "1", 0), free("a", 20, .info), alloc("b", "1", 30)])
        #expect(check.violations.isEmpty)
    }

    @Test("an address that is given out again before it has rested is found", arguments: [9, 11])
    func rest(rest: Int64) {
        let operations = [alloc("a", "1", 0), free("a", 20), alloc("b", "1", 25)]
        let check = AddressCheck(operations, restNanoseconds: rest)
        #expect(check.violations.isEmpty)
        #expect(check.unrested.map(\.second.holder) == (rest > 10 ? ["b"] : []))
    }

    @Test(
        "a stamp behind one that had ended is found, whoever took them; overlapping ones are free"
    )
    func realTime() {
        func stamp(_ number: UInt64, process: Int, from: Int64, until: Int64) -> Operation {
            var value = HistoryEvent.Value()
            value.stamp = [1, number]
            return pair(.stamp, "a", value, process: process, from: from, until: until)
        }
        let fine = [
            stamp(2, process: 1, from: 0, until: 10), stamp(1, process: 2, from: 10, until: 20),
            stamp(2, process: 3, from: 21, until: 30),
        ]
        #expect(RealTimeCheck(fine).violations.isEmpty)
        let behind = RealTimeCheck(fine + [stamp(1, process: 2, from: 31, until: 40)])
        #expect(behind.violations.map(\.before.process) == [1])
        #expect(behind.count == 4)
    }

    @Test("who asks again is told of the same address, and has it once")
    func repeated() {
        let check = AddressCheck([alloc("a", "1", 0), alloc("a", "1", 10), free("a", 20)])
        #expect(check.holds.map(\.from) == [5])
        #expect(check.violations.isEmpty)
    }

    private func sight(
        _ observer: String,
        _ records: [String],
        at time: Int64,
        isFinal: Bool = false
    ) -> Operation {
        var value = HistoryEvent.Value()
        value.records = records
        value.isFinal = isFinal ? true : nil
        return pair(.observe, observer, value, from: time, until: time + 1)
    }

    private func add(_ record: String, _ from: Int64) -> Operation {
        pair(.add, record, from: from, until: from + 10)
    }

    private func remove(
        _ record: String,
        _ from: Int64,
        _ kind: HistoryEvent.Kind = .ok
    ) -> Operation {
        pair(.remove, record, .init(), kind, from: from, until: from + 10)
    }

    @Test("an acknowledged record that is not there in the end is lost, one that is late is stale")
    func lost() {
        let late = RecordCheck([
            add("a", 0), sight("n1", [], at: 20), sight("n1", ["a"], at: 2_000_020),
            sight("n1", ["a"], at: 3_000_000, isFinal: true),
        ])
        #expect(late.violations.isEmpty)
        #expect(late.stale == 1)
        #expect(late.latency(percent: 50) == 2.00001)
        let lost = RecordCheck([
            add("a", 0), sight("n1", ["a"], at: 20), sight("n1", [], at: 90, isFinal: true),
            sight("n2", ["a"], at: 90, isFinal: true),
        ])
        #expect(lost.violations == [.init(kind: .lost, record: "a", observer: "n1")])
    }

    @Test("a record that flickers counts as late until it stays")
    func flicker() {
        let check = RecordCheck([
            add("a", 0), sight("n1", ["a"], at: 20), sight("n1", [], at: 1_000_010),
            sight("n1", ["a"], at: 5_000_010),
        ])
        #expect(check.stale == 1)
        #expect(check.latency(percent: 99) == 5)
    }

    @Test("a removed record that is there in the end is resurrected, one that lingers is not")
    func resurrected() {
        let begun = [add("a", 0), remove("a", 20), sight("n1", ["a"], at: 40)]
        let lingering = RecordCheck(begun + [sight("n1", [], at: 90, isFinal: true)])
        #expect(lingering.violations.isEmpty)
        #expect(lingering.lingering == 1)
        let check = RecordCheck(begun + [sight("n1", ["a"], at: 90, isFinal: true)])
        #expect(check.violations == [.init(kind: .resurrected, record: "a", observer: "n1")])
    }

    @Test("a record whose removal is unknown may be there or not")
    func unknownRemoval() {
        let begun = [add("a", 0), remove("a", 20, .info)]
        for records in [[], ["a"]] {
            let check = RecordCheck(begun + [sight("n1", records, at: 90, isFinal: true)])
            #expect(check.violations.isEmpty)
        }
    }

    @Test("a stamp that falls is found, per observer and key")
    func monotonic() {
        func stamp(_ observer: Int, _ key: String, _ parts: [UInt64], _ time: Int64) -> Operation {
            var value = HistoryEvent.Value()
            value.stamp = parts
            return pair(.stamp, key, value, process: observer, from: time, until: time)
        }
        let good = [
            stamp(1, "a", [1, 1, 5], 0), stamp(1, "a", [1, 2, 0], 1), stamp(1, "a", [2, 0, 0], 2),
            stamp(2, "a", [1, 1, 1], 3), stamp(1, "b", [0, 0, 0], 4), stamp(1, "a", [2, 0, 0], 5),
        ]
        #expect(MonotonicCheck(good).violations.isEmpty)
        let check = MonotonicCheck(good + [stamp(1, "a", [1, 9, 9], 6)])
        #expect(check.violations.map(\.after) == [[1, 9, 9]])
        #expect(check.count == 7)
    }

    @Test("an epoch that means two things is found")
    func epochs() {
        func epoch(
            _ number: UInt64,
            _ digest: String,
            _ time: Int64,
            of key: String = ""
        ) -> Operation {
            pair(
                .epoch,
                key,
                .init(version: number, content: digest),
                from: time,
                until: time
            )
        }
        let good = [epoch(1, "a", 0), epoch(2, "b", 1), epoch(1, "a", 2)]
        #expect(EpochCheck(good).violations.isEmpty)
        #expect(EpochCheck(good).epochs == [1, 2])
        let check = EpochCheck(good + [epoch(2, "c", 3)])
        #expect(check.violations == [.init(key: "", epoch: 2, digests: ["b", "c"])])
        // The stewards in force have epochs of their own.
        let stewards = [epoch(2, "x", 3, of: "stewards"), epoch(2, "y", 4, of: "stewards")]
        #expect(EpochCheck(good + stewards.prefix(1)).violations.isEmpty)
        let forked = EpochCheck(good + stewards)
        #expect(forked.epochs == [1, 2])
        #expect(forked.violations.map(\.text) == ["stewards: epoch 2 is x to some, to others y"])
    }
}
