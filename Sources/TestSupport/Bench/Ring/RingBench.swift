import Determinism
import Statistics

/// How a bench of the ring is run.
struct RingSettings {
    /// Members that hold registers.
    var members = 3
    /// How many clients work at once, case by case.
    var clientCounts = [1, 8, 64]
    /// Rounds of each case; programs take turns.
    var rounds = 3
    /// The measured part of a round, in seconds.
    var seconds = 5
    /// Changes that watchers are told of, per round.
    var changes = 100
    /// Endpoints that are told of; 0 leaves it out.
    var endpoints = 60
    /// Rounds of 64 parallel allocations; 0 leaves them out.
    var allocationRounds = 40
    /// The bytes of a value.
    var valueByteCount = 128
    /// What pauses follow from.
    var seed: UInt64 = 1
}

/// One case of the load: what clients do, and how many of them.
struct LoadCase: Hashable {
    let kind: LoadKind
    let clients: Int

    var name: String {
        switch kind {
        case .changeOwn: "cas.own.\(clients)"
        case .changeHot: "cas.hot.\(clients)"
        case .readOwn: "read.\(clients)"
        }
    }
}

/// What one program showed.
struct RingResults {
    /// The rounds of each case, in the order that they were run.
    var loads: [LoadCase: [LoadResult]] = [:]
    var watches: [WatchResult] = []
    /// The share of a core that each member used in the rounds of a case, in percent.
    var processorPercent: [LoadCase: [Double]] = [:]
}

/// Runs the programs in turns, so that what the machine does meanwhile meets all of them.
struct RingBench {
    /// One program that runs.
    struct Side {
        let system: any RegisterSystem
        let children: [Child]
        var results = RingResults()
    }

    let settings: RingSettings
    let say: (String) -> Void
    private(set) var sides: [Side] = []
    private var generator: SeededGenerator

    init(_ settings: RingSettings, _ say: @escaping (String) -> Void) {
        self.settings = settings
        self.say = say
        generator = SeededGenerator(seed: settings.seed)
    }

    /// Starts a program; it stays until ``end()``.
    mutating func start(_ system: any RegisterSystem) throws(BenchError) {
        let start = Monotonic.now
        let children = try system.start(nodes: 1...settings.members)
        say("\(system.name): decides after \(Monotonic.now.since(start).milliseconds) ms")
        sides.append(Side(system: system, children: children))
    }

    /// Ends what was started.
    func end() {
        for child in sides.flatMap(\.children) { child.send(15) }
        for child in sides.flatMap(\.children) where child.waitForEnd(within: .seconds(10)) == nil {
            child.send(9)
            _ = child.waitForEnd(within: .seconds(10))
        }
    }

    /// Runs every case.
    mutating func run() throws(BenchError) {
        for kind in [LoadKind.changeOwn, .changeHot, .readOwn] {
            for count in settings.clientCounts {
                // One client has nobody to contend with.
                guard kind != .changeHot || count > 1 else { continue }
                for round in 0..<settings.rounds {
                    for side in sides.indices {
                        try load(LoadCase(kind: kind, clients: count), round, side)
                    }
                }
            }
        }
        for round in 0..<settings.rounds {
            for side in sides.indices { try watch(round, side) }
        }
    }

    private func paths(_ side: Int) -> [String] {
        (1...settings.members).map { sides[side].system.path($0) }
    }

    private mutating func load(
        _ load: LoadCase,
        _ round: Int,
        _ side: Int
    ) throws(BenchError) {
        let system = sides[side].system
        let run = RegisterLoad(
            kind: load.kind,
            paths: paths(side),
            makeDialect: system.makeDialect,
            // One client alone is on another node each time.
            firstPath: round,
            keyPrefix: "bench/\(load.name)/\(round)",
            valueByteCount: settings.valueByteCount
        )
        let before = usage(side)
        let start = Monotonic.now
        let result = try run.run(
            count: load.clients,
            warmUp: .seconds(1),
            span: .seconds(Int64(settings.seconds))
        )
        let percent = ProcessUsage.processorPercent(
            before,
            usage(side),
            over: Monotonic.now.since(start)
        )
        if let percent { sides[side].results.processorPercent[load, default: []].append(percent) }
        sides[side].results.loads[load, default: []].append(result)
        tell(system.name, load, round, result, percent)
        for child in sides[side].children where child.end != nil {
            throw .failed(
                command: child.command,
                reason: "ended by itself",
                output: child.lines().suffix(5).map(\.text).joined(separator: "\n")
            )
        }
    }

    private func usage(_ side: Int) -> [Int: ProcessUsage] {
        sides[side].children.enumerated().reduce(into: [:]) { usages, entry in
            usages[entry.offset] = ProcessUsage(pid: entry.element.pid)
        }
    }

    private mutating func watch(_ round: Int, _ side: Int) throws(BenchError) {
        let system = sides[side].system
        let watch = RegisterWatch(
            paths: paths(side),
            makeDialect: system.makeDialect,
            writer: round % settings.members,
            key: "bench/watched/\(round)",
            value: String(repeating: "x", count: settings.valueByteCount)
        )
        let result = try watch.run(count: settings.changes, generator: &generator)
        sides[side].results.watches.append(result)
        if let told = Percentiles(milliseconds: result.told) {
            say("\(system.name): watch round \(round + 1): told p50 \(text(told.p50)) ms")
        }
    }

    private func tell(
        _ name: String,
        _ load: LoadCase,
        _ round: Int,
        _ result: LoadResult,
        _ processorPercent: Double?
    ) {
        let spans = result.percentiles
        say(
            "\(name): \(load.name) round \(round + 1): \(Int(result.perSecond))/s, p50 "
                + "\(text(spans?.p50)) ms, p99 \(text(spans?.p99)) ms, \(result.conflicts) conflicts, "
                + "\(result.failureCount) failures, \(text(processorPercent)) % of a core each"
        )
        for failure in result.failures { say("\(name): failed: \(failure)") }
    }

    private func text(_ value: Double?) -> String {
        guard let value else { return "-" }
        return "\((value * 100).rounded() / 100)"
    }
}
