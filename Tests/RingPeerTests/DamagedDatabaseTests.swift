import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import Testing
import Wire

@Suite("A database that no peer wrote is refused, not trapped on")
struct DamagedDatabaseTests {
    private let identity = PeerIdentity(
        node: NodeID(high: 0, low: 1),
        storage: NodeID(high: 0, low: 2),
        boot: 1,
        name: "a",
        zone: "",
        weight: 100,
        address: SocketAddress(address: IPAddress(v4: 0x7f00_0001), port: 7_940)
    )

    private func assignment(_ address: UInt32, _ container: String) -> [UInt8] {
        let assignment = AddressPool.Assignment(
            pool: 1,
            address: IPAddress(v4: address),
            holder: AddressHolder(containerID: container, interfaceName: "eth0"),
            fence: 1
        )
        return [1] + assignment.encoded
    }

    private func start(_ values: [[UInt8]]) throws(WireError) {
        let ring = RingID(bits: NodeID(high: 0, low: 9))
        _ = try Peer(
            identity: identity,
            configuration: Peer.founding(identity, ring: ring),
            rows: values.enumerated().map { number, value in
                PeerRow(space: .assignments, key: [UInt8(number)], value: value)
            },
            seed: 1,
            now: .zero
        )
    }

    @Test("two holders of one address are malformed")
    func twoHolders_areMalformed() throws {
        try start([assignment(1, "a"), assignment(2, "b")])
        #expect(throws: WireError.malformed(field: "address")) {
            try start([assignment(1, "a"), assignment(1, "b")])
        }
    }
}
