import Determinism
import RingPlacement
import RingRegisters
import Testing
import Wire

@Suite("ConfigurationDelta: what travels instead of whole tables")
struct ConfigurationDeltaTests {
    /// A configuration and those that follow it, each by a few drawn changes.
    private func life(_ seed: UInt64, steps: Int) -> [RingConfiguration] {
        var generator = SeededGenerator(seed: seed)
        var all = [RingConfiguration.fixture(count: 20, seed: 1)]
        var nextNumber = 100
        for _ in 0..<steps {
            guard var current = all.last else { return all }
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let number = Int.random(in: 0..<current.members.count, using: &generator)
                let member = current.members[number]
                let change: RingConfiguration.Change
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: change = current.removing(member.id)
                case 1:
                    change = current.updating(
                        RingMember(
                            id: member.id,
                            name: member.name,
                            zone: "z\(nextNumber)",
                            weight: Int.random(in: 1...200, using: &generator),
                            address: member.address
                        )
                    )
                case 2:
                    // Back under the old identity, or somebody new.
                    change = current.adding(.fixture(Int.random(in: 0..<20, using: &generator)))
                default:
                    nextNumber += 1
                    change = current.adding(.fixture(nextNumber))
                }
                if case .changed(let next) = change { current = next }
            }
            all.append(current)
        }
        return all
    }

    private func makeDelta(_ from: RingConfiguration, _ to: RingConfiguration)
        -> ConfigurationDelta?
    {
        ConfigurationDelta(from: from, to: to, digest: to.digest)
    }

    private func readBack(_ delta: ConfigurationDelta) throws -> ConfigurationDelta {
        var writer = ByteWriter()
        delta.write(to: &writer)
        var reader = ByteReader(writer.bytes)
        let read = try ConfigurationDelta(from: &reader)
        try reader.finish()
        return read
    }

    @Test("a delta makes the later configuration out of the earlier one", arguments: 0..<20)
    func applied_toItsBase_isTheLater(seed: UInt64) throws {
        let all = life(seed, steps: 8)
        for (before, after) in zip(all, all.dropFirst()) where before.epoch < after.epoch {
            let delta = try #require(makeDelta(before, after))
            #expect(try readBack(delta) == delta)
            #expect(delta.applied(to: before) == after)
            #expect(delta.applied(to: after) == nil)
        }
    }

    @Test("deltas in a row make one, which fits every epoch between", arguments: 0..<20)
    func history_anyEpoch_leadsToTheNewest(seed: UInt64) throws {
        let all = life(seed, steps: 8)
        var history = ConfigurationHistory()
        for (before, after) in zip(all, all.dropFirst()) where before.epoch < after.epoch {
            history.add(makeDelta(before, after), memberCount: 1_000, now: .zero)
        }
        let newest = try #require(all.last)
        for earlier in all where earlier.epoch < newest.epoch {
            let delta = try #require(history.delta(since: earlier.epoch))
            #expect(delta.applied(to: earlier) == newest)
        }
        #expect(history.delta(since: newest.epoch) == nil)
    }

    @Test("a delta on another base is refused rather than believed")
    func applied_toAnotherBase_isNothing() throws {
        let base = RingConfiguration.fixture(count: 5)
        guard case .changed(let next) = base.adding(.fixture(9)),
            case .changed(let last) = next.adding(.fixture(10)),
            case .changed(let other) = base.adding(.fixture(11))
        else {
            Issue.record("not changed")
            return
        }
        let delta = try #require(makeDelta(next, last))
        #expect(delta.applied(to: other) == nil)
        #expect(delta.applied(to: base) == nil)
        #expect(makeDelta(last, next) == nil)
    }

    @Test("a history forgets what nobody should need any more")
    func history_old_isDropped() throws {
        let base = RingConfiguration.fixture(count: 5)
        guard case .changed(let smaller) = base.removing(.fixture(2)) else {
            Issue.record("not changed")
            return
        }
        var history = ConfigurationHistory()
        history.add(makeDelta(base, smaller), memberCount: 5, now: .zero)
        #expect(history.delta(since: base.epoch) != nil)
        history.dropOld(now: Instant(microseconds: 0).advanced(by: .seconds(61)))
        #expect(history.count == 0 && history.delta(since: base.epoch) == nil)
    }

    @Test("many members come in with one epoch, and one that is known changes in the same")
    func settling_many_isOneEpoch() {
        let base = RingConfiguration.fixture(count: 3)
        let wanted = [RingMember.fixture(1, weight: 7), .fixture(8), .fixture(9), .fixture(8)]
        guard case .changed(let next) = base.settling(wanted) else {
            Issue.record("not changed")
            return
        }
        #expect(next.epoch == base.epoch + 1 && next.members.count == 5)
        #expect(next.member(.fixture(1))?.weight == 7)
        #expect(next.settling(wanted) == .unchanged)
    }

    @Test("truncated and disordered deltas are refused, and none crashes")
    func decoder_hostile() throws {
        let base = RingConfiguration.fixture(count: 3)
        guard case .changed(let next) = base.adding(.fixture(9)) else { return }
        var writer = ByteWriter()
        try #require(makeDelta(base, next)).write(to: &writer)
        for length in 0..<writer.bytes.count - 1 {
            var reader = ByteReader(Array(writer.bytes.prefix(length)))
            #expect(throws: WireError.self) { try ConfigurationDelta(from: &reader) }
        }
        for place in writer.bytes.indices {
            var bytes = writer.bytes
            bytes[place] ^= 0xff
            var reader = ByteReader(bytes)
            guard let delta = try? ConfigurationDelta(from: &reader) else { continue }
            let result = delta.applied(to: base)
            #expect(result == nil || result == next || result?.digest == delta.digest)
        }
    }
}
