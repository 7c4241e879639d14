package import Determinism
import RingPeer
import RingPlacement
import Statistics

/// A ring of thousands of whole peers with pods that come and go, measured in virtual time.
///
/// The phases: one founds the ring, the others join within ``Options/joinSpan``; a while without
/// pods; every node follows its groups and starts its pods; a while with so many starts a second;
/// one more node joins. What a process costs in time is not modelled: disks take 1 to 8 ms, one way
/// over the network 1 to 5 ms, and that is all.
package struct RingScale: Sendable {
    /// What is measured.
    package struct Options: Sendable {
        /// The nodes.
        package var nodes = 1_000
        /// The pods of each.
        package var podsPerNode = 110
        /// Pod starts a second, over the whole ring.
        package var startsPerSecond = 1_000
        /// How long starts are measured.
        package var loadSpan = Span.seconds(20)
        /// How long the idle ring is measured.
        package var idleSpan = Span.seconds(10)
        /// Within which time all nodes start.
        package var joinSpan = Span.seconds(10)
        /// Within which time all pods are started before it is measured.
        package var fillSpan = Span.seconds(20)
        /// The slots of the ring: 4,096 above 500 nodes, otherwise 1,024.
        package var slotCount: Int?
        /// What everything follows from.
        package var seed: UInt64 = 1

        /// Makes the defaults.
        package init() {}

        /// Whether a ring may have so many slots.
        package static func isSlotCount(_ count: Int) -> Bool {
            RingConfiguration.isSlotCount(count)
        }
    }

    /// What was measured so far.
    package internal(set) var rows: [ScaleTable.Row] = []
    /// What the run was, for people.
    package internal(set) var notes: [String] = []
    /// Told how far things are.
    package var progress: @Sendable (String) -> Void = { _ in }

    let options: Options
    var world: World<PeerProcess>
    var load: RingScaleLoad
    private var started = 0

    /// Makes the world; nothing runs yet.
    package init(_ options: Options) {
        self.options = options
        var settings = PeerProcess.Settings()
        settings.slotCount = options.slotCount ?? (options.nodes > 500 ? 4_096 : 1_024)
        settings.zoneCount = 8
        settings.reportsMembers = false
        let cache = PictureCache()
        settings.parameters.picture = { cache.picture(of: $0) }
        world = World(settings: settings, seed: options.seed)
        for _ in 0...options.nodes { world.addNode() }
        let groups = RingScaleGroups(nodes: options.nodes, seed: options.seed)
        load = RingScaleLoad(groups: groups, podsPerNode: options.podsPerNode, nodes: options.nodes)
        notes.append(
            "\(options.nodes) nodes in \(settings.zoneCount) zones, \(settings.slotCount) slots, "
                + "\(options.podsPerNode) pods each; groups by number of nodes: \(groups.summary)"
        )
    }

    /// Runs all phases; false where one of them did not come to its end.
    package mutating func run() -> Bool {
        guard join() else { return false }
        measureIdle()
        guard fill() else { return false }
        measureLoad()
        measureTables()
        measurePlacement()
        return joinOneMore()
    }

    /// Adds what the run itself took.
    package mutating func note(residentKilobytes: Double, wallSeconds: Double) {
        add("memory of the run", "kB/node", residentKilobytes / Double(options.nodes))
        let virtual = Double(world.now.microseconds) / 1e6
        add("simulation", "x real time", virtual / max(0.001, wallSeconds))
    }

    // MARK: The clock

    mutating func run(for span: Span) {
        let end = world.now.advanced(by: span)
        while world.step(until: end) {
            if !world.reports.isEmpty { load.absorb(&world) }
        }
        load.absorb(&world)
    }

    /// Runs until `isDone` holds, looking every `interval`; nil where it never did within `limit`,
    /// otherwise how long it took.
    mutating func run(
        every interval: Span,
        limit: Span,
        until isDone: (inout RingScale) -> Bool
    ) -> Span? {
        let begin = world.now
        while !isDone(&self) {
            guard world.now.since(begin) < limit else { return nil }
            run(for: interval)
        }
        return world.now.since(begin)
    }

    mutating func add(
        _ name: String,
        _ unit: String,
        _ ours: Double,
        bar: Double? = nil,
        runs: Int = 1
    ) {
        rows.append(
            ScaleTable.Row(
                name: "\(name), \(options.nodes) nodes",
                unit: unit,
                ours: ours,
                bar: bar,
                runs: runs
            )
        )
    }

    mutating func add(_ name: String, _ spans: [Span], bar: Double? = nil) {
        guard let percentiles = Percentiles(milliseconds: spans) else { return }
        add("\(name) p50", "ms", percentiles.p50, runs: spans.count)
        add("\(name) p99", "ms", percentiles.p99, bar: bar, runs: spans.count)
        add("\(name) max", "ms", percentiles.max, runs: spans.count)
    }

    // MARK: Joining

    private mutating func join() -> Bool {
        world.start(0)
        run(for: .seconds(2))
        let before = world.traffic
        let begin = world.now
        let others = options.nodes - 1
        for node in 1..<max(2, options.nodes) where node < options.nodes {
            let offset = options.joinSpan.microseconds * Int64(node) / Int64(max(1, others))
            let at = begin.advanced(by: Span(microseconds: offset))
            if at > world.now { run(for: at.since(world.now)) }
            world.start(node)
        }
        progress("\(options.nodes) nodes started")
        let nodes = options.nodes
        let settled = run(every: .milliseconds(100), limit: .seconds(120)) { ring in
            ring.world.isOneRing(of: nodes)
        }
        guard let settled else {
            progress("not in one configuration: " + world.census(of: nodes))
            return false
        }
        let epoch = world.epoch(0)
        add("epochs used for joining", "epochs", Double(epoch) - 1)
        add("last start until all have all", "ms", Double(settled.microseconds) / 1_000)
        addConfiguration(since: before, "joining", per: Double(nodes), "kB/node", 1_000)
        progress("joined in \(epoch) epochs")
        return true
    }

    private mutating func addConfiguration(
        since before: Traffic,
        _ phase: String,
        per divisor: Double,
        _ unit: String,
        _ scale: Double
    ) {
        let welcomed = world.traffic.bytes(.welcomes, since: before)
        let told = world.traffic.bytes(.configurations, since: before)
        let changes = world.traffic.bytes(.changes, since: before)
        add("\(phase): welcomes", unit, welcomed / divisor / scale)
        add("\(phase): whole configurations", unit, told / divisor / scale)
        add("\(phase): changes of the configuration", unit, changes / divisor / scale)
    }

    private mutating func joinOneMore() -> Bool {
        let (before, epoch) = (world.traffic, world.epoch(0))
        let nodes = options.nodes
        world.start(nodes)
        let span = run(every: .milliseconds(10), limit: .seconds(30)) { ring in
            ring.world.haveEpoch(after: epoch, nodes: nodes + 1)
        }
        guard let span else { return false }
        add("one more joins, until all have the epoch", "ms", Double(span.microseconds) / 1_000)
        addConfiguration(since: before, "one more joins", per: Double(nodes), "B/node", 1)
        let settled = run(every: .milliseconds(250), limit: .seconds(60)) { ring in
            ring.world.slotsArriving(nodes: nodes + 1) == 0
        }
        guard let settled else { return false }
        add("one more joins, until all is handed over", "ms", Double(settled.microseconds) / 1_000)
        return true
    }

    // MARK: A while without pods

    /// In a large ring the news of the joins go round for minutes still.
    private mutating func measureIdle() {
        run(for: .seconds(5))
        let (traffic, bytes) = (world.traffic, world.bytesSent)
        run(for: options.idleSpan)
        addTraffic("after joining", since: traffic, bytes, options.idleSpan)
        progress("the time after joining measured")
    }

    mutating func addTraffic(
        _ phase: String,
        since before: Traffic,
        _ bytesBefore: UInt64,
        _ span: Span
    ) {
        let seconds = Double(span.microseconds) / 1e6
        let perNode = seconds * Double(options.nodes)
        let unit = "B/s/node"
        add("\(phase): all bytes", unit, Double(world.bytesSent - bytesBefore) / perNode)
        for kind in Traffic.Kind.allCases {
            let bytes = world.traffic.bytes(kind, since: before) / perNode
            guard bytes > 0 else { continue }
            add("\(phase): \(kind.rawValue)", unit, bytes)
        }
        let stewards = Double(max(1, world.stewardCount))
        let sets = world.traffic.messages(7, 2, since: before)
        let looks = world.traffic.messages(7, 9, since: before)
        add("\(phase): registers changed", "1/s", sets / stewards / seconds)
        add("\(phase): registers read", "1/s", looks / stewards / seconds)
    }
}
