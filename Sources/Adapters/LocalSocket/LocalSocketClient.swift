package import Addressing

/// Asks a server on a unix socket, or at an address over TCP, in HTTP/1.1, one connection for each
/// request.
///
/// It blocks, and needs nothing but the C library: the plugin that uses it starts anew for every
/// call and is linked statically.
package struct LocalSocketClient: Sendable {
    /// The largest answer that is taken, in bytes.
    package static let bodyBytesMax = 64 << 20

    /// Where the server listens: the socket, or `10.0.0.1:80`.
    package let path: String

    private let server: SocketAddress?

    private let bodyBytesMax: Int

    /// Names the socket; nothing is opened before a request.
    package init(path: String, bodyBytesMax: Int = LocalSocketClient.bodyBytesMax) {
        self.path = path
        self.bodyBytesMax = bodyBytesMax
        server = nil
    }

    /// Names a server that speaks plain HTTP; nothing is opened before a request.
    package init(server: SocketAddress, bodyBytesMax: Int = LocalSocketClient.bodyBytesMax) {
        path = server.description
        self.bodyBytesMax = bodyBytesMax
        self.server = server
    }

    /// What the server answered.
    package struct Response: Hashable, Sendable {
        /// The status, 200 for success.
        package let status: Int
        /// The header fields; names in lower case, repeats joined by a comma.
        package let headers: [String: String]
        /// The body, unchunked.
        package let body: [UInt8]
    }

    /// The verbs of HTTP that the node API has.
    package enum Method: String, Hashable, Sendable {
        /// Reads.
        case get = "GET"
        /// Creates, or calls.
        case post = "POST"
        /// Replaces.
        case put = "PUT"
        /// Removes.
        case delete = "DELETE"
    }

    /// Sends one request and waits for the whole answer.
    ///
    /// - Parameters:
    ///   - method: the verb.
    ///   - target: the path with its query, each part already escaped with ``escaped(_:)``; it
    ///     starts with a slash and holds no white space.
    ///   - body: JSON, or nothing.
    ///   - deadlineMilliseconds: for everything from connecting to the last byte.
    /// - Returns: the answer, whatever its status.
    /// - Throws: see ``LocalSocketError`` for which errors leave open whether it took effect.
    package func request(
        method: Method,
        path target: String,
        body: [UInt8] = [],
        deadlineMilliseconds: Int
    ) throws(LocalSocketError) -> Response {
        precondition(target.utf8.first == UInt8(ascii: "/"))
        precondition(target.utf8.allSatisfy { (0x21...0x7e).contains($0) })
        let deadline = Deadline(milliseconds: deadlineMilliseconds)
        let stream =
            if let server { try SocketStream(server: server, deadline: deadline) } else {
                try SocketStream(path: path, deadline: deadline)
            }
        var message = Array("\(method.rawValue) \(target) HTTP/1.1\r\n".utf8)
        message += "host: \(server == nil ? "localhost" : path)\r\nconnection: close\r\n".utf8
        message += "content-type: application/json\r\n".utf8
        message += "content-length: \(body.count)\r\n\r\n".utf8
        message += body
        // A server that refuses a body answers before it has read it all: read on either way.
        _ = try stream.send(message)
        return try receive(from: stream)
    }

    /// Escapes one segment of a path, or one name or value of a query.
    ///
    /// - Source: RFC 3986 section 2.3: everything but the unreserved characters is escaped.
    package static func escaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                bytes += (byte < 16 ? "%0\(digits)" : "%\(digits)").utf8
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func receive(from stream: borrowing SocketStream) throws(LocalSocketError) -> Response {
        var reader = HTTPResponseReader(bodyBytesMax: bodyBytesMax)
        var receivedBytes = 0
        while true {
            var bytes: [UInt8] = []
            let count = try stream.receive(into: &bytes)
            receivedBytes += count
            // Chunks, trailers and interim answers are bounded by nothing else.
            guard receivedBytes <= 2 * bodyBytesMax + HTTPResponseReader.headBytesMax else {
                throw .oversized(path: path, bytesMax: bodyBytesMax)
            }
            if count == 0 {
                guard reader.receiveEnd() else {
                    throw .closed(path: path, receivedBytes: receivedBytes)
                }
                return response(of: reader)
            }
            switch reader.receive(bytes) {
            case .needsMore: continue
            case .complete: return response(of: reader)
            case .malformed(let part): throw .malformed(path: path, part: part)
            case .oversized: throw .oversized(path: path, bytesMax: bodyBytesMax)
            }
        }
    }

    private func response(of reader: HTTPResponseReader) -> Response {
        Response(status: reader.status, headers: reader.headers, body: reader.body)
    }
}
