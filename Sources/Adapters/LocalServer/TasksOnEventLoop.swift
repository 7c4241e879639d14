import NIOCore

/// Runs what is done for a connection on the thread that reads and writes it, but for what answers
/// a GET (``ClientPresence``).
///
/// On the pool that all tasks share, each request would change threads twice more, which is most of
/// what a short one costs.
final class TasksOnEventLoop: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
    }
}
