package import Determinism
import Glibc

extension PeerService {
    /// The events about members after a revision, oldest first.
    ///
    /// Nil when the log no longer holds all of them or never gave that revision: who asked has to
    /// start again from ``snapshot()``.
    package func memberEvents(after revision: UInt64) -> [MemberEvent]? {
        memberLog.events(after: revision)
    }

    /// Waits until there is anything after a revision; ends as well when `limit` has passed, when
    /// the task is cancelled, and when the peer stops.
    package func waitForMemberEvents(after revision: UInt64, limit: Duration) async {
        guard memberLog.revision == revision, !isStopped else { return }
        let (stream, continuation) = AsyncStream<Void>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        let number = nextWatcher
        nextWatcher += 1
        watchers[number] = continuation
        await first(of: stream, or: limit)
        watchers[number] = nil
    }

    /// Notes in the log that a node's endpoints went out of service, or are back in it.
    package func noteDataplane(of node: NodeID, name: String, isWithdrawn: Bool) {
        memberLog.note(node, name: name, isWithdrawn: isWithdrawn, at: Self.wallClock)
        tellWatchers()
    }

    func tellWatchers() {
        for watcher in watchers.values { watcher.yield() }
    }

    /// Milliseconds since 1970: what people want to read beside an event, and nothing else.
    static var wallClock: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }
}
