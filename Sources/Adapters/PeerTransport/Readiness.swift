import Dispatch
import Glibc

/// Owns a descriptor and tells its owner when it can be read or written.
///
/// The descriptor is closed after both dispatch sources have let go of it, never before: a number
/// that the kernel gave away again would otherwise be watched in the wrong file's place.
final class Readiness {
    let descriptor: Int32

    private let queue: DispatchQueue
    private let closing: DispatchGroup
    private var readSource: (any DispatchSourceRead)?
    private var writeSource: (any DispatchSourceWrite)?
    private var isWriteSuspended = false
    private var isCancelled = false

    /// Takes over `descriptor`; nothing is watched yet.
    init(descriptor: Int32, queue: DispatchQueue) {
        self.descriptor = descriptor
        self.queue = queue
        closing = DispatchGroup()
    }

    deinit {
        cancel()
    }

    /// Calls `body` whenever there is something to read, until the end.
    func watchReadable(_ body: @escaping @Sendable () -> Void) {
        precondition(readSource == nil && !isCancelled, "reading is watched once")
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler(handler: body)
        closing.enter()
        source.setCancelHandler { @Sendable [closing] in closing.leave() }
        source.activate()
        readSource = source
    }

    /// Calls `body` whenever there is room to write, until ``pauseWritable()``.
    ///
    /// - Parameter body: only the first one counts; later calls resume it.
    func watchWritable(_ body: @escaping @Sendable () -> Void) {
        guard !isCancelled else { return }
        if let writeSource {
            if isWriteSuspended { writeSource.resume() }
        } else {
            let source = DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)
            source.setEventHandler(handler: body)
            closing.enter()
            source.setCancelHandler { @Sendable [closing] in closing.leave() }
            source.activate()
            writeSource = source
        }
        isWriteSuspended = false
    }

    /// Stops watching for room; a descriptor with nothing to write would wake the queue for ever.
    ///
    /// Reading must be watched by then: epoll reports hang-ups even where no source takes them.
    func pauseWritable() {
        guard let writeSource, !isWriteSuspended, !isCancelled else { return }
        writeSource.suspend()
        isWriteSuspended = true
    }

    /// Stops watching and closes the descriptor once the sources are gone.
    func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        readSource?.cancel()
        writeSource?.cancel()
        // A source may not be released while it is suspended.
        if isWriteSuspended { writeSource?.resume() }
        closing.notify(queue: queue) { @Sendable [descriptor] in Glibc.close(descriptor) }
    }
}
