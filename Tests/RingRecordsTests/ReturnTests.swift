import Determinism
import RingRecords
import Testing

@Suite("A node that was taken out of the ring and is a member again")
struct ReturnTests {
    private let watcher = NodeID(high: 0, low: 1)
    private let owner = NodeID(high: 0, low: 2)
    private let origin = NodeID(high: 0, low: 3)
    private let topic = Topic("t")

    private func view(_ epoch: UInt64, _ members: [NodeID]) -> OwnershipView {
        OwnershipView(epoch: epoch, ownersBySlot: [[owner]], members: SortedSet(members))
    }

    private var set: OriginSet {
        OriginSet(
            topic: topic,
            origin: origin,
            version: RecordVersion(boot: 2, sequence: 1),
            records: []
        )
    }

    /// A watcher that held a set when its origin was taken out; the origin is back since.
    private func returned() -> Records {
        var records = Records(
            own: watcher,
            boot: 1,
            stored: [set],
            view: view(1, [watcher, owner, origin]),
            seed: 1,
            now: .zero
        )
        records.noteReachable(owner, true, boot: 1, now: .zero)
        records.watch(topic, now: .zero)
        records.receive(snapshot(epoch: 1, []), from: owner, now: .zero)
        records.adopt(view(2, [watcher, owner]), now: .zero)
        records.adopt(view(3, [watcher, owner, origin]), now: .zero)
        records.effects = []
        return records
    }

    private func snapshot(epoch: UInt64, _ sets: [OriginSet]) -> RecordMessage {
        .snapshot(
            epoch: epoch,
            topic: topic,
            RecordMessage.Standing(isWhole: true, sources: []),
            part: 0,
            revision: 1,
            sets: sets
        )
    }

    @Test("what an earlier process of it said comes from others no more")
    func earlierProcess_isRefused() {
        var records = returned()
        records.noteReachable(origin, true, boot: 3, now: .zero)
        records.receive(snapshot(epoch: 3, [set]), from: owner, now: .zero)
        #expect(records.store.set(topic, origin) == nil)
    }

    @Test("what the process that runs still had said before comes from any owner")
    func sameProcess_isTaken() {
        var records = returned()
        records.noteReachable(origin, true, boot: 2, now: .zero)
        records.receive(snapshot(epoch: 3, [set]), from: owner, now: .zero)
        #expect(records.store.set(topic, origin) == set)
    }

    @Test("what was refused is asked for again once its process is heard of")
    func refused_isAskedForAgain() {
        var records = returned()
        records.receive(snapshot(epoch: 3, [set]), from: owner, now: .zero)
        #expect(records.store.set(topic, origin) == nil)
        records.effects = []
        records.noteReachable(origin, true, boot: 2, now: .zero)
        let isAsked = records.effects.contains { effect in
            guard case .send(.watch(epoch: 3, topic, after: 0, _), let peer) = effect else {
                return false
            }
            return peer == owner
        }
        #expect(isAsked)
    }

    @Test("an owner asks those again that followed it before it knew that it is one")
    func earlyWatcher_isAskedAgain() {
        let later = NodeID(high: 0, low: 4)
        func view(_ epoch: UInt64, _ owner: NodeID) -> OwnershipView {
            OwnershipView(epoch: epoch, ownersBySlot: [[owner]])
        }
        var records = Records(
            own: owner,
            boot: 1,
            stored: [],
            view: view(1, owner),
            seed: 1,
            now: .zero
        )
        for node in [watcher, later] { records.noteReachable(node, true, boot: 1, now: .zero) }
        // It hands its slot over, and does not know yet that it gets it back.
        records.adopt(view(2, later), now: .zero)
        let known = [OriginVersion(origin: origin, version: set.version)]
        let early = RecordMessage.watch(epoch: 3, topic: topic, after: 0, known: known)
        records.receive(early, from: watcher, now: .zero)
        records.effects = []
        records.adopt(view(3, owner), now: .zero)
        #expect(records.effects.contains(.send(.resync(topic: topic), to: watcher)))
        records.effects = []
        records.receive(early, from: watcher, now: .zero)
        let isFetched = records.effects.contains { effect in
            guard case .send(.fetch(_, let summaries), _) = effect else { return false }
            return summaries.map(\.version) == [set.version]
        }
        #expect(isFetched)
    }
}
