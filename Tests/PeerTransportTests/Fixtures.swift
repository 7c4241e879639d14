import Addressing
import Determinism
import Dispatch
import Glibc
import Testing

@testable import PeerTransport

/// An executor on a serial queue, as the owner of the sockets has one.
final class QueueExecutor: SerialExecutor {
    let queue: DispatchQueue

    init(label: String) {
        queue = DispatchQueue(label: label)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}

extension SocketAddress {
    /// The loopback address with `port`; 0 has the kernel choose.
    static func loopback(_ port: UInt16 = 0) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x7f00_0001), port: port)
    }
}

extension NodeID {
    /// A node with a number that can be read.
    static func fixture(_ number: UInt64) -> NodeID {
        NodeID(high: 0xabcd_0000_0000_0000, low: number)
    }
}

extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

/// Waits until `condition` holds; records a failure when it does not within `seconds`.
func eventually(
    within seconds: Double = 10,
    _ what: Comment,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async rethrows {
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: .seconds(seconds))
    while true {
        if try await condition() { return }
        if clock.now >= deadline { break }
        try? await Task.sleep(for: .milliseconds(2))
    }
    Issue.record(what, sourceLocation: sourceLocation)
}

/// A file in a directory of its own, removed at the end.
final class TemporaryFile {
    let path: String
    private let directory: String

    init(mode: mode_t, _ content: [UInt8]) throws {
        var template = Array("/tmp/genie-ring-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        directory = try #require(made)
        path = directory + "/secret"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        _ = write(descriptor, content, content.count)
        fchmod(descriptor, mode)
        close(descriptor)
    }

    deinit {
        unlink(path)
        rmdir(directory)
    }
}
