import Determinism
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters

/// Runs a plan on whole peers with clients on top, and demands what the plan leaves to be demanded.
///
/// First faults, then healing: every fault is ended and every node started, clients stop, and the
/// ring has ``FaultPlan/healsWithin`` to be of one mind. Then every peer reads everything.
///
/// What is demanded where:
/// - all laws but two, always. A plan that would take the disks of a majority of stewards is not
///   followed there: the disk is kept. An old copy of a steward's disk is put back only while
///   nothing else is wrong, which is all that is promised (P6 of the acceptor);
/// - ``RingLaw/rested`` where no clock leaps: a rest is measured on a node's own clock;
/// - ``RingLaw/fresh`` where no disk is rolled back: a replica that forgot what it acknowledged is
///   believed until it was compared with another; and where no more than one disk is lost. Where
///   nodes are cut off and run on, or several come back while others are away, it holds among those
///   that are in one epoch: what the others did while the owners changed is not known;
/// - records of an origin that is gone for good while no more than one disk was lost.
package struct RingRun: PlannedRun {
    private let plan: FaultPlan
    private var bench: RingBench
    private var registers: RegisterClients?
    private var addresses: AddressClients?
    private var records: RecordClients?
    private var watch: NodeWatch
    private var removals: [Removal] = []
    private var nextFault = 0
    private var epochs: [UInt64: UInt64] = [:]
    private var groups: [UInt64: StewardSet] = [:]

    private static let step = Span.milliseconds(20)
    private static let settleSpan = Span.seconds(8)
    /// Longer than the retransmissions of a stream that is not given up take together.
    private static let streamSpan = Span.seconds(7)

    /// Prepares a run.
    package init(
        _ plan: FaultPlan,
        flaws: [RingFlaw] = [],
        write: (@Sendable (String) -> Void)? = nil
    ) {
        self.plan = plan
        var settings = Self.settings
        for flaw in flaws { flaw.plant(in: &settings) }
        var world = World<PeerProcess>(settings: settings, seed: plan.seed)
        world.clocksStartApart = true
        world.log.write = write
        for _ in 0..<plan.nodes { world.addNode() }
        bench = RingBench(world: world, seed: plan.seed)
        watch = NodeWatch(nodes: plan.nodes)
        // All are made, so that leaving one out changes nothing for the others.
        let registers = RegisterClients(nodes: plan.nodes, &bench)
        let addresses = AddressClients(&bench)
        let records = RecordClients(
            nodes: plan.nodes,
            comparesWithinEpochs: plan.faults.contains(where: \.fault.cutsOff)
                || plan.hasReturnsAmongThemselves,
            &bench
        )
        if plan.clients.contains(.registers) { self.registers = registers }
        if plan.clients.contains(.addresses) { self.addresses = addresses }
        if plan.clients.contains(.records) { self.records = records }
    }

    /// Times that are short beside a run, so that everything that waits for one happens in it.
    static var settings: PeerProcess.Settings {
        var settings = PeerProcess.Settings()
        settings.slotCount = 16
        settings.stopsWhenTold = true
        settings.parameters.stewardLostAfter = .seconds(4)
        settings.parameters.stewardSettledAfter = .milliseconds(500)
        settings.parameters.stewardSilentFor = .seconds(8)
        settings.parameters.membership.flapMemory = .seconds(10)
        settings.parameters.membership.flapHold = .seconds(2)
        settings.parameters.membership.flapHoldLongest = .seconds(4)
        settings.parameters.ipam.rest = .seconds(2)
        settings.parameters.ipam.releaseDrain = .seconds(2)
        settings.parameters.ipam.reclaimDrain = .seconds(4)
        settings.parameters.ipam.surplusAfter = .milliseconds(700)
        settings.parameters.ipam.idleAfter = .seconds(1)
        settings.parameters.ipam.upkeepInterval = .milliseconds(250)
        settings.parameters.ipam.reclaimInterval = .seconds(1)
        settings.parameters.ipam.verifyInterval = .seconds(3)
        settings.parameters.ipam.pauseLongest = .seconds(1)
        settings.parameters.ipam.exhaustedFor = .milliseconds(300)
        settings.parameters.ipam.sparePause = .seconds(1)
        settings.parameters.records.exchangeInterval = .milliseconds(500)
        settings.parameters.records.formerOwnerGrace = .seconds(3)
        settings.parameters.records.watchRenewal = .seconds(2)
        settings.parameters.records.watchExpiry = .seconds(6)
        return settings
    }

    package static func plan(seed: UInt64) -> FaultPlan { RingOptions(seed: seed).plan() }

    package static func summary(seed: UInt64) -> String { "\(RingOptions(seed: seed))" }

    package static func replayCommand(seed: UInt64) -> String { "ring replay \(seed)" }

    // MARK: The run

    package mutating func run() -> RunVerdict {
        startFirst()
        while bench.failure == nil, bench.world.now.since(.zero) < plan.faultsFor {
            beginFaults()
            advance(isWorking: true)
        }
        var healedAfter: Span?
        if bench.failure == nil { healedAfter = heal() }
        if bench.failure == nil { readLast() }
        if bench.failure == nil { judge() }
        return RunVerdict(
            failure: bench.failure,
            hash: bench.world.log.value,
            events: bench.world.log.count,
            healedAfter: healedAfter,
            counts: bench.counts
        )
    }

    /// A node that ends at once joins when that fault does.
    private mutating func startFirst() {
        let late = plan.faults.filter { $0.at == .zero && $0.fault.endsProcesses }
            .flatMap(\.fault.nodes)
        for node in 0..<plan.nodes where !late.contains(node) || node == 0 {
            bench.world.start(node)
        }
        hear()
    }

    private mutating func advance(isWorking: Bool) {
        bench.world.run(for: Self.step)
        hear()
        if isWorking {
            registers?.step(&bench)
            addresses?.step(&bench)
            records?.step(&bench)
        } else {
            registers?.expire(&bench)
            addresses?.finish(&bench)
        }
        // Who is back as who it was is a member like any other: another removal would be a new one.
        removals.removeAll { $0.isDone && bench.runs($0.identity) }
        for index in removals.indices {
            removals[index].proceed(&bench)
            takeNews(of: index)
        }
        watch.restartStopped(&bench.world)
    }

    /// Takes down what the peers told, and what happened to them.
    private mutating func hear() {
        let reports = bench.world.reports
        bench.world.reports = []
        for report in reports {
            switch report.content {
            case .answer(let token, let answer): take(token, answer, at: report.at)
            case .event(let event): take(event, from: report.node, at: report.at)
            }
        }
        for node in 0..<plan.nodes {
            if watch.noteEnd(of: node, bench.world) {
                registers?.noteEnd(of: node, &bench)
                addresses?.noteEnd(of: node)
                records?.noteEnd(of: node)
            }
            if let start = watch.noteStart(of: node, bench.world) { begin(node, start) }
        }
    }

    private mutating func begin(_ node: Int, _ start: NodeWatch.Start) {
        if start != .kept {
            records?.noteDiskLoss(of: node)
            if start == .rolledBack, let identity = bench.world.identity(node)?.node {
                records?.noteLoss(of: identity, &bench)
            }
            addresses?.noteLoss(of: node, &bench)
            if watch.disksLost > 1 {
                for identity in watch.goneIdentities {
                    records?.expectNothing(of: identity, &bench)
                }
            }
        }
        addresses?.noteStart(of: node, &bench)
        records?.noteStart(of: node, &bench)
    }

    private mutating func take(_ token: RequestToken, _ answer: PeerAnswer, at time: Instant) {
        if registers?.take(token, answer, at: time, &bench) ?? false { return }
        if addresses?.take(token, answer, at: time, &bench) ?? false { return }
        if records?.take(token, answer, at: time, &bench) ?? false { return }
        for index in removals.indices where removals[index].take(token, answer, &bench) {
            takeNews(of: index)
        }
    }

    private mutating func takeNews(of index: Int) {
        for news in removals[index].takeNews() {
            switch news {
            case .eraEnds(let era):
                addresses?.noteRemoval(of: removals[index].identity, era: era)
            case .recordsEnd(let isDone):
                records?.noteRetirement(of: removals[index].identity, isDone: isDone, &bench)
            }
        }
    }

    private mutating func take(_ event: PeerEvent, from node: Int, at time: Instant) {
        switch event {
        case .records(let set): records?.take(set, at: time, node, &bench)
        case .configuration(let configuration): note(configuration, node)
        case .identityTaken, .twin:
            watch.noteStop(of: node, at: time)
            guard !watch.wasRolledBack(node) else { return }
            bench.fail(
                .identity,
                "n\(node) was told to stop (\(event)), on the newest of its disks"
            )
        default: break
        }
    }

    private mutating func note(_ configuration: RingConfiguration, _ node: Int) {
        let digest = configuration.digest
        if let known = epochs[configuration.epoch], known != digest {
            bench.fail(
                .epochs,
                "epoch \(configuration.epoch) at n\(node) is another than elsewhere"
            )
        }
        epochs[configuration.epoch] = digest
        let group = configuration.stewards
        if let known = groups[group.epoch], known != group {
            bench.fail(.stewards, "there are two groups of stewards of epoch \(group.epoch)")
        }
        groups[group.epoch] = group
    }

    // MARK: Faults

    private mutating func beginFaults() {
        let now = bench.world.now.since(.zero)
        while nextFault < plan.faults.count, plan.faults[nextFault].at <= now {
            let timed = plan.faults[nextFault]
            nextFault += 1
            let isStart = timed.at == .zero && timed.fault.endsProcesses
            guard let fault = isStart ? timed.fault : watch.allowed(timed.fault, bench.world) else {
                continue
            }
            watch.noteFault(fault, lasting: timed.lasting, bench.world)
            bench.world.begin(fault, lasting: timed.lasting)
            guard fault.kind == .remove else { continue }
            for node in fault.nodes {
                guard let identity = bench.world.identity(node)?.node else { continue }
                addresses?.noteLoss(of: node, &bench)
                records?.noteLoss(of: identity, &bench)
                // One that was begun before and came to nothing yet goes on.
                guard !removals.contains(where: { $0.identity == identity }) else { continue }
                removals.append(Removal(of: identity))
            }
        }
    }

    // MARK: After the faults

    private mutating func heal() -> Span? {
        bench.world.healAll()
        let begin = bench.world.now
        var checkAt = begin.advanced(by: .seconds(1))
        while bench.failure == nil {
            advance(isWorking: false)
            guard bench.world.now >= checkAt else { continue }
            checkAt = bench.world.now.advanced(by: .milliseconds(250))
            guard let text = disagreement() else { return bench.world.now.since(begin) }
            guard bench.world.now.since(begin) < plan.healsWithin else {
                bench.fail(.healed, text)
                return nil
            }
        }
        return nil
    }

    /// What peers are not of one mind about; nil when they are.
    private func disagreement() -> String? {
        for node in 0..<plan.nodes where !bench.world.isRunning(node) { return "n\(node) is down" }
        if !(registers?.isIdle ?? true) { return "a register is not answered for" }
        if !(addresses?.isIdle ?? true) { return "a pod waits for its address, or to lose it" }
        if !(records?.isIdle ?? true) { return "a record is not answered for" }
        let present = watch.present(bench.world)
        // One that is back and holds registers stays until another has its place.
        if let removal = removals.first(where: {
            !$0.isDone && !($0.isRefused && present.contains($0.identity))
        }) {
            return "\(removal.identity.short) is not taken out of the ring"
        }
        guard let first = bench.world.look(0, { $0.configuration }) else { return "n0 is down" }
        if let removal = removals.first(where: {
            first.member($0.identity) != nil && !present.contains($0.identity)
        }) {
            return "\(removal.identity.short) was taken out and is a member"
        }
        for node in 0..<plan.nodes {
            guard let peer = bench.world.process(node)?.peer else { continue }
            if peer.configuration != first {
                return "n\(node) is in epoch \(peer.configuration.epoch), n0 in \(first.epoch)"
            }
            if first.member(peer.identity.node) == nil { return "n\(node) is no member" }
            guard first.members.allSatisfy({ present.contains($0.id) }) else { continue }
            let status = peer.records.status
            if status.slotsArriving + status.slotsLeaving + status.publicationsUnsettled > 0 {
                return "n\(node) is not done: \(status)"
            }
        }
        return records?.disagreement(bench)
    }

    /// Everybody reads everything once more, and is asked for one more address.
    private mutating func readLast() {
        // A stream that lost its last segments to the faults sends them again seconds later.
        let start = bench.world.now.advanced(by: Self.streamSpan)
        repeat { advance(isWorking: false) } while bench.world.now < start
        for node in 0..<plan.nodes {
            registers?.readAll(node, &bench)
            if areReplicasWhole { records?.readAll(node, &bench) }
            addresses?.askLast(node, &bench)
            let end = bench.world.now.advanced(by: Self.settleSpan)
            repeat { advance(isWorking: false) } while !isIdle && bench.world.now < end
        }
        let unserved =
            (registers?.unserved ?? []) + (addresses?.unserved ?? []) + (records?.unserved ?? [])
        let standing = (0..<plan.nodes).map { node in
            bench.world.look(node) { "\n  n\(node): \($0.records.status)" } ?? ""
        }
        if let first = unserved.first { bench.fail(.served, first + standing.joined()) }
        if !isIdle { bench.fail(.served, "not everything was answered") }
    }

    /// Whether at most one member is gone for good: where two are, they may be two of the owners or
    /// of the former owners of a topic, and nobody can tell what these had.
    private var areReplicasWhole: Bool {
        let present = watch.present(bench.world)
        let members = bench.world.look(0) { $0.configuration.members } ?? []
        return members.count { !present.contains($0.id) } < 2
    }

    private var isIdle: Bool {
        (registers?.isIdle ?? true) && (addresses?.isIdle ?? true) && (records?.isIdle ?? true)
    }

    private mutating func judge() {
        let leaps = plan.faults.contains { $0.fault.kind == .leap }
        // Clocks that run fast make a rest shorter by so much.
        let drift = plan.faults.filter { $0.fault.kind == .drift }.map(\.fault.amount).max() ?? 0
        let rest = Self.settings.parameters.ipam.rest.microseconds
        let least = rest - rest * Int64(max(0, drift)) * 2 / 1_000_000
        registers?.verdict(&bench)
        addresses?.verdict(rest: leaps ? .zero : Span(microseconds: least), &bench)
        records?.observeWatchers(&bench)
        let checksOrder = !watch.rolledBackAny && watch.disksLost < 2
        records?.verdict(checksOrder: checksOrder, &bench)
    }
}
