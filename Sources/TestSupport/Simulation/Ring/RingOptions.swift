package import Determinism

/// What a seed draws for a whole ring: how many nodes, who works on it, what goes wrong.
///
/// Each seed has few kinds of mishaps on, so that the space of combinations is walked rather than
/// its middle.
/// - Source: Groce et al., "Swarm testing".
package struct RingOptions: Sendable, CustomStringConvertible {
    /// A kind of mishap; some are a ``Fault`` at its worst.
    package enum Mishap: String, CaseIterable, Sendable {
        /// Datagrams are lost everywhere, and frames come late.
        case loss
        /// Datagrams arrive twice.
        case duplicate
        /// Datagrams are overtaken.
        case reorder
        /// Every way takes longer.
        case delay
        /// Datagrams are damaged.
        case corrupt
        /// What one node sends is lost.
        case mute
        /// Nothing passes one way between two sides.
        case oneway
        /// Nothing passes between two sides.
        case partition
        /// One way is held back and lets everything go at once.
        case clog
        /// Processes stand still.
        case pause
        /// Processes end and start again.
        case crash
        /// A process ends at a write that is under way.
        case crashAtWrite
        /// Hosts are gone for so long that stewards are replaced.
        case blackhole
        /// Processes say good-bye.
        case leave
        /// Everybody ends at once.
        case massRestart
        /// A disk is lost.
        case wipe
        /// A disk is put back to what it was before the last start.
        case rollBack
        /// A node comes back at another address.
        case move
        /// Clocks run fast or slow.
        case drift
        /// Clocks leap ahead.
        case leap
        /// An operator takes a lost node out of the ring.
        case remove
    }

    /// How many nodes.
    package let nodes: Int
    /// Who works on the ring.
    package let clients: [FaultPlan.Client]
    /// The kinds of mishaps that happen.
    package let mishaps: [Mishap]
    /// How many happen.
    package let count: Int
    /// The time in which they do.
    package let faultsFor: Span
    /// How many nodes join later.
    package let joiners: Int

    private let seed: UInt64
    private var generator: SeededGenerator

    /// Draws options.
    package init(seed: UInt64) {
        self.seed = seed
        generator = SeededGenerator(seed: StableHash.mix(seed &+ 0x2149))
        let sizes = [3, 3, 4, 4, 5, 5, 5, 6, 7, 8]
        nodes = sizes[Int.random(in: 0..<sizes.count, using: &generator)]
        var drawn: [FaultPlan.Client] = []
        for client in FaultPlan.Client.allCases
        where Int.random(in: 0..<3, using: &generator) > 0 { drawn.append(client) }
        clients = drawn.isEmpty ? FaultPlan.Client.allCases : drawn
        let kindCount = [0, 1, 1, 1, 2, 2, 2, 3, 3, 4][Int.random(in: 0..<10, using: &generator)]
        mishaps = Array(Mishap.allCases.shuffled(using: &generator).prefix(kindCount))
        count = mishaps.isEmpty ? 0 : Int.random(in: 1...8, using: &generator)
        faultsFor = .seconds(Int64.random(in: 12...20, using: &generator))
        let isGrowing = Int.random(in: 0..<3, using: &generator) == 0
        joiners = isGrowing ? Int.random(in: 1...(nodes - 2), using: &generator) : 0
    }

    package var description: String {
        "seed \(seed): \(nodes) nodes, \(joiners) of which join later, clients of "
            + "\(clients.map(\.rawValue).joined(separator: ", ")), \(count) mishaps of "
            + "\(mishaps.map(\.rawValue).joined(separator: ", ")) in \(faultsFor.milliseconds) ms"
    }

    /// From the start on nothing goes wrong for so long.
    static let warmUp = Span.seconds(2)

    /// The plan that the options and the seed lead to.
    package func plan() -> FaultPlan {
        var copy = self
        var faults: [TimedFault] = []
        for joiner in 0..<joiners {
            let until = copy.draw(2_000...Int(faultsFor.milliseconds) / 2)
            faults.append(
                TimedFault(
                    at: .zero,
                    lasting: .milliseconds(Int64(until)),
                    Fault(.crash, nodes: [nodes - 1 - joiner])
                )
            )
        }
        for _ in 0..<count { faults += copy.drawFaults() }
        // By their text where they begin together, so that the order is nobody's accident.
        faults.sort { ($0.at, $0.description) < ($1.at, $1.description) }
        var plan = FaultPlan(seed: seed, nodes: nodes, faultsFor: faultsFor, faults: faults)
        plan.clients = clients
        return plan
    }

    private mutating func draw(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &generator)
    }

    private mutating func drawFaults() -> [TimedFault] {
        let mishap = mishaps[draw(0...mishaps.count - 1)]
        return mishap == .rollBack ? drawRollBack() : [drawFault(mishap)]
    }

    /// An old copy forgets what happened since a start that others know of, and may be started more
    /// than once before anybody finds it out.
    private mutating func drawRollBack() -> [TimedFault] {
        let node = drawNodes(1)
        func crash(_ at: Int, _ lasting: Int, _ restart: Fault.Restart) -> TimedFault {
            TimedFault(
                at: .milliseconds(Int64(at)),
                lasting: .milliseconds(Int64(lasting)),
                Fault(.crash, nodes: node, restart: restart)
            )
        }
        let first = draw(Int(Self.warmUp.milliseconds)...Int(faultsFor.milliseconds) - 6_000)
        let back = first + draw(1_000...4_000)
        let lasting = draw(50...1_000)
        var faults = [crash(back, lasting, .rolledBack)]
        if draw(0...3) > 0 { faults.append(crash(first, draw(50...500), .kept)) }
        if draw(0...1) == 0 {
            faults.append(crash(back + lasting + draw(1...400), draw(20...300), .kept))
        }
        return faults
    }

    private mutating func drawFault(_ mishap: Mishap) -> TimedFault {
        let at = draw(Int(Self.warmUp.milliseconds)...Int(faultsFor.milliseconds) - 1_000)
        // Short ones end before anybody notices, long ones after everybody did.
        var lasting = draw(0...2) == 0 ? draw(100...1_000) : draw(500...7_000)
        let fault: Fault
        switch mishap {
        case .loss, .duplicate, .reorder, .delay, .corrupt, .mute, .oneway, .partition, .clog:
            fault = drawNetworkFault(mishap)
        case .pause: fault = Fault(.pause, nodes: drawNodes(draw(1...max(1, nodes / 2))))
        case .crash: fault = Fault(.crash, nodes: drawNodes(draw(1...max(1, nodes / 2))))
        case .crashAtWrite:
            let writes = draw(0...2) == 0 ? draw(0...40) : draw(0...5)
            fault = Fault(.crashAtWrite, nodes: drawNodes(1), amount: writes)
        case .blackhole:
            fault = Fault(.blackhole, nodes: drawNodes(draw(1...2)))
            lasting = draw(2_000...14_000)
        case .leave: fault = Fault(.leave, nodes: drawNodes(1))
        case .massRestart:
            fault = Fault(.crash, nodes: Array(0..<nodes))
            lasting = draw(100...2_000)
        case .wipe: fault = Fault(.crash, nodes: drawNodes(1), restart: .wiped)
        case .rollBack: preconditionFailure("an old copy is drawn with what comes before it")
        case .move:
            // One node of a ring only: two that move while they are apart have no way to each other
            // but an address that somebody gives them.
            fault = Fault(.blackhole, nodes: [Int(seed % UInt64(nodes))], restart: .moved)
        case .drift:
            fault = Fault(.drift, nodes: drawNodes(draw(1...nodes)), amount: draw(-20_000...20_000))
        case .leap: fault = Fault(.leap, nodes: drawNodes(1), amount: draw(100...10_000))
        case .remove:
            let restart: Fault.Restart = draw(0...1) == 0 ? .wiped : .kept
            fault = Fault(.remove, nodes: drawNodes(1), restart: restart)
            lasting = draw(4_000...14_000)
        }
        return TimedFault(
            at: .milliseconds(Int64(at)),
            lasting: .milliseconds(Int64(lasting)),
            fault
        )
    }

    private mutating func drawNetworkFault(_ mishap: Mishap) -> Fault {
        switch mishap {
        case .loss: return Fault(.loss, amount: draw(20...300))
        case .duplicate: return Fault(.duplicate, amount: draw(100...500))
        case .reorder: return Fault(.reorder, amount: draw(100...500))
        case .delay: return Fault(.delay, amount: draw(5...150))
        case .corrupt: return Fault(.corrupt, amount: draw(10...100))
        case .mute: return Fault(.mute, nodes: drawNodes(1), amount: draw(200...1_000))
        default:
            let (first, second) = drawSides()
            let kind: Fault.Kind =
                mishap == .oneway ? .oneway : mishap == .clog ? .clog : .partition
            return Fault(kind, nodes: first, others: second)
        }
    }

    private mutating func drawNodes(_ count: Int) -> [Int] {
        Array((0..<nodes).shuffled(using: &generator).prefix(count)).sorted()
    }

    private mutating func drawSides() -> ([Int], [Int]) {
        let order = (0..<nodes).shuffled(using: &generator)
        let first = draw(0...1) == 0 ? 1 : draw(1...nodes - 1)
        // Some nodes may stand on neither side: they reach both.
        let second = draw(0...2) == 0 ? draw(1...nodes - first) : nodes - first
        return (order.prefix(first).sorted(), order.dropFirst(first).prefix(second).sorted())
    }
}
