import Determinism
import RingRecords
import Testing

@Suite("A new owner that is started anew before it holds all of a slot")
struct PendingArrivalTests {
    private let own = NodeID(high: 0, low: 1)
    private let former = NodeID(high: 0, low: 2)
    private let owners = [NodeID(high: 0, low: 3), NodeID(high: 0, low: 4)]
    private let reader = NodeID(high: 0, low: 5)
    private let topic = Topic("t")

    private func view(_ epoch: UInt64, _ first: NodeID) -> OwnershipView {
        OwnershipView(epoch: epoch, ownersBySlot: [[first] + owners])
    }

    private func started(_ arrivals: [PendingArrival], epoch: UInt64) -> Records {
        var records = Records(
            own: own,
            boot: 1,
            stored: [],
            arrivals: arrivals,
            view: view(epoch, epoch == 1 ? former : own),
            seed: 1,
            now: .zero
        )
        for node in owners + [former] { records.noteReachable(node, true, now: .zero) }
        return records
    }

    /// What it says of itself to one who reads.
    private func standing(_ records: Records) -> RecordMessage.Standing? {
        var records = records
        records.effects = []
        records.receive(.read(epoch: 2, request: 1, topic: topic), from: reader, now: .zero)
        for effect in records.effects {
            guard case .afterWrites(let then) = effect, case .send(let message, _) = then.first,
                case .contents(_, _, let standing, _, _, _) = message
            else { continue }
            return standing
        }
        return nil
    }

    @Test("it goes on looking at those who owned the slot before, and is not whole until then")
    func restart_isNotWhole() throws {
        var first = started([], epoch: 1)
        first.adopt(view(2, own), now: .zero)
        let pending = first.pendingArrivals
        #expect(pending == [PendingArrival(slot: 0, sources: [former] + owners)])
        let bytes = PendingArrival.encoded(pending)
        var second = started(try PendingArrival.all(encoded: bytes), epoch: 2)
        #expect(standing(second)?.sources.contains(former) == true)
        // The other owners hold what it holds; the one before them may hold more.
        let same = RecordMessage.SlotVerdict(slot: 0, finding: .same)
        for owner in owners {
            second.receive(.verdicts(epoch: 2, slots: [same]), from: owner, now: .zero)
        }
        #expect(standing(second)?.isWhole == false)
        second.effects = []
        second.receive(.verdicts(epoch: 2, slots: [same]), from: former, now: .zero)
        #expect(second.effects.contains(.arrivalsEnded))
        #expect(standing(second)?.isWhole == true)
    }
}
