import Foundation
import Glibc
import Synchronization

/// A directory of its own for each test, removed with what lies in it.
final class ScratchDirectory: Sendable {
    let path = "/tmp/gr-plugin-\(UUID().uuidString.prefix(8))"

    init() throws {
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false
        )
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// Stands in for the daemon: records each request and answers all alike.
final class RecordingListener: Sendable {
    private let listener: Int32
    private let requests: Requests
    private let ended: DispatchSemaphore

    private final class Requests: Sendable {
        let list = Mutex<[String]>([])
    }

    /// Listens on `path`; an empty answer closes the connection without one.
    init(path: String, answer: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, listen(descriptor, 16) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        let requests = Requests()
        let ended = DispatchSemaphore(value: 0)
        listener = descriptor
        self.requests = requests
        self.ended = ended
        Thread.detachNewThread {
            while true {
                let connection = accept(descriptor, nil, nil)
                if connection < 0 { break }
                let request = Self.read(connection)
                requests.list.withLock { $0.append(request) }
                _ = answer.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
                close(connection)
            }
            ended.signal()
        }
    }

    /// An answer with a status and a body.
    static func answer(_ status: Int, _ body: String) -> String {
        "HTTP/1.1 \(status) X\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// Ends the listener, and gives back what was asked.
    func finish() -> [String] {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        close(listener)
        return requests.list.withLock { $0 }
    }

    private static func read(_ connection: Int32) -> String {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var all: [UInt8] = []
        while true {
            let count = recv(connection, &chunk, chunk.count, 0)
            if count <= 0 { break }
            all += chunk[..<count]
            let text = String(decoding: all, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n"),
                let field = text.firstRange(of: "content-length: ")
            else { continue }
            let digits = text[field.upperBound...].prefix { $0.isNumber }
            if text[end.upperBound...].utf8.count >= Int(digits) ?? 0 { break }
        }
        return String(decoding: all, as: UTF8.self)
    }
}

/// A pipe with `text` in it, as a runtime hands over a configuration.
final class InputPipe: Sendable {
    let descriptor: Int32
    private let heldEnd: Int32?

    /// Fills the pipe; one that stays open has a writer that never ends, as a terminal.
    init(_ text: String, staysOpen: Bool = false) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw POSIXError(.EIO) }
        descriptor = ends[0]
        let bytes = Array(text.utf8)
        precondition(bytes.count <= 65_536, "more would not fit in the pipe")
        _ = write(ends[1], bytes, bytes.count)
        heldEnd = staysOpen ? ends[1] : nil
        if !staysOpen { close(ends[1]) }
    }

    deinit {
        close(descriptor)
        if let heldEnd { close(heldEnd) }
    }
}
