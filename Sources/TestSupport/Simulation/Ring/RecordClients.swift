import Determinism
import HistoryCheck
import RingPeer
import RingPlacement
import RingRecords

/// Agents that publish their pods' records, watch topics and read them.
///
/// Each record has a name that is used once: what was acknowledged under a name is to be there
/// until it is withdrawn.
struct RecordClients: Sendable {
    /// An origin's set under a topic.
    struct Place: Hashable, Sendable {
        let topic: Topic
        let origin: NodeID

        var text: String { "\(topic) of \(origin.short)" }
    }

    /// What one version of a set adds and withdraws.
    private struct Step: Sendable {
        let version: RecordVersion
        let added: [String]
        let withdrawn: [String]
        let begin: Int64
    }

    /// What an origin said under a topic.
    private struct Story: Sendable {
        var live: [String] = []
        /// What went with the machine and is to be withdrawn by the next version.
        var lost: [String] = []
        /// Versions that are not acknowledged yet, the oldest first.
        var open: [Step] = []
        /// What each version held; an old copy of a disk may make a version a second time.
        var contents: [RecordVersion: [[String]]] = [:]
        var acknowledged = RecordVersion.never
    }

    private struct Write: Sendable {
        let place: Place
        let version: RecordVersion
        let begin: Int64
        let node: Int
        /// The epoch in which it was asked for.
        let epoch: UInt64
    }

    private struct Read: Sendable {
        let topic: Topic
        let node: Int
        let begin: Int64
        /// The epoch in which it was asked for.
        let epoch: UInt64
        let isFinal: Bool
        /// The places that there were.
        let places: [Place]
    }

    let topics: [Topic]
    private var stories: [Place: Story] = [:]
    /// The places in the order in which they began.
    private var places: [Place] = []
    private var writes: [RequestToken: Write] = [:]
    private var reads: [RequestToken: Read] = [:]
    /// Origins that an operator took out: who is behind sees their records for a while.
    private var retired: Set<NodeID> = []
    /// Origins of which nothing certain is expected any more.
    private var unspecified: Set<NodeID> = []
    /// How often a node's disk was lost: it sees everything anew then.
    private var observers: [Int]
    private var nextName = 0
    private let pace: Int
    private let watched: [[Topic]]
    /// Last reads that were not answered in full.
    private(set) var unserved: [String] = []

    /// Whether nodes are cut off and run on, so that some may not know of the newest epoch.
    private let comparesWithinEpochs: Bool

    private static let liveMax = 6

    init(nodes: Int, comparesWithinEpochs: Bool, _ bench: inout RingBench) {
        self.comparesWithinEpochs = comparesWithinEpochs
        let topics = (0..<(1 + bench.draw(4))).map { Topic("t\($0)") }
        self.topics = topics
        pace = [2, 5, 15][bench.draw(3)]
        observers = Array(repeating: 0, count: nodes)
        watched = (0..<nodes).map { _ in topics.filter { _ in bench.isDrawn(oneIn: 2) } }
    }

    // MARK: What clients do

    mutating func step(_ bench: inout RingBench) {
        guard bench.isDrawn(oneIn: pace), let node = bench.drawRunning() else { return }
        let topic = topics[bench.draw(topics.count)]
        if bench.isDrawn(oneIn: 2) {
            read(node, topic, &bench)
        } else {
            publish(node, topic, &bench)
        }
    }

    private mutating func publish(_ node: Int, _ topic: Topic, _ bench: inout RingBench) {
        guard let identity = bench.world.identity(node)?.node else { return }
        let place = Place(topic: topic, origin: identity)
        var story = story(place)
        nextName += 1
        var withdrawn: [String] = []
        while story.live.count >= Self.liveMax || (!story.live.isEmpty && bench.isDrawn(oneIn: 3)) {
            withdrawn.append(story.live.remove(at: bench.draw(story.live.count)))
        }
        let added = "\(topic)/\(identity.short)/\(nextName)"
        story.live.append(added)
        stories[place] = story
        send(node, place, added: [added], withdrawn: withdrawn, &bench)
    }

    private mutating func story(_ place: Place) -> Story {
        if let story = stories[place] { return story }
        places.append(place)
        return Story()
    }

