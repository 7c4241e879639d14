import Addressing
import Determinism
import RingMembership
import RingPlacement
import RingRegisters
import Testing

@testable import RingPeer

@Suite("Which nodes hold the registers")
struct StewardPolicyTests {
    private let nodes = (1...5).map { NodeID(high: 1, low: $0) }

    private func successor(
        of stewards: [Int],
        leaving: [Int],
        away: [Int]
    ) throws -> [NodeID]? {
        let group = StewardSet(
            epoch: 2,
            members: stewards.map { Steward(node: nodes[$0], storage: nodes[$0]) }
        )
        let configuration = RingConfiguration(
            ringID: RingID(bits: nodes[0]),
            epoch: 3,
            slotCount: 16,
            replicationFactor: 3,
            members: nodes.enumerated().map { index, node in
                RingMember(
                    id: node,
                    name: "node\(index)",
                    zone: "",
                    address: .init(address: .init(v4: UInt32(index + 1)), port: 1)
                )
            },
            stewards: group,
            leaving: leaving.map { nodes[$0] }
        )
        return StewardPolicy.successor(of: group, configuration: configuration) { node in
            away.contains { nodes[$0] == node } ? .away : .present
        }
    }

    @Test("where one leaves and one more is to go, it is one that is away")
    func awayGoesFirst() throws {
        let all = [0, 1, 2, 3, 4]
        for away in 0..<4 {
            let next = try #require(try successor(of: all, leaving: [4], away: [away]))
            #expect(next.count == 3)
            #expect(!next.contains(nodes[away]) && !next.contains(nodes[4]), "\(away)")
        }
    }
}
