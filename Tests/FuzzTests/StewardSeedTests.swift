import RingRegisters
import Testing

@testable import Fuzzing

@Suite("The seeds of frames reach what they are there for")
struct StewardSeedTests {
    private func answers(_ name: String) throws -> [RegisterMessage] {
        let seed = try #require(FuzzTarget.frames.seeds.first { $0.name == name })
        return try FrameFuzz.registerAnswers(seed.bytes)
    }

    @Test("a steward that is asked promises, takes, tells and lists")
    func steward() throws {
        let answers = try answers("steward-asked")
        #expect(answers.first == .promise(round: 1, nil))
        #expect(answers.contains(.accepted(round: 2)))
        #expect(answers.contains(.keys(round: 3, ["k"])))
        #expect(answers.contains(.notReady(round: 4)), "nobody serves a group to come")
        #expect(answers.contains { if case .seen(5, .some) = $0 { true } else { false } })
        #expect(answers.contains(.identity(round: 6, storage: FuzzWorld.storage(1))))
    }

    @Test("a change of stewards is carried through, from the seal to the next group")
    func change() throws {
        let answers = try answers("a-change-of-stewards")
        #expect(answers.first == .sealed(round: 1))
        let copies = answers.compactMap { answer -> [RegisterEntry]? in
            if case .entries(2, let entries, true) = answer { entries } else { nil }
        }
        #expect(copies.map { $0.map(\.key) } == [["a"]])
        #expect(answers.contains(.installed(round: 3, part: 1)))
    }
}