    private mutating func send(
        _ node: Int,
        _ place: Place,
        added: [String],
        withdrawn: [String],
        _ bench: inout RingBench
    ) {
        let names = stories[place]?.live ?? []
        let withdrawn = withdrawn + (stories[place]?.lost ?? [])
        let content = names.map { OriginSet.Record(key: $0, content: Self.filler) }
        let begin = bench.nowNanoseconds
        let topic = place.topic
        let token = bench.ask(node) { $0.publish(topic, content, token: $1, now: $2) }
        let set = bench.world.look(node) { $0.records.store.set(topic, place.origin) }
        // A peer that has to stop publishes nothing.
        guard let held = set ?? nil, held.records.map(\.key) == names.sorted() else { return }
        let version = held.version
        stories[place]?.contents[version, default: []].append(names.sorted())
        guard version > lastVersion(place) else { return }
        bench.note(
            node,
            "publishes \(place.text) \(version.boot).\(version.sequence) +\(added) -\(withdrawn)"
        )
        stories[place]?.lost = []
        let step = Step(version: version, added: added, withdrawn: withdrawn, begin: begin)
        stories[place]?.open.append(step)
        writes[token] = Write(
            place: place,
            version: version,
            begin: begin,
            node: node,
            epoch: Self.epoch(of: node, bench)
        )
        for name in withdrawn {
            bench.add(node, .remove, name, begin: begin, .info, end: begin)
        }
    }

    private func lastVersion(_ place: Place) -> RecordVersion {
        stories[place].map { $0.open.last?.version ?? $0.acknowledged } ?? .never
    }

    /// As long as a record of an endpoint, so that a change is much less than its set.
    private static let filler = [UInt8](repeating: 1, count: 60)

    private mutating func read(
        _ node: Int,
        _ topic: Topic,
        isFinal: Bool = false,
        _ bench: inout RingBench
    ) {
        let begin = bench.nowNanoseconds
        let token = bench.ask(node) { $0.read(topic, token: $1, now: $2) }
        let places = places.filter { $0.topic == topic }
        reads[token] = Read(
            topic: topic,
            node: node,
            begin: begin,
            epoch: Self.epoch(of: node, bench),
            isFinal: isFinal,
            places: places
        )
    }

    // MARK: What they are told

    /// Whether an answer was one of these clients'; if so it was taken down.
    mutating func take(
        _ token: RequestToken,
        _ answer: PeerAnswer,
        at time: Instant,
        _ bench: inout RingBench
    ) -> Bool {
        guard case .records(let outcome) = answer else { return false }
        let end = RingBench.nanoseconds(time)
        if let write = writes.removeValue(forKey: token) {
            guard case .stored = outcome else {
                bench.count("records.unacknowledged")
                return true
            }
            bench.note(write.node, "has \(write.place.text) acknowledged")
            bench.count("records.acknowledged")
            acknowledge(write, end: end, &bench)
        } else if let read = reads.removeValue(forKey: token) {
            take(read, outcome, end: end, &bench)
        }
        return true
    }

    private mutating func acknowledge(_ write: Write, end: Int64, _ bench: inout RingBench) {
        guard var story = stories[write.place] else { return }
        for step in story.open where step.version <= write.version {
            for name in step.added {
                bench.add(write.node, .add, name, begin: step.begin, .ok, end: end)
            }
            for name in step.withdrawn {
                bench.add(write.node, .remove, name, begin: step.begin, .ok, end: end)
            }
        }
        story.open.removeAll { $0.version <= write.version }
        story.acknowledged = max(story.acknowledged, write.version)
        stories[write.place] = story
        let span = (begin: write.begin, end: end)
        stamp(write.node, write.place, write.version, span, askedIn: write.epoch, &bench)
    }

    /// Takes down a version for the check of what is told in which order.
    private func stamp(
        _ node: Int,
        _ place: Place,
        _ version: RecordVersion,
        _ span: (begin: Int64, end: Int64),
        askedIn epoch: UInt64,
        _ bench: inout RingBench
    ) {
        guard !retired.contains(place.origin) else { return }
        // What was answered while the epoch changed here may be of either.
        guard !comparesWithinEpochs || epoch == Self.epoch(of: node, bench) else { return }
        bench.add(
            node,
            .stamp,
            comparesWithinEpochs ? "\(place.text) in epoch \(epoch)" : place.text,
            begin: span.begin,
            .ok,
            output: Self.value(version),
            end: span.end
        )
    }

