import CNetworkNamespace
import Foundation
import Testing

/// A network namespace that lives as long as a process blocked on our pipe, so that none is left
/// behind however the test ends.
final class NetworkNamespace {
    private let keeper = Process()
    private let pipe = Pipe()

    private var path: String { "/proc/\(keeper.processIdentifier)/ns/net" }

    /// What names the namespace for `ip link set ... netns`.
    var name: String { String(keeper.processIdentifier) }

    init() throws {
        let ready = Pipe()
        keeper.executableURL = URL(filePath: "/usr/bin/env")
        keeper.arguments = [
            "unshare", "--net", "sh", "-ec", "ip link set lo up; echo ready; exec cat",
        ]
        keeper.standardInput = pipe
        keeper.standardOutput = ready
        try keeper.run()
        let answer = ready.fileHandleForReading.availableData
        try #require(String(decoding: answer, as: UTF8.self) == "ready\n")
    }

    deinit {
        try? pipe.fileHandleForWriting.close()
        keeper.waitUntilExit()
    }

    /// Runs a command inside and returns its output; a failing command is a test failure.
    @discardableResult
    func run(_ command: String) throws -> String {
        let (status, output) = try tryRun(command)
        try #require(status == 0, "\(command): \(output)")
        return output
    }

    /// Runs a command inside and returns its exit status and output.
    func tryRun(_ command: String) throws -> (Int32, String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["nsenter", "--net=\(path)", "sh", "-c", command + " 2>&1"]
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }

    /// Starts a command inside and leaves it running; ``Running/finish()`` waits for its output.
    func start(_ command: String) throws -> Running {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["nsenter", "--net=\(path)", "sh", "-c", "exec \(command) 2>&1"]
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return Running(process: process, output: output)
    }

    /// A command that was started.
    struct Running {
        fileprivate let process: Process
        fileprivate let output: Pipe

        /// Waits for the end and returns what was printed.
        func finish() -> String {
            let text = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: text, as: UTF8.self)
        }

        /// Ends it.
        func stop() {
            if process.isRunning { process.terminate() }
            process.waitUntilExit()
        }
    }

    /// Calls `body` on a thread that is inside.
    func inside<Value>(_ body: () throws -> Value) throws -> Value {
        try withoutActuallyEscaping(body) { body in
            let visit = Visit(body)
            let context = Unmanaged.passUnretained(visit).toOpaque()
            let error = network_namespace_run(
                path,
                { context in
                    guard let context else { return }
                    Unmanaged<AnyVisit>.fromOpaque(context).takeUnretainedValue().run()
                },
                context
            )
            try #require(error == 0)
            let result = try #require(visit.result)
            visit.body = nil
            return try result.get()
        }
    }

    func ifindex(of interface: String) throws -> UInt32 {
        let index = try inside { if_nametoindex(interface) }
        try #require(index != 0, "no interface \(interface)")
        return index
    }
}

private class AnyVisit {
    func run() {}
}

private final class Visit<Value>: AnyVisit {
    var body: (() throws -> Value)?
    var result: Result<Value, any Error>?

    init(_ body: @escaping () throws -> Value) {
        self.body = body
    }

    override func run() {
        guard let body else { return }
        result = Result { try body() }
    }
}
