import Determinism
import Foundation
import Statistics
import Testing

@testable import Bench

@Suite("What samples are summed up as")
struct PercentilesTests {
    @Test(
        "a percentile is the smallest sample that so many do not exceed",
        arguments: [
            ([7.0], 7.0, 7.0, 7.0), ([2.0, 1.0], 1.0, 2.0, 2.0), ([3.0, 1.0, 2.0], 2.0, 3.0, 3.0),
            ((1...100).map(Double.init), 50.0, 99.0, 100.0),
            ((1...200).reversed().map(Double.init), 100.0, 198.0, 200.0),
        ]
    )
    func nearestRank(samples: [Double], p50: Double, p99: Double, max: Double) throws {
        let percentiles = try #require(Percentiles(samples))
        #expect(percentiles.p50 == p50)
        #expect(percentiles.p99 == p99)
        #expect(percentiles.max == max)
        #expect(percentiles.count == samples.count)
    }

    @Test("nothing has no percentiles")
    func empty() {
        #expect(Percentiles([]) == nil)
        #expect(Percentiles(milliseconds: []) == nil)
    }

    @Test("spans are told in milliseconds, with their microseconds")
    func spans() throws {
        let percentiles = try #require(Percentiles(milliseconds: [Span(microseconds: 1_234)]))
        #expect(percentiles.p50 == 1.234)
    }

    @Test("the spread compares the medians of runs in a row, in the order they were taken")
    func spread() {
        #expect(Percentiles.spread([10, 10, 10, 10, 10, 10]) == 0)
        #expect(Percentiles.spread([8, 8, 10, 10, 12, 12]) == 0.4)
        #expect(Percentiles.spread([8, 10, 12]) == nil)
    }
}

@Suite("Figures, as people and programs read them")
struct FigureTests {
    private func object(_ figure: Figure) throws -> [String: Any] {
        let text = try Figure.json([figure])
        let array = try JSONSerialization.jsonObject(with: Data(text.utf8))
        return try #require((array as? [[String: Any]])?.first)
    }

    @Test("a figure with everything has the nine keys")
    func whole() throws {
        let object = try object(
            Figure("a.b", unit: "ms", ours: 1, peer: 4, peerName: "other", atMost: 2, runs: 3)
        )
        #expect(
            object.keys.sorted() == [
                "bar", "holds", "name", "ours", "peer", "peerName", "ratio", "runs", "unit",
            ]
        )
        #expect(object["ratio"] as? Double == 0.25)
        #expect(object["holds"] as? Bool == true)
    }

    @Test("what was not taken is absent, and nothing follows from it")
    func absent() throws {
        let noPeer = try object(Figure("a", unit: "ms", ours: 1, peerName: "other", runs: 3))
        #expect(noPeer.keys.sorted() == ["name", "ours", "runs", "unit"])
        let noOurs = try object(
            Figure("a", unit: "ms", ours: nil, peer: 4, peerName: "other", atMost: 2, runs: 3)
        )
        #expect(noOurs.keys.sorted() == ["bar", "name", "peer", "peerName", "runs", "unit"])
        let zeroPeer = try object(Figure("a", unit: "n", ours: 1, peer: 0, peerName: "o", runs: 1))
        #expect(zeroPeer["ratio"] == nil)
    }

    @Test("a bar is kept up to itself", arguments: [(2.0, true), (2.001, false), (0.0, true)])
    func bar(ours: Double, holds: Bool) {
        #expect(Figure("a", unit: "ms", ours: ours, atMost: 2, runs: 1).holds == holds)
    }

    @Test("figures come back from their JSON, and no figures are an empty array")
    func roundTrip() throws {
        let figures = [
            Figure("a", unit: "ms", ours: 1.5, atMost: 2, runs: 3),
            Figure("b", unit: "B/s", ours: nil, peer: 7, peerName: "other", runs: 1),
        ]
        #expect(try Figure.read(Figure.json(figures)) == figures)
        #expect(try Figure.read(Figure.json([])).isEmpty)
    }

    @Test("the table has a line for each figure, and dashes for what is absent")
    func table() {
        let lines = Figure.table([
            Figure("short", unit: "ms", ours: 1, runs: 3),
            Figure(
                "a.longer.name",
                unit: "B/s",
                ours: 9,
                peer: 3,
                peerName: "x",
                atMost: 5,
                runs: 1
            ),
        ]).split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[1].split(separator: " ") == ["short", "ms", "1", "-", "-", "-", "-", "3"])
        #expect(lines[2].contains("NO"))
        #expect(Set(lines.map(\.count)).count == 1)
    }
}
