import RingPlacement
import Testing

@Suite("Placement: a change moves little more than its own share")
struct PlacementMoveTests {
    private static let rings: [(count: Int, zoneCount: Int, slotCount: Int)] = [
        (5, 1, 1_024), (10, 1, 1_024), (50, 1, 1_024), (50, 5, 1_024), (12, 3, 1_024),
        (200, 1, 4_096),
    ]

    /// Moved copies may be at most twice the copies that one of `count` members owns.
    private static func isSmall(_ moves: [SlotMove], count: Int, slotCount: Int) -> Bool {
        moved(moves) * count <= 2 * slotCount * 3
    }

    private static func moved(_ moves: [SlotMove]) -> Int {
        moves.reduce(0) { $0 + $1.gainers.count }
    }

    @Test("a join moves at most twice the newcomer's share", arguments: rings)
    func join_oneMember_movesLittle(count: Int, zoneCount: Int, slotCount: Int) {
        let larger = RingConfiguration.fixture(
            count: count + 1,
            zoneCount: zoneCount,
            slotCount: slotCount
        )
        let smaller = RingConfiguration.fixture(
            count: count,
            zoneCount: zoneCount,
            slotCount: slotCount
        )
        let moves = Placement(larger).moves(since: Placement(smaller))
        let few = Self.isSmall(moves, count: count + 1, slotCount: slotCount)
        #expect(few, "\(Self.moved(moves)) of \(slotCount * 3) copies moved")
        #expect(moves.contains { $0.gainers.contains(.fixture(count)) })
    }

    @Test("a leave moves at most twice the leaver's share", arguments: rings)
    func leave_oneMember_movesLittle(count: Int, zoneCount: Int, slotCount: Int) {
        let before = RingConfiguration.fixture(
            count: count,
            zoneCount: zoneCount,
            slotCount: slotCount
        )
        guard case .changed(let after) = before.removing(.fixture(count / 2)) else {
            Issue.record("a member can be removed")
            return
        }
        let moves = Placement(after).moves(since: Placement(before))
        let few = Self.isSmall(moves, count: count, slotCount: slotCount)
        #expect(few, "\(Self.moved(moves)) of \(slotCount * 3) copies moved")
        #expect(moves.contains { $0.losers.contains(.fixture(count / 2)) })
    }

    @Test("nothing moves when only a name changes")
    func rename_oneMember_movesNothing() {
        let before = RingConfiguration.fixture(count: 9)
        let renamed = RingMember(
            id: .fixture(4),
            name: "other",
            zone: "zone-0",
            address: before.members[0].address
        )
        guard case .changed(let after) = before.updating(renamed) else {
            Issue.record("a member can be renamed")
            return
        }
        #expect(Placement(after).moves(since: Placement(before)).isEmpty)
    }

    @Test("every move pairs as many gainers as losers while the ring stays large enough")
    func moves_largeRing_arePaired() {
        let moves = Placement(.fixture(count: 21)).moves(since: Placement(.fixture(count: 20)))
        #expect(!moves.isEmpty)
        #expect(moves.allSatisfy { $0.gainers.count == $0.losers.count })
    }
}
