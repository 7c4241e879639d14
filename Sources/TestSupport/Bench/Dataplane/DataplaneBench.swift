import Statistics

/// One path between two pods that is measured.
struct DataplanePath: Hashable, Sendable {
    let place: PathPlace
    let kind: PathKind
    var isV6 = false
}

/// All runs of all paths, by case.
struct DataplaneResults {
    private var runs: [DataplanePath: [TrafficCase: [TrafficResult]]] = [:]

    mutating func add(_ result: TrafficResult, _ path: DataplanePath, _ what: TrafficCase) {
        runs[path, default: [:]][what, default: []].append(result)
    }

    func count(_ path: DataplanePath, _ what: TrafficCase) -> Int {
        runs[path]?[what]?.count ?? 0
    }

    /// The median over the runs of what `take` finds; nil where there is none.
    func median(
        _ path: DataplanePath,
        _ what: TrafficCase,
        _ take: (TrafficResult) -> Double?
    ) -> Double? {
        Percentiles((runs[path]?[what] ?? []).compactMap(take))?.p50
    }

    /// How far the runs of a case lie apart, as a share of their median.
    func spread(_ path: DataplanePath, _ what: TrafficCase) -> Double? {
        guard let all = Percentiles((runs[path]?[what] ?? []).map(\.value)), all.count > 1,
            all.p50 > 0
        else { return nil }
        return (all.max - all.min) / all.p50
    }
}

/// Sends every load along every path, in turns, so that what the machine does meets all alike.
struct DataplaneBench {
    let paths: [DataplanePath: (from: PathEnd, to: PathEnd)]
    let milliseconds: Int
    let say: (String) -> Void

    /// Runs `rounds` rounds of all paths of a place.
    func run(
        _ place: PathPlace,
        cases: [TrafficCase],
        rounds: Int,
        into results: inout DataplaneResults
    ) throws(BenchError) {
        let here = paths.keys.filter { $0.place == place }
            .sorted { Self.order($0) < Self.order($1) }
        for round in 1...rounds {
            for what in cases {
                var words: [String] = []
                for path in here {
                    guard let (from, to) = paths[path] else { continue }
                    let load = TrafficLoad(from: from, to: to)
                    let result = try load.run(what, milliseconds: milliseconds)
                    results.add(result, path, what)
                    let value = (result.value * 10).rounded() / 10
                    words.append("\(path.kind.name)\(path.isV6 ? " IPv6" : "") \(value)")
                }
                say(
                    "\(place.rawValue) round \(round): \(what.rawValue) "
                        + "\(words.joined(separator: ", ")) \(what.unit)"
                )
            }
        }
    }

    private static func order(_ path: DataplanePath) -> Int {
        let kind = PathKind.allCases.firstIndex(of: path.kind) ?? 0
        return kind * 2 + (path.isV6 ? 1 : 0)
    }
}

/// The figures: medians of the rounds, beside the peer's, with the bars that they are held to.
struct DataplaneFigures {
    let results: DataplaneResults

    /// The least that ours may be, in the peer's: the budget of the dataplane.
    private static let floors: [String: Double] = [
        "node.straight.tcp1": 0.95, "node.bridge.tcp1": 1.25,
        "veth.vxlan.tcp1": 1.15, "veth.vxlan.udp64": 1.8,
        "wire.vxlan.tcp1": 1.1, "wire.vxlan.udp64": 1.6,
    ]
    private static let v6Floor = 0.95

    /// Every figure whose both sides were measured.
    var all: [Figure] {
        var figures: [Figure] = []
        for place in PathPlace.allCases {
            for kind in PathKind.allCases where kind != .genie {
                for what in TrafficCase.allCases { figures += compare(place, kind, what) }
            }
            for what in TrafficCase.allCases {
                figures += compareFamilies(place, .genie, what)
                for kind in [PathKind.straight, .vxlan] {
                    figures += compareOverIPv6(place, kind, what)
                    figures += compareFamilies(place, kind, what)
                }
            }
        }
        return figures
    }

