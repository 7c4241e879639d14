import Determinism
import RingRecords
import Testing
import Wire

@Suite("Messages about records that no honest peer sends")
struct HostileRecordTests {
    private let own = NodeID(high: 0, low: 1)
    private let other = NodeID(high: 0, low: 2)
    private let topic = Topic("t")

    private func records(_ stored: [OriginSet] = []) -> Records {
        let view = OwnershipView(epoch: 1, ownersBySlot: [[own, other]])
        var records = Records(own: own, boot: 3, stored: stored, view: view, seed: 1, now: .zero)
        records.noteReachable(other, true, now: .zero)
        records.watch(topic, now: .zero)
        records.effects = []
        return records
    }

    private func set(_ origin: NodeID, _ version: RecordVersion) -> OriginSet {
        OriginSet(topic: topic, origin: origin, version: version, records: [])
    }

    @Test("what another says to be a younger set of this node's is not taken", arguments: 0..<3)
    func ownPast_isNeverTaken(kind: Int) {
        var records = records()
        let made = set(own, RecordVersion(boot: 3, sequence: .max))
        let message: RecordMessage =
            switch kind {
            case 0: .change(revision: 2, previous: 1, made)
            case 1:
                .snapshot(
                    epoch: 1,
                    topic: topic,
                    RecordMessage.Standing(isWhole: true, sources: []),
                    part: 0,
                    revision: 1,
                    sets: [made]
                )
            default: .put(epoch: 1, sets: [made])
            }
        records.receive(message, from: other, now: .zero)
        #expect(records.effects.contains(.ownPastUnknown))
        #expect(records.store.set(topic, own) == nil)
        records.publish(topic, [], request: 1, now: .zero)
        #expect(records.store.set(topic, own)?.version == RecordVersion(boot: 3, sequence: 1))
    }

    @Test("with no version left nothing is published, and nothing traps")
    func lastVersion_isTold() {
        var records = records([set(own, RecordVersion(boot: 3, sequence: .max))])
        records.publish(topic, [], request: 1, now: .zero)
        #expect(records.effects.contains(.ownPastUnknown))
        let shortfall = Records.Shortfall(level: .quorum, answered: 0, wanted: 1, missing: [own])
        #expect(records.effects.last == .finished(request: 1, .tooFewOwners(shortfall)))
    }

    @Test("a set that is asked for many times is sent once")
    func fetch_repeated_isServedOnce() throws {
        let held = set(other, RecordVersion(boot: 1, sequence: 1))
        var records = records([held])
        let summary = try #require(records.store.summaries(topic).first)
        let fetch = RecordMessage.fetch(
            epoch: 1,
            summaries: Array(repeating: summary, count: 2_000)
        )
        records.receive(fetch, from: other, now: .zero)
        #expect(
            records.effects == [.afterWrites([.send(.put(epoch: 1, sets: [held]), to: other)])]
        )
    }

    @Test("many large sets are sent in messages that a stream takes")
    func fetch_large_isSplit() throws {
        let content = [UInt8](repeating: 7, count: OriginSet.contentLengthMax)
        let sets = (0..<10).map { number in
            OriginSet(
                topic: topic,
                origin: NodeID(high: 1, low: UInt64(number)),
                version: RecordVersion(boot: 1, sequence: 1),
                records: (0..<200).map { OriginSet.Record(key: "\($0)", content: content) }
            )
        }
        var records = records(sets)
        let summaries = records.store.summaries(topic)
        records.receive(.fetch(epoch: 1, summaries: summaries), from: other, now: .zero)
        var sent: [OriginSet] = []
        for effect in records.sent {
            guard case .send(let message, _) = effect, case .put(_, let sets) = message else {
                continue
            }
            #expect(message.encoded.count < 4 << 20)
            sent += sets
        }
        #expect(sent == sets)
    }

    @Test("a topic of any size is handed to a watcher in messages that a stream takes")
    func watch_large_isSplit() throws {
        let content = [UInt8](repeating: 7, count: OriginSet.contentLengthMax)
        let sets = (0..<10).map { number in
            OriginSet(
                topic: topic,
                origin: NodeID(high: 1, low: UInt64(number)),
                version: RecordVersion(boot: 1, sequence: 1),
                records: (0..<200).map { OriginSet.Record(key: "\($0)", content: content) }
            )
        }
        // Alone in its slot, so that it has nobody to look at before it answers for itself.
        let ownersAlone = OwnershipView(epoch: 1, ownersBySlot: [[own]])
        var owner = Records(
            own: own,
            boot: 3,
            stored: sets,
            view: ownersAlone,
            seed: 1,
            now: .zero
        )
        owner.receive(.watch(epoch: 1, topic: topic, after: 0, known: []), from: other, now: .zero)
        let view = OwnershipView(epoch: 1, ownersBySlot: [[own]])
        var watcher = Records(own: other, boot: 1, stored: [], view: view, seed: 1, now: .zero)
        watcher.noteReachable(own, true, now: .zero)
        watcher.watch(topic, now: .zero)
        for effect in owner.sent {
            guard case .send(let message, _) = effect else { continue }
            #expect(message.encoded.count < 4 << 20)
            let isEarly = watcher.isSynced(topic)
            #expect(!isEarly, "only the last message ends it")
            watcher.receive(message, from: own, now: .zero)
        }
        // Megabytes that nobody wants to see printed.
        let isSynced = watcher.isSynced(topic)
        let isEqual = watcher.store.sets(topic) == sets
        #expect(isSynced && isEqual)
    }

    @Test("records that are not in order are malformed")
    func unorderedRecords_areMalformed() {
        var writer = ByteWriter()
        writer.write(topic.name)
        writer.write(own)
        writer.write(UInt64(1))
        writer.write(UInt64(1))
        writer.write(list: ["b", "a"]) { writer, key in
            writer.write(key)
            writer.write(counted: [])
        }
        #expect(throws: WireError.malformed(field: "key")) {
            var reader = ByteReader(writer.bytes)
            _ = try OriginSet(from: &reader)
        }
    }
}

extension Records {
    /// The effects once all writes are done.
    fileprivate var sent: [Effect] {
        effects.flatMap { effect in
            if case .afterWrites(let then) = effect { then } else { [effect] }
        }
    }
}
