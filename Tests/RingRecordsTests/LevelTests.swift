import Determinism
import RingRecords
import Testing

@Suite("Levels: how many owners take part is said with each write and each read")
struct LevelTests {
    private let topic = Topic("red/web")

    private func record(_ key: String) -> OriginSet.Record {
        OriginSet.Record(key: key, content: [1])
    }

    private static func needed(_ level: Records.Level) -> Int {
        switch level {
        case .one: 1
        case .quorum: 2
        case .all: 3
        }
    }

    /// A ring of five whose node 4 owns nothing of the topic, with so many of the owners stopped.
    private func ring(stopped count: Int, seed: UInt64) -> (RecordsNet, up: [NodeID], [NodeID]) {
        var net = RecordsNet(count: 5, seed: seed)
        net.run(for: .seconds(3))
        let owners = net.view.owners(of: topic)
        for owner in owners.suffix(count) {
            guard let index = (0..<5).first(where: { RecordsNet.id($0) == owner }) else { continue }
            net.stop(index)
        }
        return (net, Array(owners.dropLast(count)), Array(owners.suffix(count)))
    }

    private func stranger(_ net: RecordsNet) -> Int {
        let owners = net.view.owners(of: topic)
        return (0..<5).first { !owners.contains(RecordsNet.id($0)) } ?? 0
    }

    @Test(
        "a write ends as its level says, and one that falls short names who is missing",
        arguments: [.one, .quorum, .all] as [Records.Level],
        0...3
    )
    func write(level: Records.Level, stopped: Int) {
        var (net, up, missing) = ring(stopped: stopped, seed: 3)
        let writer = stranger(net)
        net.peers[writer].publish(
            topic,
            [record("a")],
            level: level,
            request: 1,
            now: net.now
        )
        net.collect(writer)
        net.run(for: .seconds(3))
        if up.count >= Self.needed(level) {
            guard case .stored(let owners) = net.finished[1] else {
                Issue.record("\(String(describing: net.finished[1]))")
                return
            }
            #expect(owners >= Self.needed(level))
        } else {
            let shortfall = Records.Shortfall(
                level: level,
                answered: up.count,
                wanted: Self.needed(level),
                missing: missing
            )
            #expect(net.finished[1] == .tooFewOwners(shortfall))
        }
    }

    @Test(
        "a read ends as its level says, and one that falls short shows what there is",
        arguments: [.one, .quorum, .all] as [Records.Level],
        0...3
    )
    func read(level: Records.Level, stopped: Int) {
        var net = RecordsNet(count: 5, seed: 4)
        net.run(for: .seconds(3))
        let reader = stranger(net)
        net.peers[reader].publish(
            topic,
            [record("a")],
            level: .all,
            request: 1,
            now: net.now
        )
        net.collect(reader)
        net.run(for: .seconds(2))
        let owners = net.view.owners(of: topic)
        for index in (0..<5) where owners.suffix(stopped).contains(RecordsNet.id(index)) {
            net.stop(index)
        }
        net.peers[reader].read(topic, level: level, request: 2, now: net.now)
        net.collect(reader)
        net.run(for: .seconds(3))
        let up = 3 - stopped
        switch net.finished[2] {
        case .contents(let sets):
            #expect(up >= Self.needed(level))
            #expect(sets.map(\.records) == [[record("a")]])
        case .incomplete(let sets, let shortfall):
            #expect(up < Self.needed(level))
            #expect(sets.map(\.records) == (up == 0 ? [] : [[record("a")]]))
            #expect(
                shortfall
                    == Records.Shortfall(
                        level: level,
                        answered: up,
                        wanted: Self.needed(level),
                        missing: Array(owners.suffix(stopped))
                    )
            )
        case let other: Issue.record("\(String(describing: other))")
        }
    }

    @Test("what is written at one level is read at another so that both sum up", arguments: 0..<8)
    func writeAll_readOne(seed: UInt64) {
        var net = RecordsNet(count: 5, seed: seed)
        net.run(for: .seconds(3))
        let writer = stranger(net)
        net.peers[writer].publish(topic, [record("a")], level: .all, request: 1, now: net.now)
        net.collect(writer)
        net.run(for: .seconds(2))
        #expect(net.finished[1] == .stored(owners: 3))
        let owners = net.view.owners(of: topic)
        let kept = Int(seed) % 3
        for index in (0..<5) where index != writer {
            guard let place = owners.firstIndex(of: RecordsNet.id(index)), place != kept else {
                continue
            }
            net.stop(index)
        }
        net.peers[writer].read(topic, level: .one, request: 2, now: net.now)
        net.collect(writer)
        net.run(for: .seconds(3))
        guard case .contents(let sets) = net.finished[2] else {
            Issue.record("\(String(describing: net.finished[2]))")
            return
        }
        #expect(sets.map(\.records) == [[record("a")]])
    }

    @Test(
        "a log of a followed topic misses nothing when its owners are lost in turn",
        arguments: 0..<4
    )
    func log_survivesOwners(seed: UInt64) throws {
        var net = RecordsNet(count: 5, seed: 30 + seed)
        let watcher = stranger(net)
        let writer = try #require((0..<5).first { $0 != watcher && !net.isUp.isEmpty })
        net.peers[watcher].watch(topic, now: net.now)
        net.collect(watcher)
        net.run(for: .seconds(3))
        net.lossPercent = 10
        var boots = Array(repeating: UInt64(1), count: 5)
        let owners = (0..<5).filter {
            net.view.owners(of: topic).contains(RecordsNet.id($0)) && $0 != writer
        }
        for round in 0..<9 {
            let victim = owners[round % owners.count]
            net.stop(victim)
            net.peers[writer].publish(
                topic,
                (0...round).map { record("\($0)") },
                request: UInt64(10 + round),
                now: net.now
            )
            net.collect(writer)
            net.run(for: .milliseconds(700))
            boots[victim] += 1
            net.start(victim, boot: boots[victim])
            net.run(for: .milliseconds(300))
        }
        net.lossPercent = 0
        net.run(for: .seconds(8))
        var log = TopicLog(after: 0)
        var counter: UInt64 = 0
        for (observer, set) in net.changed where observer == watcher {
            log.note(set, at: 0, counter: &counter)
        }
        let events = try #require(log.events(after: 0))
        let added = events.compactMap { event -> String? in
            if case .added(_, let record) = event.change { record.key } else { nil }
        }
        #expect(added == (0..<9).map { "\($0)" })
        #expect(events.count == added.count)
    }
}
