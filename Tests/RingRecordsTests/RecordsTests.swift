import Determinism
import RingRecords
import Testing

/// Peers' records joined by a virtual network, each with a disk that survives a restart.
struct RecordsNet {
    static func id(_ index: Int) -> NodeID { NodeID(high: UInt64(index + 1), low: 0) }

    var now = Instant.zero
    var peers: [Records] = []
    var isUp: [Bool]
    var disks: [[OriginSet]]
    var finished: [UInt64: Records.Outcome] = [:]
    var changed: [(observer: Int, set: OriginSet)] = []
    var synced: [Int] = []
    var pastUnknown: [Int] = []
    var lossPercent = 0
    let view: OwnershipView
    private var generator: SeededGenerator
    private var packets: [(at: Instant, from: Int, to: NodeID, RecordMessage)] = []

    init(count: Int, seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        isUp = Array(repeating: true, count: count)
        disks = Array(repeating: [], count: count)
        let all = (0..<count).map(Self.id)
        // Three owners for each slot, walking round the peers.
        let owners = (0..<64).map { slot in (0..<min(3, count)).map { all[(slot + $0) % count] } }
        view = OwnershipView(epoch: 1, ownersBySlot: owners)
        for index in 0..<count { peers.append(make(index, boot: 1)) }
    }

    private mutating func make(_ index: Int, boot: UInt64) -> Records {
        var records = Records(
            own: Self.id(index),
            boot: boot,
            stored: disks[index],
            view: view,
            seed: generator.next(),
            now: now
        )
        for other in isUp.indices where other != index && isUp[other] {
            records.noteReachable(Self.id(other), true, now: now)
        }
        return records
    }

    mutating func stop(_ index: Int) {
        isUp[index] = false
        for other in peers.indices { peers[other].noteReachable(Self.id(index), false, now: now) }
    }

    mutating func start(_ index: Int, boot: UInt64) {
        isUp[index] = true
        peers[index] = make(index, boot: boot)
        for other in peers.indices { peers[other].noteReachable(Self.id(index), true, now: now) }
    }

    mutating func run(for span: Span) {
        let end = now.advanced(by: span)
        while now < end {
            now = now.advanced(by: .milliseconds(10))
            let due = packets.filter { $0.at <= now }
            packets.removeAll { $0.at <= now }
            for (_, from, to, message) in due {
                guard let index = peers.indices.first(where: { Self.id($0) == to }), isUp[index]
                else { continue }
                peers[index].receive(message, from: Self.id(from), now: now)
                collect(index)
            }
            for index in peers.indices where isUp[index] {
                peers[index].tick(now: now)
                collect(index)
            }
        }
    }

    mutating func collect(_ index: Int) {
        let effects = peers[index].effects
        peers[index].effects = []
        perform(effects, index)
    }

    private mutating func perform(_ effects: [Records.Effect], _ index: Int) {
        for effect in effects {
            switch effect {
            case .send(let message, let target):
                let isLost = Int.random(in: 0..<100, using: &generator) < lossPercent
                if isLost, target != Self.id(index) { continue }
                let delay = Int64.random(in: 1...20, using: &generator)
                packets.append((now.advanced(by: .milliseconds(delay)), index, target, message))
            case .persist(let set, let then):
                disks[index].append(set)
                perform(then, index)
            case .changed(let set): changed.append((index, set))
            case .synced: synced.append(index)
            case .finished(let request, let outcome): finished[request] = outcome
            case .newerEpoch, .erase, .fence, .arrivalsEnded, .retired: break
            case .afterWrites(let then): perform(then, index)
            case .ownPastUnknown: pastUnknown.append(index)
            }
        }
    }
}

private func record(_ key: String, _ byte: UInt8 = 1) -> OriginSet.Record {
    OriginSet.Record(key: key, content: [byte])
}

@Suite("Records: published durably, followed without gaps, evened out between owners")
struct RecordsTests {
    private let topic = Topic("red/web")

    @Test("a publication is acknowledged by two owners and reaches a watcher", arguments: 0..<10)
    func publishAndWatch(seed: UInt64) {
        var net = RecordsNet(count: 5, seed: seed)
        net.peers[4].watch(topic, now: net.now)
        net.peers[0].publish(topic, [record("a")], request: 1, now: net.now)
        net.collect(0)
        // Owners that have just started look at one another first.
        net.run(for: .seconds(3))
        guard case .stored(let owners) = net.finished[1] else {
            Issue.record("not stored: \(String(describing: net.finished[1]))")
            return
        }
        #expect(owners >= 2)
        #expect(net.synced.contains(4))
        #expect(net.changed.last { $0.observer == 4 }?.set.records == [record("a")])
    }

    @Test("a deleted record is gone everywhere, also on a replica that slept through it")
    func deletion() {
        var net = RecordsNet(count: 3, seed: 4)
        net.peers[0].publish(topic, [record("a"), record("b")], request: 1, now: net.now)
        net.collect(0)
        net.run(for: .seconds(1))
        net.stop(2)
        net.peers[0].publish(topic, [record("b")], request: 2, now: net.now)
        net.collect(0)
        net.run(for: .seconds(1))
        net.stop(0)
        net.start(2, boot: 2)
        net.run(for: .seconds(6))
        #expect(net.peers[2].store.sets(topic).map(\.records) == [[record("b")]])
    }

