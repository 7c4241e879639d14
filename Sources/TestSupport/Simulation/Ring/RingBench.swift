import Determinism
import HistoryCheck
import RingPeer

/// The laws of a whole ring.
package enum RingLaw: String, CaseIterable, Sendable {
    /// Registers are linearizable.
    case registers
    /// No address is held twice at one time.
    case addresses
    /// No address is held again before it has rested.
    case rested
    /// A block has one owner under each fence.
    case fenced
    /// An address that a holder was told of is there after a start on the same disk.
    case addressKept
    /// Once all is mended, a node has the addresses that its pods have, and no other.
    case leaked
    /// What was acknowledged is there in the end, and what was withdrawn is not.
    case records
    /// A complete read finds whatever was acknowledged, or read, before it began.
    case fresh
    /// A replica, a watcher or a reader has nothing that its origin never published.
    case published
    /// What a watcher sees of an origin never goes back.
    case monotone
    /// An epoch means one configuration to everybody.
    case epochs
    /// A group of stewards has one successor.
    case stewards
    /// Only who runs on an old copy of its disk finds its identity in use.
    case identity
    /// After the faults everybody is of one mind in time.
    case healed
    /// After the faults everybody is served.
    case served
}

/// What all clients of a run share: the world, the draws, the history.
struct RingBench: Sendable {
    var world: World<PeerProcess>
    /// What clients draw from; the world draws from elsewhere.
    var generator: SeededGenerator
    var operations: [Operation] = []
    private(set) var failure: RunFailure?
    var counts = SortedMap<String, Int>()
    private var nextToken: RequestToken = 1

    init(world: World<PeerProcess>, seed: UInt64) {
        self.world = world
        generator = SeededGenerator(seed: StableHash.mix(seed ^ 0xc11e))
    }

    mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }

    /// Whether a chance of one in so many came.
    mutating func isDrawn(oneIn count: Int) -> Bool { draw(count) == 0 }

    mutating func drawRunning() -> Int? {
        let running = (0..<world.count).filter { world.isRunning($0) }
        return running.isEmpty ? nil : running[draw(running.count)]
    }

    var nowNanoseconds: Int64 { Self.nanoseconds(world.now) }

    static func nanoseconds(_ instant: Instant) -> Int64 { instant.microseconds * 1_000 }

    /// Whether a process runs under an identity.
    func runs(_ identity: NodeID) -> Bool {
        (0..<world.count).contains {
            world.isRunning($0) && world.identity($0)?.node == identity
        }
    }

    mutating func fail(_ law: RingLaw, _ text: String) {
        guard failure == nil else { return }
        failure = RunFailure(law: law.rawValue, at: world.now, text: text)
    }

    mutating func count(_ name: String) { counts[name, default: 0] += 1 }

    func note(_ node: Int, _ text: @autoclosure () -> String) {
        world.log.line(world.now.microseconds, node, "** \(text())")
    }

    /// Makes a request at a node that runs; its answer comes under the token.
    mutating func ask(
        _ node: Int,
        _ body: (inout Peer, RequestToken, Instant) -> Void
    ) -> RequestToken {
        let token = nextToken
        nextToken += 1
        world.act(node) { body(&$0.peer, token, $1) }
        return token
    }

    mutating func add(
        _ process: Int,
        _ function: HistoryEvent.Function,
        _ key: String,
        input: HistoryEvent.Value = .init(),
        begin: Int64,
        _ kind: HistoryEvent.Kind,
        output: HistoryEvent.Value = .init(),
        end: Int64
    ) {
        operations.append(
            Operation(
                process: process,
                function: function,
                key: key,
                input: input,
                begin: begin,
                kind: kind,
                output: output,
                end: end
            )
        )
    }
}

extension World<PeerProcess> {
    /// A node's peer, of which `body` takes what it needs; nil while none runs.
    func look<Value>(_ node: Int, _ body: (Peer) -> Value) -> Value? {
        process(node).map { body($0.peer) }
    }
}
