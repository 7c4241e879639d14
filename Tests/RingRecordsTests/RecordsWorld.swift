import Determinism
import RingRecords

/// A ring's records on a virtual clock, network and disks, with faults; all follows from the seed.
///
/// A crash loses what was not durable and every effect that waited for it. Configurations come from
/// the outside, as from their register, and reach each node when it hears of them.
struct RecordsWorld {
    static let slotCount = 16
    static let topics = (0..<4).map { Topic("red/\($0)") }
    static let quantum = Span.milliseconds(10)

    struct Place: Hashable {
        let topic: Topic
        let origin: NodeID
    }

    struct Node {
        let id: NodeID
        var boot: UInt64 = 0
        var records: Records?
        var epoch = 1
        var disk: [Place: OriginSet] = [:]
        var older: [Place: OriginSet] = [:]
        var fences: [NodeID: UInt64] = [:]
        var arrivals: [PendingArrival] = []
        var writes: [(at: Int, effect: Records.Effect)] = []
        var isCut = false
        var watched: [Topic] = []
        var seen: [Place: RecordVersion] = [:]
    }

    struct Packet {
        let source: Int
        let target: Int
        let message: RecordMessage
    }

    private(set) var tick = 0
    private(set) var nodes: [Node] = []
    /// The members by epoch; epoch 1 is the first.
    private(set) var epochs: [[Int]] = [[]]
    private(set) var views: [OwnershipView] = []
    var history = RecordHistory()
    var lossPercent = 0
    var generator: SeededGenerator
    private var packets: [Int: [Packet]] = [:]
    private var lastArrival: [Int: Int] = [:]
    private var nextRequest: UInt64 = 1
    private let parameters: Records.Parameters

    init(members: Int, count: Int, seed: UInt64, flaws: [RecordFlaw]) {
        generator = SeededGenerator(seed: seed)
        var parameters = Records.Parameters()
        parameters.exchangeInterval = .milliseconds(500)
        parameters.handoverPatience = .seconds(4)
        parameters.formerOwnerGrace = .seconds(4)
        parameters.handoverBytesPerSecond = 20_000
        parameters.watchRenewal = .seconds(2)
        parameters.flaws = flaws
        self.parameters = parameters
        for index in 0..<count {
            nodes.append(Node(id: NodeID(high: UInt64(index + 1), low: generator.next())))
        }
        epochs = [Array(0..<members)]
        views = [makeView(1)]
        for index in 0..<members { start(index) }
    }

    var now: Instant { Instant(microseconds: Int64(tick) * Self.quantum.microseconds) }
    var members: [Int] { epochs[epochs.count - 1] }
    var view: OwnershipView { views[views.count - 1] }
    var upMembers: [Int] { members.filter { nodes[$0].records != nil } }

    private func makeView(_ epoch: Int) -> OwnershipView {
        let members = epochs[epoch - 1].map { nodes[$0].id }
        let owners = (0..<Self.slotCount).map { slot in
            Array(
                members.sorted { Self.score($0, slot) > Self.score($1, slot) }.prefix(3)
            )
        }
        return OwnershipView(
            epoch: UInt64(epoch),
            ownersBySlot: owners,
            members: SortedSet(members)
        )
    }

    private static func score(_ node: NodeID, _ slot: Int) -> UInt64 {
        var hash = StableHash(seed: UInt64(slot))
        hash.combine(node.high)
        hash.combine(node.low)
        return hash.value
    }

    /// Puts the next configuration into force; nodes hear of it by and by.
    mutating func change(members: [Int]) {
        epochs.append(members.sorted())
        views.append(makeView(epochs.count))
    }

    /// Starts a node that was just added: it added itself to the epoch before, so it knows that.
    mutating func join(_ index: Int) {
        nodes[index].epoch = max(nodes[index].epoch, epochs.count - 1)
        start(index)
    }

    mutating func start(_ index: Int) {
        nodes[index].boot += 1
        nodes[index].seen = [:]
        let stored = nodes[index].disk.sorted { order($0.key, $1.key) }.map(\.value)
        nodes[index].records = Records(
            own: nodes[index].id,
            boot: nodes[index].boot,
            stored: stored,
            fences: nodes[index].fences.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            arrivals: nodes[index].arrivals,
            view: views[nodes[index].epoch - 1],
            parameters: parameters,
            seed: generator.next(),
            now: now
        )
        for topic in nodes[index].watched { act(index) { $0.watch(topic, now: $1) } }
    }

    private func order(_ first: Place, _ second: Place) -> Bool {
        (first.topic, first.origin) < (second.topic, second.origin)
    }

    mutating func crash(_ index: Int) {
        nodes[index].records = nil
        nodes[index].writes = []
        history.crashed(nodes[index].id)
    }

    mutating func cut(_ index: Int, _ isCut: Bool) { nodes[index].isCut = isCut }

