package import Determinism
import Dispatch
import Synchronization

/// A seed that failed, with its plan as drawn.
package struct SwarmFinding: Sendable {
    /// The seed.
    package let seed: UInt64
    /// What it drew.
    package let plan: FaultPlan
    /// The broken law.
    package let failure: RunFailure

    /// Makes a finding.
    package init(seed: UInt64, plan: FaultPlan, failure: RunFailure) {
        self.seed = seed
        self.plan = plan
        self.failure = failure
    }
}

/// What became of all.
package struct SwarmOutcome: Sendable {
    /// How many seeds ran.
    package var seeds = 0
    /// Events delivered.
    package var events = 0
    /// Seeds that failed, ascending.
    package var findings: [SwarmFinding] = []
    /// The longest time that a ring took to heal, and its seed.
    package var slowestHealing: (seed: UInt64, after: Span)?
    /// What was done in all runs, by name.
    package var counts = SortedMap<String, Int>()
    /// All hashes in one, to compare two runs of the same seeds.
    package var hash: UInt64 = 0
}

/// Runs many seeds, each with the faults that it draws.
package struct Swarm<Run: PlannedRun>: Sendable {
    private struct Progress: Sendable {
        var next: UInt64
        var outcome = SwarmOutcome()
    }

    private let seeds: ClosedRange<UInt64>
    private let flaws: [Run.Flaw]
    private let jobs: Int
    private let findingsMax: Int

    /// Prepares a run of seeds; it stops early after `findingsMax` failures.
    package init(
        _ seeds: ClosedRange<UInt64>,
        flaws: [Run.Flaw] = [],
        jobs: Int = 1,
        findingsMax: Int = 1
    ) {
        self.seeds = seeds
        self.flaws = flaws
        self.jobs = jobs
        self.findingsMax = findingsMax
    }

    /// Runs; `progress` is told how far it is.
    package func run(progress: (@Sendable (SwarmOutcome) -> Void)? = nil) -> SwarmOutcome {
        let state = Mutex(Progress(next: seeds.lowerBound))
        DispatchQueue.concurrentPerform(iterations: jobs) { _ in
            while let seed = Self.takeSeed(state, seeds.upperBound, findingsMax) {
                let plan = Run.plan(seed: seed)
                var run = Run(plan, flaws: flaws, write: nil)
                let verdict = run.run()
                let outcome = state.withLock { state in
                    state.outcome.note(seed, plan, verdict)
                    return state.outcome
                }
                progress?(outcome)
            }
        }
        var outcome = state.withLock { $0.outcome }
        outcome.findings.sort { $0.seed < $1.seed }
        return outcome
    }

    private static func takeSeed(
        _ state: borrowing Mutex<Progress>,
        _ last: UInt64,
        _ findingsMax: Int
    ) -> UInt64? {
        state.withLock { state in
            guard state.next <= last, state.outcome.findings.count < findingsMax else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }
}

extension SwarmOutcome {
    fileprivate mutating func note(
        _ seed: UInt64,
        _ plan: FaultPlan,
        _ verdict: RunVerdict
    ) {
        seeds += 1
        events += verdict.events
        for (name, count) in verdict.counts { counts[name, default: 0] += count }
        // A sum, since seeds end in any order.
        hash &+= StableHash.mix(verdict.hash ^ StableHash.mix(seed))
        if let after = verdict.healedAfter, after > slowestHealing?.after ?? .zero {
            slowestHealing = (seed, after)
        }
        if let failure = verdict.failure {
            findings.append(SwarmFinding(seed: seed, plan: plan, failure: failure))
        }
    }
}
