import Determinism
import RingMembership
import Simulation
import Testing

/// Where a planted mistake shows: in a seed of the swarm, or in a scenario in which the other
/// safety nets are switched off.
enum FlawCatch {
    case seed(UInt64)
    case scenario(@Sendable ([MembershipFlaw]) -> String?)
}

extension MembershipFlaw {
    var caught: FlawCatch {
        switch self {
        case .staleIncarnationHole: .seed(18)
        case .accusationOfUnknownDropped: .seed(8)
        case .pauseUndetected: .scenario(FlawScenarios.sleeper)
        case .refutationMissing: .seed(1)
        case .goneNeverProbed: .seed(12)
        case .suspicionForgotten: .seed(23)
        case .bootIgnored: .seed(6)
        case .digestNeverCompared: .scenario(FlawScenarios.missedRumor)
        case .staleAliveUnanswered: .scenario(FlawScenarios.ignorantOfItsDeath)
        case .confirmationsCountedTwice: .scenario(FlawScenarios.loneAccuser)
        case .flapUndamped: .scenario(FlawScenarios.flapping)
        case .deathTakenFromTable: .scenario(FlawScenarios.oldTable)
        case .indirectAnswerIgnored: .scenario(FlawScenarios.brokenLink)
        }
    }
}

/// Each gives what went wrong; nil when all is well.
enum FlawScenarios {
    static func world(
        _ nodes: Int,
        seed: UInt64,
        _ flaws: [MembershipFlaw],
        _ change: (inout MembershipParameters) -> Void = { _ in }
    ) -> MembershipWorld {
        var settings = MembershipProcess.Settings()
        settings.parameters.flaws = flaws
        change(&settings.parameters)
        return MembershipWorld(nodes: nodes, seed: seed, settings: settings)
    }

    /// A node that hears nothing while another joins must learn of it from the tables' digests.
    @Sendable
    static func missedRumor(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(60, seed: 7, flaws)
        world.run(for: .seconds(1))
        let deaf = world.begin(Fault(.partition, nodes: [3], others: Array(0..<3) + Array(4...60)))
        let joined = world.join()
        let round = world.run(
            until: { $0.coverage(of: joined, boot: 1, incarnation: 0) >= 60 },
            limit: .milliseconds(1_000)
        )
        guard round != nil else { return "the rumor did not go round" }
        // Told as often as it is to be: nobody passes it on any more.
        world.run(until: Instant(microseconds: 2_050_000))
        world.world.end(deaf)
        let span = world.run(
            until: { $0.coverage(of: joined, boot: 1, incarnation: 0) == 61 },
            limit: .milliseconds(1_500)
        )
        return span == nil ? "a missed rumor was not mended" : nil
    }

    /// A node that does not know of its own death is told when it says anything.
    @Sendable
    static func ignorantOfItsDeath(_ flaws: [MembershipFlaw]) -> String? {
        // No probes and no syncs: what is left is the answer to a gossip.
        var world = world(4, seed: 1, flaws) {
            $0.probeInterval = .seconds(500)
            $0.goneProbeInterval = .seconds(500)
            $0.syncQuiet = .seconds(500)
            $0.syncPatience = .seconds(500)
            $0.syncInterval = .seconds(1_000)
            $0.inquirersWanted = 0
        }
        guard var fact = world.membership(2)?.own else { return "n2 is down" }
        fact.status = .dead
        world.partition([2], [0, 1, 3], for: .seconds(3))
        world.tell(0, of: Rumor(fact: fact, accuser: fact.id))
        world.run(for: .seconds(4))
        guard !world.reaches(0, 2), !world.reaches(3, 2) else { return "n2 was not given up" }
        // It has something to tell, and tells all three.
        guard var news = world.membership(1)?.own else { return "n1 is down" }
        news.status = .suspect
        world.tell(2, of: Rumor(fact: news, accuser: news.id))
        let span = world.run(until: { $0.reaches(0, 2) }, limit: .milliseconds(900))
        return span == nil ? "n2 was not told that it is held to be dead" : nil
    }

