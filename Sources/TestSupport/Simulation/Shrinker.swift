import Determinism

/// Makes a failing plan small: fewer faults, fewer nodes, less time, as long as it breaks the same
/// law.
///
/// - Source: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input" (ddmin).
package struct Shrinker<Run: PlannedRun>: Sendable {
    /// The smallest failing plan so far.
    package private(set) var plan: FaultPlan
    /// How it fails.
    package private(set) var failure: RunFailure
    /// How many runs it took.
    package private(set) var runs = 0

    private let flaws: [Run.Flaw]
    private let runsMax: Int

    /// Starts from a plan that fails.
    package init(
        _ plan: FaultPlan,
        failure: RunFailure,
        flaws: [Run.Flaw] = [],
        runsMax: Int = 300
    ) {
        self.plan = plan
        self.failure = failure
        self.flaws = flaws
        self.runsMax = runsMax
    }

    /// Shrinks until nothing can be taken away any more, or the runs are used up.
    package mutating func shrink() {
        var size = 0
        repeat {
            size = weight
            dropFaults()
            dropClients()
            dropNodes()
            weakenFaults()
            shorten()
        } while weight < size && runs < runsMax
    }

    private var weight: Int {
        let fault = plan.faults.reduce(0) {
            $0 + 1_000 + $1.fault.nodes.count + $1.fault.others.count
                + Int($1.lasting.milliseconds / 100)
        }
        return fault + plan.nodes * 100 + plan.clients.count * 500
            + Int(plan.faultsFor.milliseconds / 1_000)
    }

    /// Takes the candidate when it breaks the same law.
    private mutating func take(_ candidate: FaultPlan) -> Bool {
        guard runs < runsMax, candidate != plan else { return false }
        runs += 1
        var run = Run(candidate, flaws: flaws, write: nil)
        guard let found = run.run().failure, found.law == failure.law else { return false }
        plan = candidate
        failure = found
        return true
    }

    private mutating func dropFaults() {
        var chunk = max(1, plan.faults.count / 2)
        while true {
            var start = 0
            while start < plan.faults.count {
                var candidate = plan
                let end = min(start + chunk, candidate.faults.count)
                candidate.faults.removeSubrange(start..<end)
                if !take(candidate) { start += chunk }
            }
            guard chunk > 1, runs < runsMax else { return }
            chunk /= 2
        }
    }

    private mutating func dropClients() {
        for client in plan.clients {
            var candidate = plan
            candidate.clients.removeAll { $0 == client }
            _ = take(candidate)
        }
    }

    private mutating func dropNodes() {
        var node = plan.nodes - 1
        while node >= 0, plan.nodes > 2, runs < runsMax {
            _ = take(plan.without(node))
            node -= 1
        }
    }

    private mutating func weakenFaults() {
        for index in plan.faults.indices {
            for node in plan.faults[index].fault.nodes
            where plan.faults[index].fault.nodes.count > 1 {
                var candidate = plan
                candidate.faults[index].fault.nodes.removeAll { $0 == node }
                _ = take(candidate)
            }
            while plan.faults[index].lasting > .milliseconds(200) {
                var candidate = plan
                candidate.faults[index].lasting = candidate.faults[index].lasting / 2
                guard take(candidate) else { break }
            }
        }
    }

    private mutating func shorten() {
        var candidate = plan
        let last = plan.faults.map { $0.at + $0.lasting }.max() ?? FaultPlan.warmUp
        candidate.faultsFor = max(FaultPlan.warmUp, min(plan.faultsFor, last + .milliseconds(1)))
        if candidate.faultsFor < plan.faultsFor { _ = take(candidate) }
        // Everything as early as can be.
        let first = plan.faults.map(\.at).min() ?? FaultPlan.warmUp
        candidate = plan
        let shift = max(.zero, first - FaultPlan.warmUp)
        guard shift > .milliseconds(500) else { return }
        for index in candidate.faults.indices {
            candidate.faults[index].at = candidate.faults[index].at - shift
        }
        candidate.faultsFor = candidate.faultsFor - shift
        _ = take(candidate)
    }
}

extension FaultPlan {
    /// The plan without a node; those after it move up by one.
    func without(_ node: Int) -> FaultPlan {
        var plan = self
        plan.nodes -= 1
        func keep(_ list: [Int]) -> [Int] {
            list.filter { $0 != node }.map { $0 > node ? $0 - 1 : $0 }
        }
        plan.faults = plan.faults.compactMap { timed in
            var timed = timed
            timed.fault.nodes = keep(timed.fault.nodes)
            timed.fault.others = keep(timed.fault.others)
            let wasNamed = faults.contains { !$0.fault.nodes.isEmpty }
            return wasNamed && timed.fault.nodes.isEmpty && timed.fault.needsNodes ? nil : timed
        }
        return plan
    }
}

extension Fault {
    var needsNodes: Bool {
        switch kind {
        case .loss, .duplicate, .reorder, .delay, .corrupt: false
        default: true
        }
    }
}
