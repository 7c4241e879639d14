import Determinism
import HistoryCheck
import RingPeer
import RingRegisters

/// Clients that read registers and set them by compare-and-swap, at any node.
struct RegisterClients: Sendable {
    private struct Running: Sendable {
        let client: Int
        let process: Int
        let node: Int
        let key: String
        /// The version and the content of a change; nil for a read.
        let change: (expected: UInt64, content: String)?
        let begin: Int64
        let expiresAt: Instant
        let isFinal: Bool
    }

    /// Last reads that were not answered.
    private(set) var unserved: [String] = []
    private var running: [RequestToken: Running] = [:]
    private var isBusy: [Bool]
    private var processes: [Int]
    private var nextProcess: Int
    private var versions: [String: UInt64] = [:]
    private var unknown: [String: Int] = [:]
    private var keys: [String] = []
    private var written = 0
    private let pace: Int

    private static let patience = Span.seconds(6)
    /// Changes of unknown outcome, each of which doubles what the check may have to try.
    private static let unknownMax = 7

    init(nodes: Int, _ bench: inout RingBench) {
        let count = min(2 * nodes, 3 + bench.draw(6))
        isBusy = Array(repeating: false, count: count)
        processes = Array(0..<count)
        nextProcess = count
        pace = [3, 8, 25][bench.draw(3)]
        for number in 0..<(1 + bench.draw(3)) { keys.append("app/\(number)") }
    }

    mutating func step(_ bench: inout RingBench) {
        for client in isBusy.indices where !isBusy[client] && bench.isDrawn(oneIn: pace) {
            guard let node = bench.drawRunning() else { return }
            begin(client, node, &bench)
        }
        expire(&bench)
    }

    /// Gives up what nobody answers.
    mutating func expire(_ bench: inout RingBench) {
        guard !running.isEmpty else { return }
        let late = running.filter { $0.value.expiresAt <= bench.world.now }.keys.sorted()
        for token in late { end(token, nil, at: bench.world.now, &bench) }
    }

    private mutating func begin(_ client: Int, _ node: Int, _ bench: inout RingBench) {
        let place = bench.draw(keys.count)
        if unknown[keys[place], default: 0] >= Self.unknownMax {
            keys[place] = "app/\(keys[place].dropFirst(4))x"
        }
        let key = keys[place]
        guard bench.draw(5) > 1 else {
            return start(client, node, key, change: nil, &bench)
        }
        var expected = versions[key] ?? 0
        if bench.isDrawn(oneIn: 10), expected > 0 { expected -= 1 }
        written += 1
        start(client, node, key, change: (expected, "c\(written)"), &bench)
    }

    private mutating func start(
        _ client: Int,
        _ node: Int,
        _ key: String,
        change: (expected: UInt64, content: String)?,
        isFinal: Bool = false,
        _ bench: inout RingBench
    ) {
        let request: RegisterRequest
        if let change {
            request = .compareAndSet(
                key: key,
                expectedVersion: change.expected,
                content: Array(change.content.utf8)
            )
            bench.note(node, "sets \(key) over version \(change.expected) to \(change.content)")
        } else {
            request = .read(key: key)
            bench.note(node, "reads \(key)")
        }
        isBusy[client] = true
        let begin = bench.nowNanoseconds
        let token = bench.ask(node) { $0.ask(request, token: $1, now: $2) }
        running[token] = Running(
            client: client,
            process: processes[client],
            node: node,
            key: key,
            change: change,
            begin: begin,
            expiresAt: bench.world.now.advanced(by: Self.patience),
            isFinal: isFinal
        )
    }

    /// Whether an answer was one of these clients'; if so it was taken down.
    mutating func take(
        _ token: RequestToken,
        _ answer: PeerAnswer,
        at time: Instant,
        _ bench: inout RingBench
    ) -> Bool {
        guard running[token] != nil, case .register(let outcome) = answer else { return false }
        end(token, outcome, at: time, &bench)
        return true
    }

    private mutating func end(
        _ token: RequestToken,
        _ outcome: RegisterOutcome?,
        at time: Instant,
        _ bench: inout RingBench
    ) {
        guard let operation = running.removeValue(forKey: token) else { return }
        var kind = HistoryEvent.Kind.info
        var value = HistoryEvent.Value()
        switch outcome {
        case .value(let held), .committed(let held): (kind, value) = (.ok, Self.value(held))
        case .conflict(let held):
            (kind, value) = (.ok, Self.value(held))
            value.isConflict = true
        case .unavailable, .refused: kind = .fail
        case .indeterminate, .keys, nil: break
        }
        bench.note(
            operation.node,
            "\(operation.key) ends \(kind.rawValue), version \(value.version ?? 0)"
        )
        if kind == .ok { versions[operation.key] = value.version }
        let input =
            operation.change.map {
                HistoryEvent.Value(expected: $0.expected, content: $0.content)
            } ?? .init()
        bench.add(
            operation.process,
            operation.change == nil ? .read : .cas,
            operation.key,
            input: input,
            begin: operation.begin,
            kind,
            output: value,
            end: RingBench.nanoseconds(time)
        )
        bench.count("registers.\(kind.rawValue)")
        isBusy[operation.client] = false
        if operation.isFinal, kind != .ok { unserved.append("n\(operation.node) \(operation.key)") }
        guard kind == .info else { return }
        processes[operation.client] = nextProcess
        nextProcess += 1
        if operation.change != nil { unknown[operation.key, default: 0] += 1 }
    }

    private static func value(_ held: RegisterValue) -> HistoryEvent.Value {
        .init(
            version: held.version,
            content: held.payload.map { String(decoding: $0, as: UTF8.self) }
        )
    }

    /// A process ended: nobody answers what it was asked.
    mutating func noteEnd(of node: Int, _ bench: inout RingBench) {
        let lost = running.filter { $0.value.node == node }.keys.sorted()
        for token in lost { end(token, nil, at: bench.world.now, &bench) }
    }

    /// What was asked and not answered yet.
    var isIdle: Bool { running.isEmpty }

    /// Ends what is left and reads each register at a node once more.
    mutating func readAll(_ node: Int, _ bench: inout RingBench) {
        for (place, key) in keys.enumerated() where place < isBusy.count {
            start(place, node, key, change: nil, isFinal: true, &bench)
        }
    }

    func verdict(_ bench: inout RingBench) {
        let check = RegisterCheck(bench.operations, stepsMax: 2_000_000)
        for violation in check.violations { bench.fail(.registers, violation.text) }
        // A search that is given up has found nothing; the next seed has another history.
        for _ in check.undecided { bench.count("registers.undecided") }
    }
}
