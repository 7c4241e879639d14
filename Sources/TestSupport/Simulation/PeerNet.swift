package import Addressing
package import Determinism
package import RingPeer
package import RingPlacement

/// A ring of real ``RingPeer/Peer`` values in a ``World``, with what its tests need.
///
/// Everything follows from the seed: the same seed gives the same run. A crash loses what was not
/// durable yet, and with it every effect that waited for it.
package struct PeerNet: Sendable {
    /// How long the clock runs between two looks at a condition.
    package static let quantum = Span.milliseconds(2)

    /// The world that the peers live in.
    package var world: World<PeerProcess>
    /// Answers by node and token.
    package private(set) var answers: [Int: [RequestToken: PeerAnswer]] = [:]
    /// Events by node, oldest first.
    package private(set) var events: [Int: [PeerEvent]] = [:]

    /// Datagrams by node that came and were sealed with a key that the node did not have, since its
    /// last start.
    package var unopened: [Int: Int] {
        var counts: [Int: Int] = [:]
        for node in 0..<world.count {
            if let count = world.process(node)?.unopened, count > 0 { counts[node] = count }
        }
        return counts
    }

    private var nextTokens: [RequestToken]
    private var lossFault: Int?
    private var cuts: [Int: Int] = [:]

    /// Founds a ring on the first of `count` nodes; the others join it.
    package init(
        count: Int,
        seed: UInt64,
        settings: PeerProcess.Settings = PeerProcess.Settings(),
        parameters: PeerParameters? = nil
    ) {
        var settings = settings
        if let parameters { settings.parameters = parameters }
        world = World(settings: settings, seed: seed)
        nextTokens = [RequestToken](repeating: 1, count: count)
        for _ in 0..<count { world.addNode() }
        for node in 0..<count { world.start(node) }
        absorb()
    }

    /// The virtual time.
    package var now: Instant { world.now }

    /// A hash of everything that was delivered, for comparing runs.
    package var trace: EventLog { world.log }

    /// The share of packets that are lost, in per cent.
    ///
    /// Frames only come later because of it, but where it is so high that TCP gives up, the stream
    /// breaks and all that is under way on it is lost.
    package var lossPercent = 0 {
        didSet {
            if let lossFault { world.end(lossFault) }
            lossFault = world.begin(Fault(.loss, amount: lossPercent * 10))
        }
    }

    /// The identity of a node.
    package func id(_ index: Int) -> NodeID {
        guard let identity = world.identity(index) else {
            preconditionFailure("a node has an identity from its first start on")
        }
        return identity.node
    }

    /// The key that comes from the cluster's secret.
    package static let secretKey = PeerProcess.secretKey

    /// The names of the keys that a node has, the first of which seals.
    package func keys(_ index: Int) -> [RingKey.ID] { world.process(index)?.keys ?? [] }

    /// The peer on a node; nil while it is down.
    package func peer(_ index: Int) -> Peer? { world.process(index)?.peer }

    /// Where a node's ring port is, unless it moved.
    package static func address(_ index: Int) -> SocketAddress {
        World<PeerProcess>.address(slot: index)
    }

    /// Starts a node from its disk; one without a ring joins through the first that runs.
    package mutating func start(_ index: Int, _ restart: Fault.Restart = .kept) {
        precondition(world.process(index) == nil, "a node runs once")
        world.start(index, restart)
        absorb()
    }

    /// Ends a node's process at once; what was not durable is lost.
    package mutating func crash(_ index: Int) {
        world.crash(index, answersClosed: false)
        answers[index] = nil
    }

    /// Cuts a node off from all others, or joins it to them again.
    package mutating func cut(_ index: Int, _ isCut: Bool) {
        if let fault = cuts[index] { world.end(fault) }
        cuts[index] = nil
        guard isCut else { return }
        let others = (0..<world.count).filter { $0 != index }
        cuts[index] = world.begin(Fault(.partition, nodes: [index], others: others))
    }

    /// Makes a request; its answer appears in ``answers`` under the token.
    @discardableResult
    package mutating func request(
        _ index: Int,
        _ body: (inout Peer, RequestToken, Instant) -> Void
    ) -> RequestToken {
        let token = nextTokens[index]
        nextTokens[index] += 1
        world.act(index) { body(&$0.peer, token, $1) }
        absorb()
        return token
    }

    /// Runs the clock.
    package mutating func run(for span: Span) {
        world.run(for: span)
        absorb()
    }

    /// Runs the clock until `isDone` holds, for `limit` at the most; false when it never did.
    package mutating func run(until isDone: (PeerNet) -> Bool, limit: Span) -> Bool {
        let end = now.advanced(by: limit)
        while now < end {
            if isDone(self) { return true }
            run(for: Self.quantum)
        }
        return isDone(self)
    }

    private mutating func absorb() {
        for report in world.reports {
            switch report.content {
            case .answer(let token, let answer): answers[report.node, default: [:]][token] = answer
            case .event(let event): events[report.node, default: []].append(event)
            }
        }
        world.reports = []
    }
}
