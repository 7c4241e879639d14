import Determinism
import Testing

@testable import RingPlacement

@Suite("Rendezvous: integers rank members in proportion to weight")
struct RendezvousTests {
    @Test(
        "the logarithm is right at powers of two, 3/4 and the ends",
        arguments: [
            (UInt64.max, 0.0), (1 << 63, 1.0), (1 << 62, 2.0), (3 << 62, 0.415_037_499),
            (5 << 61, 0.678_071_905), (1, 64.0), (0, 64.0), (UInt64.max - (1 << 54), 0.001_409_5),
        ]
    )
    func negated_knownFractions_areRight(fraction: UInt64, expected: Double) {
        let result = Double(BinaryLogarithm.shared.negated(of: fraction)) / 4_294_967_296
        #expect(abs(result - expected) < 0.000_001)
    }

    @Test("a larger fraction never has a larger cost, and the cost is never below 1 - h")
    func negated_randomFractions_isMonotone() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let first = generator.next() >> (generator.next() % 64)
            let second = generator.next() >> (generator.next() % 64)
            let logarithm = BinaryLogarithm.shared
            let costs = (
                logarithm.negated(of: min(first, second)), logarithm.negated(of: max(first, second))
            )
            #expect(costs.0 >= costs.1)
            #expect(logarithm.negated(of: first) >= ~first >> 32)
        }
    }

    @Test("the quick choice of the best is the front of the full ranking", arguments: 0..<6)
    func best_anyRing_isTheFrontOfTheRanking(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let members = (0..<80).map { number in
            RingMember.fixture(number, weight: Int(generator.next() % 400), seed: seed)
        }
        let rendezvous = Rendezvous(.fixture(members))
        for index in 0..<40 {
            let limit = min(24, rendezvous.count)
            let best = rendezvous.best(limit, for: Slot(index: index)).map(\.member)
            let all = rendezvous.ranking(for: Slot(index: index)).map(\.member)
            #expect(best == Array(all.prefix(limit)))
        }
    }

    @Test("first places are in proportion to weight")
    func best_unequalWeights_winInProportion() {
        let members = [100, 200, 300, 400].enumerated().map {
            RingMember.fixture($0.offset, weight: $0.element)
        }
        let configuration = RingConfiguration.fixture(members)
        let rendezvous = Rendezvous(configuration)
        var wins = Array(repeating: 0, count: 4)
        for index in 0..<20_000 {
            wins[rendezvous.best(1, for: Slot(index: index))[0].member] += 1
        }
        for (index, member) in configuration.members.enumerated() {
            #expect(abs(wins[index] - member.weight * 20) < 250, "\(wins)")
        }
    }
}