    private static func epoch(of node: Int, _ bench: RingBench) -> UInt64 {
        bench.world.look(node) { $0.configuration.epoch } ?? 0
    }

    private static func value(_ version: RecordVersion) -> HistoryEvent.Value {
        var value = HistoryEvent.Value()
        value.stamp = [version.boot, version.sequence]
        return value
    }

    private mutating func take(
        _ read: Read,
        _ outcome: Records.Outcome,
        end: Int64,
        _ bench: inout RingBench
    ) {
        guard case .contents(let sets) = outcome else {
            bench.count("records.incomplete")
            if read.isFinal {
                unserved.append("n\(read.node) read \(read.topic) in part or not at all")
            }
            return
        }
        bench.count("records.reads")
        for set in sets { check(set, at: read.node, &bench) }
        for place in read.places {
            let version = sets.first { $0.origin == place.origin }?.version ?? .never
            let span = (begin: read.begin, end: end)
            stamp(read.node, place, version, span, askedIn: read.epoch, &bench)
        }
        observe(
            read.node,
            "reads of n\(read.node)",
            read.topic,
            sets,
            isFinal: read.isFinal,
            begin: read.begin,
            end: end,
            &bench
        )
    }

    private func observe(
        _ node: Int,
        _ observer: String,
        _ topic: Topic,
        _ sets: [OriginSet],
        isFinal: Bool,
        begin: Int64,
        end: Int64,
        _ bench: inout RingBench
    ) {
        var value = HistoryEvent.Value()
        value.records = sets.flatMap { $0.records.map(\.key) }
        value.isFinal = isFinal
        bench.add(
            node,
            .observe,
            "\(topic), \(observer)",
            begin: begin,
            .ok,
            output: value,
            end: end
        )
    }

    private func check(_ set: OriginSet, at node: Int, _ bench: inout RingBench) {
        let place = Place(topic: set.topic, origin: set.origin)
        let known = stories[place]?.contents[set.version] ?? []
        guard !known.contains(set.records.map(\.key)) else { return }
        bench.fail(
            .published,
            "n\(node) was told of \(place.text) \(set.version), never published like that"
        )
    }

    /// A set under a watched topic changed at a node.
    mutating func take(_ set: OriginSet, at time: Instant, _ node: Int, _ bench: inout RingBench) {
        check(set, at: node, &bench)
        bench.count("records.seen")
        let end = RingBench.nanoseconds(time)
        bench.add(
            node + observers[node] * bench.world.count,
            .stamp,
            "watched \(set.topic) of \(set.origin.short)",
            begin: end,
            .ok,
            output: Self.value(set.version),
            end: end
        )
    }

    // MARK: What happens to nodes

    /// A process ended: nobody answers what it was asked.
    mutating func noteEnd(of node: Int) {
        writes = writes.filter { $0.value.node != node }
        reads = reads.filter { $0.value.node != node }
    }

    /// A process started: its agent says everything again and follows its topics.
    mutating func noteStart(of node: Int, _ bench: inout RingBench) {
        guard let identity = bench.world.identity(node)?.node else { return }
        for topic in watched[node] { bench.world.act(node) { $0.peer.watch(topic, now: $1) } }
        for place in places where place.origin == identity {
            guard bench.world.isRunning(node) else { return }
            send(node, place, added: [], withdrawn: [], &bench)
        }
    }

    /// A node's disk is another one, or older, than before.
    mutating func noteDiskLoss(of node: Int) { observers[node] += 1 }

    /// A machine is gone, and its pods are: should it come back, it has no records.
    mutating func noteLoss(of identity: NodeID, _ bench: inout RingBench) {
        let now = bench.nowNanoseconds
        for place in places where place.origin == identity {
            for name in stories[place]?.live ?? [] {
                bench.add(-1, .remove, name, begin: now, .info, end: now)
                stories[place]?.lost.append(name)
            }
            stories[place]?.live = []
        }
    }

