import Determinism
import RingPlacement
import Testing
import Wire

@Suite("RingConfiguration: gossip keys are installed, used, removed")
struct RingKeyTests {
    private let secret = RingKey.ID(number: 0xa0)
    private let plain = RingConfiguration.fixture((0..<3).map { .fixture($0) })

    private static func origin(_ number: UInt8) -> RingKey.Origin {
        .generated(RingKey.Bytes([UInt8](repeating: number, count: RingKey.byteCount)))
    }

    private func changed(
        _ change: RingConfiguration.Change,
        _ location: SourceLocation = #_sourceLocation
    ) throws -> RingConfiguration {
        guard case .changed(let next) = change else {
            Issue.record("\(change)", sourceLocation: location)
            throw WireError.malformed(field: "change")
        }
        return next
    }

    private func names(_ configuration: RingConfiguration) -> [UInt32] {
        configuration.gossipKeys.all(secret: secret).map(\.id.number)
    }

    @Test("a rotation is three epochs, and each says since when")
    func rotation_always_isThreeEpochs() throws {
        let new = RingKey.ID(number: 7)
        #expect(names(plain) == [0xa0] && plain.gossipKeys == .fromSecret)
        let installed = try changed(plain.installing(new, Self.origin(1), secret: secret))
        #expect(installed.epoch == 2 && names(installed) == [0xa0, 7])
        #expect(installed.gossipKeys.keys.map(\.epoch) == [0, 2])
        #expect(installed.gossipKeys.sealingEpoch == 0)
        let used = try changed(installed.using(new, secret: secret))
        #expect(used.epoch == 3 && names(used) == [7, 0xa0])
        #expect(used.gossipKeys.sealingEpoch == 3)
        let done = try changed(used.removing(secret, secret: secret))
        #expect(done.epoch == 4 && names(done) == [7] && done.gossipKeys.sealingEpoch == 3)
        #expect(done.members == plain.members && done.stewards == plain.stewards)
        #expect(done.digest != plain.digest)
    }

    @Test("what is so already is unchanged")
    func changes_alreadyTrue_areUnchanged() throws {
        let new = RingKey.ID(number: 7)
        let installed = try changed(plain.installing(new, Self.origin(1), secret: secret))
        #expect(installed.installing(new, Self.origin(1), secret: secret) == .unchanged)
        #expect(plain.installing(secret, .clusterSecret, secret: secret) == .unchanged)
        #expect(plain.using(secret, secret: secret) == .unchanged)
    }

    @Test("what cannot be done says why, and never what a key holds")
    func changes_impossible_areRefused() throws {
        let (new, other) = (RingKey.ID(number: 7), RingKey.ID(number: 8))
        var full = try changed(plain.installing(new, Self.origin(1), secret: secret))
        let clash = full.installing(new, Self.origin(2), secret: secret)
        #expect(clash == .refused(.keyClash(new)))
        let known = [secret, new]
        #expect(full.using(other, secret: secret) == .refused(.unknownKey(other, known: known)))
        #expect(full.removing(other, secret: secret) == .refused(.unknownKey(other, known: known)))
        #expect(full.removing(secret, secret: secret) == .refused(.keyInUse(secret)))
        for number in 8..<UInt32(6 + RingKeys.countMax) {
            let id = RingKey.ID(number: number)
            full = try changed(full.installing(id, Self.origin(UInt8(number)), secret: secret))
        }
        #expect(full.gossipKeys.keys.count == RingKeys.countMax)
        let more = full.installing(RingKey.ID(number: 99), Self.origin(99), secret: secret)
        #expect(more == .refused(.keysFull))
        #expect("\(RingConfiguration.Refusal.unknownKey(other, known: known))".contains("00000007"))
    }

    @Test("other changes leave the keys as they are")
    func otherChanges_keepKeys() throws {
        let new = RingKey.ID(number: 7)
        let installed = try changed(plain.installing(new, Self.origin(1), secret: secret))
        let larger = try changed(installed.adding(.fixture(9)))
        let heavier = try changed(larger.updating(.fixture(9, weight: 5)))
        let smaller = try changed(heavier.removing(.fixture(9)))
        for configuration in [larger, heavier, smaller] {
            #expect(configuration.gossipKeys == installed.gossipKeys)
        }
    }

