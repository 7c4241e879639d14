package import Determinism
package import RingMembership

/// A ring of bare failure detectors in a ``World``, with the questions that scenarios ask.
package struct MembershipWorld: Sendable {
    /// How the nodes of a new world come together.
    package enum Start: Sendable {
        /// All start at once and greet the first.
        case joining
        /// All know all from the start.
        case formed
        /// None is started.
        case still
    }

    /// A member that an observer took for reachable and then no longer, or the other way round.
    package struct Turn: Sendable {
        /// When.
        package let at: Instant
        /// The node that changed its mind.
        package let observer: Int
        /// The node it is about.
        package let subject: Int
        /// What the observer knows of it.
        package let fact: MemberFact
        /// Whether the very process it is about ran at that time, paused or not.
        package let isLive: Bool
    }

    /// A law of the membership that was broken.
    package struct Violation: Sendable {
        /// Which.
        package let law: PlanRun.Law
        /// When.
        package let at: Instant
        /// Where.
        package let node: Int
        /// What.
        package let text: String
    }

    /// The world.
    package var world: World<MembershipProcess>
    /// Members that observers gave up, oldest first.
    package internal(set) var removals: [Turn] = []
    /// Members given up before that came back, oldest first.
    package internal(set) var returns: [Turn] = []
    /// Laws that were broken, oldest first.
    package internal(set) var violations: [Violation] = []
    /// Nodes that were told that their identity is in use, oldest first.
    package internal(set) var takenIdentities: [Turn] = []
    /// Members that streams reach and datagrams do not, as observers found.
    package internal(set) var blockedDatagrams: [(observer: Int, subject: Int)] = []

    var views: [View] = []
    var identityNumbers: [NodeID: Int] = [:]
    var ageLives: [Int32] = []
    var ages: [[NodeID: (boot: UInt64, incarnation: UInt64)]] = []

    /// Whom one process takes for reachable.
    struct View: Sendable {
        var life: Int32 = 0
        var reachable = BitSet()
        var removed = BitSet()
    }

    /// Makes a world and starts its nodes.
    package init(
        nodes: Int,
        seed: UInt64,
        start: Start = .formed,
        settings: MembershipProcess.Settings = MembershipProcess.Settings(),
        conditions: NetworkConditions = NetworkConditions()
    ) {
        world = World(settings: settings, conditions: conditions, seed: seed)
        for _ in 0..<nodes { world.addNode() }
        switch start {
        case .still: break
        case .joining: startAll()
        case .formed:
            world.settings.bornKnowing = (0..<nodes).map { world.bear($0) }
            for node in 0..<nodes { world.start(node) }
            // Who starts again or joins later has to greet, as in life.
            world.settings.bornKnowing = []
        }
        views = (0..<nodes).map { _ in View() }
        if case .formed = start { formViews() }
        absorb()
    }

    private mutating func formViews() {
        var everyone = BitSet()
        for node in views.indices {
            if let id = id(node) { everyone.insert(identityNumber(id)) }
        }
        for node in views.indices {
            views[node].life = world.life(node)
            views[node].reachable = everyone
        }
    }

    /// Starts every node that does not run.
    package mutating func startAll() {
        for node in 0..<world.count { world.start(node) }
        absorb()
    }

    // MARK: Running

    /// The virtual time.
    package var now: Instant { world.now }

    /// Runs the clock.
    package mutating func run(for span: Span) { run(until: now.advanced(by: span)) }

    /// Runs the clock up to a point of the world's time.
    package mutating func run(until end: Instant) {
        while world.step(until: end) {
            if !world.reports.isEmpty { absorb() }
        }
        if !world.reports.isEmpty { absorb() }
    }

    /// Runs the clock until `isDone` holds, looking every `interval`, for `limit` at the most;
    /// nil when it never did, and otherwise how long it took.
    package mutating func run(
        until isDone: (MembershipWorld) -> Bool,
        every interval: Span = .milliseconds(50),
        limit: Span
    ) -> Span? {
        let begin = now
        while !isDone(self) {
            guard now.since(begin) < limit else { return nil }
            run(for: interval)
        }
        return now.since(begin)
    }

    // MARK: Faults by hand

    /// Cuts every tie between two sides, until ``heal()`` or for a while.
    @discardableResult
    package mutating func partition(
        _ nodes: [Int],
        _ others: [Int],
        isOneWay: Bool = false,
        for span: Span? = nil
    ) -> Int {
        begin(Fault(isOneWay ? .oneway : .partition, nodes: nodes, others: others), for: span)
    }

    /// Stops a process as SIGSTOP does, for a while.
    package mutating func pause(_ node: Int, for span: Span) {
        begin(Fault(.pause, nodes: [node]), for: span)
    }

    /// Begins any fault.
    @discardableResult
    package mutating func begin(_ fault: Fault, for span: Span? = nil) -> Int {
        let number = world.begin(fault, lasting: span)
        absorb()
        return number
    }

    /// Ends every fault and starts every node that is down.
    package mutating func heal() {
        world.healAll()
        absorb()
    }

    /// Ends a process; its host answers that the port is closed unless it is gone as well.
    package mutating func crash(_ node: Int, isHostGone: Bool = true) {
        world.crash(node, answersClosed: !isHostGone)
    }

    /// Starts a process again.
    package mutating func restart(_ node: Int, _ restart: Fault.Restart = .kept) {
        world.start(node, restart)
        absorb()
    }

    /// Says good-bye for a node.
    package mutating func leave(_ node: Int) {
        world.leave(node)
        absorb()
    }

    /// Adds a node, which greets a few of those that run.
    package mutating func join() -> Int {
        let node = world.addNode()
        views.append(View())
        world.start(node)
        absorb()
        return node
    }

    /// Tells a node something, as a neighbour's gossip would.
    package mutating func tell(_ node: Int, of rumor: Rumor) {
        guard let sender = running.first(where: { $0 != node }), let from = membership(sender)
        else { return }
        let datagram = MembershipDatagram(
            kind: .gossip,
            ring: from.ring,
            sender: from.own.claim,
            digest: from.digest,
            epoch: from.epoch,
            rumors: [rumor]
        )
        let source = world.address(sender)
        world.act(node) { $0.receive(datagram: datagram, from: source, now: $1) }
        absorb()
    }

    /// Tells a node falsely that another suspects it; the incarnation it had before it refutes.
    @discardableResult
    package mutating func accuse(_ node: Int, by accuser: Int) -> UInt64 {
        guard var fact = membership(node)?.own, let accuser = id(accuser) else { return 0 }
        let before = fact.incarnation
        fact.status = .suspect
        tell(node, of: Rumor(fact: fact, accuser: accuser))
        return before
    }

    // MARK: Questions

    /// The failure detector on a node; nil while it is down.
    package func membership(_ node: Int) -> Membership? { world.process(node)?.membership }

    /// The identity of a node.
    package func id(_ node: Int) -> NodeID? { world.identity(node)?.node }

    /// The nodes that run.
    package var running: [Int] { (0..<world.count).filter { world.isRunning($0) } }

    /// Whether one node takes another for reachable.
    package func reaches(_ observer: Int, _ subject: Int) -> Bool {
        guard let id = id(subject) else { return false }
        return membership(observer)?.isReachable(id) ?? false
    }

    /// How many different tables there are.
    package var digestCount: Int {
        Set(running.compactMap { membership($0)?.digest }).count
    }

    /// What keeps the nodes that run from being of one mind; nil when nothing does.
    ///
    /// Of one mind: equal digests, everybody who runs is present to all, nobody else to any; unless
    /// `isHoldingAllowed`, nobody is held back for coming and going either.
    package func disagreement(isHoldingAllowed: Bool = true) -> String? {
        let nodes = running
        let digests = digestCount
        if digests > 1 { return "\(digests) different tables" }
        let identities = nodes.compactMap { id($0) }
        for observer in nodes {
            guard let membership = membership(observer) else { continue }
            for (subject, id) in zip(nodes, identities) where observer != subject {
                guard let member = membership.member(id), !member.fact.status.isGone else {
                    return "n\(observer) does not know that n\(subject) runs"
                }
                if !isHoldingAllowed, !member.isReachable {
                    return "n\(observer) holds n\(subject) back"
                }
            }
            if membership.presentCount > nodes.count {
                return "n\(observer) knows \(membership.presentCount) present, \(nodes.count) run"
            }
        }
        return nil
    }

    /// How long after `start` each observer gave a node up; absent for those that did not.
    package func detections(of subject: Int, since start: Instant) -> [Int: Span] {
        var found: [Int: Span] = [:]
        for turn in removals where turn.subject == subject && turn.at >= start {
            if found[turn.observer] == nil { found[turn.observer] = turn.at.since(start) }
        }
        return found
    }

    /// How many of the running nodes know a node at this boot and incarnation or later.
    package func coverage(of subject: Int, boot: UInt64, incarnation: UInt64) -> Int {
        guard let id = id(subject) else { return 0 }
        return running.count { node in
            guard node != subject, let fact = membership(node)?.member(id)?.fact else {
                return node == subject
            }
            return (fact.boot, fact.incarnation) >= (boot, incarnation)
        }
    }

    /// Forgets the removals and returns so far.
    package mutating func forgetHistory() {
        removals = []
        returns = []
    }
}