    private func compare(
        _ place: PathPlace,
        _ kind: PathKind,
        _ what: TrafficCase
    ) -> [Figure] {
        let (own, other) = (
            DataplanePath(place: place, kind: .genie), DataplanePath(place: place, kind: kind)
        )
        guard let ours = results.median(own, what, \.value),
            let peer = results.median(other, what, \.value)
        else { return [] }
        let name = "dataplane.\(place.rawValue).\(kind.rawValue).\(what.rawValue)"
        let runs = results.count(own, what)
        func figure(
            _ name: String,
            _ unit: String,
            _ ours: Double?,
            _ peer: Double?,
            least: Double? = nil,
            most: Double? = nil
        ) -> Figure {
            Figure(
                name,
                unit: unit,
                ours: ours,
                peer: peer,
                peerName: kind.name,
                atMost: most,
                atLeast: least,
                runs: runs
            )
        }
        let floor = Self.floors["\(place.rawValue).\(kind.rawValue).\(what.rawValue)"]
        switch what {
        case .echo:
            let (ourTail, peerTail) = (
                results.median(own, what, \.p99), results.median(other, what, \.p99)
            )
            // Behind a tunnel, too; the straight pair cannot be matched.
            let bar = kind == .vxlan ? peerTail : nil
            return [
                figure("\(name).p50", what.unit, ours, peer),
                figure("\(name).p99", what.unit, ourTail, peerTail, most: bar),
            ]
        case .tcp1:
            return [
                figure(name, what.unit, ours, peer, least: floor.map { $0 * peer }),
                figure(
                    "\(name).processor",
                    "s/GB",
                    results.median(own, what, \.processorPerGB),
                    results.median(other, what, \.processorPerGB)
                ),
            ]
        case .tcp8, .udp64, .udp1400:
            return [figure(name, what.unit, ours, peer, least: floor.map { $0 * peer })]
        }
    }

    /// A path over IPv6 beside the same over IPv4; the bar is for ours, and what it costs others
    /// says how much of it is the stack's.
    private func compareFamilies(
        _ place: PathPlace,
        _ kind: PathKind,
        _ what: TrafficCase
    ) -> [Figure] {
        let four = DataplanePath(place: place, kind: kind)
        let six = DataplanePath(place: place, kind: kind, isV6: true)
        guard let ours = results.median(six, what, \.value),
            let peer = results.median(four, what, \.value)
        else { return [] }
        let isOurs = kind == .genie
        let name = isOurs ? "ipv6" : "ipv6.\(kind.rawValue)"
        return [
            Figure(
                "dataplane.\(place.rawValue).\(name).\(what.rawValue)",
                unit: what.unit,
                ours: ours,
                peer: peer,
                peerName: isOurs ? "IPv4" : "\(kind.name) IPv4",
                atMost: isOurs && what == .echo ? peer / Self.v6Floor : nil,
                atLeast: isOurs && what != .echo ? peer * Self.v6Floor : nil,
                runs: results.count(six, what)
            )
        ]
    }

    /// Ours over IPv6 beside another's over IPv6.
    private func compareOverIPv6(
        _ place: PathPlace,
        _ kind: PathKind,
        _ what: TrafficCase
    ) -> [Figure] {
        let own = DataplanePath(place: place, kind: .genie, isV6: true)
        let other = DataplanePath(place: place, kind: kind, isV6: true)
        guard let ours = results.median(own, what, \.value),
            let peer = results.median(other, what, \.value)
        else { return [] }
        return [
            Figure(
                "dataplane.\(place.rawValue).\(kind.rawValue)6.\(what.rawValue)",
                unit: what.unit,
                ours: ours,
                peer: peer,
                peerName: "\(kind.name) IPv6",
                runs: results.count(own, what)
            )
        ]
    }

    /// How far the rounds of the same case lie apart: what a difference has to exceed.
    var noise: String {
        let spreads = PathPlace.allCases.flatMap { place in
            PathKind.allCases.flatMap { kind in
                TrafficCase.allCases.compactMap { what in
                    results.spread(DataplanePath(place: place, kind: kind), what)
                }
            }
        }
        guard let all = Percentiles(spreads) else { return "one round says nothing of noise" }
        func percent(_ share: Double) -> Int { Int((share * 100).rounded()) }
        return "the rounds of one case lie apart by \(percent(all.p50)) % of its median (half of "
            + "the cases by less), by \(percent(all.max)) % at the most"
    }
}
