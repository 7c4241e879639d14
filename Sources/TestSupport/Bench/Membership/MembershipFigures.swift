import Determinism
import Foundation
import Statistics

/// The figures of two systems, side by side.
struct MembershipFigures {
    let ours: MembershipResults?
    let peer: MembershipResults?
    let settings: MembershipSettings

    /// The bars of our figures, at five members: the README's bars.
    private static let blackholeMedianMilliseconds = 1_500.0
    private static let blackholeMaxMilliseconds = 2_500.0
    private static let crashMedianMilliseconds = 500.0
    private static let bytesPerSecondMax = 3_000.0
    private static let processorPercentMax = 0.5
    private static let residentMegabytesMax = 30.0

    /// All figures that at least one side has.
    var all: [Figure] {
        detections(
            "blackhole",
            \.blackholes,
            Self.blackholeMedianMilliseconds,
            Self.blackholeMaxMilliseconds
        )
            + detections("crash", \.crashes, Self.crashMedianMilliseconds, nil)
            + detections(
                "flood",
                \.floods,
                Self.blackholeMedianMilliseconds,
                Self.blackholeMaxMilliseconds
            )
            + [
                figure("loss.falseDeaths", "verdicts", runs: pauses, atMost: 0) {
                    $0.falseDeaths.map(Double.init)
                },
                figure("failures.falseDeaths", "verdicts", runs: settings.kills * 2, atMost: 0) {
                    $0.blackholes.isEmpty ? nil : Double($0.falseDeathsElsewhere)
                },
                figure("flood.sent", "datagrams/s", runs: settings.floodKills) { $0.floodRate },
                figure("flood.arrived", "packets/s", runs: 1) { $0.floodArrived },
                figure("flood.processor", "% of a core", runs: settings.members) {
                    $0.floodProcessorPercent
                },
                figure("flood.connections", "connections", runs: settings.floodKills) {
                    $0.floodConnections.map(Double.init)
                },
                steady("bytesSent", "B/s", Self.bytesPerSecondMax, \.bytesSentPerSecond),
                steady("bytesReceived", "B/s", Self.bytesPerSecondMax, \.bytesReceivedPerSecond),
                steady("packetsSent", "packets/s", nil, \.packetsSentPerSecond),
                steady("processor", "% of a core", Self.processorPercentMax, \.processorPercent),
                steady("resident", "MB", Self.residentMegabytesMax, \.residentMegabytes),
                steady("anonymous", "MB", nil, \.anonymousMegabytes),
            ].compactMap { $0 }
    }

    private var pauses: Int { (ours ?? peer)?.pauses ?? 0 }

    private func detections(
        _ title: String,
        _ path: KeyPath<MembershipResults, [Detection]>,
        _ medianMax: Double,
        _ max: Double?
    ) -> [Figure] {
        func spans(_ value: (Detection) -> [Span]) -> (ours: Percentiles?, peer: Percentiles?) {
            (
                ours.flatMap { Percentiles(milliseconds: $0[keyPath: path].flatMap(value)) },
                peer.flatMap { Percentiles(milliseconds: $0[keyPath: path].flatMap(value)) }
            )
        }
        let kinds: [(name: String, value: (Detection) -> [Span], isJudged: Bool)] = [
            ("suspected", { [$0.firstSuspicion] }, false), ("first", { [$0.deaths[0]] }, false),
            ("each", { $0.deaths }, false), ("all", { $0.deaths.suffix(1) }, true),
        ]
        var figures: [Figure] = []
        for (name, value, isJudged) in kinds {
            let (ours, peer) = spans(value)
            let statistics: [(String, (Percentiles) -> Double, Double?)] = [
                ("p50", { $0.p50 }, medianMax), ("p99", { $0.p99 }, nil), ("max", { $0.max }, max),
            ]
            for (statistic, take, bar) in statistics where ours != nil || peer != nil {
                figures.append(
                    Figure(
                        "membership.\(title).\(name).\(statistic)",
                        unit: "ms",
                        ours: ours.map(take),
                        peer: peer.map(take),
                        peerName: "serf",
                        atMost: isJudged ? bar : nil,
                        runs: (ours ?? peer)?.count ?? 0
                    )
                )
            }
        }
        return figures
    }

    private func steady(
        _ name: String,
        _ unit: String,
        _ bar: Double?,
        _ path: KeyPath<MembershipResults.Steady, Double>
    ) -> Figure? {
        figure("steady.\(name)", unit, runs: settings.members, atMost: bar) {
            $0.steady?[keyPath: path]
        }
    }

    private func figure(
        _ name: String,
        _ unit: String,
        runs: Int,
        atMost bar: Double? = nil,
        _ value: (MembershipResults) -> Double?
    ) -> Figure? {
        let (ours, peer) = (ours.flatMap(value), peer.flatMap(value))
        guard ours != nil || peer != nil else { return nil }
        return Figure(
            "membership.\(name)",
            unit: unit,
            ours: ours,
            peer: peer,
            peerName: "serf",
            atMost: bar,
            runs: runs
        )
    }

    /// How much the machine itself moved the medians, in words.
    var noise: String {
        func text(_ name: String, _ results: MembershipResults?) -> String? {
            let inOrder = results?.blackholes.compactMap { $0.deaths.last }
                .map { Double($0.microseconds) / 1_000 }
            guard let spread = Percentiles.spread(inOrder ?? []) else { return nil }
            return "\(name) " + String(format: "%.0f %%", spread * 100)
        }
        let parts = [text("genied", ours), text("serf", peer)].compactMap { $0 }
        return parts.isEmpty
            ? "too few blackholes for a spread"
            : "medians of three thirds of the blackholes lie apart by: "
                + parts.joined(separator: ", ")
    }
}
