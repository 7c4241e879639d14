import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingRecords

/// Pods that come and go on a ring of whole peers, and how long what they cause takes.
///
/// A start is what an agent does: an address out of the node's own blocks, then the node's records
/// of the group with the new endpoint in them, published at the default level, two of three owners.
/// The oldest pod of the node in that group goes in the same publication where the node is full.
struct RingScaleLoad: Sendable {
    /// One start under way.
    private struct Start: Sendable {
        let node: Int
        let group: Int
        let askedAt: Instant
        let holder: AddressHolder
        let retired: AddressHolder?
        /// Whether its endpoint may go in the publication of a later one.
        let isFilling: Bool
    }

    /// A change that not all subscribers have heard of.
    private struct Change: Sendable {
        let version: RecordVersion
        let askedAt: Instant
        let publishedAt: Instant
        var missing: Set<Int>
    }

    private struct Place: Hashable, Sendable {
        let node: Int
        let group: Int
    }

    let groups: RingScaleGroups
    private let podsMax: [Place: Int]
    private var pods: [Place: [(holder: AddressHolder, record: OriginSet.Record)]] = [:]
    private var groupNumbers: [Topic: Int] = [:]
    private var allocating: [Int: [RequestToken: Start]] = [:]
    private var publishing: [Int: [RequestToken: Start]] = [:]
    private var changes: [Place: [Change]] = [:]
    private var nextToken: RequestToken = 1 << 32
    private var nextPod = 0
    /// Whether what ends now counts.
    var isMeasured = false

    /// From the request to the acknowledgement by two owners.
    private(set) var acknowledged: [Span] = []
    /// From the publication until the last subscriber of the group has it.
    private(set) var seenByAll: [Span] = []
    /// Starts that did not end well.
    private(set) var failures: [String: Int] = [:]
    /// Starts begun while it was measured.
    private(set) var startCount = 0
    /// Changes that reached a subscriber while it was measured.
    private(set) var deliveries = 0

    init(groups: RingScaleGroups, podsPerNode: Int, nodes: Int) {
        self.groups = groups
        var podsMax: [Place: Int] = [:]
        for node in 0..<nodes {
            for (group, pods) in groups.podsPerGroup(node, pods: podsPerNode) {
                podsMax[Place(node: node, group: group)] = pods
            }
        }
        self.podsMax = podsMax
        for (number, group) in groups.groups.enumerated() { groupNumbers[group.topic] = number }
    }

    /// Changes that some subscriber lacks still.
    var changesUnderWay: Int { changes.values.reduce(0) { $0 + $1.count } }
    /// Starts that are not acknowledged still.
    var startsUnderWay: Int {
        (allocating.values.map(\.count) + publishing.values.map(\.count)).reduce(0, +)
    }

    private mutating func makeToken() -> RequestToken {
        defer { nextToken += 1 }
        return nextToken
    }

    /// Has a node follow its groups.
    func subscribe(_ node: Int, in world: inout World<PeerProcess>) {
        for group in groups.groupsByNode[node] {
            let topic = groups.groups[group].topic
            world.act(node) { $0.peer.watch(topic, now: $1) }
        }
    }

    /// Starts all pods of one group on one node: each has its address, one publication has all.
    mutating func fill(_ node: Int, group: Int, in world: inout World<PeerProcess>) {
        for _ in 0..<(podsMax[Place(node: node, group: group)] ?? 0) {
            begin(node, group, in: &world, isFilling: true)
        }
    }

    /// Starts one pod.
    mutating func start(_ node: Int, group: Int, in world: inout World<PeerProcess>) {
        if isMeasured { startCount += 1 }
        begin(node, group, in: &world, isFilling: false)
    }

