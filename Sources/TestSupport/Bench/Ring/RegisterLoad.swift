import Determinism
import Statistics

/// What one run of concurrent clients came to.
struct LoadResult: Sendable {
    /// Spans of what was completed in the measured time.
    var spans: [Span] = []
    /// The measured time.
    var duration = Span.zero
    /// Attempts that lost against another client's.
    var conflicts = 0
    /// What failed, in the program's words, the first few.
    var failures: [String] = []
    /// How many failed.
    var failureCount = 0

    init() {}

    /// What was completed a second.
    var perSecond: Double {
        Double(spans.count) / (Double(max(1, duration.microseconds)) / 1_000_000)
    }

    var percentiles: Percentiles? { Percentiles(milliseconds: spans) }

    mutating func note(failure: String) {
        failureCount += 1
        if failures.count < 3 { failures.append(failure) }
    }
}

/// What the clients of a run do, each again and again without a pause.
enum LoadKind: Hashable, Sendable {
    /// Change a register of its own.
    case changeOwn
    /// Change the one register of all; a change counts once it took effect, and its span is that
    /// of all attempts.
    case changeHot
    /// Read a register of its own, which holds a value.
    case readOwn

    var isRead: Bool { self == .readOwn }
}

/// One client: a connection and what it is about.
private struct LoadClient {
    let connection: RegisterConnection
    let key: String
    var version: UInt64 = 0
    var startedAt = Instant.zero
    /// Whether it has to read first, since it does not know what the register holds.
    var isLooking = true
}

/// Clients in a closed loop: each asks as soon as it was answered.
struct RegisterLoad {
    let kind: LoadKind
    /// Where the clients connect, in turn.
    let paths: [String]
    let makeDialect: () -> any RegisterDialect
    /// The first client goes to the path of this number.
    let firstPath: Int
    let keyPrefix: String
    let valueByteCount: Int

    /// Runs `count` clients: `warmUp` without counting, then `span`.
    func run(count: Int, warmUp: Span, span: Span) throws(BenchError) -> LoadResult {
        var clients: [LoadClient] = []
        for number in 0..<count {
            let path = paths[(firstPath + number) % paths.count]
            let name = kind == .changeHot ? "hot" : "\(number)"
            clients.append(
                LoadClient(
                    connection: try RegisterConnection(path: path, dialect: makeDialect()),
                    key: "\(keyPrefix)/\(name)"
                )
            )
        }
        var result = LoadResult()
        var poll = ConnectionPoll(clients.map(\.connection))
        let start = Monotonic.now
        let from = start.advanced(by: warmUp)
        let end = from.advanced(by: span)
        for client in clients { try client.connection.ask(.read(key: client.key)) }
        var now = start
        while now < end {
            let answers = try poll.receive(within: end.since(now))
            now = Monotonic.now
            for (index, answer) in answers {
                try take(answer, &clients[index], from: from, now: now, &result)
            }
        }
        result.duration = now.since(from)
        return result
    }

    /// Takes in an answer and asks the next question.
    private func take(
        _ answer: RegisterAnswer,
        _ client: inout LoadClient,
        from: Instant,
        now: Instant,
        _ result: inout LoadResult
    ) throws(BenchError) {
        let isCounted = now >= from
        var isDone = false
        switch answer {
        case .holds(let version):
            client.version = version
            isDone = !client.isLooking
            // Reads begin once there is something to read.
            client.isLooking = kind.isRead && version == 0
        case .committed(let version):
            client.version = version
            isDone = !kind.isRead
        case .conflict(let version):
            client.version = version
            if isCounted { result.conflicts += 1 }
        case .watching: throw .unreadable(what: "an answer", text: "a watch that nobody asked for")
        case .failed(let words):
            if isCounted { result.note(failure: words) }
            client.isLooking = true
        }
        if isDone, isCounted { result.spans.append(now.since(client.startedAt)) }
        // What is not done yet goes on from where it began: a change is as long as its attempts.
        if isDone || kind.isRead || client.startedAt == .zero { client.startedAt = now }
        try client.connection.ask(next(client))
    }

    private func next(_ client: LoadClient) -> RegisterQuestion {
        if kind.isRead && client.version > 0 { return .read(key: client.key) }
        if client.isLooking, !kind.isRead { return .read(key: client.key) }
        return .compareAndSet(
            key: client.key,
            expected: client.version,
            value: value(client.version)
        )
    }

    /// A value of the wanted length that no other change has.
    private func value(_ version: UInt64) -> String {
        let text = "\(version)-"
        return text + String(repeating: "x", count: max(0, valueByteCount - text.utf8.count))
    }
}
