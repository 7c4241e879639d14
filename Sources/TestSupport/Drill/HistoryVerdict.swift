package import Bench
package import HistoryCheck

/// What all checkers say of one history.
package struct HistoryVerdict: Sendable {
    /// Registers.
    package let registers: RegisterCheck
    /// Addresses.
    package let addresses: AddressCheck
    /// Records.
    package let records: RecordCheck
    /// What never goes backward.
    package let stamps: MonotonicCheck
    /// Configurations.
    package let epochs: EpochCheck
    private let operations: [Operation]

    /// Judges a history.
    ///
    /// - Throws: ``HistoryCheck/HistoryError`` where it is none.
    package init(_ events: [HistoryEvent]) throws(HistoryError) {
        operations = try Operation.pair(events)
        registers = RegisterCheck(operations)
        addresses = AddressCheck(operations)
        records = RecordCheck(operations)
        stamps = MonotonicCheck(operations)
        epochs = EpochCheck(operations)
    }

    /// Whether nothing is wrong, and everything was decided.
    package var holds: Bool { violations.isEmpty && registers.undecided.isEmpty }

    /// Everything that is wrong, for people.
    package var violations: [String] {
        registers.violations.map(\.text) + addresses.violations.map(\.text)
            + records.violations.map(\.text) + stamps.violations.map(\.text)
            + epochs.violations.map(\.text)
    }

    /// The longest time in which no register operation succeeded anywhere, in milliseconds.
    ///
    /// From the first such operation to the last; nil with fewer than two.
    package var longestSilenceMilliseconds: Double? {
        let ends = operations.filter {
            $0.kind == .ok && ($0.function == .read || $0.function == .cas)
        }.map(\.end).sorted()
        let gaps = zip(ends, ends.dropFirst()).map { Double($1 - $0) / 1_000_000 }
        return gaps.max()
    }

    private func count(
        _ functions: [HistoryEvent.Function],
        _ kind: HistoryEvent.Kind
    ) -> Double {
        Double(operations.count { functions.contains($0.function) && $0.kind == kind })
    }

    /// The numbers, as benches and drills write them.
    package var figures: [Figure] {
        func number(_ name: String, _ value: Int, isWrong: Bool = false) -> Figure {
            Figure(
                "jepsen.\(name)",
                unit: "count",
                ours: Double(value),
                atMost: isWrong ? 0 : nil,
                runs: 1
            )
        }
        func counts(_ name: String, _ functions: [HistoryEvent.Function]) -> [Figure] {
            [HistoryEvent.Kind.ok, .fail, .info].map {
                number("\(name).\($0.rawValue)", Int(count(functions, $0)))
            }
        }
        var figures = counts("registers", [.read, .cas])
        figures += [
            number("registers.keys", registers.keys),
            number("registers.violations", registers.violations.count, isWrong: true),
            number("registers.undecided", registers.undecided.count, isWrong: true),
            Figure(
                "jepsen.registers.longestSilence",
                unit: "ms",
                ours: longestSilenceMilliseconds,
                runs: 1
            ),
        ]
        figures += counts("addresses.alloc", [.alloc]) + counts("addresses.free", [.free])
        figures += [
            number("addresses.reused", addresses.reused),
            number("addresses.violations", addresses.violations.count, isWrong: true),
            number("records.acknowledged", records.acknowledged),
            number("records.removed", records.removed),
            number("records.stale", records.stale),
            number("records.lingering", records.lingering),
        ]
        for kind in [RecordCheck.Violation.Kind.lost, .resurrected] {
            let wrong = Set(records.violations.filter { $0.kind == kind }.map(\.record))
            figures.append(number("records.\(kind.rawValue)", wrong.count, isWrong: true))
        }
        for percent in [50.0, 99.0] {
            figures.append(
                Figure(
                    "jepsen.records.stable.p\(Int(percent))",
                    unit: "ms",
                    ours: records.latency(percent: percent),
                    runs: records.latenciesMilliseconds.count
                )
            )
        }
        return figures + [
            number("stamps.seen", stamps.count),
            number("stamps.violations", stamps.violations.count, isWrong: true),
            number("epochs.seen", epochs.epochs.count),
            number("epochs.violations", epochs.violations.count, isWrong: true),
        ]
    }
}