    private mutating func begin(
        _ node: Int,
        _ group: Int,
        in world: inout World<PeerProcess>,
        isFilling: Bool
    ) {
        let place = Place(node: node, group: group)
        nextPod += 1
        let holder = AddressHolder(containerID: "pod\(nextPod)", interfaceName: "eth0")
        let isFull = !isFilling && (pods[place]?.count ?? 0) >= podsMax[place] ?? 0
        let retired = isFull ? pods[place]?.first?.holder : nil
        let token = makeToken()
        allocating[node, default: [:]][token] = Start(
            node: node,
            group: group,
            askedAt: world.now,
            holder: holder,
            retired: retired,
            isFilling: isFilling
        )
        let plan = groups.groups[group].plan
        world.act(node) { $0.peer.allocate(plan, holder: holder, token: token, now: $1) }
    }

    /// Takes in what the peers told.
    mutating func absorb(_ world: inout World<PeerProcess>) {
        while !world.reports.isEmpty {
            let reports = world.reports
            world.reports = []
            for report in reports { take(report, in: &world) }
        }
    }

    private mutating func take(
        _ report: World<PeerProcess>.Report,
        in world: inout World<PeerProcess>
    ) {
        switch report.content {
        case .event(.records(let set)): noteSeen(set, by: report.node, at: report.at, in: &world)
        case .answer(let token, .address(let outcome)):
            guard let start = allocating[report.node]?.removeValue(forKey: token) else { return }
            guard case .assigned(let assignment) = outcome else {
                return fail("address: \(outcome)")
            }
            publish(start, assignment, in: &world)
        case .answer(let token, .records(let outcome)):
            guard let start = publishing[report.node]?.removeValue(forKey: token) else { return }
            guard case .stored = outcome else { return fail("records: \(outcome)") }
            if isMeasured { acknowledged.append(report.at.since(start.askedAt)) }
        case .event, .answer: break
        }
    }

    private mutating func fail(_ reason: String) {
        failures[String(reason.prefix(60)), default: 0] += 1
    }

    private mutating func publish(
        _ start: Start,
        _ assignment: AddressPool.Assignment,
        in world: inout World<PeerProcess>
    ) {
        let place = Place(node: start.node, group: start.group)
        let content = assignment.address.bytes + [UInt8](repeating: 0x5a, count: 90)
        let record = OriginSet.Record(key: start.holder.containerID, content: content)
        pods[place, default: []].append((start.holder, record))
        if let retired = start.retired {
            pods[place]?.removeAll { $0.holder == retired }
            let pool = groups.groups[start.group].plan.pool
            let token = makeToken()
            world.act(start.node) {
                $0.peer.release(pool: pool, holder: retired, token: token, now: $1)
            }
        }
        // While a node is filled the last pod's publication has all of them.
        let others = allocating[start.node]?.values.contains { $0.group == start.group } ?? false
        guard !start.isFilling || !others else { return }
        let topic = groups.groups[start.group].topic
        let records = pods[place]?.map(\.record) ?? []
        let token = makeToken()
        publishing[start.node, default: [:]][token] = start
        var version: RecordVersion?
        world.act(start.node) { process, now in
            process.peer.publish(topic, records, token: token, now: now)
            version = process.peer.version(of: topic)
        }
        guard isMeasured, let version else { return }
        changes[place, default: []].append(
            Change(
                version: version,
                askedAt: start.askedAt,
                publishedAt: world.now,
                missing: Set(groups.groups[start.group].nodes)
            )
        )
    }

    private mutating func noteSeen(
        _ set: OriginSet,
        by node: Int,
        at instant: Instant,
        in world: inout World<PeerProcess>
    ) {
        if isMeasured { deliveries += 1 }
        guard let group = groupNumbers[set.topic], let origin = world.number(of: set.origin)
        else { return }
        let place = Place(node: origin, group: group)
        guard var waiting = changes[place] else { return }
        for index in waiting.indices where waiting[index].version <= set.version {
            waiting[index].missing.remove(node)
            guard waiting[index].missing.isEmpty else { continue }
            seenByAll.append(instant.since(waiting[index].publishedAt))
        }
        waiting.removeAll { $0.missing.isEmpty }
        changes[place] = waiting.isEmpty ? nil : waiting
    }
}

extension Peer {
    /// The version of this node's own records under a topic.
    fileprivate func version(of topic: Topic) -> RecordVersion? {
        records.store.set(topic, identity.node)?.version
    }
}
