import Foundation
import Glibc
import LocalServer
import LocalSocket
import Logging
import Testing

/// Waits for the task group's server to listen, runs `body`, and stops the server.
func serving<Value: Sendable>(
    _ path: String,
    _ answer: @escaping LocalServer.Answer,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let (listening, signal) = AsyncStream<Void>.makeStream()
    let server = LocalServer(
        path: path,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        isListening: { signal.finish() },
        handle: answer
    )
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { signal.finish() }
            try await server.run()
        }
        for await _ in listening {}
        let result: Result<Value, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        group.cancelAll()
        try await group.waitForAll()
        return try result.get()
    }
}

/// The client blocks, so it gets a thread that is not one of the pool's.
func ask(
    _ path: String,
    _ method: LocalSocketClient.Method = .get,
    _ target: String = "/",
    body: [UInt8] = []
) async throws -> LocalSocketClient.Response {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(
                with: Result {
                    try LocalSocketClient(path: path).request(
                        method: method,
                        path: target,
                        body: body,
                        deadlineMilliseconds: 20_000
                    )
                }
            )
        }
    }
}

/// Asks over and over until the server is gone.
func askUntilRefused(_ path: String, _ signal: AsyncStream<Void>.Continuation) {
    let client = LocalSocketClient(path: path)
    while true {
        do throws(LocalSocketError) {
            _ = try client.request(method: .get, path: "/", deadlineMilliseconds: 20_000)
            signal.yield()
        } catch {
            // An answer cut short is one of a server that stops; then nobody is there.
            if case .closed = error { continue }
            signal.finish()
            return
        }
    }
}

/// A directory of its own for each test, removed with what lies in it.
final class ScratchDirectory: Sendable {
    let path = "/tmp/gr-server-\(UUID().uuidString.prefix(8))"

    init() throws {
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false
        )
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    var entries: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }
}

/// What a killed process leaves: a socket file that nobody listens on.
func leaveSocketFile(_ path: String) throws {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let status = withAddress(path) { bind(descriptor, $0, $1) }
    close(descriptor)
    try #require(status == 0)
}

func connection(to path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let status = withAddress(path) { connect(descriptor, $0, $1) }
    try #require(status == 0)
    return descriptor
}

func withAddress(
    _ path: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
