import Determinism
import RingRecords
import Testing

@Suite("TopicLog: a snapshot at a revision, then the tail, bounded")
struct TopicLogTests {
    private let topic = Topic("red/web")
    private let one = NodeID(high: 1, low: 0)
    private let two = NodeID(high: 2, low: 0)

    private func record(_ key: String, _ content: UInt8 = 0) -> OriginSet.Record {
        OriginSet.Record(key: key, content: [content])
    }

    private func set(
        _ origin: NodeID,
        _ sequence: UInt64,
        _ records: OriginSet.Record...
    ) -> OriginSet {
        OriginSet(
            topic: topic,
            origin: origin,
            version: RecordVersion(boot: 1, sequence: sequence),
            records: records
        )
    }

    @Test("each record that comes, changes or goes is one event, and a set seen before none")
    func note_changes_areEvents() throws {
        var log = TopicLog(after: 100)
        var counter: UInt64 = 100
        log.note(set(one, 1, record("a"), record("b")), at: 5, counter: &counter)
        log.note(set(one, 1, record("c")), at: 6, counter: &counter)
        log.noteComplete(at: 7, counter: &counter)
        log.noteComplete(at: 8, counter: &counter)
        // Another log of the process has drawn numbers meanwhile.
        counter += 10
        log.note(set(one, 3, record("b", 1), record("d")), at: 9, counter: &counter)
        log.note(set(one, 2, record("a")), at: 9, counter: &counter)
        log.note(set(two, 1, record("e")), at: 10, counter: &counter)
        log.noteRetired(one, at: 11, counter: &counter)
        log.noteRetired(one, at: 12, counter: &counter)
        let events = try #require(log.events(after: 100))
        #expect(
            events.map(\.change) == [
                .added(one, record("a")), .added(one, record("b")), .complete,
                .removed(one, record("a")), .changed(one, record("b", 1)),
                .added(one, record("d")), .added(two, record("e")),
                .removed(one, record("b", 1)), .removed(one, record("d")),
            ]
        )
        #expect(events.map(\.revision) == [101, 102, 103] + (114...119).map { UInt64($0) })
        #expect(events.map(\.time) == [5, 5, 7, 9, 9, 9, 10, 11, 11])
        #expect(log.contents == [set(two, 1, record("e"))])
        #expect(log.isComplete)
        #expect(counter == log.revision)
    }

    @Test("whoever goes on from any revision of the log ends with what the log holds")
    func events_afterAnyRevision_giveTheContents() throws {
        var log = TopicLog(after: 0)
        var counter: UInt64 = 0
        var generator = SeededGenerator(seed: 7)
        var pasts: [(revision: UInt64, keys: [String])] = []
        for sequence in 1...200 {
            let origin = Bool.random(using: &generator) ? one : two
            let keys = ["a", "b", "c", "d"].filter { _ in Bool.random(using: &generator) }
            let records = keys.map { record($0, UInt8.random(in: 0...2, using: &generator)) }
            let set = OriginSet(
                topic: topic,
                origin: origin,
                version: RecordVersion(boot: 1, sequence: UInt64(sequence)),
                records: records
            )
            if sequence % 50 == 0 {
                log.noteRetired(origin, at: 0, counter: &counter)
            } else {
                log.note(set, at: 0, counter: &counter)
            }
            pasts.append((log.revision, describe(log)))
        }
        for past in pasts {
            var view = Set(past.keys)
            for event in try #require(log.events(after: past.revision)) {
                switch event.change {
                case .added(let origin, let record):
                    #expect(!view.contains { $0.hasPrefix("\(origin.high) \(record.key) ") })
                    view.insert(describe(origin, record))
                case .changed(let origin, let record):
                    let old = view.filter { $0.hasPrefix("\(origin.high) \(record.key) ") }
                    #expect(old.count == 1)
                    view.subtract(old)
                    view.insert(describe(origin, record))
                case .removed(let origin, let record):
                    #expect(view.remove(describe(origin, record)) != nil)
                case .complete: break
                }
            }
            #expect(view.sorted() == describe(log))
        }
    }

    private func describe(_ origin: NodeID, _ record: OriginSet.Record) -> String {
        "\(origin.high) \(record.key) \(record.content)"
    }

    private func describe(_ log: TopicLog) -> [String] {
        log.contents.flatMap { set in set.records.map { describe(set.origin, $0) } }.sorted()
    }

    @Test("who fell behind, or asks after a revision of another process, is told so")
    func events_afterAGap_areNil() {
        var log = TopicLog(after: 50, eventsMax: 16)
        var counter: UInt64 = 50
        for sequence in 1...16 {
            log.note(
                set(one, UInt64(sequence), record("a", UInt8(sequence))),
                at: 0,
                counter: &counter
            )
        }
        #expect(log.events(after: 50)?.count == 16)
        #expect(log.events(after: 49) == nil)
        #expect(log.events(after: log.revision)?.isEmpty == true)
        #expect(log.events(after: log.revision + 1) == nil)
        log.note(set(one, 17, record("a", 17)), at: 0, counter: &counter)
        #expect(log.events(after: 50) == nil)
        #expect(log.events(after: 53)?.count == 14)
        #expect(log.events(after: 52) == nil)
    }

    @Test("contents are bounded as well as counts")
    func bytes_areBounded() {
        var log = TopicLog(after: 0)
        var counter: UInt64 = 0
        let content = [UInt8](repeating: 1, count: OriginSet.contentLengthMax)
        for sequence in 1...1_500 {
            let record = OriginSet.Record(key: "\(sequence)", content: content)
            log.note(set(one, UInt64(sequence), record), at: 0, counter: &counter)
        }
        #expect(log.events(after: 0) == nil)
        let kept = (0...log.revision).first { log.events(after: $0) != nil } ?? 0
        let bytes = (log.revision - kept) * UInt64(OriginSet.contentLengthMax)
        #expect(bytes <= UInt64(TopicLog.eventBytesMax))
        #expect(bytes >= UInt64(TopicLog.eventBytesMax) * 3 / 4)
    }
}
