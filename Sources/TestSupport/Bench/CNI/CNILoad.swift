import ArgumentParser
import Determinism
import Foundation
import PluginProcess
import Synchronization

/// What a round of calls took.
struct CNILoadResult: Codable {
    /// Each pod's ADD, or its ADDs one after another, in milliseconds.
    var add: [Double] = []
    /// The same of DEL.
    var delete: [Double] = []
    /// From the first ADD's start to the last one's end, in seconds.
    var addSeconds = 0.0
    /// The start of the program alone: VERSION, in milliseconds.
    var start: [Double] = []
}

/// `genie-bench cni-load`: calls a plugin as a runtime does, from where the runtime would be.
struct CNILoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni-load",
        abstract: "Part of cni: calls a plugin for pods whose namespaces are there.",
        shouldDisplay: false
    )

    @Option var plugin: String
    @Option var path: String
    @Option var lockFile: String
    @Option var prefix: String
    @Option var first: Int
    @Option var pods: Int
    @Option var parallel: Int
    /// One for each call of a pod: `INTERFACE=CONFIGURATION`.
    @Option var call: [String]
    @Option var arguments = ""

    func run() throws {
        var result = CNILoadResult()
        let lock = try PluginLock(path: lockFile, key: 1, waitMilliseconds: 0)
        for _ in 0..<20 { result.start.append(try invoke("VERSION", 0, "", "{}", lock)) }
        let begin = Monotonic.now
        result.add = try each { pod in
            try calls.reduce(0) { $0 + (try invoke("ADD", pod, $1.interface, $1.text, lock)) }
        }
        result.addSeconds = Double(Monotonic.now.since(begin).microseconds) / 1_000_000
        result.delete = try each { pod in
            try calls.reversed().reduce(0) {
                $0 + (try invoke("DEL", pod, $1.interface, $1.text, lock))
            }
        }
        Console.say(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
    }

    private var calls: [(interface: String, text: String)] {
        call.compactMap { call in
            guard let equals = call.firstIndex(of: "=") else { return nil }
            return (String(call[..<equals]), String(call[call.index(after: equals)...]))
        }
    }

    /// Runs `body` for every pod, so many at once.
    private func each(_ body: @escaping @Sendable (Int) throws -> Double) throws -> [Double] {
        let next = Mutex(0)
        let outcomes = Mutex<[Result<Double, any Error>]>([])
        let group = DispatchGroup()
        for _ in 0..<parallel {
            group.enter()
            Thread.detachNewThread {
                while true {
                    let pod = next.withLock { number in
                        defer { number += 1 }
                        return number
                    }
                    guard pod < pods else { break }
                    let outcome = Result { try body(pod) }
                    outcomes.withLock { $0.append(outcome) }
                }
                group.leave()
            }
        }
        group.wait()
        return try outcomes.withLock { $0 }.map { try $0.get() }
    }

    /// One call, in milliseconds.
    private func invoke(
        _ verb: String,
        _ pod: Int,
        _ interface: String,
        _ text: String,
        _ lock: PluginLock
    ) throws -> Double {
        let call = PluginProcess.Call(
            path: plugin,
            environment: [
                "CNI_COMMAND=\(verb)", "CNI_CONTAINERID=bench-\(first + pod)",
                "CNI_IFNAME=\(interface)", "CNI_NETNS=\(prefix)\(first + pod)", "CNI_PATH=\(path)",
                "CNI_ARGS=\(arguments)", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            ],
            input: Array(text.utf8),
            deadlineMilliseconds: 60_000
        )
        let start = Monotonic.now
        let outcome = try PluginProcess.run(call, holding: lock)
        let took = Double(Monotonic.now.since(start).microseconds) / 1_000
        guard outcome.status == 0 else {
            throw BenchError.failed(
                command: "\(plugin) \(verb)",
                reason: "ended with \(outcome.status)",
                output: String(decoding: outcome.output, as: UTF8.self) + outcome.errors
            )
        }
        return took
    }
}
