import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore

/// An HTTP/1.1 server on a unix socket: every request goes to one function.
///
/// The HTTP library stays behind it; who uses the server sees only the types below.
package struct LocalServer: Sendable {
    /// The largest request body that is taken, in bytes; a larger one is answered with 413.
    ///
    /// A register's mebibyte takes a third more as base64.
    package static let bodyBytesMax = 3 << 19

    /// Answers one request; requests of several connections run side by side.
    ///
    /// Its task is cancelled when the server is, and that of a GET when its client leaves: a
    /// question has nobody left to answer then, while a change is carried through.
    package typealias Answer = @Sendable (Request) async -> Response

    /// A client that leaves a piece of its answer untaken for so long is cut off.
    private static let writeTimeout = TimeAmount.seconds(60)

    /// Where it listens.
    package let path: String

    private let groupID: UInt32?
    private let logger: Logger
    private let isListening: @Sendable () -> Void
    private let answer: Answer

    /// Names the socket and the function; nothing is opened before ``run()``.
    ///
    /// - Parameters:
    ///   - path: where to listen; the directory is made if only it is missing.
    ///   - groupID: the group that may connect beside the owner; nil leaves the process's.
    ///   - logger: gets a line when it starts and when it stops, and what goes wrong.
    ///   - isListening: called once, when connections succeed.
    ///   - answer: answers each request.
    package init(
        path: String,
        groupID: UInt32? = nil,
        logger: Logger,
        isListening: @escaping @Sendable () -> Void = {},
        handle answer: @escaping Answer
    ) {
        self.path = path
        self.groupID = groupID
        self.logger = logger
        self.isListening = isListening
        self.answer = answer
    }

    /// Serves until the task is cancelled, and takes the socket file away afterwards.
    ///
    /// A socket file that a dead process left is replaced. The file appears with mode 0660 and its
    /// group in place, so there is no moment at which others could connect.
    /// - Throws: ``LocalServerError`` when the socket cannot be had.
    package func run() async throws {
        try await run(in: SocketPlace(path: path, groupID: groupID))
    }

    /// Serves in a place that is already checked.
    func run(in place: SocketPlace) async throws {
        defer { place.clear() }
        let (published, publication) = AsyncThrowingStream<Void, any Error>.makeStream()
        let application = makeApplication(in: place, publication)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { publication.finish() }
                do {
                    try await application.run()
                } catch is CancellationError {
                    // Being cancelled is how a server ends.
                }
            }
            group.addTask {
                for try await _ in published {}
            }
            // A socket that could not be put in place ends the second task first, with the reason,
            // and leaving by that error is what cancels the first.
            for try await _ in group {}
        }
        logger.info("closed socket", metadata: ["path": "\(path)"])
    }

    private func makeApplication(
        in place: SocketPlace,
        _ publication: AsyncThrowingStream<Void, any Error>.Continuation
    ) -> Application<CallbackResponder<BasicRequestContext>> {
        let answer = answer
        let logger = logger
        let isListening = isListening
        // The library would announce the path that it binds, which is not the one that we show.
        var libraryLogger = logger
        // And it calls being cancelled, which is how a server ends, an error.
        libraryLogger.logLevel = .critical
        return Application(
            responder: CallbackResponder { request, _ in
                await Self.respond(to: request, with: answer)
            },
            server: HTTPServerBuilder { respond in
                LateChildChannel(
                    http: HTTP1Channel(responder: respond),
                    deadlines: .init(request: nil, write: Self.writeTimeout)
                )
            },
            configuration: ApplicationConfiguration(
                address: .unixDomainSocket(path: place.bindPath)
            ),
            onServerRunning: { _ in
                do throws(LocalServerError) {
                    try place.publish()
                    logger.info("listening", metadata: ["path": "\(place.path)"])
                    isListening()
                } catch {
                    publication.finish(throwing: error)
                }
            },
            logger: libraryLogger
        )
    }

    static func respond(
        to request: Hummingbird.Request,
        with answer: @escaping Answer
    ) async -> Hummingbird.Response {
        var request = request
        let body: ByteBuffer
        do {
            body = try await request.collectBody(upTo: bodyBytesMax)
        } catch is NIOTooManyBytesError {
            return plain(.contentTooLarge, "the body is larger than \(bodyBytesMax) bytes\n")
        } catch {
            return plain(.badRequest, "the body ended early\n")
        }
        let question = Request(
            method: request.method.rawValue,
            target: request.uri.string,
            body: Array(body.readableBytesView)
        )
        let response: Response
        if request.method == .get, let client = ClientPresence.current {
            response = await client.whileHere { await answer(question) }
        } else {
            response = await answer(question)
        }
        var fields = HTTPFields()
        fields[.contentType] = response.contentType
        for (name, value) in response.headers.sorted(by: { $0.key < $1.key }) {
            guard let name = HTTPField.Name(name) else {
                preconditionFailure("\(name) cannot be the name of a header field")
            }
            fields[name] = value
        }
        return Hummingbird.Response(
            status: HTTPResponse.Status(code: response.status),
            headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: response.body))
        )
    }

    private static func plain(
        _ status: HTTPResponse.Status,
        _ text: String
    ) -> Hummingbird.Response {
        Hummingbird.Response(
            status: status,
            headers: [.contentType: "text/plain; charset=utf-8", .connection: "close"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}