    /// More was lost than replicas promise to bear: of origins that are gone nothing is expected.
    mutating func expectNothing(of identity: NodeID, _ bench: inout RingBench) {
        guard unspecified.insert(identity).inserted else { return }
        for place in places where place.origin == identity {
            withdrawAll(place, .info, &bench)
        }
    }

    /// An operator takes a node out of the ring: its records go.
    mutating func noteRetirement(of identity: NodeID, isDone: Bool, _ bench: inout RingBench) {
        retired.insert(identity)
        for place in places where place.origin == identity {
            withdrawAll(place, isDone ? .ok : .info, &bench)
        }
    }

    private func withdrawAll(
        _ place: Place,
        _ kind: HistoryEvent.Kind,
        _ bench: inout RingBench
    ) {
        let now = bench.nowNanoseconds
        let names = Set((stories[place]?.contents ?? [:]).values.joined().joined()).sorted()
        let live = stories[place]?.live ?? []
        for name in names {
            // A node that is back already says what it has.
            let outcome = live.contains(name) ? .info : kind
            bench.add(-1, .remove, name, begin: now, outcome, end: now)
        }
    }

    // MARK: The end

    /// Whether nothing is under way.
    var isIdle: Bool { writes.isEmpty && reads.isEmpty }

    /// Reads all topics at a node once more.
    mutating func readAll(_ node: Int, _ bench: inout RingBench) {
        for topic in topics { read(node, topic, isFinal: true, &bench) }
    }

    /// Takes down what each watcher has in the end.
    func observeWatchers(_ bench: inout RingBench) {
        let now = bench.nowNanoseconds
        for node in 0..<bench.world.count {
            for topic in watched[node] {
                let sets = bench.world.look(node) { $0.records.store.sets(topic) } ?? []
                observe(
                    node,
                    "watch of n\(node)",
                    topic,
                    sets,
                    isFinal: true,
                    begin: now,
                    end: now,
                    &bench
                )
            }
        }
    }

    /// What is not even among origins, owners and watchers; nil when all is.
    func disagreement(_ bench: RingBench) -> String? {
        for topic in topics {
            var newest: [NodeID: (version: RecordVersion, node: Int)] = [:]
            for node in 0..<bench.world.count {
                guard let owns = bench.world.look(node, { $0.records.owns(topic) }) else {
                    continue
                }
                guard owns || watched[node].contains(topic) else { continue }
                for set in bench.world.look(node, { $0.records.store.sets(topic) }) ?? []
                where newest[set.origin].map({ $0.version < set.version }) ?? true {
                    newest[set.origin] = (set.version, node)
                }
            }
            for node in 0..<bench.world.count {
                guard let peer = bench.world.process(node)?.peer else { continue }
                guard peer.records.owns(topic) || watched[node].contains(topic) else { continue }
                for (origin, best) in newest.sorted(by: { $0.key < $1.key }) {
                    let held = peer.records.store.set(topic, origin)?.version ?? .never
                    guard held < best.version else { continue }
                    return
                        "n\(node) has \(topic) of \(origin.short) at \(held.boot).\(held.sequence), "
                        + "n\(best.node) at \(best.version.boot).\(best.version.sequence)"
                }
            }
        }
        return nil
    }

    func verdict(checksOrder: Bool, _ bench: inout RingBench) {
        // Too many disks were lost with these: the copy that is left may be an old one.
        let lost = unspecified.map { "/\($0.short)/" }
        for topic in topics {
            let operations = bench.operations.filter { operation in
                operation.key.hasPrefix("\(topic), ")
                    || (operation.key.hasPrefix("\(topic)/")
                        && !lost.contains { operation.key.contains($0) })
            }
            for violation in RecordCheck(operations).violations {
                bench.fail(.records, violation.text)
            }
        }
        let (watched, told) = bench.operations.filter { $0.function == .stamp }
            .reduce(into: ([Operation](), [Operation]())) {
                if $1.key.hasPrefix("watched") { $0.0.append($1) } else { $0.1.append($1) }
            }
        for violation in MonotonicCheck(watched).violations {
            bench.fail(.monotone, violation.text)
        }
        guard checksOrder else { return }
        for violation in RealTimeCheck(told).violations { bench.fail(.fresh, violation.text) }
    }
}
