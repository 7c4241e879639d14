import Determinism
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing

@Suite("Registers that are followed: changes come by themselves")
struct PeerFollowingTests {
    private static let key = "app/a"

    private func versions(_ net: PeerNet, _ node: Int) -> [UInt64] {
        (net.events[node] ?? []).compactMap {
            if case .register(Self.key, let value) = $0 { value.version } else { nil }
        }
    }

    private func follow(_ net: inout PeerNet, _ node: Int) {
        net.request(node) { peer, _, now in
            _ = peer.follow(register: Self.key, known: 0, now: now)
        }
    }

    /// Sets the register until it is set; the version that it has then.
    ///
    /// Where a fifth of all messages is lost it may take many attempts.
    private func set(_ net: inout PeerNet, _ node: Int, limit: Span = .seconds(90)) -> UInt64 {
        let end = net.now.advanced(by: limit)
        while net.now < end {
            let read = net.request(node) { $0.ask(.read(key: Self.key), token: $1, now: $2) }
            _ = net.run(until: { $0.answers[node]?[read] != nil }, limit: .seconds(5))
            guard case .register(.value(let value)) = net.answers[node]?[read] else { continue }
            let change = net.request(node) { peer, token, now in
                peer.ask(
                    .compareAndSet(key: Self.key, expectedVersion: value.version, content: [1]),
                    token: token,
                    now: now
                )
            }
            _ = net.run(until: { $0.answers[node]?[change] != nil }, limit: .seconds(5))
            if case .register(.committed(let value)) = net.answers[node]?[change] {
                return value.version
            }
        }
        Issue.record("the register could not be set")
        return 0
    }

    private func settled(_ count: Int, seed: UInt64) -> PeerNet {
        var net = PeerNet(count: count, seed: seed)
        let wanted = count < 3 ? 1 : count < 5 ? 3 : 5
        let isSettled = net.run(
            until: { net in
                (0..<count).allSatisfy {
                    net.peer($0)?.configuration.stewards.members.count == wanted
                        && net.peer($0)?.configuration.members.count == count
                }
            },
            limit: .seconds(60)
        )
        #expect(isSettled)
        net.run(for: .seconds(2))
        return net
    }

    @Test(
        "a change is told to every follower within 100 ms, in a ring of each size",
        arguments: [1, 2, 4, 7]
    )
    func change_isToldSoon(count: Int) {
        var net = settled(count, seed: 3)
        for node in 0..<count { follow(&net, node) }
        net.run(for: .seconds(1))
        for _ in 0..<3 {
            let version = set(&net, 0)
            let isTold = net.run(
                until: { net in (0..<count).allSatisfy { versions(net, $0).last == version } },
                limit: .milliseconds(100)
            )
            #expect(isTold, "\((0..<count).map { versions(net, $0) })")
        }
        for node in 0..<count { #expect(versions(net, node) == [1, 2, 3]) }
    }

    @Test("a follower that no longer follows is told nothing")
    func unfollowed_isNotTold() {
        var net = settled(3, seed: 4)
        follow(&net, 1)
        net.run(for: .seconds(1))
        _ = set(&net, 0)
        net.run(for: .milliseconds(200))
        net.request(1) { peer, _, now in peer.unfollow(register: Self.key, now: now) }
        net.run(for: .seconds(1))
        _ = set(&net, 0)
        net.run(for: .seconds(2))
        #expect(versions(net, 1) == [1])
        #expect(net.peer(0)?.figures(now: net.now).followers == 0)
    }

    @Test("stewards that were started anew have forgotten their followers, and are asked again")
    func restartedStewards_areAskedAgain() {
        var net = settled(3, seed: 5)
        follow(&net, 2)
        net.run(for: .seconds(1))
        _ = set(&net, 2)
        net.run(for: .milliseconds(200))
        for node in 0..<2 { net.crash(node) }
        net.run(for: .milliseconds(300))
        for node in 0..<2 { net.start(node) }
        net.run(for: .seconds(8))
        let version = set(&net, 0)
        let isTold = net.run(
            until: { versions($0, 2).last == version },
            limit: .milliseconds(100)
        )
        #expect(isTold, "\(versions(net, 2)), wanted \(version)")
    }

    @Test("whatever is lost on the way, a follower ends with the last version", arguments: 0..<4)
    func faults_areMadeUpFor(seed: UInt64) {
        var net = settled(4, seed: 20 + seed)
        for node in 0..<4 { follow(&net, node) }
        net.run(for: .seconds(1))
        net.lossPercent = 20
        net.cut(3, true)
        _ = set(&net, 0)
        // One steward of three at a time.
        net.cut(3, false)
        net.run(for: .seconds(2))
        net.crash(1)
        _ = set(&net, 2)
        net.start(1)
        follow(&net, 1)
        _ = set(&net, 0)
        net.lossPercent = 0
        let version = set(&net, 0)
        let isTold = net.run(
            until: { net in (0..<4).allSatisfy { versions(net, $0).last == version } },
            limit: RegisterFollowing.renewal + .seconds(5)
        )
        #expect(isTold, "\((0..<4).map { versions(net, $0) }), wanted \(version)")
        for node in [0, 2, 3] {
            let seen = versions(net, node)
            #expect(seen == seen.sorted() && Set(seen).count == seen.count, "\(seen)")
        }
    }
}
