import Glibc
package import HistoryCheck
import Synchronization

/// Takes down what happens, from all threads, on one clock.
package final class Recorder: Sendable {
    private struct State {
        var events: [HistoryEvent] = []
        var nextProcess = 1
        var names: [String: Int] = [:]
        var findings: [String] = []
    }

    private let state = Mutex(State())

    /// Makes one that has taken down nothing.
    package init() {}

    /// A process that did nothing yet.
    package func newProcess() -> Int {
        state.withLock { state in
            defer { state.nextProcess += 1 }
            return state.nextProcess
        }
    }

    /// The process of a name, the same one each time.
    func process(named name: String) -> Int {
        state.withLock { state in
            if let known = state.names[name] { return known }
            defer { state.nextProcess += 1 }
            state.names[name] = state.nextProcess
            return state.nextProcess
        }
    }

    /// Takes down a line at the present instant.
    package func add(
        _ process: Int,
        _ type: HistoryEvent.Kind,
        _ function: HistoryEvent.Function,
        key: String = "",
        _ value: HistoryEvent.Value = .init()
    ) {
        // Under the lock, so that the order of the lines is that of their times.
        state.withLock { state in
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            let now = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
            state.events.append(
                HistoryEvent(process: process, type, function, key: key, value, at: now)
            )
        }
    }

    /// Takes down what is known at one instant.
    func note(
        _ process: Int,
        _ function: HistoryEvent.Function,
        key: String = "",
        _ value: HistoryEvent.Value
    ) {
        add(process, .invoke, function, key: key)
        add(process, .ok, function, key: key, value)
    }

    /// Takes down what the drill broke or mended, and says so.
    func say(_ text: String) {
        note(process(named: "nemesis"), .nemesis, .init(content: text))
        Console.say("  " + text)
    }

    /// Takes down something that is wrong and that no checker sees.
    func find(_ text: String) {
        say("FOUND " + text)
        state.withLock { $0.findings.append(text) }
    }

    /// Everything that was taken down.
    package var events: [HistoryEvent] { state.withLock { $0.events } }
    /// What is wrong and no checker sees.
    var findings: [String] { state.withLock { $0.findings } }
}
