import Determinism
import Glibc

/// What watchers of one register saw of its changes.
struct WatchResult: Sendable {
    /// From asking for a change until one watcher was told, for each change and watcher.
    var told: [Span] = []
    /// From asking for a change until the last watcher was told.
    var toldAll: [Span] = []
    /// From asking for a change until it was acknowledged.
    var committed: [Span] = []

    init() {}
}

/// One client changes a register now and then, and a watcher on each node is told.
struct RegisterWatch {
    let paths: [String]
    let makeDialect: () -> any RegisterDialect
    /// The node whose client makes the changes.
    let writer: Int
    let key: String
    let value: String

    private static let patience = Span.seconds(10)

    /// Makes `count` changes with pauses drawn from `generator`.
    func run(
        count: Int,
        generator: inout SeededGenerator
    ) throws(BenchError) -> WatchResult {
        var connections: [RegisterConnection] = []
        for path in [paths[writer]] + paths {
            connections.append(try RegisterConnection(path: path, dialect: makeDialect()))
        }
        var poll = ConnectionPoll(connections)
        var version = try firstVersion(connections[0], &poll)
        for watcher in connections.dropFirst() { try watcher.ask(.watch(key: key, after: version)) }
        var result = WatchResult()
        for _ in 0..<count {
            // Long enough that a watch that has to be asked for again is.
            let pause = Span(microseconds: Int64.random(in: 10_000...30_000, using: &generator))
            try rest(pause, version, &poll)
            try change(&version, connections, &poll, &result)
        }
        return result
    }

    /// Writes the register once, so that all programs' watchers have a version to begin behind.
    private func firstVersion(
        _ connection: RegisterConnection,
        _ poll: inout ConnectionPoll
    ) throws(BenchError) -> UInt64 {
        try connection.ask(.read(key: key))
        let deadline = Monotonic.now.advanced(by: Self.patience)
        while Monotonic.now < deadline {
            for (_, answer) in try poll.receive(within: .milliseconds(100)) {
                switch answer {
                case .committed(let version): return version
                case .holds(let version):
                    let change = RegisterQuestion.compareAndSet(
                        key: key,
                        expected: version,
                        value: value
                    )
                    try connection.ask(change)
                case .watching: break
                case .conflict, .failed: try connection.ask(.read(key: key))
                }
            }
        }
        throw .timedOut(waitingFor: "the first value of \(key)", seconds: 10)
    }

    /// Waits; nothing but the beginnings of watches may come meanwhile, and what a watcher that was
    /// behind is told of earlier changes.
    private func rest(
        _ span: Span,
        _ version: UInt64,
        _ poll: inout ConnectionPoll
    ) throws(BenchError) {
        let end = Monotonic.now.advanced(by: span)
        var now = Monotonic.now
        while now < end {
            for (_, answer) in try poll.receive(within: end.since(now)) {
                switch answer {
                case .watching: break
                case .holds(let told) where told <= version: break
                default:
                    throw .unreadable(what: "what a watch tells", text: "\(answer) between changes")
                }
            }
            now = Monotonic.now
        }
    }

    private func change(
        _ version: inout UInt64,
        _ connections: [RegisterConnection],
        _ poll: inout ConnectionPoll,
        _ result: inout WatchResult
    ) throws(BenchError) {
        let start = Monotonic.now
        try connections[0].ask(.compareAndSet(key: key, expected: version, value: value))
        var waiting = Array(connections.indices)
        while !waiting.isEmpty {
            let left = Self.patience - Monotonic.now.since(start)
            guard left > .zero else {
                throw .timedOut(waitingFor: "watchers \(waiting) of \(key)", seconds: 10)
            }
            for (index, answer) in try poll.receive(within: left) {
                let span = Monotonic.now.since(start)
                switch answer {
                case .committed where index == 0: result.committed.append(span)
                case .holds(let told) where index > 0 && told == version + 1:
                    result.told.append(span)
                    if connections[index].hasOneShotWatches {
                        try connections[index].ask(.watch(key: key, after: told))
                    }
                case .watching where index > 0: continue
                case .holds(let told) where index > 0 && told <= version: continue
                default: throw .unreadable(what: "an answer to a change", text: "\(answer)")
                }
                waiting.removeAll { $0 == index }
            }
        }
        result.toldAll.append(Monotonic.now.since(start))
        version += 1
    }
}
