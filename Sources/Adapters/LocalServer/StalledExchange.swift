import NIOCore

/// Closes connections whose client does not take its answer, or does not finish its request.
///
/// Without it a client that asks and never reads holds its connection for good, and a few of them
/// hold all that a server admits. It looks at intervals: a timer for each write would cost as much
/// as the rest of a short answer.
final class StalledExchange: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    /// How long each part of an exchange may take; half as long again until it is noticed.
    struct Limits: Sendable {
        /// From a request's first byte to the first of its answer; nil where answers may wait.
        var request: TimeAmount?
        /// From a piece of an answer being written to the socket having taken one.
        var write: TimeAmount
    }

    private let limits: Limits
    private var look: RepeatedTask?
    private var requestBegan: NIODeadline?
    private var writesPending = 0
    /// When the socket last took something, or began to be offered it.
    private var writeMoved = NIODeadline.distantPast

    init(_ limits: Limits) {
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let shortest = min(limits.request ?? limits.write, limits.write)
        let interval = TimeAmount.nanoseconds(shortest.nanoseconds / 2)
        let isolated = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        look = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) {
            _ in
            let (handler, context) = isolated.value
            if handler.isStalled { context.close(promise: nil) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { look?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        look?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if requestBegan == nil, limits.request != nil { requestBegan = .now() }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        requestBegan = nil
        if writesPending == 0 { writeMoved = .now() }
        writesPending += 1
        let isTaken = promise ?? context.eventLoop.makePromise()
        isTaken.futureResult.assumeIsolated().whenComplete { _ in
            self.writesPending -= 1
            if self.writesPending > 0 { self.writeMoved = .now() }
        }
        context.write(data, promise: isTaken)
    }

    private var isStalled: Bool {
        let now = NIODeadline.now()
        if writesPending > 0, now - writeMoved > limits.write { return true }
        guard let limit = limits.request, let requestBegan else { return false }
        return now - requestBegan > limit
    }
}