    /// What others had told a node is again as it was a while ago.
    mutating func rollBack(_ index: Int) {
        let own = nodes[index].id
        nodes[index].disk = nodes[index].disk.filter { place, _ in
            place.origin == own || nodes[index].older[place] != nil
        }
        for (place, set) in nodes[index].older where place.origin != own {
            nodes[index].disk[place] = set
        }
    }

    mutating func rememberDisk(_ index: Int) { nodes[index].older = nodes[index].disk }

    mutating func watch(_ index: Int, _ topic: Topic) {
        nodes[index].watched.append(topic)
        act(index) { $0.watch(topic, now: $1) }
    }

    mutating func publish(_ index: Int, _ topic: Topic, _ content: [OriginSet.Record]) {
        let request = nextRequest
        nextRequest += 1
        act(index) { $0.publish(topic, content, request: request, now: $1) }
        let place = Place(topic: topic, origin: nodes[index].id)
        guard let set = nodes[index].records?.store.set(topic, nodes[index].id) else { return }
        history.published(set, place, request: request)
    }

    mutating func read(_ index: Int, _ topic: Topic) {
        let request = nextRequest
        nextRequest += 1
        history.asked(topic, request: request)
        act(index) { $0.read(topic, request: request, now: $1) }
    }

    mutating func run(for span: Span) {
        let end = now.advanced(by: span)
        while now < end { step() }
    }

    private mutating func step() {
        tick += 1
        for packet in packets.removeValue(forKey: tick) ?? [] {
            guard nodes[packet.target].records != nil, isJoined(packet.source, packet.target) else {
                continue
            }
            let source = nodes[packet.source].id
            act(packet.target) { $0.receive(packet.message, from: source, now: $1) }
        }
        for index in nodes.indices where nodes[index].records != nil {
            finishWrites(index)
            if tick % 50 == index { noteOthers(index) }
            guard let records = nodes[index].records, now >= records.deadline else { continue }
            act(index) { $0.tick(now: $1) }
        }
    }

    private func isJoined(_ first: Int, _ second: Int) -> Bool {
        first == second || (!nodes[first].isCut && !nodes[second].isCut)
    }

    /// Failure detection and gossip of epochs, every half a second.
    private mutating func noteOthers(_ index: Int) {
        for other in nodes.indices where other != index {
            let isUp = nodes[other].records != nil && isJoined(index, other)
            let id = nodes[other].id
            act(index) { $0.noteReachable(id, isUp, now: $1) }
            if isUp, Int.random(in: 0..<2, using: &generator) == 0 {
                adopt(index, upTo: nodes[other].epoch)
            }
        }
        if !nodes[index].isCut, Int.random(in: 0..<3, using: &generator) == 0 {
            adopt(index, upTo: epochs.count)
        }
        for (topic, place) in history.places {
            guard let set = nodes[index].records?.store.set(topic, place.origin) else { continue }
            history.check(set, place)
            if let before = nodes[index].seen[place], set.version < before {
                history.faults.append("\(topic) of \(place.origin.short) went back on \(index)")
            }
            nodes[index].seen[place] = set.version
        }
    }

    private mutating func adopt(_ index: Int, upTo epoch: Int) {
        guard epoch > nodes[index].epoch else { return }
        nodes[index].epoch = epoch
        nodes[index].seen = [:]
        let view = views[epoch - 1]
        act(index) { $0.adopt(view, now: $1) }
        nodes[index].arrivals = nodes[index].records?.pendingArrivals ?? nodes[index].arrivals
    }

    private mutating func finishWrites(_ index: Int) {
        while let write = nodes[index].writes.first, write.at <= tick {
            nodes[index].writes.removeFirst()
            switch write.effect {
            case .persist(let set, let then):
                nodes[index].disk[Place(topic: set.topic, origin: set.origin)] = set
                perform(then, index)
            case .erase(let topic, let origin):
                nodes[index].disk[Place(topic: topic, origin: origin)] = nil
            case .fence(let node, let boot): nodes[index].fences[node] = boot == 0 ? nil : boot
            case .arrivalsEnded: nodes[index].arrivals = []
            case .afterWrites(let then): perform(then, index)
            default: break
            }
        }
    }

    private mutating func act(_ index: Int, _ body: (inout Records, Instant) -> Void) {
        guard var records = nodes[index].records else { return }
        nodes[index].records = nil
        body(&records, now)
        let effects = records.effects
        records.effects = []
        nodes[index].records = records
        perform(effects, index)
    }

