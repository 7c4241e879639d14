import Bench
import Drill
import HistoryCheck
import Testing

@Suite("A verdict sums up what the checkers say")
struct VerdictTests {
    private func reads(_ versions: [UInt64]) -> [HistoryEvent] {
        versions.enumerated().flatMap { index, version in
            let time = Int64(index) * 1_000_000
            return [
                HistoryEvent(process: 1, .invoke, .read, key: "k", at: time),
                HistoryEvent(
                    process: 1,
                    .ok,
                    .read,
                    key: "k",
                    .init(version: version, content: version == 0 ? nil : "a"),
                    at: time + 500_000
                ),
            ]
        }
    }

    @Test("a history without fault holds, and its figures are counted")
    func good() throws {
        let verdict = try HistoryVerdict(reads([0, 0, 0]))
        #expect(verdict.holds)
        #expect(verdict.longestSilenceMilliseconds == 1)
        let figures = verdict.figures
        #expect(figures.first { $0.name == "jepsen.registers.ok" }?.ours == 3)
        #expect(figures.allSatisfy { $0.holds != false })
    }

    @Test("what one checker finds is in the verdict and breaks its bar")
    func bad() throws {
        let verdict = try HistoryVerdict(reads([0, 1, 0]))
        #expect(!verdict.holds)
        #expect(verdict.violations.count == 1)
        let figure = verdict.figures.first { $0.name == "jepsen.registers.violations" }
        #expect(figure?.holds == false)
    }
}
