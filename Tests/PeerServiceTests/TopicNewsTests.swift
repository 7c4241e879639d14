import Determinism
import RingRecords
import Testing

@testable import PeerService

@Suite("PeerService: topics that people follow")
struct TopicNewsTests {
    private let topic = Topic("red/web")

    private func record(_ key: String, _ content: UInt8 = 0) -> OriginSet.Record {
        OriginSet.Record(key: key, content: [content])
    }

    @Test("the contents first, then each change to whoever waits, then nothing until there is more")
    func contentsThenChanges() async throws {
        try await withLonePeer { service in
            _ = await service.publish(topic, [record("a")])
            let first = try #require(
                await service.topicNews(topic, after: nil, limit: .seconds(5))
            )
            #expect(first.contents?.map(\.records) == [[record("a")]])
            #expect(first.isComplete && !first.isGap && first.events.isEmpty)
            let start = first.revision
            async let waiting = service.topicNews(topic, after: start, limit: .seconds(20))
            while await !service.hasWaiter(topic) { await Task.yield() }
            _ = await service.publish(topic, [record("a"), record("b")])
            let second = try #require(await waiting)
            #expect(second.contents == nil)
            #expect(second.events.count == 1)
            guard case .added(_, record("b")) = second.events[0].change else {
                Issue.record("\(second.events)")
                return
            }
            let third = await service.topicNews(topic, after: second.revision, limit: .zero)
            #expect(third?.events.isEmpty == true && third?.revision == second.revision)
            // Who goes on from before sees all of it.
            _ = await service.publish(topic, [])
            while await service.recordCount(topic) > 0 { await Task.yield() }
            let all = await service.topicNews(topic, after: start, limit: .zero)
            #expect(all?.events.count == 3)
        }
    }

    @Test("a revision of another process, and one that is too old, are answered with the contents")
    func gaps() async throws {
        try await withLonePeer { service in
            let first = try #require(
                await service.topicNews(topic, after: nil, limit: .seconds(5))
            )
            let other = await service.topicNews(topic, after: 77, limit: .seconds(20))
            #expect(other?.isGap == true && other?.contents?.isEmpty == true)
            let many = (0..<OriginSet.recordsMax).map { "\($0)" }
            for content: UInt8 in 0..<5 {
                _ = await service.publish(topic, many.map { record($0, content) })
            }
            let late = await service.topicNews(topic, after: first.revision, limit: .seconds(20))
            #expect(late?.isGap == true)
            #expect(late?.contents?.first?.records.count == many.count)
            #expect(await service.topicResyncs == 2)
        }
    }

    @Test("who waits for a topic that is ended is answered, and it is followed no longer")
    func ended() async throws {
        try await withLonePeer { service in
            let first = try #require(
                await service.topicNews(topic, after: nil, limit: .seconds(5))
            )
            #expect(await service.topicsFollowed() == [topic])
            let start = first.revision
            async let waiting = service.topicNews(topic, after: start, limit: .seconds(60))
            while await !service.hasWaiter(topic) { await Task.yield() }
            await service.endTopic(topic)
            #expect(await waiting == nil)
            #expect(await service.topicsFollowed().isEmpty)
            #expect(await service.watched(topic).isSynced == false)
            // The next one begins anew, with other numbers.
            let again = await service.topicNews(topic, after: start, limit: .seconds(5))
            #expect(again?.isGap == true)
        }
    }

    @Test("what the node itself follows goes on when people stop, and the other way round")
    func bothFollow() async throws {
        try await withLonePeer { service in
            await service.watch(topic)
            _ = await service.topicNews(topic, after: nil, limit: .seconds(5))
            await service.endTopic(topic)
            #expect(await service.watched(topic).isSynced)
            _ = await service.topicNews(topic, after: nil, limit: .seconds(5))
            await service.unwatch(topic)
            #expect(await service.watched(topic).isSynced)
            await service.endTopic(topic)
            #expect(await service.watched(topic).isSynced == false)
        }
    }

    @Test("no more topics than a bound are followed at once")
    func bounded() async throws {
        try await withLonePeer { service in
            for number in 0..<PeerService.topicsFollowedMax {
                let news = await service.topicNews(
                    Topic("red/\(number)"),
                    after: nil,
                    limit: .zero
                )
                #expect(news != nil)
            }
            #expect(await service.topicNews(topic, after: nil, limit: .zero) == nil)
            await service.endTopic(Topic("red/7"))
            #expect(await service.topicNews(topic, after: nil, limit: .zero) != nil)
        }
    }
}

extension PeerService {
    fileprivate func hasWaiter(_ topic: Topic) -> Bool {
        !(topics[topic]?.waiters.isEmpty ?? true)
    }

    fileprivate func recordCount(_ topic: Topic) -> Int {
        topics[topic]?.log.contents.reduce(0) { $0 + $1.records.count } ?? 0
    }
}
