import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRecords

extension RingScale {
    /// Every node follows its groups and starts its pods, spread over a while.
    mutating func fill() -> Bool {
        for node in 0..<options.nodes { load.subscribe(node, in: &world) }
        run(for: .seconds(2))
        let before = world.traffic
        var places: [(node: Int, group: Int)] = []
        for node in 0..<options.nodes {
            for group in load.groups.groupsByNode[node] { places.append((node, group)) }
        }
        var generator = SeededGenerator(seed: options.seed &+ 1)
        places.shuffle(using: &generator)
        let begin = world.now
        for (number, place) in places.enumerated() {
            let offset = options.fillSpan.microseconds * Int64(number) / Int64(places.count)
            let at = begin.advanced(by: Span(microseconds: offset))
            if at > world.now { run(for: at.since(world.now)) }
            load.fill(place.node, group: place.group, in: &world)
        }
        let isDone = run(every: .milliseconds(250), limit: .seconds(60)) {
            $0.load.startsUnderWay == 0
        }
        let seconds = Double(max(1, options.fillSpan.microseconds)) / 1e6
        let stewards = Double(max(1, world.stewardCount))
        let sets = world.traffic.messages(7, 2, since: before) / stewards
        add("while filled: registers changed", "1/s", sets / seconds)
        progress("filled; failures: \(load.failures)")
        guard isDone != nil else { return false }
        run(for: .seconds(3))
        return true
    }

    /// A while with so many starts a second over the whole ring.
    mutating func measureLoad() {
        let (traffic, bytes) = (world.traffic, world.bytesSent)
        load.isMeasured = true
        var generator = SeededGenerator(seed: options.seed &+ 2)
        let begin = world.now
        let count = Int64(options.startsPerSecond) * options.loadSpan.milliseconds / 1_000
        for number in 0..<count {
            let offset = options.loadSpan.microseconds * number / max(1, count)
            let at = begin.advanced(by: Span(microseconds: offset))
            if at > world.now { run(for: at.since(world.now)) }
            let node = Int.random(in: 0..<options.nodes, using: &generator)
            let own = load.groups.groupsByNode[node]
            load.start(node, group: own[Int.random(in: own.indices, using: &generator)], in: &world)
        }
        let end = begin.advanced(by: options.loadSpan)
        if end > world.now { run(for: end.since(world.now)) }
        addTraffic("load", since: traffic, bytes, options.loadSpan)
        let isDone = run(every: .milliseconds(100), limit: .seconds(30)) {
            $0.load.startsUnderWay == 0 && $0.load.changesUnderWay == 0
        }
        load.isMeasured = false
        add("pod start to acknowledgement", load.acknowledged)
        add("change to all subscribers", load.seenByAll, bar: 1_000)
        let missing = isDone == nil ? load.changesUnderWay + load.startsUnderWay : 0
        add("starts without an end", "starts", Double(missing), bar: 0)
        let failed = load.failures.values.reduce(0, +)
        add("starts that failed", "starts", Double(failed), bar: 0)
        let seconds = Double(options.loadSpan.microseconds) / 1e6
        add("changes told to subscribers", "1/s", Double(load.deliveries) / seconds)
        if failed > 0 { notes.append("failures: \(load.failures)") }
        progress("load measured")
    }

    /// What a steward holds, and what one peer's tables take.
    mutating func measureTables() {
        let stewards = (0..<options.nodes).filter { world.process($0)?.peer.stewardGroup != nil }
        if let steward = stewards.first {
            let rows = world.disk(steward).rows.filter {
                $0.key.space == PeerRow.Space.acceptor.rawValue
            }
            let bytes = rows.reduce(0) { $0 + $1.key.key.count + $1.value.count }
            add("registers at a steward", "rows", Double(rows.count))
            add("registers at a steward, bytes", "kB", Double(bytes) / 1_000)
        }
        guard let sample = (0..<options.nodes).first(where: { !stewards.contains($0) }) else {
            return
        }
        for (name, bytes) in world.tableBytes(sample) {
            add("tables of one peer: \(name)", "kB", Double(bytes) / 1_000)
        }
    }

    /// How even the slots lie, and what moves when one node joins.
    mutating func measurePlacement() {
        guard let peer = world.process(0)?.peer else { return }
        let placement = peer.placement
        var counts: [NodeID: Int] = [:]
        for slot in 0..<placement.slotCount {
            for owner in placement.owners(of: Slot(index: slot)) { counts[owner, default: 0] += 1 }
        }
        let places = Double(placement.slotCount * placement.ownerCount)
        let mean = places / Double(max(1, peer.configuration.members.count))
        add(
            "slots of a node, max over mean",
            "ratio",
            Double(counts.values.max() ?? 0) / mean,
            bar: 1.25
        )
        let extra = RingMember(
            id: NodeID(high: .max, low: .max),
            name: "extra",
            zone: "zone0",
            address: world.address(0)
        )
        guard case .changed(let wider) = peer.configuration.adding(extra) else { return }
        let moves = Placement(wider).moves(since: placement)
        let moved = moves.reduce(0) { $0 + $1.gainers.count }
        let share = places / Double(peer.configuration.members.count + 1)
        add("places moved by one join, over its share", "ratio", Double(moved) / share)
    }
}
