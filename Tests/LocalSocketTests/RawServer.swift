import Foundation
import Glibc
import Synchronization

/// A directory of its own for each test, removed with what lies in it.
final class ScratchDirectory: Sendable {
    let path: String

    struct Failure: Error {
        let errno: Int32
    }

    init() throws {
        var template = Array("/tmp/gr-socket-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(errno: errno) }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// A listener that plays back bytes: what a server sends is the test's choice.
///
/// It takes one connection on a thread of its own, reads the request up to its end, sends the
/// pieces and closes, or holds the connection until it is told to let go.
final class RawServer: Sendable {
    let path: String
    private let scratch: ScratchDirectory
    private let listener: Int32
    private let thread: pthread_t
    private let shared: Shared

    /// What the thread and the test both see.
    private final class Shared: Sendable {
        let request = Mutex<[UInt8]>([])
        let listener: Int32
        let pieces: [[UInt8]]
        let readsRequest: Bool
        let hold: Int32

        init(listener: Int32, pieces: [[UInt8]], readsRequest: Bool, hold: Int32) {
            self.listener = listener
            self.pieces = pieces
            self.readsRequest = readsRequest
            self.hold = hold
        }
    }

    private let holdEnd: Int32

    init(_ pieces: [String], readsRequest: Bool = true, holdsOpen: Bool = false) throws {
        scratch = try ScratchDirectory()
        path = "\(scratch.path)/s"
        listener = try Self.listen(on: path)
        var pipeEnds: [Int32] = [0, 0]
        guard pipe(&pipeEnds) == 0 else { throw ScratchDirectory.Failure(errno: errno) }
        holdEnd = pipeEnds[1]
        shared = Shared(
            listener: listener,
            pieces: pieces.map { Array($0.utf8) },
            readsRequest: readsRequest,
            hold: pipeEnds[0]
        )
        if !holdsOpen { close(holdEnd) }
        isHolding = holdsOpen
        var thread = pthread_t()
        let context = Unmanaged.passRetained(shared).toOpaque()
        let status = pthread_create(
            &thread,
            nil,
            { raw in
                guard let raw else { return nil }
                RawServer.serve(Unmanaged<Shared>.fromOpaque(raw).takeRetainedValue())
                return nil
            },
            context
        )
        guard status == 0 else { throw ScratchDirectory.Failure(errno: status) }
        self.thread = thread
    }

    private let isHolding: Bool

    /// Lets the connection go, and gives back the request that was read.
    func finish() -> String {
        if isHolding { close(holdEnd) }
        shutdown(listener, Int32(SHUT_RDWR))
        pthread_join(thread, nil)
        close(listener)
        return String(decoding: shared.request.withLock { $0 }, as: UTF8.self)
    }

    static func listen(on path: String, backlog: Int32 = 16) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, Glibc.listen(descriptor, backlog) == 0 else {
            throw ScratchDirectory.Failure(errno: errno)
        }
        return descriptor
    }

    private static func serve(_ shared: Shared) {
        let connection = accept(shared.listener, nil, nil)
        guard connection >= 0 else { return }
        if shared.readsRequest { readRequest(connection, shared) }
        for piece in shared.pieces {
            var offset = 0
            while offset < piece.count {
                let count = piece.withUnsafeBytes { buffer in
                    send(
                        connection,
                        buffer.baseAddress?.advanced(by: offset),
                        piece.count - offset,
                        Int32(MSG_NOSIGNAL)
                    )
                }
                if count <= 0 { break }
                offset += count
            }
        }
        // Ends at once unless the test holds the other end.
        var byte: UInt8 = 0
        _ = read(shared.hold, &byte, 1)
        close(shared.hold)
        close(connection)
    }

    /// Reads until the head and so many bytes as its length says are there.
    private static func readRequest(_ connection: Int32, _ shared: Shared) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var all: [UInt8] = []
        while true {
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            all += chunk[..<count]
            let snapshot = all
            shared.request.withLock { $0 = snapshot }
            let text = String(decoding: all, as: UTF8.self)
            guard let end = text.firstRange(of: "\r\n\r\n"),
                let field = text.firstRange(of: "content-length: ")
            else { continue }
            let digits = text[field.upperBound...].prefix { $0.isNumber }
            let bodyBytes = text[end.upperBound...].utf8.count
            if bodyBytes >= Int(digits) ?? 0 { return }
        }
    }
}