    @Test("nothing that prints a configuration prints a key")
    func description_hasNoKey() throws {
        let marked = RingKey.Origin.generated(RingKey.Bytes([UInt8](repeating: 211, count: 32)))
        let next = try changed(
            plain.installing(RingKey.ID(number: 7), marked, secret: secret)
        )
        var dumped = ""
        dump(next, to: &dumped)
        for text in ["\(next)", String(reflecting: next), dumped] {
            #expect(!text.contains("211") && !text.contains("d3d3"))
        }
    }

    @Test(
        "ids are eight hexadecimal digits",
        arguments: [
            ("0000000a", 10), ("ffffffff", UInt32.max), ("FFFFFFFF", UInt32.max), ("a", nil),
            ("+000000a", nil), ("0000000g", nil), ("00000000a", nil), ("", nil),
        ] as [(String, UInt32?)]
    )
    func id_text(text: String, number: UInt32?) {
        #expect(RingKey.ID(text)?.number == number)
        if let number { #expect(RingKey.ID(number: number).description == text.lowercased()) }
    }
}

@Suite("RingConfiguration: bytes of gossip keys")
struct RingKeyCodecTests {
    private let secret = RingKey.ID(number: 0xa0)
    private let plain = RingConfiguration.fixture((0..<3).map { .fixture($0) })

    private func rotated() -> RingConfiguration {
        let new = RingKey.ID(number: 7)
        let bytes = RingKey.Bytes((0..<32).map { UInt8($0) })
        guard case .changed(let one) = plain.installing(new, .generated(bytes), secret: secret),
            case .changed(let two) = one.using(new, secret: secret)
        else { preconditionFailure("a fresh ring takes a key") }
        return two
    }

    private func decode(_ bytes: [UInt8]) throws(WireError) -> RingConfiguration {
        try RingConfiguration(encoded: bytes[...])
    }

    @Test("without keys the bytes are those of the first release, which are read as before")
    func plain_isLayoutOne() throws {
        #expect(plain.encoded[0] == 1)
        let read = try decode(plain.encoded)
        #expect(read == plain && read.gossipKeys == .fromSecret)
        #expect(rotated().encoded[0] == 2)
    }

    @Test("keys are read back, cut anywhere they are refused")
    func keys_roundTrip() throws {
        let bytes = rotated().encoded
        #expect(try decode(bytes) == rotated())
        for length in 0..<bytes.count {
            #expect(throws: WireError.self) { try decode(Array(bytes[..<length])) }
        }
        #expect(throws: WireError.self) { try decode(bytes + [0]) }
    }

    @Test("fields of a later release are kept through changes and written back")
    func unknownFields_areKept() throws {
        var later = rotated().encoded
        later += [0, 9, 0, 0, 0, 2, 0xca, 0xfe]
        let read = try decode(later)
        #expect(read.encoded == later && read.unknownFields[9] == [0xca, 0xfe])
        guard case .changed(let next) = read.removing(secret, secret: secret),
            case .changed(let larger) = next.adding(.fixture(9))
        else {
            Issue.record("refused")
            return
        }
        #expect(larger.unknownFields[9] == [0xca, 0xfe])
        // A later release may have fields where there are no keys.
        let alone = [2] + plain.encoded.dropFirst() + [0, 9, 0, 0, 0, 1, 1]
        #expect(try decode(alone).encoded == alone)
    }

    @Test("damaged bytes are refused, or read as what they then say", arguments: 0..<20)
    func damage_neverTraps(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var damaged = rotated().encoded
            let tail = damaged.count - plain.encoded.count
            for _ in 0...generator.next() % 3 {
                let offset = damaged.count - 1 - Int(generator.next() % UInt64(tail))
                damaged[offset] = UInt8(truncatingIfNeeded: generator.next())
            }
            if let read = try? decode(damaged) { #expect(read.encoded == damaged) }
        }
    }
}
