import Synchronization

/// Whether the client of a connection is still there; what is done for it alone ends with it.
final class ClientPresence: Sendable {
    /// The client whose request the current task answers; nil outside of a connection.
    @TaskLocal static var current: ClientPresence?

    private struct State {
        var isGone = false
        var work: Task<LocalServer.Response, Never>?
    }

    private let state = Mutex(State())

    /// Does something in a task of its own, which is cancelled once the client leaves or the
    /// current task is cancelled.
    ///
    /// On the shared pool of threads: what is asked for may be a long list, and the connection's
    /// thread serves others.
    func whileHere(
        _ work: @escaping @Sendable () async -> LocalServer.Response
    ) async -> LocalServer.Response {
        let task = Task { await work() }
        let isGone = state.withLock { state in
            state.work = task
            return state.isGone
        }
        if isGone { task.cancel() }
        defer { state.withLock { $0.work = nil } }
        return await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
    }

    /// The connection was closed.
    func leave() {
        let work = state.withLock { state in
            state.isGone = true
            return state.work
        }
        work?.cancel()
    }
}
