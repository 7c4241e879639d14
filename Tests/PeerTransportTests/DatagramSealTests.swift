import Determinism
import Testing

@testable import PeerTransport

@Suite("DatagramSeal: only genuine, new datagrams open")
struct DatagramSealTests {
    private let key = ClusterSecret.insecure.gossipKey

    private func seal(_ label: String = "lab") -> DatagramSeal {
        DatagramSeal(keyring: Keyring(key), clusterLabel: label)
    }

    @Test("what was sealed opens", arguments: [0, 1, 15, 16, 17, 200, 1_399, 1_400])
    func roundTrip(length: Int) throws {
        var generator = SeededGenerator(seed: UInt64(length))
        let plaintext = generator.bytes(length)
        let datagram = try #require(seal().seal(plaintext))
        #expect(datagram.count == length + 45)
        #expect(seal().open(datagram) == .opened(plaintext))
    }

    @Test("a plaintext over the limit is not sealed")
    func seal_overLimit_isNil() {
        #expect(
            seal().seal([UInt8](repeating: 0, count: DatagramSeal.plaintextBytesMax + 1)) == nil
        )
    }

    @Test("a datagram recorded from the documented layout opens")
    func golden_opens() throws {
        let seal = DatagramSeal(
            keyring: Keyring(GossipKey(bytes: Array(0..<32))),
            clusterLabel: "golden"
        )
        #expect(seal.open(goldenDatagram) == .opened(Array("genie".utf8)))
    }

    @Test("serf 336: a change of any byte is noticed")
    func tamper_everyByte_isRejected() throws {
        let datagram = try #require(seal().seal(Array("a ping of some length".utf8)))
        var generator = SeededGenerator(seed: 11)
        let receiver = seal()
        for index in datagram.indices {
            var forged = datagram
            forged[index] ^= UInt8.random(in: 1...255, using: &generator)
            let expected: DatagramRejection =
                switch index {
                case 0: .version
                case 1..<5: .unknownKey
                default: .forged
                }
            #expect(receiver.open(forged) == .rejected(expected), "byte \(index)")
        }
        // None of the forgeries has used the counter up.
        #expect(receiver.open(datagram) == .opened(Array("a ping of some length".utf8)))
        #expect(receiver.senderCount == 1)
    }

    @Test("a datagram cut or drawn out anywhere is rejected")
    func length_changed_isRejected() throws {
        let datagram = try #require(seal().seal(Array("a ping of some length".utf8)))
        let receiver = seal()
        for length in datagram.indices {
            let expected: DatagramRejection = length < 45 ? .short : .forged
            #expect(receiver.open(Array(datagram[..<length])) == .rejected(expected))
        }
        #expect(receiver.open(datagram + [0]) == .rejected(.forged))
        let long = datagram + [UInt8](repeating: 0, count: 1_400)
        #expect(receiver.open(long) == .rejected(.oversized))
    }

    @Test("no random bytes open", arguments: [1, 2, 3] as [UInt64])
    func random_isRejected(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let receiver = seal()
        let start = try #require(seal().seal([])).prefix(5)
        for step in 0..<5_000 {
            var bytes = generator.bytes(Int.random(in: 0...120, using: &generator))
            // Every other one gets past version and key.
            if step % 2 == 0, bytes.count >= 5 { bytes.replaceSubrange(..<5, with: start) }
            guard case .rejected = receiver.open(bytes) else {
                Issue.record("seed \(seed) step \(step) opened")
                return
            }
        }
        #expect(receiver.senderCount == 0)
    }

    @Test("a second copy is a replay, whatever the order")
    func replay_isRejected() throws {
        let sender = seal()
        let receiver = seal()
        var datagrams: [[UInt8]] = []
        for number in 0..<100 { datagrams.append(try #require(sender.seal([UInt8(number)]))) }
        var generator = SeededGenerator(seed: 5)
        for datagram in datagrams.shuffled(using: &generator) {
            guard case .opened = receiver.open(datagram) else {
                Issue.record("a reordered datagram was refused")
                return
            }
        }
        for datagram in datagrams { #expect(receiver.open(datagram) == .rejected(.replayed)) }
    }

    @Test("a datagram older than the window is a replay")
    func old_isRejected() throws {
        let sender = seal()
        let receiver = seal()
        let old = try #require(sender.seal([1]))
        for _ in 0..<ReplayWindow.width { _ = receiver.open(try #require(sender.seal([2]))) }
        #expect(receiver.open(old) == .rejected(.replayed))
    }

    @Test("another label or another secret does not open")
    func otherCluster_isRejected() throws {
        let datagram = try #require(seal("blue").seal([1]))
        #expect(seal("green").open(datagram) == .rejected(.forged))
        let other = ClusterSecret.generate().gossipKey
        let stranger = DatagramSeal(keyring: Keyring(other), clusterLabel: "blue")
        #expect(stranger.open(datagram) == .rejected(.unknownKey))
    }

    @Test("two processes never share a key, so equal texts look different")
    func salt_differs() throws {
        let (first, second) = (try #require(seal().seal([7])), try #require(seal().seal([7])))
        #expect(first[5..<21] != second[5..<21])
        #expect(first.suffix(17) != second.suffix(17))
    }

    @Test("keys are rotated without a datagram lost")
    func rotation_losesNothing() throws {
        let (old, new) = (key, ClusterSecret.generate().gossipKey)
        let (left, right) = (seal(), seal())
        func exchange() throws {
            for (from, to) in [(left, right), (right, left)] {
                #expect(to.open(try #require(from.seal([1, 2]))) == .opened([1, 2]))
            }
        }
        try exchange()
        for step in [left, right] {
            #expect(step.install(new) == .changed)
            #expect(step.install(new) == .unchanged)
            try exchange()
        }
        for step in [left, right] {
            #expect(step.use(new.id) == .changed)
            #expect(step.use(new.id) == .unchanged)
            try exchange()
        }
        #expect(left.remove(new.id) == .inUse)
        let late = try #require(seal().seal([9]))
        for step in [left, right] {
            #expect(step.remove(old.id) == .changed)
            #expect(step.remove(old.id) == .unknown)
            try exchange()
        }
        #expect(left.open(late) == .rejected(.unknownKey))
        #expect(left.use(old.id) == .unknown)
        #expect(left.keyring.keys == [new])
    }

    @Test("a whole keyring is adopted at once: what it lacks opens no longer, its first seals")
    func adopt_replacesAll() throws {
        let new = ClusterSecret.generate().gossipKey
        let (left, right) = (seal(), seal())
        let before = try #require(left.seal([1]))
        left.adopt(try #require(Keyring([new, key])))
        right.adopt(try #require(Keyring([key, new])))
        for (from, to) in [(left, right), (right, left)] {
            #expect(to.open(try #require(from.seal([1, 2]))) == .opened([1, 2]))
        }
        right.adopt(Keyring(new))
        #expect(right.open(before) == .rejected(.unknownKey))
        #expect(right.open(try #require(left.seal([3]))) == .opened([3]))
        #expect(right.senderCount == 1 && right.keyring.keys == [new])
        // A key that comes back goes on with the counter, so that nothing is sealed alike twice.
        left.adopt(Keyring(key))
        let after = try #require(left.seal([1]))
        #expect(after[1..<21] == before[1..<21] && after[21..<29] != before[21..<29])
        #expect(Keyring([])?.keys == nil && Keyring([new, new])?.keys == nil)
    }

    @Test("a ring holds eight keys")
    func keyring_isBounded() {
        var ring = Keyring(key)
        for _ in 1..<Keyring.countMax {
            #expect(ring.install(ClusterSecret.generate().gossipKey) == .changed)
        }
        #expect(ring.install(ClusterSecret.generate().gossipKey) == .full)
        #expect(ring.keys.count == Keyring.countMax)
    }

    @Test("the state kept of senders is bounded, and the latest are the ones kept")
    func senders_areBounded() throws {
        let receiver = seal()
        var latest: [UInt8] = []
        for _ in 0..<DatagramSeal.contextsMax + 100 {
            latest = try #require(seal().seal([1]))
            _ = receiver.open(latest)
        }
        #expect(receiver.senderCount <= DatagramSeal.contextsMax)
        #expect(receiver.senderCount > DatagramSeal.contextsMax / 2)
        #expect(receiver.open(latest) == .rejected(.replayed))
    }
}

/// Key 00 to 1f, salt a0 to af, counter 77, label "golden", text "genie"; not made by this code.
private let goldenDatagram: [UInt8] = [
    0x01, 0x50, 0x4d, 0xbd, 0xd5, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6,
    0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x4d, 0xd4, 0xa1, 0xd3, 0xcc, 0xa4, 0x7e, 0x1d,
    0x1d, 0xe7, 0x9d, 0xb2, 0xa3, 0xb3, 0xa7, 0x51, 0xc4, 0xa9, 0xf0, 0xaf,
    0x46, 0x4c,
]
