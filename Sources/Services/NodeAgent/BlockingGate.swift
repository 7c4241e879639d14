import Dispatch
import Synchronization

/// Runs what blocks on threads of its own, so many at once and the others in their turn.
///
/// Dispatch starts a thread for each queue that has something to do, up to 255 in a process. The
/// peer's queue and the disk's need theirs: those that wait for the kernel and for plugins must not
/// be all of them.
final class BlockingGate: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    /// Makes a gate for so many at once.
    init(width: Int) {
        precondition(width > 0, "somebody gets through")
        state = Mutex(State(free: width))
    }

    /// Runs `body` on a thread that may wait.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        await enter()
        defer { leave() }
        return try await withCheckedThrowingContinuation { continuation in
            // The global queue has as many threads as the machine has processors, and the kernel
            // makes callers wait that could wait side by side.
            DispatchQueue(label: "genie.blocking").async {
                continuation.resume(with: Result(catching: body))
            }
        }
    }

    private func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.free > 0 else {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
