import CLinux
import Dispatch
import Synchronization

/// Tells when descriptors can be read, for all connections of the process, from one thread.
///
/// A read source of Dispatch costs three changes of threads, a question for the number of bytes and
/// a new registration for each time that something came. Here it is one change and nothing else,
/// because epoll is asked for edges: whoever is told reads until nothing is left. Between peers
/// most messages come alone: stewards under eight clients did 5 % more this way.
final class ReadPoller: Sendable {
    static let shared = ReadPoller()

    /// The name of one registration; none is given out twice, unlike a descriptor's number.
    typealias Token = UInt64

    private struct Watch {
        let queue: DispatchQueue
        let body: @Sendable () -> Void
        /// Whether the body is on the queue and has not begun.
        var isDue = false
    }

    private struct State {
        var watches: [Token: Watch] = [:]
        var tokenCount: Token = 0
    }

    private static let eventsMax = 64

    private let descriptor: Int32
    private let state = Mutex(State())

    private init() {
        descriptor = genie_poller_open()
        precondition(descriptor >= 0, "epoll_create1 failed with errno \(-descriptor)")
        DispatchQueue(label: "genie.poller").async { @Sendable in
            while true { self.wait() }
        }
    }

    /// Calls `body` on `queue` after something has come or the other end has gone, also before this
    /// call, until ``forget(_:_:)``; `body` has to read until nothing is left.
    func watch(
        _ watched: Int32,
        on queue: DispatchQueue,
        _ body: @escaping @Sendable () -> Void
    ) -> Token {
        let token = state.withLock { state in
            state.tokenCount += 1
            state.watches[state.tokenCount] = Watch(queue: queue, body: body)
            return state.tokenCount
        }
        let status = genie_poller_add(descriptor, watched, token)
        precondition(status == 0, "epoll_ctl failed with errno \(-status)")
        return token
    }

    /// Watches a descriptor, which must be open still, no longer; a body that is on its queue is
    /// dropped.
    func forget(_ token: Token, _ watched: Int32) {
        _ = genie_poller_remove(descriptor, watched)
        _ = state.withLock { $0.watches.removeValue(forKey: token) }
    }

    private func wait() {
        var tokens = [Token](repeating: 0, count: Self.eventsMax)
        let count = genie_poller_wait(descriptor, &tokens, Int32(tokens.count))
        for token in tokens.prefix(Int(max(0, count))) { tell(token) }
    }

    private func tell(_ token: Token) {
        let queue = state.withLock { state -> DispatchQueue? in
            guard let watch = state.watches[token], !watch.isDue else { return nil }
            state.watches[token]?.isDue = true
            return watch.queue
        }
        queue?.async { @Sendable in
            // From here on what comes makes a call of its own: this one may have read past it.
            let body = self.state.withLock { state in
                state.watches[token]?.isDue = false
                return state.watches[token]?.body
            }
            body?()
        }
    }
}
