import Addressing
import Determinism
import Glibc
import Testing

@testable import PeerTransport

@Suite("DatagramSocket under attack: counted by reason, and the genuine ones come through")
struct DatagramHostilityTests {
    private static let key = ClusterSecret.insecure.gossipKey

    /// Makes what strangers send, and knows what has to become of it.
    private struct Flood {
        let foreignKey = DatagramSeal(
            keyring: Keyring(ClusterSecret.generate().gossipKey),
            clusterLabel: "lab"
        )
        let foreignLabel = DatagramSeal(
            keyring: Keyring(DatagramHostilityTests.key),
            clusterLabel: "other"
        )
        let recorded: [UInt8]
        var generator: SeededGenerator
        var expected: [DatagramRejection: UInt64] = [:]

        mutating func next(_ step: Int) -> [UInt8] {
            var bytes: [UInt8]
            let reason: DatagramRejection
            switch step % 6 {
            case 0:
                bytes = foreignKey.seal(generator.bytes(30)) ?? []
                reason = .unknownKey
            case 1:
                bytes = foreignLabel.seal(generator.bytes(30)) ?? []
                reason = .forged
            case 2:
                bytes = recorded
                reason = .replayed
            case 3:
                let length = Int.random(in: 0..<recorded.count, using: &generator)
                bytes = Array(recorded.prefix(length))
                // The counter of the header is one that was seen.
                reason = length < DatagramSeal.overheadByteCount ? .short : .replayed
            case 4:
                bytes = recorded
                bytes[21 + 3] ^= 0x40
                reason = .forged
            default:
                bytes = generator.bytes(step / 6 % 2_049)
                if !bytes.isEmpty, bytes[0] == DatagramSeal.version { bytes[0] = 0xff }
                reason =
                    switch bytes.count {
                    case ..<DatagramSeal.overheadByteCount: .short
                    case ...DatagramSeal.datagramBytesMax: .version
                    default: .oversized
                    }
            }
            expected[reason, default: 0] += 1
            return bytes
        }
    }

    @Test("every genuine datagram comes while a flood of every kind is judged", arguments: [1, 2])
    func flood_isCounted(seed: UInt64) async throws {
        let (peer, friend) = (DatagramPeer(), DatagramPeer())
        let address = try await peer.open()
        _ = try await friend.open()
        let stranger = RawSocket.datagram()
        let sealing = DatagramSeal(keyring: Keyring(Self.key), clusterLabel: "lab")
        let recorded = try #require(sealing.seal([UInt8](repeating: 3, count: 40)))
        stranger.send(recorded, to: address)
        await eventually("the recorded one comes") { await peer.received.count == 1 }

        var flood = Flood(recorded: recorded, generator: SeededGenerator(seed: seed))
        var (step, genuine) = (0, 0)
        // Random bytes of every length from 0 to 2,048 are among them.
        while step < 6 * 2_049 {
            for _ in 0..<100 {
                stranger.send(flood.next(step), to: address)
                step += 1
                if step % 50 == 0 {
                    await friend.send([[UInt8(genuine % 256)]], to: address)
                    genuine += 1
                }
            }
            // As much as the kernel's buffer holds may be under way, however slow the machine is.
            let sent = UInt64(step)
            await eventually("the flood is judged") {
                await peer.counters.rejectedTotal + 200 >= sent
            }
        }
        await eventually("every genuine one comes") { await peer.received.count == genuine + 1 }
        let total = UInt64(step)
        await eventually("all of it is judged") { await peer.counters.rejectedTotal == total }
        let counters = await peer.counters
        for reason in DatagramRejection.allCases {
            #expect(counters.rejected(reason) == flood.expected[reason] ?? 0, "\(reason)")
        }
        // Nobody who is not a member is ever answered.
        #expect(counters.sent == 0 && counters.unsent == 0)
    }

    // MARK: Rotation

    /// What one side does in a rotation.
    enum Step: Sendable {
        case install
        case use
        case remove
    }

    /// The orders in which two sides may take each step together.
    static let orders: [[Bool]] = (0..<8).map { number in
        (0..<3).map { number & (1 << $0) != 0 }
    }

    private func take(_ step: Step, _ peer: DatagramPeer, _ old: GossipKey, _ new: GossipKey) async
        -> Keyring.Outcome
    {
        await peer.change { seal in
            switch step {
            case .install: seal.install(new)
            case .use: seal.use(new.id)
            case .remove: seal.remove(old.id)
            }
        }
    }

