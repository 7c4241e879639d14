import Addressing
import Determinism
import RingMembership
import Testing

/// The seal opens a recorded datagram again once its receiver has restarted, or has forgotten the
/// sender; so what datagrams carry must bear being heard twice.
@Suite("Membership: an old conversation heard again changes nothing")
struct ReplayTests {
    private struct Recorded {
        let target: Int
        let source: SocketAddress
        let datagram: MembershipDatagram
    }

    private static func fact(_ index: Int, boot: UInt64 = 1) -> MemberFact {
        MemberFact(
            id: NodeID(high: UInt64(index + 1), low: 0),
            boot: boot,
            name: "n\(index)",
            address: SocketAddress(address: IPAddress(v4: 0x0a00_0001 + UInt32(index)), port: 7_940)
        )
    }

    /// Peers without delay or loss, and everything that they ever said.
    private struct Ring {
        var now = Instant.zero
        var peers: [Membership] = []
        var isRunning: [Bool] = []
        var said: [Recorded] = []

        init(count: Int, seed: UInt64) {
            let facts = (0..<count).map { ReplayTests.fact($0) }
            for index in 0..<count { add(facts[index], facts, seed: seed + UInt64(index)) }
        }

        mutating func add(_ own: MemberFact, _ facts: [MemberFact], seed: UInt64) {
            var peer = Membership(
                own: own,
                ring: NodeID(high: 9, low: 9),
                seed: seed,
                now: now
            )
            peer.merge(facts, from: own.id, now: now)
            if let index = peers.firstIndex(where: { $0.own.id == own.id }) {
                peers[index] = peer
                isRunning[index] = true
            } else {
                peers.append(peer)
                isRunning.append(true)
            }
        }

        mutating func run(for span: Span) {
            let end = now.advanced(by: span)
            while now < end {
                now = now.advanced(by: .milliseconds(10))
                for index in peers.indices where isRunning[index] {
                    if now >= peers[index].deadline { peers[index].tick(now: now) }
                    deliver(index)
                }
            }
        }

        mutating func deliver(_ index: Int) {
            let effects = peers[index].effects
            peers[index].effects = []
            for effect in effects {
                switch effect {
                case .send(let datagram, let address):
                    guard let target = peers.firstIndex(where: { $0.own.address == address })
                    else { continue }
                    let source = peers[index].own.address
                    said.append(Recorded(target: target, source: source, datagram: datagram))
                    guard isRunning[target] else { continue }
                    peers[target].receive(datagram, from: source, now: now)
                case .sync(let message, let node, _):
                    guard let target = peers.firstIndex(where: { $0.own.id == node }),
                        isRunning[target]
                    else { continue }
                    _ = peers[target].receive(message, from: peers[index].own.id, now: now)
                case .probeOverStream, .changed, .datagramsBlocked, .newerEpoch, .identityTaken,
                    .twin:
                    break
                }
            }
        }
    }

    /// The whole story: a ring, a death, a refutation of a suspicion, a restart.
    private func story(_ seed: UInt64) -> Ring {
        var ring = Ring(count: 4, seed: seed)
        ring.run(for: .seconds(3))
        ring.isRunning[3] = false
        ring.run(for: .seconds(6))
        ring.add(Self.fact(3, boot: 2), (0..<3).map { Self.fact($0) }, seed: seed + 50)
        ring.run(for: .seconds(3))
        return ring
    }

    @Test("digests and members are the same before and after", arguments: [1, 2, 3] as [UInt64])
    func wholeConversation_changesNothing(seed: UInt64) {
        var ring = story(seed)
        let digests = ring.peers.map(\.digest)
        let facts = ring.peers.map { $0.facts.sorted { $0.id < $1.id } }
        #expect(Set(digests).count == 1)
        let recorded = ring.said
        #expect(recorded.count > 500)
        for item in recorded {
            ring.peers[item.target].receive(item.datagram, from: item.source, now: ring.now)
            for effect in ring.peers[item.target].effects {
                if case .changed(let member) = effect { Issue.record("changed: \(member)") }
                switch effect {
                case .identityTaken, .twin: Issue.record("a replay stops a peer")
                default: break
                }
            }
            ring.peers[item.target].effects = []
            guard ring.peers[item.target].digest == digests[item.target] else {
                Issue.record("seed \(seed): \(item.datagram) has changed the table")
                return
            }
        }
        #expect(ring.peers.map { $0.facts.sorted { $0.id < $1.id } } == facts)
        // What the replays have left behind comes to nothing as well.
        ring.run(for: .seconds(10))
        #expect(ring.peers.map(\.digest) == digests)
        #expect(ring.peers.allSatisfy { $0.members.allSatisfy { $0.fact.status == .alive } })
    }

    @Test(
        "a peer that has just restarted is not led astray by its past",
        arguments: [4, 5] as [UInt64]
    )
    func restarted_isNotLedAstray(seed: UInt64) {
        var ring = story(seed)
        let recorded = ring.said
        ring.add(Self.fact(2, boot: 2), [Self.fact(0)], seed: seed + 70)
        for item in recorded where item.target == 2 {
            ring.peers[2].receive(item.datagram, from: item.source, now: ring.now)
            for effect in ring.peers[2].effects {
                switch effect {
                case .identityTaken, .twin: Issue.record("a replay stops a peer")
                default: break
                }
            }
            // What it answers goes to the living.
            ring.deliver(2)
        }
        ring.run(for: .seconds(12))
        #expect(Set(ring.peers.map(\.digest)).count == 1)
        #expect(ring.peers.allSatisfy { $0.members.allSatisfy { $0.fact.status == .alive } })
        #expect(ring.peers[0].member(Self.fact(2).id)?.fact.boot == 2)
        #expect(ring.peers[0].member(Self.fact(3).id)?.fact.boot == 2)
    }
}
