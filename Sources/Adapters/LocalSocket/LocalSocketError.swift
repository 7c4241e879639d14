import Glibc

/// Why a request over a unix socket brought no answer.
package enum LocalSocketError: Error, Hashable, Sendable {
    /// Nobody listens on `path`; nothing was sent.
    case notRunning(path: String)
    /// This user may not connect to `path`; nothing was sent.
    case denied(path: String)
    /// `path` does not fit in a socket address; nothing was sent.
    case pathTooLong(path: String, bytesMax: Int)
    /// No whole answer came in time; the request may have taken effect.
    case timedOut(path: String, deadlineMilliseconds: Int)
    /// The connection ended before the answer did; the request may have taken effect.
    case closed(path: String, receivedBytes: Int)
    /// The answer was not HTTP; the request may have taken effect.
    case malformed(path: String, part: Part)
    /// The answer was larger than we take; the request may have taken effect.
    case oversized(path: String, bytesMax: Int)
    /// The kernel refused `call`; after a connect the request may have taken effect.
    case failed(path: String, call: Call, errno: Int32)

    /// A part of an answer.
    package enum Part: String, Hashable, Sendable {
        /// `HTTP/1.1 200 OK`.
        case statusLine = "status line"
        /// A header field.
        case header
        /// `Content-Length`.
        case contentLength = "content length"
        /// The size line or the end of a chunk.
        case chunk
    }

    /// A system call.
    package enum Call: String, Hashable, Sendable {
        /// See socket(2).
        case socket
        /// See connect(2).
        case connect
        /// See poll(2).
        case poll
        /// See send(2).
        case send
        /// See recv(2).
        case receive = "recv"
    }

    /// Whether the request certainly did not take effect.
    package var isDefinite: Bool {
        switch self {
        case .notRunning, .denied, .pathTooLong: true
        case .failed(_, let call, _): call == .socket || call == .connect
        case .timedOut, .closed, .malformed, .oversized: false
        }
    }

    /// Whether the same request may succeed later with nothing changed by a person.
    package var isRetryable: Bool {
        switch self {
        case .notRunning, .timedOut, .closed, .failed: true
        case .denied, .pathTooLong, .malformed, .oversized: false
        }
    }
}

extension LocalSocketError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notRunning(let path):
            "genied does not answer on \(path): nothing listens there; start genied, or name its"
                + " socket with --socket or GENIE_SOCKET"
        case .denied(let path):
            "cannot connect to \(path): permission denied; run as root or as a member of the"
                + " socket's group"
        case .pathTooLong(let path, let bytesMax):
            "cannot connect to \(path): the path is longer than \(bytesMax) bytes; use a shorter"
                + " one"
        case .timedOut(let path, let deadlineMilliseconds):
            "genied on \(path) gave no answer within \(deadlineMilliseconds) ms; see its log"
        case .closed(let path, let receivedBytes):
            "genied on \(path) closed the connection after \(receivedBytes) bytes of its answer;"
                + " see its log"
        case .malformed(let path, let part):
            "what listens on \(path) does not speak HTTP: bad \(part.rawValue); is it genied?"
        case .oversized(let path, let bytesMax):
            "the answer on \(path) is larger than \(bytesMax) bytes; ask for less"
        case .failed(let path, let call, let errno):
            "cannot talk to \(path): \(call.rawValue): \(String(cString: strerror(errno)))"
        }
    }
}
