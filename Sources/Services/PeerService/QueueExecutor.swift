package import Dispatch

/// Runs an actor on a serial Dispatch queue, so that sockets' sources on that queue may enter the
/// actor without a hop.
package final class QueueExecutor: SerialExecutor {
    /// The queue.
    package let queue: DispatchQueue

    /// Makes a queue of that name.
    package init(label: String) {
        queue = DispatchQueue(label: label)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { @Sendable in
            job.runSynchronously(on: self.asUnownedSerialExecutor())
        }
    }

    package func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