    @Test("two owners down: the writer is told, and the owners get it when they return")
    func tooFewOwners() {
        var net = RecordsNet(count: 3, seed: 2)
        net.stop(1)
        net.stop(2)
        net.peers[0].publish(topic, [record("a")], request: 7, now: net.now)
        net.collect(0)
        net.run(for: .seconds(3))
        let shortfall = Records.Shortfall(
            level: .quorum,
            answered: 1,
            wanted: 2,
            missing: net.view.owners(of: topic).filter { $0 != RecordsNet.id(0) }
        )
        #expect(net.finished[7] == .tooFewOwners(shortfall))
        net.start(1, boot: 2)
        net.start(2, boot: 2)
        net.run(for: .seconds(2))
        #expect(net.peers[1].store.sets(topic).count == 1)
        #expect(net.peers[2].store.sets(topic).count == 1)
    }

    @Test("an acknowledged record survives the loss of its origin and of one replica")
    func survivesLoss() throws {
        var net = RecordsNet(count: 5, seed: 11)
        net.peers[0].publish(topic, [record("a")], request: 1, now: net.now)
        net.collect(0)
        net.run(for: .seconds(1))
        let owners = net.view.owners(of: topic)
        net.stop(0)
        let lost = try #require((1..<5).first { owners.contains(RecordsNet.id($0)) })
        net.stop(lost)
        let reader = try #require((1..<5).first { $0 != lost && net.isUp[$0] })
        net.peers[reader].read(topic, request: 3, now: net.now)
        net.collect(reader)
        net.run(for: .seconds(2))
        guard case .contents(let sets) = net.finished[3] else {
            Issue.record("no contents: \(String(describing: net.finished[3]))")
            return
        }
        #expect(sets.map(\.records) == [[record("a")]])
    }

    @Test(
        "a watcher moves to another owner when its own dies, and misses nothing",
        arguments: 0..<10
    )
    func watchFailsOver(seed: UInt64) {
        var net = RecordsNet(count: 5, seed: seed)
        net.lossPercent = 10
        let owners = net.view.owners(of: topic)
        let outsiders = (0..<5).filter { !owners.contains(RecordsNet.id($0)) }
        net.peers[outsiders[0]].watch(topic, now: net.now)
        net.run(for: .seconds(2))
        var version: UInt8 = 0
        for victim in (0..<5).filter({ owners.contains(RecordsNet.id($0)) }).prefix(1) {
            net.stop(victim)
            for _ in 0..<5 {
                version += 1
                let set = [record("a", version)]
                net.peers[outsiders[1]].publish(topic, set, request: UInt64(version), now: net.now)
                net.collect(outsiders[1])
                net.run(for: .milliseconds(300))
            }
        }
        net.run(for: .seconds(8))
        let seen = net.changed.filter { $0.observer == outsiders[0] }.map(\.set)
        #expect(seen.last?.records == [record("a", 5)])
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.version < $1.version })
    }

    @Test("a restarted origin publishes above everything it published before")
    func restart() {
        var net = RecordsNet(count: 3, seed: 1)
        for number in 1...3 {
            net.peers[0].publish(
                topic,
                [record("a", UInt8(number))],
                request: UInt64(number),
                now: net.now
            )
            net.collect(0)
        }
        net.run(for: .seconds(1))
        net.stop(0)
        net.start(0, boot: 2)
        net.peers[0].publish(topic, [record("z")], request: 9, now: net.now)
        net.collect(0)
        net.run(for: .seconds(2))
        #expect(net.peers.allSatisfy { $0.store.sets(topic).map(\.records) == [[record("z")]] })
    }

    @Test(
        "a node on an old copy of its disk is found out by what others remember",
        arguments: [2, 9]
    )
    func oldDisk(boot: UInt64) {
        var net = RecordsNet(count: 3, seed: 6)
        net.peers[0].publish(topic, [record("a")], request: 1, now: net.now)
        net.collect(0)
        let copy = net.disks[0]
        net.run(for: .seconds(1))
        net.stop(0)
        net.start(0, boot: 2)
        for number in UInt64(2)...4 {
            net.peers[0].publish(topic, [record("b")], request: number, now: net.now)
            net.collect(0)
        }
        net.run(for: .seconds(1))
        #expect(net.pastUnknown.isEmpty)
        net.stop(0)
        net.disks[0] = copy
        net.start(0, boot: boot)
        net.run(for: .seconds(5))
        #expect(net.pastUnknown.contains(0))
    }

    @Test("an acknowledgement of a set that is known already waits behind that set's write")
    func repeatedPut() throws {
        var net = RecordsNet(count: 3, seed: 1)
        let set = OriginSet(
            topic: topic,
            origin: RecordsNet.id(1),
            version: RecordVersion(boot: 1, sequence: 1),
            records: []
        )
        for _ in 0..<2 {
            net.peers[0].receive(.put(epoch: 1, sets: [set]), from: RecordsNet.id(1), now: net.now)
        }
        let isAlwaysBehindAWrite = net.peers[0].effects.allSatisfy { effect in
            switch effect {
            case .persist, .afterWrites: true
            default: false
            }
        }
        #expect(net.peers[0].effects.count == 2 && isAlwaysBehindAWrite)
    }

    @Test("a peer that does not own a topic refuses to keep it")
    func refusesForeignTopic() throws {
        var net = RecordsNet(count: 5, seed: 1)
        let owners = net.view.owners(of: topic)
        let outsider = try #require((0..<5).first { !owners.contains(RecordsNet.id($0)) })
        let set = OriginSet(
            topic: topic,
            origin: RecordsNet.id(0),
            version: RecordVersion(boot: 1, sequence: 1),
            records: []
        )
        net.peers[outsider].receive(.put(epoch: 1, sets: [set]), from: owners[0], now: net.now)
        #expect(
            net.peers[outsider].effects == [.send(.notOwner(epoch: 1, topic: topic), to: owners[0])]
        )
    }

    @Test("an acknowledgement leaves only inside the write it speaks of")
    func acknowledgementFollowsWrite() throws {
        var net = RecordsNet(count: 3, seed: 1)
        let set = OriginSet(
            topic: topic,
            origin: RecordsNet.id(1),
            version: RecordVersion(boot: 1, sequence: 1),
            records: []
        )
        net.peers[0].receive(.put(epoch: 1, sets: [set]), from: RecordsNet.id(1), now: net.now)
        #expect(net.peers[0].effects.count == 1)
        guard case .persist(set, let then) = try #require(net.peers[0].effects.first) else {
            Issue.record("no write")
            return
        }
        #expect(then.count == 1)
    }
}

