package import Determinism
import Dispatch
package import RingMembership
import Synchronization

/// Runs many seeds, each with the faults that it draws.
package struct Swarm: Sendable {
    /// A seed that failed, with its plan as drawn.
    package struct Finding: Sendable {
        /// The seed.
        package let seed: UInt64
        /// What it drew.
        package let plan: FaultPlan
        /// The broken law.
        package let failure: PlanRun.Failure

        /// Makes a finding.
        package init(seed: UInt64, plan: FaultPlan, failure: PlanRun.Failure) {
            self.seed = seed
            self.plan = plan
            self.failure = failure
        }
    }

    /// What became of all.
    package struct Outcome: Sendable {
        /// How many seeds ran.
        package var seeds = 0
        /// Events delivered.
        package var events = 0
        /// Seeds that failed, ascending.
        package var findings: [Finding] = []
        /// The longest time that a ring took to heal, and its seed.
        package var slowestHealing: (seed: UInt64, after: Span)?
        /// All hashes in one, to compare two runs of the same seeds.
        package var hash: UInt64 = 0
    }

    private struct Progress: Sendable {
        var next: UInt64
        var outcome = Outcome()
    }

    private let seeds: ClosedRange<UInt64>
    private let flaws: [MembershipFlaw]
    private let jobs: Int
    private let findingsMax: Int

    /// Prepares a run of seeds; it stops early after `findingsMax` failures.
    package init(
        _ seeds: ClosedRange<UInt64>,
        flaws: [MembershipFlaw] = [],
        jobs: Int = 1,
        findingsMax: Int = 1
    ) {
        self.seeds = seeds
        self.flaws = flaws
        self.jobs = jobs
        self.findingsMax = findingsMax
    }

    /// Runs; `progress` is told how far it is.
    package func run(progress: (@Sendable (Outcome) -> Void)? = nil) -> Outcome {
        let state = Mutex(Progress(next: seeds.lowerBound))
        DispatchQueue.concurrentPerform(iterations: jobs) { _ in
            while let seed = Self.takeSeed(state, seeds.upperBound, findingsMax) {
                let plan = SwarmOptions(seed: seed).plan()
                var run = PlanRun(plan, flaws: flaws)
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

extension Swarm.Outcome {
    fileprivate mutating func note(
        _ seed: UInt64,
        _ plan: FaultPlan,
        _ verdict: PlanRun.Verdict
    ) {
        seeds += 1
        events += verdict.events
        // A sum, since seeds end in any order.
        hash &+= StableHash.mix(verdict.hash ^ StableHash.mix(seed))
        if let after = verdict.healedAfter, after > slowestHealing?.after ?? .zero {
            slowestHealing = (seed, after)
        }
        if let failure = verdict.failure {
            findings.append(Swarm.Finding(seed: seed, plan: plan, failure: failure))
        }
    }
}
