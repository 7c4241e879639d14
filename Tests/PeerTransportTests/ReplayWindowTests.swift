import Determinism
import Testing

@testable import PeerTransport

@Suite("ReplayWindow: each counter once")
struct ReplayWindowTests {
    @Test("zero is never fresh, one is at first")
    func start_onlyPositiveIsFresh() {
        let window = ReplayWindow()
        #expect(!window.isFresh(0))
        #expect(window.isFresh(1))
        #expect(window.isFresh(.max))
    }

    @Test("the oldest counter of the window is fresh, the one below it is not")
    func edge_isExact() {
        var window = ReplayWindow()
        window.mark(5_000)
        #expect(window.isFresh(5_000 - (ReplayWindow.width - 1)))
        #expect(!window.isFresh(5_000 - ReplayWindow.width))
    }

    @Test("the largest counter does not overflow")
    func largest_isMarked() {
        var window = ReplayWindow()
        window.mark(1)
        window.mark(.max)
        #expect(!window.isFresh(.max) && !window.isFresh(1))
        #expect(window.isFresh(.max - 1))
    }

    @Test("it agrees with a set of all counters", arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func random_agreesWithSet(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var window = ReplayWindow()
        var seen: Set<UInt64> = []
        var highest: UInt64 = 0
        for step in 0..<50_000 {
            let reach: UInt64 = [1, 70, 1_100, 3_000][Int.random(in: 0...3, using: &generator)]
            let low = highest > 1_200 ? highest - 1_200 : 0
            let counter = UInt64.random(in: low...highest + reach, using: &generator)
            let expected =
                counter > 0 && !seen.contains(counter)
                && (counter > highest || highest - counter < ReplayWindow.width)
            guard window.isFresh(counter) == expected else {
                Issue.record("seed \(seed) step \(step): counter \(counter), highest \(highest)")
                return
            }
            if expected {
                window.mark(counter)
                seen.insert(counter)
                highest = max(highest, counter)
            }
        }
    }
}
