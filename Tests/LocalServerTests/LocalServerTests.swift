import Foundation
import Glibc
import LocalSocket
import Logging
import Testing

@testable import LocalServer

@Suite("LocalServer: requests on a unix socket")
struct LocalServerTests {
    @Test("Method, path, query and body arrive, and status, fields and body come back")
    func request_roundTrips() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let name = LocalSocketClient.escaped("a/b \u{e4}")
        let response = try await serving(path) { request in
            let text =
                "\(request.method) \(request.path) \(request.segments)"
                + " \(request.queryValue("q") ?? "-") \(request.queryValue("flag") ?? "-")"
                + " \(request.queryValue("none") ?? "-") \(request.body.count)"
            return LocalServer.Response(
                status: 418,
                contentType: "text/plain",
                headers: ["x-a": "1", "x-b": "2"],
                body: Array(text.utf8)
            )
        } _: {
            try await ask(
                path,
                .put,
                "/v1/\(name)?q=\(name)&flag",
                body: [UInt8](repeating: 7, count: 100_000)
            )
        }
        #expect(response.status == 418)
        #expect(response.headers["content-type"] == "text/plain")
        #expect(response.headers["x-a"] == "1" && response.headers["x-b"] == "2")
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == "PUT /v1/a%2Fb%20%C3%A4 [\"v1\", \"a/b \u{e4}\"] a/b \u{e4}  - 100000"
        )
    }

    @Test("A body at the bound is taken, one beyond it is answered with 413")
    func body_isBounded() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let statuses = try await serving(path) { request in
            LocalServer.Response(body: Array("\(request.body.count)".utf8))
        } _: {
            var seen: [String] = []
            let most = LocalServer.bodyBytesMax
            for count in [most, most + 1, 16 << 20, 0] {
                let response = try await ask(
                    path,
                    .post,
                    body: [UInt8](repeating: 0, count: count)
                )
                seen.append("\(response.status) \(response.body.count)")
            }
            return seen
        }
        #expect(statuses[0] == "200 7" && statuses[3] == "200 1")
        #expect(statuses[1].hasPrefix("413 ") && statuses[2].hasPrefix("413 "))
    }

    @Test("A large answer and many clients at once get through")
    func manyClients_areServed() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let total = try await serving(path) { request in
            LocalServer.Response(body: [UInt8](repeating: 1, count: 200_000) + request.body)
        } _: {
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        let body = [UInt8](repeating: 2, count: index)
                        return try await ask(path, .post, body: body).body.count
                    }
                }
                return try await group.reduce(0, +)
            }
        }
        #expect(total == 64 * 200_000 + 64 * 63 / 2)
    }

    @Test("The socket has mode 0660 from its first moment, and goes with the server")
    func socket_hasModeAndGoes() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/made/s"
        try await serving(path) { _ in
            LocalServer.Response()
        } _: {
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o660 && status.st_mode & S_IFMT == S_IFSOCK)
            let response = try await ask(path)
            #expect(response.status == 200)
        }
        #expect(scratch.entries == ["made"])
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/made")
        #expect(left.isEmpty)
    }

    @Test("A dead process's socket file is replaced, again and again")
    func staleSocket_isReplaced() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        for _ in 0..<3 {
            try leaveSocketFile(path)
            let status = try await serving(path) { _ in
                LocalServer.Response(status: 201)
            } _: {
                try await ask(path).status
            }
            #expect(status == 201)
            #expect(scratch.entries.isEmpty)
        }
    }

    @Test("A socket that another process answers on is left alone and named")
    func liveSocket_isRefused() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        try await serving(path) { _ in
            LocalServer.Response(status: 202)
        } _: {
            let expected = LocalServerError.inUse(path: path)
            await #expect(throws: expected) {
                try await serving(path) { _ in
                    LocalServer.Response()
                } _: {
                }
            }
            #expect(expected.description.hasPrefix("another genied answers on \(path)"))
            let response = try await ask(path)
            #expect(response.status == 202)
            #expect(scratch.entries == ["s"])
        }
    }

    @Test("A file that is no socket is not touched")
    func plainFile_isRefused() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        try Data([1, 2]).write(to: URL(fileURLWithPath: path))
        await #expect(throws: LocalServerError.notASocket(path: path)) {
            try await serving(path) { _ in
                LocalServer.Response()
            } _: {
            }
        }
        #expect(FileManager.default.contents(atPath: path) == Data([1, 2]))
        #expect(scratch.entries == ["s"])
    }

    @Test("A path that no socket address holds is refused and leaves nothing")
    func longPath_isRefused() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/" + String(repeating: "a", count: 100)
        await #expect(throws: LocalServerError.pathTooLong(path: path, bytesMax: 107)) {
            try await serving(path) { _ in
                LocalServer.Response()
            } _: {
            }
        }
        #expect(scratch.entries.isEmpty)
    }

    @Test(
        "A server that cannot put its socket in place ends with the reason",
        .timeLimit(.minutes(1))
    )
    func unpublishable_ends() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let server = LocalServer(
            path: path,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            isListening: { Issue.record("nobody can connect") },
            handle: { _ in LocalServer.Response() }
        )
        let place = try SocketPlace(path: path, groupID: nil)
        #expect(mkdir(path, 0o700) == 0)
        await #expect(throws: LocalServerError.failed(path: path, step: .rename, errno: EISDIR)) {
            try await server.run(in: place)
        }
        #expect(scratch.entries == ["s"])
    }

    @Test("The socket gets the group that may use it", .enabled(if: getuid() == 0, "needs root"))
    func group_isSet() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let (listening, signal) = AsyncStream<Void>.makeStream()
        let server = LocalServer(
            path: path,
            groupID: 4242,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            isListening: { signal.finish() },
            handle: { _ in LocalServer.Response() }
        )
        let task = Task { try await server.run() }
        for await _ in listening {}
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_gid == 4242)
        task.cancel()
        try await task.value
    }

    @Test("What came to lie in the way meanwhile is named and stays")
    func obstacle_isNamed() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let place = try SocketPlace(path: path, groupID: nil)
        try leaveSocketFile(place.bindPath)
        #expect(mkdir(path, 0o700) == 0)
        #expect(throws: LocalServerError.failed(path: path, step: .rename, errno: EISDIR)) {
            try place.publish()
        }
        place.clear()
        #expect(scratch.entries == ["s"])
    }

    @Test("A socket that a later process put in place is not taken away")
    func laterSocket_stays() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let place = try SocketPlace(path: path, groupID: nil)
        try leaveSocketFile(place.bindPath)
        try place.publish()
        // Held open under another name, so that the number of the file is not used again.
        #expect(rename(path, "\(path)-old") == 0)
        try leaveSocketFile(path)
        place.clear()
        #expect(scratch.entries == ["s", "s-old"])
    }
}
