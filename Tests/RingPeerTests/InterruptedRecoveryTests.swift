import Determinism
import RingPlacement
import RingRegisters
import Simulation
import Testing

@testable import RingPeer

@Suite("Recovery: what is interrupted has changed nothing, and leaves nothing behind")
struct InterruptedRecoveryTests {
    private func isBinding(_ net: PeerNet, _ node: Int) -> Bool {
        guard case .binding = net.peer(node)?.recoveryJob?.step else { return false }
        return true
    }

    private func isCopying(_ net: PeerNet, _ node: Int) -> Bool {
        guard case .copying = net.peer(node)?.recoveryJob?.step else { return false }
        return true
    }

    private func outcome(_ net: inout PeerNet, _ node: Int, _ token: UInt64) -> RecoveryOutcome? {
        _ = net.run(until: { $0.answers[node]?[token] != nil }, limit: .seconds(40))
        guard case .recovery(let outcome) = net.answers[node]?[token] else { return nil }
        return outcome
    }

    @Test("a steward that falls silent after it was found is waited for, not forgotten")
    func silentSteward() throws {
        var ring = try RecoveryRing(seed: 5)
        let lost = Array(ring.stewards.prefix(2))
        let keeper = try #require(ring.stewards.last)
        let founder = try #require((0..<4).first { !ring.stewards.contains($0) })
        let lostIDs = lost.map { ring.net.id($0) }
        for node in lost { ring.net.crash(node) }
        ring.net.run(for: .seconds(4))
        let token = ring.net.request(founder) {
            $0.recover(givenUp: lostIDs, token: $1, now: $2)
        }
        let isBound = ring.net.run(until: { isBinding($0, founder) }, limit: .seconds(10))
        #expect(isBound)
        ring.net.cut(keeper, true)
        guard
            case .refused(.interrupted(let silent), _) = outcome(&ring.net, founder, token)
        else {
            Issue.record("founded without the only one that held the registers")
            return
        }
        #expect(silent == [ring.net.id(keeper)])
        #expect(ring.net.peer(founder)?.configuration.registry.recoveries == 0)

        ring.net.cut(keeper, false)
        ring.net.run(for: .seconds(10))
        guard case .recovered = ring.recover(founder, lostIDs) else {
            Issue.record("not recovered")
            return
        }
        #expect(ring.read(founder, "test/a")?.payload == [7])
    }

    @Test("stewards that were sealed for a recovery that came to nothing serve again")
    func strandedStewards() throws {
        var net = PeerNet(count: 5, seed: 9)
        let isGrown = net.run(
            until: { net in
                (0..<5).allSatisfy {
                    net.peer($0)?.configuration.stewards.members.count == 5
                        && net.peer($0)?.stewardGroup?.count == 5
                }
            },
            limit: .seconds(60)
        )
        try #require(isGrown)
        net.run(for: .seconds(2))
        for node in 0..<3 { net.crash(node) }
        net.run(for: .seconds(4))
        let lostIDs = (0..<3).map { net.id($0) }
        let token = net.request(3) { $0.recover(givenUp: lostIDs, token: $1, now: $2) }
        let isSealed = net.run(until: { isCopying($0, 3) }, limit: .seconds(20))
        #expect(isSealed)
        net.cut(4, true)
        guard case .refused(.interrupted, _) = outcome(&net, 3, token) else {
            Issue.record("not interrupted")
            return
        }
        #expect(net.peer(3)?.acceptor.successor != nil, "nothing was sealed, so nothing is shown")
        net.cut(4, false)
        for node in 0..<3 { net.start(node) }
        let isWhole = net.run(
            until: { net in
                (0..<5).allSatisfy {
                    net.peer($0)?.acceptor.successor == nil
                        && net.peer($0)?.acceptor.isTrusted == true
                        && net.peer($0)?.acceptor.group?.epoch == net.peer(0)?.acceptor.group?.epoch
                }
            },
            limit: .seconds(120)
        )
        #expect(isWhole)
        // Two of the others may be lost now.
        net.crash(0)
        net.crash(1)
        net.run(for: .seconds(3))
        let read = net.request(2) { $0.ask(.read(key: "test/a"), token: $1, now: $2) }
        _ = net.run(until: { $0.answers[2]?[read] != nil }, limit: .seconds(10))
        guard case .register(.value) = net.answers[2]?[read] else {
            Issue.record("no value: \(String(describing: net.answers[2]?[read]))")
            return
        }
    }
}
