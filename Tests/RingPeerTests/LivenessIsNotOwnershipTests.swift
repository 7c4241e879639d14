import Determinism
import RingMembership
import RingPeer
import RingPlacement
import Simulation
import Testing
import Wire

@Suite("What membership must never decide, and what an older release does not know")
struct LivenessIsNotOwnershipTests {
    @Test("metallb 740: a member called dead keeps its place, its slots and its name in the ring")
    func deadKeepsItsPlace() throws {
        var net = PeerNet(count: 5, seed: 3)
        let isWhole = net.run(
            until: { net in
                (0..<5).allSatisfy { net.peer($0)?.configuration.members.count == 5 }
            },
            limit: .seconds(20)
        )
        #expect(isWhole)
        net.run(for: .seconds(5))
        let before = try #require(net.peer(0))
        let slots = before.placement.slots(ownedBy: net.id(4))
        net.crash(4)
        net.run(for: .seconds(120))
        let after = try #require(net.peer(0))
        #expect(!after.membership.isReachable(net.id(4)))
        #expect(after.configuration.member(net.id(4)) != nil)
        #expect(after.placement.slots(ownedBy: net.id(4)) == slots)
    }

    @Test("FallbackTCP_old: a frame of a later release is left alone, and the peer goes on")
    func unknownFrame() throws {
        var net = PeerNet(count: 2, seed: 1)
        net.run(for: .seconds(2))
        var peer = try #require(net.peer(0))
        let reception = peer.receive(frame: [200, 1, 2, 3], from: net.id(1), now: net.now)
        #expect(reception == .unknown(200))
        #expect(peer.membership.isReachable(net.id(1)))
        // The same for a datagram of another layout.
        let datagram = peer.receive(
            datagram: [200, 1, 2, 3],
            from: PeerNet.address(1),
            now: net.now
        )
        #expect(datagram == .unknown(200))
    }
}