    /// One accuser alone, however often it speaks, does not shorten a suspicion.
    @Sendable
    static func loneAccuser(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(5, seed: 1, flaws) {
            $0.probeInterval = .seconds(500)
            $0.inquirersWanted = 0
        }
        guard var fact = world.membership(4)?.own, let accuser = world.id(1) else { return "down" }
        fact.status = .suspect
        world.crash(4)
        let start = world.now
        for _ in 0..<4 {
            world.tell(0, of: Rumor(fact: fact, accuser: accuser))
            world.run(for: .milliseconds(50))
        }
        world.run(for: .seconds(4))
        guard let span = world.detections(of: 4, since: start)[0] else { return "not found" }
        return span < .milliseconds(1_990) ? "removed after \(span.milliseconds) ms" : nil
    }

    /// Who comes and goes all the time is not used each time.
    @Sendable
    static func flapping(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(5, seed: 4, flaws)
        for _ in 0..<6 {
            world.begin(Fault(.partition, nodes: [4], others: [0, 1, 2, 3]), for: .seconds(10))
            world.run(for: .seconds(20))
        }
        let removals = world.removals.count { $0.observer == 0 && $0.subject == 4 }
        return removals > 3 ? "removed \(removals) times in two minutes" : nil
    }

    /// A death that only a table from behind a partition tells of is not believed at once.
    @Sendable
    static func oldTable(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(6, seed: 5, flaws)
        world.partition([0, 1, 2], [3, 4, 5], for: .seconds(20))
        world.run(for: .seconds(40))
        let wrong = world.removals.first { ($0.observer < 3) == ($0.subject < 3) }
        return wrong.map { "n\($0.observer) removed n\($0.subject), which it reaches" }
    }

    /// Who slept through answers that came blames nobody for them.
    @Sendable
    static func sleeper(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(6, seed: 3, flaws)
        // Slow ways, so that a probe is often under way when the sleep begins.
        world.world.conditions.delayMin = .milliseconds(20)
        world.world.conditions.delayMax = .milliseconds(30)
        for _ in 0..<20 {
            world.pause(0, for: .seconds(3))
            world.run(for: .milliseconds(6_000 + 13))
        }
        let accused = (1..<6).first { world.membership($0)?.own.incarnation ?? 0 > 0 }
        return accused.map { "n\($0) was accused" }
    }

    /// Where one link is broken both ways, helpers keep both ends from being accused.
    @Sendable
    static func brokenLink(_ flaws: [MembershipFlaw]) -> String? {
        var world = world(5, seed: 6, flaws)
        world.partition([0], [1])
        world.run(for: .seconds(20))
        let accused = (0..<5).first { world.membership($0)?.own.incarnation ?? 0 > 0 }
        return accused.map { "n\($0) was accused" }
    }
}

@Suite("Planted mistakes: each is found, and it is the mistake that is found")
struct FlawTests {
    @Test("each known mistake is caught", arguments: MembershipFlaw.allCases)
    func caught(flaw: MembershipFlaw) {
        switch flaw.caught {
        case .seed(let known):
            // The known seed first; where the membership changed since, the first that shows it.
            let seed = ([known] + Array(1...100)).first { seed in
                var flawed = PlanRun(SwarmOptions(seed: seed).plan(), flaws: [flaw])
                return flawed.run().failure != nil
            }
            guard let seed else {
                Issue.record("a hundred seeds do not show \(flaw.rawValue)")
                return
            }
            var honest = PlanRun(SwarmOptions(seed: seed).plan())
            let failure = honest.run().failure
            #expect(failure == nil, "seed \(seed) fails without \(flaw.rawValue): \(failure!)")
        case .scenario(let scenario):
            #expect(scenario([flaw]) != nil, "the scenario does not show \(flaw.rawValue)")
            let trouble = scenario([])
            #expect(trouble == nil, "the scenario fails without \(flaw.rawValue): \(trouble!)")
        }
    }
}
