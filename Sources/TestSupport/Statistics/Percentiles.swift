package import Determinism

/// Samples in order, and what they are summed up as.
package struct Percentiles: Sendable {
    private let samples: [Double]

    /// Takes samples in any order; nil where there are none.
    package init?(_ samples: [Double]) {
        guard !samples.isEmpty else { return nil }
        self.samples = samples.sorted()
    }

    /// Takes spans, as milliseconds; nil where there are none.
    package init?(milliseconds spans: [Span]) {
        self.init(spans.map { Double($0.microseconds) / 1_000 })
    }

    /// How many there are.
    package var count: Int { samples.count }
    /// The smallest.
    package var min: Double { samples[0] }
    /// The largest.
    package var max: Double { samples[samples.count - 1] }
    /// The median.
    package var p50: Double { nearestRank(50) }
    /// Nearly the largest: with fewer than a hundred samples, the largest.
    package var p99: Double { nearestRank(99) }

    /// The smallest sample that at least `percent` of all do not exceed: one that was really seen.
    package func nearestRank(_ percent: Double) -> Double {
        precondition((0...100).contains(percent), "a percentile lies between 0 and 100")
        let rank = (percent / 100 * Double(samples.count)).rounded(.up)
        return samples[Swift.max(0, Int(rank) - 1)]
    }

    /// How far the medians of `parts` runs in a row lie apart, against the whole's median.
    ///
    /// The machine's noise, in the order that the samples were taken; nil with too few of them.
    package static func spread(_ inOrder: [Double], parts: Int = 3) -> Double? {
        guard parts > 1, inOrder.count >= parts * 2, let whole = Percentiles(inOrder),
            whole.p50 > 0
        else { return nil }
        let medians = (0..<parts).compactMap { part in
            let (first, last) = (
                inOrder.count * part / parts, inOrder.count * (part + 1) / parts
            )
            return Percentiles(Array(inOrder[first..<last]))?.p50
        }
        guard let all = Percentiles(medians) else { return nil }
        return (all.max - all.min) / whole.p50
    }
}
