import Determinism
import RingPlacement
import Testing

@Suite("Placement: owners follow from the configuration alone")
struct PlacementTests {
    @Test(
        "no member owns more than 5/4 of the mean",
        arguments: [
            (count: 3, slotCount: 1_024), (count: 5, slotCount: 1_024),
            (count: 50, slotCount: 1_024), (count: 1_000, slotCount: 4_096),
        ]
    )
    func loads_equalMembers_areBalanced(count: Int, slotCount: Int) {
        let placement = Placement(.fixture(count: count, slotCount: slotCount))
        let loads = placement.loads.values
        #expect(loads.reduce(0, +) == slotCount * 3)
        #expect(loads.count == count)
        // loads.max / (slotCount * 3 / count) <= 5 / 4
        #expect((loads.max() ?? 0) * count * 4 <= slotCount * 3 * 5)
    }

    @Test("where 5/4 of the mean is no whole slot, nobody owns more than the mean rounded up")
    func loads_fewSlotsManyMembers_stayAtTheCeiling() {
        let loads = Placement(.fixture(count: 1_000)).loads.values
        #expect(loads.max() == 4)
    }

    @Test("balance holds whatever the identities are", arguments: UInt64(1)...8)
    func loads_otherIdentities_areBalanced(seed: UInt64) {
        for count in [4, 7, 16, 33] {
            let loads = Placement(.fixture(count: count, seed: seed)).loads.values
            #expect((loads.max() ?? 0) * count * 4 <= 1_024 * 3 * 5, "seed \(seed) count \(count)")
        }
    }

    @Test("owners lie in distinct zones", arguments: [(3, 3), (9, 3), (10, 3), (50, 5), (7, 4)])
    func owners_enoughZones_areSpread(count: Int, zoneCount: Int) {
        let configuration = RingConfiguration.fixture(count: count, zoneCount: zoneCount)
        let placement = Placement(configuration)
        for slot in placement.slots {
            let zones = placement.owners(of: slot).compactMap { configuration.member($0)?.zone }
            #expect(zones.sorted() == Array(Set(zones)).sorted() && zones.count == 3)
        }
    }

    @Test("zones of different size still give each slot its three zones, shared evenly inside")
    func owners_unevenZones_areSharedInside() {
        let zones = ["a", "b", "b"] + Array(repeating: "c", count: 7)
        let configuration = RingConfiguration.fixture(
            zones.enumerated().map { .fixture($0.offset, zone: $0.element) }
        )
        let loads = Placement(configuration).loads
        #expect(loads[.fixture(0)] == 1_024)
        #expect([NodeID.fixture(1), .fixture(2)].allSatisfy { (loads[$0] ?? 0) <= 640 })
        #expect((3...9).allSatisfy { (loads[.fixture($0)] ?? 0) <= 183 })
    }

    @Test("with two zones both hold a copy, and the third copy is on a third node")
    func owners_twoZones_coverBoth() {
        let configuration = RingConfiguration.fixture(count: 6, zoneCount: 2)
        let placement = Placement(configuration)
        for slot in placement.slots {
            let owners = placement.owners(of: slot)
            let zones = owners.compactMap { configuration.member($0)?.zone }
            #expect(Set(owners).count == 3 && Set(zones).count == 2)
        }
    }

    @Test("a ring smaller than the replication factor uses everybody", arguments: 1...3)
    func owners_smallRing_areEverybody(count: Int) {
        let placement = Placement(.fixture(count: count))
        #expect(placement.slots.allSatisfy { placement.owners(of: $0).count == count })
    }

    @Test("a ring without weight has no owners, and one without members neither")
    func owners_noWeight_areNone() {
        let idle = Placement(.fixture([.fixture(1, weight: 0)]))
        #expect(idle.owners(of: Slot(index: 5)).isEmpty)
        #expect(idle.preferenceList(of: Slot(index: 5)).isEmpty)
        #expect(Placement(.fixture([])).owners(of: Slot(index: 0)).isEmpty)
    }

    @Test("a member of weight 200 owns twice what one of weight 100 does, within a tenth")
    func loads_doubleWeight_areDouble() {
        let members = (0..<40).map { RingMember.fixture($0, weight: $0 < 20 ? 100 : 200) }
        let loads = Placement(.fixture(members, slotCount: 4_096)).loads
        let light = (0..<20).reduce(0) { $0 + (loads[.fixture($1)] ?? 0) }
        let heavy = (20..<40).reduce(0) { $0 + (loads[.fixture($1)] ?? 0) }
        #expect(heavy * 10 >= light * 18 && heavy * 10 <= light * 22, "\(light) : \(heavy)")
        let most = (20..<40).compactMap { loads[.fixture($0)] }.max() ?? 0
        #expect(most * 40 * 3 * 4 <= 4_096 * 3 * 2 * 2 * 5)
    }

    @Test("a member of weight 0 owns nothing and stands in for nobody")
    func owners_zeroWeight_isLeftOut() {
        let members = (0..<6).map { RingMember.fixture($0, weight: $0 == 2 ? 0 : 100) }
        let placement = Placement(.fixture(members))
        #expect(placement.slots(ownedBy: .fixture(2)).isEmpty)
        #expect(!placement.preferenceList(of: Slot(index: 7)).contains(.fixture(2)))
    }

    @Test("the table does not depend on the order in which members are given")
    func digest_shuffledMembers_isTheSame() {
        var generator = SeededGenerator(seed: 11)
        let members = (0..<60).map { RingMember.fixture($0, zone: "z\($0 % 4)") }
        let digest = Placement(.fixture(members)).digest
        for _ in 0..<4 {
            let other = RingConfiguration.fixture(members.shuffled(using: &generator))
            #expect(Placement(other).digest == digest)
        }
    }

    @Test("the table of a known configuration never changes: peers of two releases must agree")
    func digest_knownConfiguration_isPinned() {
        let placement = Placement(.fixture(count: 12, zoneCount: 3))
        #expect(placement.digest == 0x99a0_84bb_2679_22d9)
    }

    @Test("a preference list begins with the owners and names every member once")
    func preferenceList_always_isAPermutation() {
        let placement = Placement(.fixture(count: 30, zoneCount: 3))
        for slot in placement.slots.prefix(64) {
            let list = placement.preferenceList(of: slot)
            #expect(Array(list.prefix(3)) == placement.owners(of: slot))
            #expect(list.sorted() == (0..<30).map { NodeID.fixture($0) }.sorted())
        }
    }

    @Test("ownership reads the same from the slot's side and from the node's")
    func slotsOwnedBy_always_agreesWithOwners() {
        let placement = Placement(.fixture(count: 9))
        for number in 0..<9 {
            let owned = placement.slots(ownedBy: .fixture(number))
            #expect(owned == placement.slots.filter { placement.isOwner(.fixture(number), of: $0) })
        }
        #expect(placement.slots(ownedBy: .fixture(77)).isEmpty)
    }

    @Test("a key's slot is the top bits of its hash, and keys spread over all slots")
    func slot_manyKeys_isEven() {
        let placement = Placement(.fixture(count: 3, slotCount: 16))
        var counts = Array(repeating: 0, count: 16)
        for number in 0..<16_000 {
            let key = Array("key-\(number)".utf8)
            let slot = placement.slot(of: key)
            #expect(slot.index == Int(StableHash.of(key) >> 60))
            counts[slot.index] += 1
        }
        #expect(counts.allSatisfy { (850...1_150).contains($0) })
        #expect(Slot(of: [1, 2, 3], slotCount: 1).index == 0)
    }
}
