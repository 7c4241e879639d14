import HummingbirdCore
import Logging
import NIOCore

/// HTTP/1.1 connections that are set up only once somebody is there to serve them.
///
/// The library sets a connection up as it is accepted. One that is still queued when the server is
/// cancelled is then dropped, and dropping such a connection unserved ends the process. Here the
/// queue holds plain channels, which close when they are dropped.
struct LateChildChannel: ServerChildChannel {
    let http: HTTP1Channel
    let deadlines: StalledExchange.Limits

    /// A connection that nothing has been read from.
    final class Accepted: ServerChildChannelValue {
        let channel: any Channel

        init(channel: any Channel) {
            self.channel = channel
        }

        deinit {
            // Of no effect on one that was served, which is closed by then.
            channel.close(promise: nil)
        }
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Accepted> {
        channel.setOption(.autoRead, value: false).map { Accepted(channel: channel) }
    }

    func handle(value: Accepted, logger: Logger) async {
        defer { withExtendedLifetime(value) {} }
        let channel = value.channel
        let (http, deadlines) = (http, deadlines)
        let client = ClientPresence()
        channel.closeFuture.whenComplete { _ in client.leave() }
        do {
            let connection = try await channel.eventLoop.flatSubmit {
                () -> EventLoopFuture<HTTP1Channel.Value> in
                // A client may have gone meanwhile; on this loop it cannot go in between.
                guard channel.isActive else {
                    return channel.eventLoop.makeFailedFuture(ChannelError.alreadyClosed)
                }
                return http.setup(channel: channel, logger: logger).flatMapThrowing { connection in
                    // Nearest to the socket, where bytes are counted rather than messages.
                    let handler = StalledExchange(deadlines)
                    try channel.pipeline.syncOperations.addHandler(handler, position: .first)
                    return connection
                }
            }.get()
            channel.setOption(.autoRead, value: true).whenFailure { _ in
                channel.close(promise: nil)
            }
            await withTaskExecutorPreference(TasksOnEventLoop(channel.eventLoop)) {
                await ClientPresence.$current.withValue(client) {
                    await http.handle(value: connection, logger: logger)
                }
            }
        } catch {
            logger.debug("a client left before it was served", metadata: ["error": "\(error)"])
        }
    }
}
