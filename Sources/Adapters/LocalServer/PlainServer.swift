package import Addressing
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore

/// An HTTP/1.1 server at an address: every request goes to one function.
///
/// Whoever reaches the address may ask; there is no encryption and no password, so it is for what
/// may be read by all, such as metrics.
package struct PlainServer: Sendable {
    /// The most connections at once; the next one waits.
    private static let connectionsMax = 16
    /// A connection that says nothing for so long is closed.
    private static let idleTimeout = TimeAmount.seconds(60)

    /// Where it listens.
    package let address: Addressing.SocketAddress

    private let exchangeSeconds: Int64
    private let logger: Logger
    private let answer: LocalServer.Answer

    /// Names the address and the function; nothing is opened before ``run()``.
    ///
    /// - Parameters:
    ///   - address: where to listen.
    ///   - exchangeSeconds: a client that takes longer to send its request, or to take a piece of
    ///     its answer, is cut off.
    ///   - logger: gets a line when it starts, and what goes wrong.
    ///   - answer: answers each request.
    package init(
        address: Addressing.SocketAddress,
        exchangeSeconds: Int64 = 15,
        logger: Logger,
        handle answer: @escaping LocalServer.Answer
    ) {
        self.address = address
        self.exchangeSeconds = exchangeSeconds
        self.logger = logger
        self.answer = answer
    }

    /// Serves until the task is cancelled.
    ///
    /// - Throws: ``PlainServerError`` where the address cannot be had.
    package func run() async throws {
        let (answer, address, logger) = (answer, address, logger)
        let exchange = TimeAmount.seconds(exchangeSeconds)
        var libraryLogger = logger
        // The library calls being cancelled, which is how a server ends, an error.
        libraryLogger.logLevel = .critical
        let application = Application(
            responder: CallbackResponder<BasicRequestContext> { request, _ in
                await LocalServer.respond(to: request, with: answer)
            },
            server: HTTPServerBuilder { respond in
                LateChildChannel(
                    http: HTTP1Channel(
                        responder: respond,
                        configuration: .init(idleTimeout: Self.idleTimeout)
                    ),
                    deadlines: .init(request: exchange, write: exchange)
                )
            },
            configuration: ApplicationConfiguration(
                address: .hostname(address.address.description, port: Int(address.port)),
                availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionsMax)
            ),
            onServerRunning: { _ in
                logger.info("listening", metadata: ["address": "\(address)"])
            },
            logger: libraryLogger
        )
        do {
            try await application.run()
        } catch is CancellationError {
            // Being cancelled is how a server ends.
        } catch {
            throw PlainServerError(address: address, detail: "\(error)")
        }
    }
}

/// Why an address cannot be listened at.
package struct PlainServerError: Error, CustomStringConvertible {
    /// The address.
    package let address: Addressing.SocketAddress
    /// What the system said.
    package let detail: String

    package var description: String {
        "cannot listen at \(address) (\(detail)): name a free port at an address of this node"
    }
}
