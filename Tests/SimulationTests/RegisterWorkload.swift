import Determinism
import HistoryCheck
import RingPeer
import RingRegisters
import Simulation

/// Clients at every node of a ring that read and set registers while things go wrong, and what they
/// were told.
struct RegisterWorkload {
    private struct Running {
        let process: Int
        let node: Int
        let token: RequestToken
        let function: HistoryEvent.Function
        let key: String
        let expiresAt: Instant
    }

    private(set) var net: PeerNet
    private(set) var events: [HistoryEvent] = []
    private var generator: SeededGenerator
    /// By client; nil while it is idle.
    private var running: [Running?]
    private var processes: [Int]
    private var versions: [String: UInt64] = [:]
    private var nextProcess = 0
    private var written = 0
    private let nodes: Int

    private static let clientsPerNode = 2
    private static let keys = 4
    private static let step = Span.milliseconds(20)
    private static let patience = Span.seconds(5)

    init(nodes: Int, seed: UInt64, flaws: [RegisterFlaw] = []) {
        var settings = PeerProcess.Settings()
        settings.parameters.registers.flaws = flaws
        net = PeerNet(count: nodes, seed: seed, settings: settings)
        generator = SeededGenerator(seed: seed &+ 1_000_000)
        self.nodes = nodes
        running = Array(repeating: nil, count: nodes * Self.clientsPerNode)
        processes = Array(0..<(nodes * Self.clientsPerNode))
        nextProcess = processes.count
    }

    /// Things go wrong for a while from the first moment on, so that the stewards grow meanwhile;
    /// then everything is mended and read once more at every node.
    mutating func run(faultsFor span: Span, kinds: [Fault.Kind], restarts: [Fault.Restart]) {
        let end = net.now.advanced(by: span)
        while net.now < end {
            if Int.random(in: 0..<60, using: &generator) == 0 { breakSomething(kinds, restarts) }
            advance()
        }
        net.world.healAll()
        for _ in 0..<200 { advance() }
        for index in running.indices { settle(index, isLast: true) }
        readAll()
    }

    private mutating func breakSomething(_ kinds: [Fault.Kind], _ restarts: [Fault.Restart]) {
        let all = Array(0..<nodes).shuffled(using: &generator)
        let few = Array(all.prefix(Int.random(in: 1...(nodes / 2), using: &generator)))
        let others = all.filter { !few.contains($0) }
        guard let kind = kinds.randomElement(using: &generator),
            let restart = restarts.randomElement(using: &generator)
        else { return }
        // A disk that is gone takes what it promised with it: one at a time, and never more than
        // the majority can do without.
        let isLoss = restart != .kept
        net.world.begin(
            Fault(
                kind,
                nodes: isLoss ? [few[0]] : few,
                others: others,
                amount: kind == .drift ? 20_000 : 300,
                restart: restart
            ),
            lasting: .milliseconds(Int64.random(in: 100...4_000, using: &generator))
        )
    }

    private mutating func advance() {
        net.run(for: Self.step)
        for node in 0..<nodes
        where net.events[node]?.contains(.identityTaken) == true && net.world.isRunning(node) {
            if !stopped.contains(node) {
                stopped.append(node)
                net.world.stopForGood(node)
            }
        }
        for index in running.indices { settle(index, isLast: false) }
        for index in running.indices where running[index] == nil {
            if Int.random(in: 0..<4, using: &generator) == 0 { begin(index) }
        }
    }

    /// Nodes that were told that their identity is in use.
    private(set) var stopped: [Int] = []

    private mutating func begin(_ index: Int) {
        let node = index / Self.clientsPerNode
        guard net.world.isRunning(node) else { return }
        let key = "app/\(Int.random(in: 0..<Self.keys, using: &generator))"
        if let version = versions[key], Bool.random(using: &generator) {
            written += 1
            let content = "c\(written)"
            start(index, node, .cas, key, .init(expected: version, content: content)) {
                $0.ask(
                    .compareAndSet(
                        key: key,
                        expectedVersion: version,
                        content: Array(content.utf8)
                    ),
                    token: $1,
                    now: $2
                )
            }
        } else {
            start(index, node, .read, key, .init()) {
                $0.ask(.read(key: key), token: $1, now: $2)
            }
        }
    }

    private mutating func start(
        _ index: Int,
        _ node: Int,
        _ function: HistoryEvent.Function,
        _ key: String,
        _ value: HistoryEvent.Value,
        _ body: (inout Peer, RequestToken, Instant) -> Void
    ) {
        add(processes[index], .invoke, function, key, value)
        running[index] = Running(
            process: processes[index],
            node: node,
            token: net.request(node, body),
            function: function,
            key: key,
            expiresAt: net.now.advanced(by: Self.patience)
        )
    }

    /// Takes down how an operation ended, if it has.
    private mutating func settle(_ index: Int, isLast: Bool) {
        guard let operation = running[index] else { return }
        let answer = net.answers[operation.node]?[operation.token]
        guard answer != nil || isLast || net.now >= operation.expiresAt else { return }
        running[index] = nil
        var kind = HistoryEvent.Kind.info
        var value = HistoryEvent.Value()
        if case .register(let outcome) = answer {
            switch outcome {
            case .value(let held), .committed(let held): (kind, value) = (.ok, Self.value(held))
            case .conflict(let held):
                (kind, value) = (.ok, Self.value(held))
                value.isConflict = true
            case .unavailable, .refused: kind = .fail
            case .indeterminate, .keys: break
            }
        }
        if kind == .ok { versions[operation.key] = value.version }
        add(operation.process, kind, operation.function, operation.key, value)
        guard kind == .info else { return }
        processes[index] = nextProcess
        nextProcess += 1
    }

    private mutating func readAll() {
        for node in 0..<nodes {
            for key in 0..<Self.keys {
                let index = node * Self.clientsPerNode
                start(index, node, .read, "app/\(key)", .init()) {
                    $0.ask(.read(key: "app/\(key)"), token: $1, now: $2)
                }
                for _ in 0..<250 where running[index] != nil {
                    net.run(for: Self.step)
                    settle(index, isLast: false)
                }
                settle(index, isLast: true)
            }
        }
    }

    private static func value(_ held: RegisterValue) -> HistoryEvent.Value {
        .init(
            version: held.version,
            content: held.payload.map { String(decoding: $0, as: UTF8.self) }
        )
    }

    private mutating func add(
        _ process: Int,
        _ kind: HistoryEvent.Kind,
        _ function: HistoryEvent.Function,
        _ key: String,
        _ value: HistoryEvent.Value
    ) {
        events.append(
            HistoryEvent(
                process: process,
                kind,
                function,
                key: key,
                value,
                at: net.now.microseconds * 1_000
            )
        )
    }
}
