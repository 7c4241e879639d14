import Determinism
import RingPlacement
import RingRegisters
import Testing
import Wire

@Suite("Registries and members that leave, as parts of the configuration")
struct RegistryTests {
    private let base = RingConfiguration.fixture(count: 3)
    private let founder = Steward(node: .fixture(1), storage: .fixture(51))

    private func changed(_ change: RingConfiguration.Change) throws -> RingConfiguration {
        guard case .changed(let configuration) = change else {
            Issue.record("not changed: \(change)")
            throw WireError.malformed(field: "test")
        }
        return configuration
    }

    private func recovered(
        _ from: RingConfiguration,
        _ registry: Int
    ) throws -> RingConfiguration {
        try changed(
            from.recovered(
                registry: .fixture(registry),
                founder: founder,
                afterEpoch: 40,
                afterStewardEpoch: 9
            )
        )
    }

    @Test("a recovery begins later eras with one steward, and remembers where it came from")
    func recovery() throws {
        let first = try recovered(base, 71)
        #expect(first.epoch == 1_000_000_000 && first.stewards.epoch == 1_000_000_000)
        #expect(first.stewards.members == [founder] && first.members == base.members)
        #expect(first.registry.predecessors == [base.ringID.bits])
        let second = try recovered(first, 72)
        #expect(second.epoch == 2_000_000_000 && second.registry.recoveries == 2)
        for configuration in [first, second] {
            #expect(try RingConfiguration(encoded: configuration.encoded[...]) == configuration)
        }
        // One that skipped a recovery follows as well; nobody goes back.
        #expect(first.supersedes(base) && second.supersedes(first) && second.supersedes(base))
        #expect(!base.supersedes(second) && !first.isForked(from: base))
    }

    @Test("two recoveries of one registry do not follow one another")
    func fork() throws {
        let one = try recovered(base, 71)
        let other = try recovered(base, 72)
        let later = try changed(other.marking(leaving: .fixture(2)))
        #expect(later.epoch > one.epoch && !later.supersedes(one))
        #expect(one.isForked(from: later) && later.isForked(from: one))
    }

    @Test("a stranger founds nothing")
    func stranger() {
        let change = base.recovered(
            registry: .fixture(71),
            founder: Steward(node: .fixture(77), storage: .fixture(78)),
            afterEpoch: 1,
            afterStewardEpoch: 1
        )
        #expect(change == .refused(.notMember(.fixture(77))))
    }

    @Test("a mark of leaving is kept, is made once, and goes with the member")
    func leaving() throws {
        let marked = try changed(base.marking(leaving: .fixture(1)))
        #expect(marked.leaving == [.fixture(1)] && marked.epoch == base.epoch + 1)
        #expect(try RingConfiguration(encoded: marked.encoded[...]) == marked)
        #expect(marked.marking(leaving: .fixture(1)) == .unchanged)
        #expect(base.marking(leaving: .fixture(9)) == .refused(.notMember(.fixture(9))))
        let removed = try changed(marked.removing(.fixture(1)))
        #expect(removed.leaving.isEmpty && removed.members.count == 2)
    }

    @Test("bytes that name a registry twice, or one without a past, are refused")
    func hostile() throws {
        let good = try recovered(base, 71).encoded
        let id = NodeID.fixture(71)
        var writer = ByteWriter()
        writer.write(id)
        let start = try #require(
            good.indices.first { good[$0...].starts(with: writer.bytes) }
        )
        var twice = good
        var ring = ByteWriter()
        ring.write(base.ringID.bits)
        twice.replaceSubrange(start..<start + 16, with: ring.bytes)
        #expect(throws: WireError.self) { try RingConfiguration(encoded: twice[...]) }
        for length in 0..<good.count {
            #expect(throws: WireError.self) { try RingConfiguration(encoded: good[..<length]) }
        }
    }

    @Test("a key is installed beside exactly the expected ones, and use goes forward only")
    func rotations() throws {
        let secret = RingKey.ID(number: 1)
        func bytes(_ number: UInt8) -> RingKey.Origin {
            .generated(RingKey.Bytes([UInt8](repeating: number, count: RingKey.byteCount)))
        }
        let (two, three) = (RingKey.ID(number: 2), RingKey.ID(number: 3))
        let one = try changed(
            base.installing(two, bytes(2), expected: [secret], secret: secret)
        )
        // The rotation that came second finds the first one's key, and joins it.
        #expect(
            one.installing(three, bytes(3), expected: [secret], secret: secret)
                == .refused(.otherKeys(known: [secret, two]))
        )
        #expect(
            one.installing(two, bytes(2), expected: [secret], secret: secret) == .unchanged
        )
        let used = try changed(one.using(two, isForward: true, secret: secret))
        let next = try changed(used.installing(three, bytes(3), secret: secret))
        let later = try changed(next.using(three, isForward: true, secret: secret))
        #expect(later.using(two, isForward: true, secret: secret) == .unchanged)
        guard case .changed = later.using(two, secret: secret) else {
            Issue.record("by hand it goes back")
            return
        }
    }
}
