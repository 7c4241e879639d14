import Determinism
package import RingMembership

/// Runs a plan on bare memberships and demands what the plan leaves to be demanded.
package struct PlanRun: PlannedRun {
    /// The laws of a membership.
    package enum Law: String, Sendable {
        /// Nodes that can talk find each other within ``FaultPlan/warmUp``.
        case bootstrap
        /// What is stored about a member is never older than what was heard, and never goes back.
        case monotone
        /// Queues keep their bounds.
        case bounded
        /// A process that was not hurt is not removed.
        case protected
        /// Where no datagram is lost, nobody accuses a process that answers.
        case unaccused
        /// A crash is found by everybody in time.
        case found
        /// Only who runs on an old copy of its disk finds its identity in use.
        case unique
        /// After the faults, everybody is of one mind in time.
        case healed
        /// Once everybody is of one mind, they stay so.
        case settled
    }

    private let plan: FaultPlan
    private let laws: PlanLaws
    private var net: MembershipWorld
    private var failure: RunFailure?
    private var removalsSeen = 0

    private static let sweepInterval = Span.milliseconds(500)

    /// Prepares a run; `write` gets a line for each event when somebody wants to read them.
    package init(
        _ plan: FaultPlan,
        flaws: [MembershipFlaw] = [],
        write: (@Sendable (String) -> Void)? = nil
    ) {
        self.plan = plan
        laws = PlanLaws(plan)
        var settings = MembershipProcess.Settings()
        settings.parameters.flaws = flaws
        settings.checksEvidence = true
        net = MembershipWorld(nodes: plan.nodes, seed: plan.seed, start: .still, settings: settings)
        net.world.clocksStartApart = true
        net.world.log.write = write
        for fault in plan.faults { net.world.schedule(fault) }
    }

    package static func plan(seed: UInt64) -> FaultPlan { SwarmOptions(seed: seed).plan() }

    package static func summary(seed: UInt64) -> String { "\(SwarmOptions(seed: seed))" }

    package static func replayCommand(seed: UInt64) -> String { "swarm --seed \(seed)" }

    /// Runs the plan to its end, or to the first broken law.
    package mutating func run() -> RunVerdict {
        net.startAll()
        var healedAfter: Span?
        advance(until: FaultPlan.warmUp)
        if failure == nil, let text = net.disagreement() { fail(.bootstrap, text) }
        let crashes = laws.boundsDetection ? detectionTimes() : []
        for (time, timed) in crashes where time <= plan.faultsFor {
            advance(until: time)
            checkFound(timed)
        }
        advance(until: plan.faultsFor)
        if failure == nil { healedAfter = heal() }
        return RunVerdict(
            failure: failure,
            hash: net.world.log.value,
            events: net.world.log.count,
            healedAfter: healedAfter
        )
    }

    private mutating func fail(_ law: Law, _ text: String, at time: Instant? = nil) {
        if failure == nil {
            failure = RunFailure(law: law.rawValue, at: time ?? net.now, text: text)
        }
    }

    private mutating func advance(until time: Span) {
        while failure == nil, net.now.since(.zero) < time {
            let step = min(Self.sweepInterval, time - net.now.since(.zero))
            net.run(for: step)
            net.sweep()
            check()
        }
    }

    private mutating func check() {
        if failure == nil { failure = net.violations.first.map(RunFailure.init) }
        if let taken = net.takenIdentities.first(where: { !laws.mayFindItselfCopied($0.subject) }) {
            fail(.unique, "n\(taken.subject) stopped, its identity is in use", at: taken.at)
        }
        while removalsSeen < net.removals.count {
            let turn = net.removals[removalsSeen]
            removalsSeen += 1
            guard turn.isLive, !laws.mayBeRemoved(turn.subject) else { continue }
            fail(
                .protected,
                "n\(turn.observer) removed n\(turn.subject), which runs: \(turn.fact.short)",
                at: turn.at
            )
        }
    }

    // MARK: Crashes

    private func detectionTimes() -> [(Span, TimedFault)] {
        plan.faults.filter { $0.fault.endsProcesses && $0.lasting > PlanLaws.detectionMax }
            .map { ($0.at + PlanLaws.detectionMax, $0) }
            .sorted { $0.0 < $1.0 }
    }

    /// Nobody who ran all the while may still take a crashed node for reachable; unless most nodes
    /// are down, where survivors think themselves unwell and are slow on purpose.
    private mutating func checkFound(_ timed: TimedFault) {
        guard failure == nil, countDown(around: timed) * 2 < plan.nodes else { return }
        let down = timed.fault.nodes.filter { !net.world.isRunning($0) }
        for observer in net.running where wasUp(observer, since: timed.at) {
            for subject in down where wasDown(subject, timed) && net.reaches(observer, subject) {
                fail(.found, "n\(observer) still reaches n\(subject), gone since \(timed)")
            }
        }
    }

    /// The nodes that were down shortly before the crash, or until it must be found.
    private func countDown(around crash: TimedFault) -> Int {
        let end = crash.at + PlanLaws.detectionMax
        let down = plan.faults.filter {
            $0.at <= end && $0.at + $0.lasting + PlanLaws.detectionMax >= crash.at
        }
        return Set(down.flatMap(\.fault.nodes)).count
    }

    private func wasUp(_ node: Int, since time: Span) -> Bool {
        let end = time + PlanLaws.detectionMax
        return !plan.faults.contains { fault in
            fault.fault.nodes.contains(node) && fault.at <= end
                && fault.at + fault.lasting + .seconds(1) >= time
        }
    }

    private func wasDown(_ node: Int, _ crash: TimedFault) -> Bool {
        !plan.faults.contains { fault in
            fault != crash && fault.fault.nodes.contains(node)
                && fault.at + fault.lasting >= crash.at
                && fault.at <= crash.at + PlanLaws.detectionMax
        }
    }

    // MARK: After the faults

    /// Only who is accused raises its incarnation.
    private mutating func checkUnaccused() {
        guard laws.losesNothing else { return }
        for node in 0..<plan.nodes where !laws.mayBeAccused(node) {
            guard let own = net.membership(node)?.own, own.incarnation > 0 else { continue }
            fail(.unaccused, "\(own.short) was accused, although it answered all the while")
        }
    }

    private mutating func heal() -> Span? {
        net.heal()
        let begin = net.now
        while let text = net.disagreement() {
            guard net.now.since(begin) < plan.healsWithin, failure == nil else {
                fail(.healed, text)
                return nil
            }
            net.run(for: .milliseconds(250))
            net.sweep()
            check()
        }
        let healedAfter = net.now.since(begin)
        checkUnaccused()
        let removals = net.removals.count
        net.run(for: .seconds(4))
        check()
        for turn in net.removals.dropFirst(removals) where turn.isLive {
            fail(.settled, "n\(turn.observer) removed n\(turn.subject) again", at: turn.at)
        }
        if let text = net.disagreement() { fail(.settled, text) }
        return healedAfter
    }
}

extension RunFailure {
    init(_ violation: MembershipWorld.Violation) {
        self.init(
            law: violation.law.rawValue,
            at: violation.at,
            text: "n\(violation.node): \(violation.text)"
        )
    }
}