    private mutating func perform(_ effects: [Records.Effect], _ index: Int) {
        for effect in effects {
            switch effect {
            case .send(let message, let target): send(message, index, target)
            case .persist, .erase, .fence, .arrivalsEnded, .afterWrites:
                let earliest = nodes[index].writes.last?.at ?? tick
                let delay = Int.random(in: 1...4, using: &generator)
                nodes[index].writes.append((max(earliest, tick + delay), effect))
            case .changed(let set): history.saw(set, by: nodes[index].id)
            case .finished(let request, let outcome): history.finished(request, outcome)
            case .newerEpoch(let epoch, _):
                if Int.random(in: 0..<3, using: &generator) == 0 {
                    adopt(index, upTo: Int(epoch))
                }
            case .ownPastUnknown: history.faults.append("node \(index) does not know its past")
            case .synced, .retired: break
            }
        }
    }

    private mutating func send(_ message: RecordMessage, _ source: Int, _ target: NodeID) {
        guard let index = nodes.firstIndex(where: { $0.id == target }) else { return }
        if index != source, Int.random(in: 0..<100, using: &generator) < lossPercent { return }
        // A stream keeps its order.
        let link = source * 100 + index
        let delay = Int.random(in: 1...3, using: &generator)
        let at = max(tick + delay, lastArrival[link] ?? 0)
        lastArrival[link] = at
        packets[at, default: []].append(Packet(source: source, target: index, message: message))
    }
}

/// What was published, acknowledged and read, and what was wrong with it.
struct RecordHistory {
    var faults: [String] = []
    private(set) var places: [(topic: Topic, place: RecordsWorld.Place)] = []
    private var published: [RecordsWorld.Place: [RecordVersion: [OriginSet.Record]]] = [:]
    private(set) var acknowledged: [RecordsWorld.Place: RecordVersion] = [:]
    private var writes: [UInt64: (RecordsWorld.Place, RecordVersion)] = [:]
    private var reads: [UInt64: (Topic, [RecordsWorld.Place: RecordVersion])] = [:]
    private var seen: [NodeID: [RecordsWorld.Place: RecordVersion]] = [:]
    /// What a read that ends from now on may not fall behind.
    private var floor: [RecordsWorld.Place: RecordVersion] = [:]
    /// Nodes that were removed: nothing is expected of their records.
    private(set) var removed: Set<NodeID> = []
    private(set) var completeReads = 0
    private(set) var acknowledgements = 0

    mutating func published(_ set: OriginSet, _ place: RecordsWorld.Place, request: UInt64) {
        if published[place] == nil { places.append((place.topic, place)) }
        published[place, default: [:]][set.version] = set.records
        writes[request] = (place, set.version)
    }

    /// A node is a member no more: what it had said is to be gone, until it says it again.
    mutating func remove(_ node: NodeID) {
        removed.insert(node)
        floor = floor.filter { $0.key.origin != node }
        acknowledged = acknowledged.filter { $0.key.origin != node }
        writes = writes.filter { $0.value.0.origin != node }
        for (request, read) in reads {
            reads[request] = (read.0, read.1.filter { $0.key.origin != node })
        }
    }

    mutating func add(_ node: NodeID) { removed.remove(node) }

    mutating func asked(_ topic: Topic, request: UInt64) {
        reads[request] = (topic, floor.filter { $0.key.topic == topic })
    }

    mutating func check(_ set: OriginSet, _ place: RecordsWorld.Place) {
        guard published[place]?[set.version] != set.records else { return }
        faults.append("\(place.topic) of \(place.origin.short) holds what was never published")
    }

    mutating func saw(_ set: OriginSet, by node: NodeID) {
        let place = RecordsWorld.Place(topic: set.topic, origin: set.origin)
        check(set, place)
        if let before = seen[node]?[place], set.version < before {
            faults.append("a watcher saw \(place.topic) of \(place.origin.short) go back")
        }
        seen[node, default: [:]][place] = set.version
    }

    mutating func crashed(_ node: NodeID) { seen[node] = nil }

    mutating func finished(_ request: UInt64, _ outcome: Records.Outcome) {
        if case .stored = outcome, let (place, version) = writes[request],
            !removed.contains(place.origin)
        {
            acknowledgements += 1
            acknowledged[place] = max(acknowledged[place] ?? .never, version)
            floor[place] = max(floor[place] ?? .never, version)
        }
        guard case .contents(let sets) = outcome,
            let (topic, least) = reads[request]
        else { return }
        completeReads += 1
        let found = sets.reduce(into: [NodeID: RecordVersion]()) { $0[$1.origin] = $1.version }
        for (place, version) in least where !removed.contains(place.origin) {
            if found[place.origin] ?? .never < version {
                faults.append(
                    "a read of \(topic) lacks \(place.origin.short) \(version.sequence): "
                        + "it found \(found[place.origin]?.sequence ?? 0)"
                )
            }
        }
        for set in sets {
            let place = RecordsWorld.Place(topic: topic, origin: set.origin)
            check(set, place)
            guard !removed.contains(set.origin) else { continue }
            floor[place] = max(floor[place] ?? .never, set.version)
        }
    }
}
