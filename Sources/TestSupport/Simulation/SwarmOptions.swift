package import Determinism

/// What a seed draws: how many nodes, which kinds of faults are on, and how strong they are.
///
/// Each seed has few kinds on, so that the space of combinations is walked rather than its middle.
/// - Source: Groce et al., "Swarm testing".
package struct SwarmOptions: Sendable, CustomStringConvertible {
    /// How rough a run is; each demands what it can.
    package enum Mood: String, CaseIterable, Sendable {
        /// Nothing goes wrong.
        case calm
        /// Losses up to 5 % and pauses up to a second: nobody may be removed.
        case gentle
        /// Crashes only: they must be found in time, and nobody else removed.
        case crashes
        /// Pauses of any length: nobody but the paused may be removed.
        case pauses
        /// Anything, together: afterwards all must be of one mind again.
        case wild
    }

    /// How rough.
    package let mood: Mood
    /// How many nodes.
    package let nodes: Int
    /// The kinds of faults that happen.
    package let kinds: [Fault.Kind]
    /// How many faults happen.
    package let faultCount: Int
    /// The time in which they do.
    package let faultsFor: Span

    private let seed: UInt64
    private var generator: SeededGenerator

    /// Draws options.
    package init(seed: UInt64) {
        self.seed = seed
        generator = SeededGenerator(seed: StableHash.mix(seed &+ 0x5eed))
        mood = Self.moods[Int.random(in: 0..<Self.moods.count, using: &generator)]
        let sizes = [2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 9, 12, 16, 24]
        nodes = sizes[Int.random(in: 0..<sizes.count, using: &generator)]
        var drawn: [Fault.Kind] = []
        for kind in Self.kinds(mood) where Bool.random(using: &generator) { drawn.append(kind) }
        if drawn.isEmpty, let kind = Self.kinds(mood).randomElement(using: &generator) {
            drawn = [kind]
        }
        kinds = drawn
        faultCount = drawn.isEmpty ? 0 : Int.random(in: 1...12, using: &generator)
        faultsFor = .seconds(Int64.random(in: 20...60, using: &generator))
    }

    private static let moods: [Mood] = [
        .calm, .gentle, .gentle, .gentle, .crashes, .crashes, .pauses,
        .wild, .wild, .wild, .wild, .wild,
    ]

    /// All but those that need a disk or an operator.
    private static let wildKinds: [Fault.Kind] = [
        .loss, .duplicate, .reorder, .delay, .corrupt, .mute, .deaf, .link, .partition, .oneway,
        .clog, .pause, .crash, .blackhole, .leave, .drift,
    ]

    private static func kinds(_ mood: Mood) -> [Fault.Kind] {
        switch mood {
        case .calm: []
        case .gentle: [.loss, .duplicate, .reorder, .delay, .pause, .drift]
        case .crashes: [.crash, .blackhole, .leave]
        case .pauses: [.pause]
        case .wild: wildKinds
        }
    }

    package var description: String {
        "seed \(seed): \(mood.rawValue), \(nodes) nodes, \(faultCount) faults of "
            + "\(kinds.map(\.rawValue).joined(separator: ", ")) in \(faultsFor.milliseconds) ms"
    }

    /// The plan that the options and the seed lead to.
    package func plan() -> FaultPlan {
        var copy = self
        var faults = (0..<faultCount).map { _ in copy.drawFault() }
        faults.sort { $0.at < $1.at }
        if mood == .gentle { Self.separatePauses(&faults) }
        return FaultPlan(seed: seed, nodes: nodes, faultsFor: faultsFor, faults: faults)
    }

    private mutating func draw(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &generator)
    }

    private mutating func drawFault() -> TimedFault {
        let kind = kinds[draw(0...kinds.count - 1)]
        let warmUp = Int(FaultPlan.warmUp.milliseconds)
        let end = Int(faultsFor.milliseconds)
        let at = draw(warmUp...end - 1_000)
        let longest = min(end - at, mood == .wild || mood == .pauses ? 30_000 : 15_000)
        var lasting = draw(100...max(100, longest))
        var fault = Fault(kind)
        let isGentle = mood == .gentle
        switch kind {
        case .loss: fault.amount = draw(1...(isGentle ? 50 : 300))
        case .duplicate: fault.amount = draw(1...(isGentle ? 50 : 500))
        case .reorder: fault.amount = draw(1...(isGentle ? 50 : 500))
        case .corrupt: fault.amount = draw(1...100)
        case .delay: fault.amount = draw(1...(isGentle ? 10 : 200))
        case .mute, .deaf:
            fault.nodes = drawNodes(draw(1...max(1, nodes / 3)))
            fault.amount = draw(1...4) == 1 ? 1_000 : draw(100...1_000)
        case .link:
            (fault.nodes, fault.others) = drawSides()
            fault.amount = draw(100...1_000)
        case .partition, .oneway, .clog: (fault.nodes, fault.others) = drawSides()
        case .pause:
            fault.nodes = drawNodes(isGentle ? 1 : draw(1...max(1, nodes / 2)))
            lasting = isGentle ? draw(50...1_000) : min(lasting, 20_000)
        case .crash, .blackhole, .leave:
            fault.nodes = drawNodes(draw(1...6) == 1 ? nodes : draw(1...max(1, nodes / 3)))
            fault.restart = drawRestart()
        case .drift:
            fault.nodes = drawNodes(draw(1...nodes))
            fault.amount = isGentle ? draw(-1_000...1_000) : draw(-20_000...20_000)
        case .leap, .crashAtWrite, .remove: preconditionFailure("\(kind) is never drawn here")
        }
        return TimedFault(
            at: .milliseconds(Int64(at)),
            lasting: .milliseconds(Int64(lasting)),
            fault
        )
    }

    private mutating func drawNodes(_ count: Int) -> [Int] {
        Array((0..<nodes).shuffled(using: &generator).prefix(count)).sorted()
    }

    private mutating func drawSides() -> ([Int], [Int]) {
        let order = (0..<nodes).shuffled(using: &generator)
        let first = draw(1...max(1, nodes - 1))
        // Some nodes may stand on neither side: they reach both.
        let second = draw(0...2) == 0 ? draw(1...max(1, nodes - first)) : nodes - first
        return (order.prefix(first).sorted(), order.dropFirst(first).prefix(second).sorted())
    }

    private mutating func drawRestart() -> Fault.Restart {
        switch draw(1...10) {
        case 1, 2: .wiped
        case 3: .rolledBack
        case 4: .moved
        default: .kept
        }
    }

    /// A ring promises to bear one pause of a second, not two on end of the same process.
    private static func separatePauses(_ faults: inout [TimedFault]) {
        var freeFrom = Span.zero
        faults = faults.compactMap { timed in
            guard timed.fault.kind == .pause else { return timed }
            guard timed.at >= freeFrom else { return nil }
            freeFrom = timed.at + timed.lasting + .seconds(3)
            return timed
        }
    }
}