    @Test(
        "EncryptedGossipTransition: keys are rotated under traffic, no datagram lost",
        arguments: orders
    )
    func rotation_losesNothing(order: [Bool]) async throws {
        let (left, right) = (DatagramPeer(), DatagramPeer())
        let addresses = (try await left.open(), try await right.open())
        let (old, new) = (Self.key, ClusterSecret.generate().gossipKey)
        var sent = 0
        func flow() async {
            let batch = (0..<20).map { [UInt8(sent % 200), UInt8($0)] }
            await left.send(batch, to: addresses.1)
            await right.send(batch, to: addresses.0)
            sent += batch.count
        }
        for (step, leftIsFirst) in zip([Step.install, .use, .remove], order) {
            for peer in leftIsFirst ? [left, right] : [right, left] {
                // What is under way while the step is taken counts as well.
                await flow()
                #expect(await take(step, peer, old, new) == .changed)
                await flow()
            }
            let expected = sent
            await eventually("\(step): everything comes") {
                let counts = (await left.received.count, await right.received.count)
                return counts == (expected, expected)
            }
        }
        for peer in [left, right] { #expect(await peer.counters.rejectedTotal == 0) }
    }

    /// One side's steps before the other has done anything, and what the other makes of its
    /// datagrams.
    static let missteps: [(steps: [Step], there: DatagramRejection?, back: DatagramRejection?)] = [
        ([.install], nil, nil),
        ([.install, .use], .unknownKey, nil),
        ([.install, .use, .remove], .unknownKey, .unknownKey),
    ]

    @Test(
        "mismatched keys: a step ahead of the other side is counted there, delivered to nobody",
        arguments: 0..<3
    )
    func rotation_ahead_isCounted(number: Int) async throws {
        let (steps, there, back) = Self.missteps[number]
        let (left, right) = (DatagramPeer(), DatagramPeer())
        let addresses = (try await left.open(), try await right.open())
        let (old, new) = (Self.key, ClusterSecret.generate().gossipKey)
        for step in steps { #expect(await take(step, left, old, new) == .changed) }
        for (from, to, address, reason) in [
            (left, right, addresses.1, there), (right, left, addresses.0, back),
        ] {
            await from.send([[1], [2], [3]], to: address)
            await eventually("three are judged") {
                let counters = await to.counters
                return counters.received + counters.rejectedTotal == 3
            }
            #expect(await to.received.count == (reason == nil ? 3 : 0))
            if let reason { #expect(await to.counters.rejected(reason) == 3) }
        }
        // Once the other side has the key, both are heard again.
        _ = await take(.install, right, old, new)
        _ = await take(.use, right, old, new)
        await left.send([[4]], to: addresses.1)
        await right.send([[4]], to: addresses.0)
        await eventually("both are heard") {
            let last = (await left.received.last?.bytes, await right.received.last?.bytes)
            return last == ([4], [4])
        }
    }

    @Test(
        "mismatched labels: another label is a forgery in both directions",
        arguments: ["", "la", "lab2", "LAB"]
    )
    func otherLabel_isForged(label: String) async throws {
        let (left, right) = (DatagramPeer(), DatagramPeer(label: label))
        let addresses = (try await left.open(), try await right.open())
        await left.send([[1], [2]], to: addresses.1)
        await right.send([[1], [2]], to: addresses.0)
        for peer in [left, right] {
            await eventually("both are judged") { await peer.counters.rejectedTotal == 2 }
            #expect(await peer.counters.rejected(.forged) == 2)
            #expect(await peer.received.isEmpty)
        }
    }

    // MARK: Replay

    @Test("a copy opens neither at once nor after 1,024 others, but again after a restart")
    func replay_overTime() async throws {
        let peer = DatagramPeer()
        let address = try await peer.open()
        let stranger = RawSocket.datagram()
        let sealing = DatagramSeal(keyring: Keyring(Self.key), clusterLabel: "lab")
        let recorded = try #require(sealing.seal([9]))
        stranger.send(recorded, to: address)
        stranger.send(recorded, to: address)
        await eventually("one opens, one does not") {
            let counters = await peer.counters
            return counters.received == 1 && counters.rejected(.replayed) == 1
        }
        for round in 0..<11 {
            for _ in 0..<100 { stranger.send(try #require(sealing.seal([1])), to: address) }
            await eventually("the others open") {
                await peer.counters.received == UInt64(1 + (round + 1) * 100)
            }
        }
        stranger.send(recorded, to: address)
        await eventually("the copy is told") { await peer.counters.rejected(.replayed) == 2 }
        await peer.close()

        let restarted = DatagramPeer()
        await eventually("the port is free") { (try? await restarted.open(address)) == address }
        stranger.send(recorded, to: address)
        stranger.send(recorded, to: address)
        await eventually("one opens again, as documented, and once") {
            let counters = await restarted.counters
            return counters.received == 1 && counters.rejected(.replayed) == 1
        }
    }
}
