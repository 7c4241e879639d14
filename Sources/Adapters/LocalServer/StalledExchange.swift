import NIOCore

/// Closes connections whose client does not take its answer, or does not finish its request.
///
/// Without it a client that asks and never reads holds its connection for good, and a few of them
/// hold all that a server admits.
final class StalledExchange: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    /// How long each part of an exchange may take.
    struct Limits: Sendable {
        /// From a request's first byte to the first of its answer; nil where answers may wait.
        var request: TimeAmount?
        /// From a piece of an answer being written to the socket having taken all of it.
        var write: TimeAmount
    }

    private let limits: Limits
    private var requestEnd: Scheduled<Void>?

    init(_ limits: Limits) {
        self.limits = limits
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if requestEnd == nil, let limit = limits.request {
            requestEnd = Self.close(context, after: limit)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        requestEnd?.cancel()
        requestEnd = nil
        let isTaken = promise ?? context.eventLoop.makePromise()
        let end = Self.close(context, after: limits.write)
        isTaken.futureResult.whenComplete { _ in end.cancel() }
        context.write(data, promise: isTaken)
    }

    func channelInactive(context: ChannelHandlerContext) {
        requestEnd?.cancel()
        context.fireChannelInactive()
    }

    private static func close(
        _ context: ChannelHandlerContext,
        after limit: TimeAmount
    ) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }
}