@Suite("Record messages: whole or refused")
struct RecordMessageTests {
    private static let set = OriginSet(
        topic: Topic("t"),
        origin: NodeID(high: 1, low: 1),
        version: RecordVersion(boot: 1, sequence: 2),
        records: [record("k")]
    )
    private static let summaries = RecordStore.summaries(of: set)
    private static let versions = [
        OriginVersion(origin: set.origin, version: set.version)
    ]
    private static let standing = RecordMessage.Standing(
        isWhole: false,
        sources: [NodeID(high: 1, low: 4)]
    )
    private static let delta = SetDelta(
        from: set,
        to: OriginSet(
            topic: set.topic,
            origin: set.origin,
            version: RecordVersion(boot: 1, sequence: 3),
            records: [record("l")]
        )
    )
    private static let messages: [RecordMessage] = [
        .put(epoch: 1, sets: [set]), .putDelta(epoch: 1, delta),
        .stored(epoch: 1, isOwner: true, summaries: summaries),
        .notOwner(epoch: 2, topic: Topic("t")),
        .watch(epoch: 3, topic: Topic("t"), after: 7, known: versions),
        .snapshot(epoch: 4, topic: Topic("t"), standing, part: 1, revision: 9, sets: [set]),
        .change(revision: 3, previous: 2, set), .changeDelta(revision: 3, previous: 2, delta),
        .resync(topic: Topic("t")), .unwatch(topic: Topic("t")),
        .read(epoch: 5, request: 6, topic: Topic("t")),
        .contents(epoch: 5, request: 7, standing, part: 2, isLast: false, sets: [set, set]),
        .digests(epoch: 8, slots: [.init(slot: 1, digest: 2)]),
        .verdicts(epoch: 8, slots: [.init(slot: 1, finding: .samePart)]),
        .topics(
            epoch: 9,
            slot: 1,
            isWhole: true,
            after: Topic("a"),
            isLast: true,
            topics: [.init(topic: Topic("t"), digest: 3)]
        ),
        .compare(epoch: 9, topics: [Topic("t")]),
        .versions(epoch: 9, topic: Topic("t"), versions: versions),
        .fetch(epoch: 10, summaries: summaries), .hint(epoch: 3, sets: [set]),
    ]

    @Test("every message is read back as written, and no shorter", arguments: messages)
    func roundTrip(message: RecordMessage) throws {
        let bytes = message.encoded
        #expect(try RecordMessage(bytes[...]) == message)
        for length in 0..<bytes.count {
            #expect(throws: (any Error).self) { try RecordMessage(bytes[..<length]) }
        }
    }

    @Test("damaged bytes never crash the reader", arguments: 0..<10)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            for message in Self.messages {
                var bytes = message.encoded
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                    in: 0...255,
                    using: &generator
                )
                _ = try? RecordMessage(bytes[...])
            }
        }
    }
}

extension RecordStore {
    fileprivate static func summaries(of set: OriginSet) -> [SetSummary] {
        var store = RecordStore()
        _ = store.apply(set)
        return store.summaries(set.topic)
    }
}
