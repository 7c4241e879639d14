import Dispatch
import Glibc

/// Owns a descriptor and tells its owner when it can be read or written.
///
/// The descriptor is closed after whatever watches it has let go of it, never before: a number that
/// the kernel gave away again would otherwise be watched in the wrong file's place.
final class Readiness {
    let descriptor: Int32

    private let queue: DispatchQueue
    private let closing: DispatchGroup
    private var reading: ReadPoller.Token?
    private var writeSource: (any DispatchSourceWrite)?
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

    /// Calls `body` after something has come to read, until the end; it has to read all of it.
    func watchReadable(_ body: @escaping @Sendable () -> Void) {
        precondition(reading == nil && !isCancelled, "reading is watched once")
        reading = ReadPoller.shared.watch(descriptor, on: queue, body)
    }

    /// Calls `body` whenever there is room to write, until ``pauseWritable()``.
    ///
    /// - Parameter body: that of a watch which goes on stays.
    func watchWritable(_ body: @escaping @Sendable () -> Void) {
        guard !isCancelled, writeSource == nil else { return }
        let source = DispatchSource.makeWriteSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler(handler: body)
        closing.enter()
        source.setCancelHandler { @Sendable [closing] in closing.leave() }
        source.activate()
        writeSource = source
    }

    /// Stops watching for room; a descriptor with nothing to write would wake the queue for ever.
    func pauseWritable() {
        writeSource?.cancel()
        writeSource = nil
    }

    /// Stops watching and closes the descriptor once the source is gone.
    func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        if let reading { ReadPoller.shared.forget(reading, descriptor) }
        writeSource?.cancel()
        closing.notify(queue: queue) { @Sendable [descriptor] in Glibc.close(descriptor) }
    }
}
