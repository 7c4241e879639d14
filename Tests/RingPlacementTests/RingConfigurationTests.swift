import Determinism
import RingPlacement
import RingRegisters
import Testing
import Wire

@Suite("RingConfiguration: changes are new epochs")
struct RingConfigurationTests {
    private static func steward(_ number: Int, storage: Int? = nil) -> Steward {
        Steward(node: .fixture(number), storage: .fixture(storage ?? number + 500))
    }

    private let small = RingConfiguration.fixture(
        (0..<4).map { .fixture($0) },
        stewards: StewardSet(epoch: 3, members: [steward(0)])
    )

    @Test("adding a member gives the next epoch and leaves the old value as it was")
    func adding_newMember_isNextEpoch() {
        guard case .changed(let next) = small.adding(.fixture(9)) else {
            Issue.record("refused")
            return
        }
        #expect(next.epoch == 2 && next.members.count == 5 && next.member(.fixture(9)) != nil)
        #expect(small.epoch == 1 && small.members.count == 4)
        #expect(next.digest != small.digest)
        #expect(next.members.map(\.id) == next.members.map(\.id).sorted())
    }

    @Test("a change that changes nothing has no epoch")
    func changes_alreadyTrue_areUnchanged() {
        #expect(small.adding(.fixture(2)) == .unchanged)
        #expect(small.updating(.fixture(2)) == .unchanged)
        #expect(small.removing(.fixture(42)) == .unchanged)
        #expect(small.replacing(stewards: small.stewards) == .unchanged)
    }

    @Test("what cannot be done says why")
    func changes_impossible_areRefused() {
        let id = NodeID.fixture(2)
        #expect(small.adding(.fixture(2, weight: 5)) == .refused(.alreadyMember(id)))
        #expect(small.updating(.fixture(42)) == .refused(.notMember(.fixture(42))))
        #expect(small.removing(.fixture(0)) == .refused(.isSteward(.fixture(0))))
        let stranger = StewardSet(epoch: 4, members: [Self.steward(42)])
        #expect(small.replacing(stewards: stranger) == .refused(.notMember(.fixture(42))))
        let older = StewardSet(epoch: 2, members: [Self.steward(1)])
        #expect(small.replacing(stewards: older) == .refused(.stewardEpoch(wanted: 4, given: 2)))
        #expect("\(RingConfiguration.Refusal.isSteward(id))".contains(id.description))
    }

    @Test("updating and removing change just the member named")
    func changes_ofOneMember_leaveTheOthers() {
        guard case .changed(let heavier) = small.updating(.fixture(2, weight: 5)),
            case .changed(let smaller) = heavier.removing(.fixture(3)),
            case .changed(let moved) = smaller.replacing(
                stewards: StewardSet(epoch: 4, members: [Self.steward(1), Self.steward(2)])
            )
        else {
            Issue.record("refused")
            return
        }
        #expect(heavier.member(.fixture(2))?.weight == 5)
        #expect(smaller.members.count == 3 && smaller.member(.fixture(3)) == nil)
        #expect(moved.epoch == 4 && moved.stewards.quorum == 2)
        #expect(moved.stewards.steward(on: .fixture(1)) == Self.steward(1))
    }

    @Test("a full ring takes nobody")
    func adding_fullRing_isRefused() {
        let full = RingConfiguration.fixture(count: RingConfiguration.memberCountMax)
        #expect(full.adding(.fixture(100_000)) == .refused(.full))
    }

    @Test("quorums are majorities", arguments: [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
    func quorum_always_isAMajority(count: Int, quorum: Int) {
        let set = StewardSet(epoch: 0, members: (0..<count).map { Self.steward($0) })
        #expect(set.quorum == quorum)
    }
}

@Suite("RingConfiguration: bytes")
struct RingConfigurationCodecTests {
    private let sample = RingConfiguration.fixture(
        (0..<5).map { .fixture($0, zone: "zone-\($0 % 2)", weight: 50 + $0) },
        slotCount: 256,
        stewards: StewardSet(
            epoch: 7,
            members: (1...3).map { Steward(node: .fixture($0), storage: .fixture($0 + 50)) }
        )
    )

    private func decode(_ bytes: [UInt8]) -> Result<RingConfiguration, WireError> {
        do throws(WireError) {
            return .success(try RingConfiguration(encoded: bytes[...]))
        } catch {
            return .failure(error)
        }
    }

    @Test("what is written is read back, digest included")
    func decode_ownBytes_isEqual() {
        #expect(decode(sample.encoded) == .success(sample))
        #expect((try? decode(sample.encoded).get())?.digest == sample.digest)
        let empty = RingConfiguration.fixture([])
        #expect(decode(empty.encoded) == .success(empty))
    }

    @Test("a cut at any byte is refused, and so is a byte too many")
    func decode_truncatedAnywhere_isRefused() {
        let bytes = sample.encoded
        for length in 0..<bytes.count {
            #expect(throws: WireError.self) { try self.decode(Array(bytes[..<length])).get() }
        }
        #expect(decode(bytes + [0]) == .failure(.malformed(field: "tagged fields")))
    }

    @Test("random and damaged bytes are refused or read, never trusted", arguments: 0..<20)
    func decode_randomBytes_neverTraps(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var noise = (0..<Int(generator.next() % 200)).map { _ in
                UInt8(truncatingIfNeeded: generator.next())
            }
            if generator.next() % 2 == 0, !noise.isEmpty { noise[0] = 1 }
            _ = decode(noise)
            var damaged = sample.encoded
            for _ in 0...generator.next() % 3 {
                damaged[Int(generator.next() % UInt64(damaged.count))] =
                    UInt8(truncatingIfNeeded: generator.next())
            }
            if case .success(let read) = decode(damaged) { #expect(read.encoded == damaged) }
        }
    }

    @Test("numbers outside their range and a wrong order are refused")
    func decode_brokenRules_isRefused() {
        func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
            var bytes = sample.encoded
            bytes[offset] = value
            return bytes
        }
        #expect(decode(changed(0, 3)) == .failure(.malformed(field: "layout")))
        #expect(
            decode(changed(0, 2)) == .failure(.malformed(field: "tagged fields")),
            "layout 2 is for what has tagged fields"
        )
        let broken = WireError.malformed(field: "ring configuration")
        #expect(decode(changed(17, 0xff)) == .failure(broken), "an epoch past the last")
        #expect(decode(changed(28, 3)) == .failure(broken), "259 slots")
        #expect(decode(changed(29, 0)) == .failure(broken), "no owners")
    }
}
