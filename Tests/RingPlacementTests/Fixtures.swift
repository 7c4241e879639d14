import Addressing
import Determinism
import RingPlacement
import RingRegisters

extension NodeID {
    static func fixture(_ number: Int, seed: UInt64 = 1) -> NodeID {
        NodeID(high: StableHash.mix(seed << 32 | UInt64(number)), low: UInt64(number))
    }
}

extension RingMember {
    static func fixture(
        _ number: Int,
        zone: String = "a",
        weight: Int = RingMember.weightDefault,
        seed: UInt64 = 1
    ) -> RingMember {
        RingMember(
            id: .fixture(number, seed: seed),
            name: "node-\(number)",
            zone: zone,
            weight: weight,
            address: SocketAddress(
                address: IPAddress(v4: 0x0a00_0000 + UInt32(number)),
                port: 7_940
            )
        )
    }
}

extension RingConfiguration {
    static func fixture(
        _ members: [RingMember],
        slotCount: Int = RingConfiguration.slotCountDefault,
        stewards: StewardSet = StewardSet(epoch: 0, members: [])
    ) -> RingConfiguration {
        RingConfiguration(
            ringID: RingID(bits: .fixture(99)),
            epoch: 1,
            slotCount: slotCount,
            members: members,
            stewards: stewards
        )
    }

    static func fixture(
        count: Int,
        zoneCount: Int = 1,
        slotCount: Int = RingConfiguration.slotCountDefault,
        seed: UInt64 = 1
    ) -> RingConfiguration {
        fixture(
            (0..<count).map { .fixture($0, zone: "zone-\($0 % zoneCount)", seed: seed) },
            slotCount: slotCount
        )
    }
}

extension Placement {
    var slots: [Slot] { (0..<slotCount).map(Slot.init(index:)) }

    /// How many slots each node owns.
    var loads: SortedMap<NodeID, Int> {
        var loads = SortedMap<NodeID, Int>()
        for slot in slots {
            for owner in owners(of: slot) { loads[owner, default: 0] += 1 }
        }
        return loads
    }
}
