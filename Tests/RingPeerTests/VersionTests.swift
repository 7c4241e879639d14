import Addressing
import Determinism
import RingMembership
import RingPeer
import RingPlacement
import RingRegisters
import Simulation
import Testing
import Wire

@Suite("Versions of the protocol: a mixed ring talks, a distant release is told why not")
struct VersionTests {
    private func settings(_ versions: [Int: ProtocolRange]) -> PeerProcess.Settings {
        var settings = PeerProcess.Settings()
        for (node, range) in versions { settings.versions[node] = range }
        return settings
    }

    @Test(
        "two ranges and the version that is used between them",
        arguments: [
            (1...1, 1...1, 1), (1...2, 1...1, 1), (1...2, 2...3, 2), (1...3, 2...2, 2),
            (1...1, 2...3, nil), (3...4, 1...2, nil),
        ] as [(ClosedRange<UInt8>, ClosedRange<UInt8>, UInt8?)]
    )
    func common(one: ClosedRange<UInt8>, other: ClosedRange<UInt8>, wanted: UInt8?) {
        #expect(ProtocolRange(one).common(with: ProtocolRange(other)) == wanted)
        #expect(ProtocolRange(other).common(with: ProtocolRange(one)) == wanted)
    }

    @Test("newer peers use the new version among themselves, the old one with an older peer")
    func mixed() {
        let both = ProtocolRange(1...2)
        var net = PeerNet(count: 3, seed: 4, settings: settings([0: both, 1: both]))
        let isWhole = net.run(
            until: { net in
                (0..<3).allSatisfy { net.peer($0)?.membership.presentCount == 3 }
            },
            limit: .seconds(10)
        )
        #expect(isWhole)
        net.run(for: .seconds(5))
        #expect(net.peer(0)?.version(with: net.id(1)) == 2)
        #expect(net.peer(0)?.version(with: net.id(2)) == 1)
        #expect(net.peer(2)?.version(with: net.id(0)) == 1)
        let heard = (0..<3).map { net.world.process($0)?.heardVersions ?? SortedMap() }
        // The one that speaks 1 only heard nothing else, and nobody was lost for it.
        #expect(heard[2].keys == [1])
        #expect(heard[0][2] ?? 0 > 0 && heard[1][2] ?? 0 > 0)
        for node in 0..<3 {
            let deaths = net.events[node]?.filter {
                if case .member(let member) = $0 { member.fact.status != .alive } else { false }
            }
            #expect(deaths?.isEmpty != false)
        }
        // Everything that the ring is for works across releases.
        let token = net.request(2) {
            $0.ask(
                .compareAndSet(key: "a", expectedVersion: 0, content: [1]),
                token: $1,
                now: $2
            )
        }
        let isSet = net.run(until: { $0.answers[2]?[token] != nil }, limit: .seconds(5))
        #expect(isSet)
        guard case .register(.committed) = net.answers[2]?[token] else {
            Issue.record("not committed")
            return
        }
    }

    private func peer(_ number: UInt64, _ versions: ProtocolRange) throws -> Peer {
        let identity = PeerIdentity(
            node: NodeID(high: 1, low: number),
            storage: NodeID(high: 2, low: number),
            boot: 1,
            name: "node\(number)",
            zone: "",
            weight: 100,
            address: SocketAddress(
                address: IPAddress(v4: 0x0a00_0000 + UInt32(number)),
                port: 7_940
            ),
            versions: versions
        )
        let ring = RingID(bits: NodeID(high: 9, low: 9))
        return try Peer(
            identity: identity,
            configuration: Peer.founding(identity, ring: ring),
            rows: [],
            seed: number,
            now: .zero
        )
    }

    @Test("without a version in common both ends are told both ranges, and nothing else happens")
    func refused() throws {
        var old = try peer(1, ProtocolRange(1...1))
        let new = try peer(2, ProtocolRange(2...3))
        old.effects = []
        let hello = PeerFrame.hello(ring: nil, sender: new.membership.own).encoded
        #expect(old.receive(frame: hello, from: new.identity.node, now: .zero) == .foreign)
        var reasons: [String] = []
        for effect in old.effects {
            switch effect {
            case .frame(let bytes, let node, let address):
                #expect(node == new.identity.node && address == new.identity.address)
                guard case .refusal(.versions, _, let reason) = try PeerFrame(bytes) else {
                    Issue.record("another frame")
                    continue
                }
                reasons.append(reason)
            case .event(.refusedFrame(let node, let reason)):
                #expect(node == new.identity.node)
                reasons.append(reason)
            default: break
            }
        }
        #expect(reasons.count == 2)
        for reason in reasons {
            #expect(reason.contains("node2 speaks versions 2 to 3"), "\(reason)")
            #expect(reason.contains("node1 speaks 1"), "\(reason)")
        }
        #expect(old.membership.members.isEmpty)
    }

    @Test("a hello whose rest is in a layout of a later release is refused by its beginning")
    func laterLayout() throws {
        var old = try peer(1, ProtocolRange(1...1))
        let new = try peer(2, ProtocolRange(2...2))
        old.effects = []
        let hello = PeerFrame.hello(ring: nil, sender: new.membership.own).encoded
        let beginning = 1 + 2 + 18 + 2 + "node2".utf8.count
        let bytes = Array(hello[..<beginning]) + [9, 9, 9]
        #expect(old.receive(frame: bytes, from: new.identity.node, now: .zero) == .foreign)
        #expect(
            old.effects.contains {
                if case .frame(let bytes, _, _) = $0 {
                    return (try? PeerFrame(bytes)).map {
                        if case .refusal(.versions, _, _) = $0 { true } else { false }
                    } ?? false
                }
                return false
            }
        )
    }

    @Test("a newcomer must have a version in common with every member, not with the seed only")
    func everyMember() throws {
        var seed = try peer(1, ProtocolRange(1...2))
        let member = try peer(2, ProtocolRange(1...1))
        let new = try peer(3, ProtocolRange(2...3))
        seed.meet([member.membership.own], now: .zero)
        seed.effects = []
        let hello = PeerFrame.hello(ring: nil, sender: new.membership.own).encoded
        #expect(seed.receive(frame: hello, from: new.identity.node, now: .zero) == .foreign)
        let reason = seed.effects.compactMap { effect -> String? in
            guard case .event(.refusedFrame(_, let reason)) = effect else { return nil }
            return reason
        }.first
        #expect(reason?.contains("node3 speaks versions 2 to 3") == true)
        #expect(reason?.contains("node2 speaks 1") == true)
    }

    @Test("frames of unknown kinds and datagrams in other versions are left alone")
    func unknown() throws {
        var old = try peer(1, ProtocolRange(1...1))
        old.effects = []
        let stranger = NodeID(high: 1, low: 2)
        #expect(old.receive(frame: [200, 1, 2], from: stranger, now: .zero) == .unknown(200))
        #expect(
            old.receive(
                datagram: [2, 5, 1],
                from: SocketAddress(address: IPAddress(v4: 0x0a00_0002), port: 7_940),
                now: .zero
            ) == .unknown(2)
        )
        #expect(old.effects.isEmpty)
    }
}
