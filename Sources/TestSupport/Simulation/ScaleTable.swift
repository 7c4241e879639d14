package import Determinism
import RingMembership
import Statistics

/// Measures of large simulated rings, each against its bar.
package struct ScaleTable: Sendable {
    /// One figure.
    package struct Row: Sendable {
        /// What was measured.
        package let name: String
        /// Its unit.
        package let unit: String
        /// The figure.
        package let ours: Double
        /// What it must not exceed; nil where it is told only.
        package var bar: Double?
        /// How many measurements stand behind it.
        package var runs = 1

        /// Whether the bar holds; nil without one.
        package var holds: Bool? { bar.map { ours <= $0 } }
    }

    /// What was measured so far.
    package private(set) var rows: [Row] = []

    private let seed: UInt64

    /// Makes an empty table.
    package init(seed: UInt64 = 1) { self.seed = seed }

    private static let rumorsMeasured = 5

    private static func settings() -> MembershipProcess.Settings {
        var settings = MembershipProcess.Settings()
        settings.countsBytes = true
        settings.keepsContacts = false
        return settings
    }

    private static func milliseconds(_ span: Span) -> Double { Double(span.microseconds) / 1_000 }

    /// Measures a formed ring: idle traffic, rumors, kills.
    ///
    /// - Returns: the virtual time that passed.
    package mutating func measure(nodes: Int) -> Span {
        var net = MembershipWorld(
            nodes: nodes,
            seed: seed &+ UInt64(nodes),
            settings: Self.settings()
        )
        net.run(for: .seconds(3))
        measureTraffic(&net, nodes)
        measureRumors(&net, nodes)
        measureKills(&net, nodes)
        return net.now.since(.zero)
    }

    private mutating func measureTraffic(_ net: inout MembershipWorld, _ nodes: Int) {
        let before = net.world.bytesSent
        let seconds = nodes > 1_000 ? 4 : 10
        net.run(for: .seconds(Int64(seconds)))
        let bytes = Double(net.world.bytesSent - before) / Double(seconds * nodes)
        rows.append(
            Row(name: "idle traffic, \(nodes) nodes", unit: "B/s/node", ours: bytes, bar: 3_000)
        )
    }

    /// A member that is accused falsely refutes: its new incarnation has to reach all.
    private mutating func measureRumors(_ net: inout MembershipWorld, _ nodes: Int) {
        var spans: [Span] = []
        for number in 0..<Self.rumorsMeasured {
            let subject = (number * 7 + 1) % nodes
            let before = net.accuse(subject, by: (subject + 1) % nodes)
            let start = net.now
            while !net.world.isKnown(subject, incarnation: before + 1),
                net.now.since(start) < .seconds(10)
            {
                net.run(for: .milliseconds(10))
            }
            if net.now.since(start) < .seconds(10) { spans.append(net.now.since(start)) }
            net.run(for: .seconds(1))
        }
        guard let most = spans.max(), spans.count == Self.rumorsMeasured else { return }
        let bar: Double? = nodes >= 5_000 ? 1_300 : nodes >= 1_000 ? 1_000 : nil
        rows.append(
            Row(
                name: "rumor known to all, \(nodes) nodes, max",
                unit: "ms",
                ours: Self.milliseconds(most),
                bar: bar,
                runs: spans.count
            )
        )
    }

    private mutating func measureKills(_ net: inout MembershipWorld, _ nodes: Int) {
        var spans: [Span] = []
        let kills = nodes > 1_000 ? 3 : 5
        var missing = 0
        for number in 0..<min(kills, max(1, nodes - 2)) {
            let subject = nodes - 1 - number
            net.forgetHistory()
            let start = net.now
            net.crash(subject)
            net.run(for: .seconds(5))
            let found = net.detections(of: subject, since: start)
            missing += net.running.count - found.count
            spans += found.values
        }
        guard let percentiles = Percentiles(milliseconds: spans), missing == 0 else { return }
        let bar: Double? =
            nodes >= 5_000 ? 4_000 : nodes >= 1_000 ? 3_000 : nodes <= 5 ? 2_500 : nil
        rows.append(
            Row(
                name: "gone node found by all, \(nodes) nodes, p50",
                unit: "ms",
                ours: percentiles.p50,
                bar: nodes <= 5 ? 1_500 : nil,
                runs: spans.count
            )
        )
        rows.append(
            Row(
                name: "gone node found by all, \(nodes) nodes, max",
                unit: "ms",
                ours: percentiles.max,
                bar: bar,
                runs: spans.count
            )
        )
    }

    /// Measures how long nodes that all know one seed take to be of one mind.
    package mutating func measureBootstrap(nodes: Int) {
        var net = MembershipWorld(
            nodes: nodes,
            seed: seed,
            start: .still,
            settings: Self.settings()
        )
        net.world.start(0)
        net.world.settings.seedNode = 0
        net.startAll()
        let span = net.run(
            until: { $0.membership(0)?.presentCount == nodes && $0.digestCount == 1 },
            every: .milliseconds(100),
            limit: .seconds(60)
        )
        guard let span else { return }
        rows.append(
            Row(
                name: "\(nodes) nodes joining through one, until of one mind",
                unit: "ms",
                ours: Self.milliseconds(span),
                bar: nodes >= 2_000 ? 15_000 : nil
            )
        )
        rows.append(
            Row(
                name: "traffic of that",
                unit: "kB/node",
                ours: Double(net.world.bytesSent) / Double(nodes) / 1_000
            )
        )
    }

    /// Adds how fast the simulation ran.
    package mutating func note(nodes: Int, virtualSeconds: Double, wallSeconds: Double) {
        rows.append(
            Row(
                name: "simulation, \(nodes) nodes",
                unit: "x real time",
                ours: virtualSeconds / max(0.001, wallSeconds)
            )
        )
    }
}

extension World<MembershipProcess> {
    /// Whether all know a node at this incarnation.
    ///
    /// Mutating, so that the large values are read in place and not copied.
    mutating func isKnown(_ subject: Int, incarnation: UInt64) -> Bool {
        guard let id = identity(subject)?.node else { return false }
        for node in nodes.indices where node != subject {
            guard let isKnown = nodes[node].process?.knows(id, incarnation: incarnation) else {
                continue
            }
            if !isKnown { return false }
        }
        return true
    }
}
