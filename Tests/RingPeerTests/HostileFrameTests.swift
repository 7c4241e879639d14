import Addressing
import Determinism
import RingMembership
import RingPeer
import RingPlacement
import Testing
import Wire

@Suite("Frames of a member that claims to be another, or that nobody can read")
struct HostileFrameTests {
    private static func fact(_ number: UInt64) -> MemberFact {
        MemberFact(
            id: NodeID(high: 0, low: number),
            boot: 1,
            name: "n\(number)",
            address: SocketAddress(
                address: IPAddress(v4: 0x7f00_0000 + UInt32(number)),
                port: 7_940
            )
        )
    }

    private let liar = NodeID(high: 0, low: 3)

    private func peer() throws -> Peer {
        let own = Self.fact(1)
        let identity = PeerIdentity(
            node: own.id,
            storage: NodeID(high: 1, low: 1),
            boot: 1,
            name: own.name,
            zone: "",
            weight: 100,
            address: own.address
        )
        var peer = try Peer(
            identity: identity,
            configuration: Peer.founding(identity, ring: RingID(bits: NodeID(high: 9, low: 9))),
            rows: [],
            seed: 1,
            now: .zero
        )
        peer.meet([Self.fact(2), Self.fact(3)], now: .zero)
        peer.effects = []
        return peer
    }

    private static let another = fact(2)
    static let claims: [PeerFrame] = [
        .hello(ring: nil, sender: another),
        .hello(ring: RingID(bits: NodeID(high: 9, low: 9)), sender: another),
        .membership(
            .summary(Array(repeating: 0, count: MemberDigests.bucketCount), sender: another)
        ),
        .probeAnswer(sequence: 1, epoch: 1, another),
    ]

    @Test("who speaks in another's name is refused and answered nothing", arguments: claims)
    func anothersName_isRefused(frame: PeerFrame) throws {
        var peer = try peer()
        let facts = peer.membership.facts
        let reception = peer.receive(frame: frame.encoded, from: liar, now: .zero)
        #expect(reception == .unreadable(.malformed(field: "sender")))
        #expect(peer.membership.facts == facts)
        let reason = "\(WireError.malformed(field: "sender"))"
        #expect(peer.effects == [.event(.refusedFrame(from: liar, reason: reason))])
    }

    @Test(
        "a frame that cannot be read has no consequence but a word of it",
        arguments: [
            [], [0], [4], [7], [7, 1], [8, 99], [8, 1, 0], [11], [12], [12, 9], [12, 1, 0],
        ] as [[UInt8]]
    )
    func unreadable_isTold(bytes: [UInt8]) throws {
        var peer = try peer()
        for speaker in [liar, NodeID(high: 7, low: 7), Self.fact(1).id] {
            let reception = peer.receive(frame: bytes, from: speaker, now: .zero)
            guard case .unreadable(let error) = reception else {
                Issue.record("\(bytes) was \(reception)")
                return
            }
            let told = PeerEffect.event(.refusedFrame(from: speaker, reason: error.description))
            #expect(peer.effects == [told])
            peer.effects = []
        }
    }
}
