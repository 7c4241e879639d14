import Foundation
import Statistics

/// The figures of two programs, side by side; each is the median of the rounds.
struct RingFigures {
    let ours: RingResults?
    let peer: RingResults?
    let settings: RingSettings

    static let peerName = "etcd"

    /// All figures that at least one side has.
    var all: [Figure] {
        var cases: [LoadCase] = []
        for kind in [LoadKind.changeOwn, .changeHot, .readOwn] {
            cases += settings.clientCounts.map { LoadCase(kind: kind, clients: $0) }
        }
        return cases.flatMap(load) + watch
    }

    private func load(_ load: LoadCase) -> [Figure] {
        let (ours, peer) = (ours?.loads[load] ?? [], peer?.loads[load] ?? [])
        guard !ours.isEmpty || !peer.isEmpty else { return [] }
        let runs = (ours.isEmpty ? peer : ours).reduce(0) { $0 + $1.spans.count }
        let isJudged = !load.kind.isRead
        let unit = load.kind.isRead ? "reads/s" : "changes/s"
        let rate = Self.both(ours, peer) { $0.spans.isEmpty ? nil : $0.perSecond }
        var figures = [
            Figure(
                "ring.\(load.name).throughput",
                unit: unit,
                ours: rate.ours,
                peer: rate.peer,
                peerName: Self.peerName,
                atLeast: isJudged ? rate.peer : nil,
                runs: runs
            )
        ]
        let statistics: [(String, (Percentiles) -> Double, Bool)] = [
            ("p50", { $0.p50 }, false), ("p99", { $0.p99 }, isJudged),
        ]
        for (name, take, isJudged) in statistics {
            let value = Self.both(ours, peer) { $0.percentiles.map(take) }
            figures.append(
                Figure(
                    "ring.\(load.name).\(name)",
                    unit: "ms",
                    ours: value.ours,
                    peer: value.peer,
                    peerName: Self.peerName,
                    atMost: isJudged ? value.peer : nil,
                    runs: runs
                )
            )
        }
        return figures + processor(load)
    }

    /// What the members used; of interest where they have to work.
    private func processor(_ load: LoadCase) -> [Figure] {
        guard load.clients == settings.clientCounts.max() else { return [] }
        let ours = ours?.processorPercent[load] ?? []
        let value = Self.both(ours, peer?.processorPercent[load] ?? []) { $0 }
        guard value.ours != nil || value.peer != nil else { return [] }
        return [
            Figure(
                "ring.\(load.name).processor",
                unit: "% of a core",
                ours: value.ours,
                peer: value.peer,
                peerName: Self.peerName,
                runs: settings.rounds * settings.members
            )
        ]
    }

    private var watch: [Figure] {
        let (ours, peer) = (ours?.watches ?? [], peer?.watches ?? [])
        guard !ours.isEmpty || !peer.isEmpty else { return [] }
        typealias Spans = (WatchResult) -> Percentiles?
        let kinds: [(name: String, spans: Spans)] = [
            ("committed", { Percentiles(milliseconds: $0.committed) }),
            ("told", { Percentiles(milliseconds: $0.told) }),
            ("toldAll", { Percentiles(milliseconds: $0.toldAll) }),
        ]
        var figures: [Figure] = []
        for (name, spans) in kinds {
            let runs = (ours.isEmpty ? peer : ours).reduce(0) { $0 + (spans($1)?.count ?? 0) }
            for (statistic, take) in [("p50", \Percentiles.p50), ("p99", \Percentiles.p99)] {
                let value = Self.both(ours, peer) { spans($0)?[keyPath: take] }
                figures.append(
                    Figure(
                        "ring.watch.\(name).\(statistic)",
                        unit: "ms",
                        ours: value.ours,
                        peer: value.peer,
                        peerName: Self.peerName,
                        runs: runs
                    )
                )
            }
        }
        return figures
    }

    /// The medians of the rounds; nil for a side without any.
    private static func both<Round>(
        _ ours: [Round],
        _ peer: [Round],
        _ take: (Round) -> Double?
    ) -> (ours: Double?, peer: Double?) {
        (
            Percentiles(ours.compactMap(take))?.p50, Percentiles(peer.compactMap(take))?.p50
        )
    }

    /// How far the rounds of one and the same case lay apart, in words.
    var noise: String {
        func text(_ name: String, _ results: RingResults?) -> String? {
            let spreads = (results?.loads.values ?? [:].values).compactMap { rounds -> Double? in
                guard rounds.count > 1, let rates = Percentiles(rounds.map(\.perSecond)),
                    rates.p50 > 0
                else { return nil }
                return (rates.max - rates.min) / rates.p50
            }
            guard let all = Percentiles(spreads) else { return nil }
            let (middle, most) = (all.p50 * 100, all.max * 100)
            return "\(name) " + String(format: "%.0f %% (at most %.0f %%)", middle, most)
        }
        let parts = [text("genied", ours), text(Self.peerName, peer)].compactMap { $0 }
        return parts.isEmpty
            ? "too few rounds for a spread"
            : "throughputs of the rounds of a case lie apart by: " + parts.joined(separator: ", ")
    }
}
