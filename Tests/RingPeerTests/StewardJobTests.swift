import Determinism
import RingRegisters
import Testing

@testable import RingPeer

@Suite("Before a group of stewards is led to")
struct StewardJobTests {
    private let storages = (1...3).map { NodeID(high: 3, low: $0) }
    private let nodes = (1...3).map { NodeID(high: 1, low: $0) }

    private func asked(
        _ purpose: StewardJob.Identification.Purpose,
        answers: [NodeID?]
    ) -> StewardJob.Identification {
        var asked = StewardJob.Identification(
            purpose: purpose,
            nodes: nodes,
            round: 1,
            until: .zero
        )
        for (node, storage) in zip(nodes, answers) { asked.storages[node] = storage }
        return asked
    }

    @Test("most of its disks have to be there; a node that lost its own does not count")
    func leading() {
        let group = StewardSet(
            epoch: 2,
            members: zip(nodes, storages).map { Steward(node: $0, storage: $1) }
        )
        let other = NodeID(high: 9, low: 9)
        let table: [(answers: [NodeID?], isComplete: Bool)] = [
            ([storages[0], storages[1], storages[2]], true),
            ([storages[0], nil, storages[2]], true),
            ([storages[0], nil, nil], false),
            ([storages[0], other, other], false),
            ([other, storages[1], storages[2]], true),
            ([nil, nil, nil], false),
        ]
        for row in table {
            let asked = asked(.leading(to: group), answers: row.answers)
            #expect(asked.isComplete == row.isComplete, "\(row.answers)")
        }
    }

    @Test("before one is chosen all are waited for")
    func choosing() {
        let some = asked(.choosing(version: 1), answers: [storages[0], storages[1], nil])
        #expect(!some.isComplete)
        #expect(asked(.choosing(version: 1), answers: storages).isComplete)
    }
}
