import Determinism
import Foundation
import Glibc
import Synchronization

/// What must be gone when the benchmark ends, whether by itself or by SIGINT, SIGTERM or SIGHUP.
///
/// Children also die with this process however that happens; the kernel sees to it.
package final class Cleanup: Sendable {
    private struct State {
        var isOpen = true
        var children: [Child] = []
        var steps: [@Sendable () -> Void] = []
    }

    /// The one of this process.
    package static let shared = Cleanup()

    private let state = Mutex(State())
    private let turn = Mutex(())

    /// Makes one of its own, for tests.
    package init() {}

    /// Whether anything may still be started.
    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Remembers a child; false where it is too late.
    func add(_ child: Child) -> Bool {
        state.withLock { state in
            guard state.isOpen else { return false }
            state.children.removeAll { $0.end != nil }
            state.children.append(child)
            return true
        }
    }

    /// Remembers what to do at the end; the last comes first.
    package func atEnd(_ step: @escaping @Sendable () -> Void) {
        state.withLock { $0.steps.append(step) }
    }

    /// Kills every child, then takes the steps, once; a second caller waits for the first.
    package func run() {
        turn.withLock { _ in
            let (children, steps) = state.withLock { state in
                state.isOpen = false
                defer { (state.children, state.steps) = ([], []) }
                return (state.children, state.steps)
            }
            // One that is stopped dies of this signal, too.
            for child in children { child.send(SIGKILL) }
            for child in children { _ = child.waitForEnd(within: .seconds(5)) }
            for step in steps.reversed() { step() }
        }
    }

    /// From now on a signal that asks this process to end cleans up first.
    ///
    /// To be called before there is a second thread: all threads must block these signals, so that
    /// the one that waits for them gets them. Children start with none blocked.
    package func catchSignals() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        Thread.detachNewThread { [self, signals] in
            var signals = signals
            var number: Int32 = 0
            while sigwait(&signals, &number) != 0 {}
            run()
            _exit(128 + number)
        }
    }

    /// Makes a fresh directory that is removed at the end.
    ///
    /// - Throws: ``BenchError/refused(call:reason:)``.
    package func temporaryDirectory() throws(BenchError) -> String {
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var path = Array("\(parent)/genie-bench-XXXXXX".utf8CString)
        guard mkdtemp(&path) != nil else {
            throw .refused(call: "mkdtemp in \(parent)", reason: BenchError.reason(errno))
        }
        let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        atEnd { try? FileManager.default.removeItem(atPath: name) }
        return name
    }
}
