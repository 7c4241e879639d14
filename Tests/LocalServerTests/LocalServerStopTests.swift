import Foundation
import Glibc
import LocalServer
import LocalSocket
import Logging
import Testing

@Suite("LocalServer: how it stops")
struct LocalServerStopTests {
    @Test(
        "Cancelling ends connections that rest: silent, between two requests, inside a body",
        .timeLimit(.minutes(1)),
        arguments: [
            "", "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx", "GET / HT",
        ]
    )
    func cancel_endsRestingConnections(sent: String) async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let (held, descriptor) = try await serving(path) { _ in
            LocalServer.Response()
        } _: {
            let descriptor = try connection(to: path)
            _ = sent.withCString { send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
            // Served after the one above was accepted.
            let response = try await ask(path)
            return (response.status, descriptor)
        }
        close(descriptor)
        #expect(held == 200 && scratch.entries.isEmpty)
    }

    @Test("Cancelling ends an answer that waits", .timeLimit(.minutes(1)))
    func cancel_endsWaitingAnswers() async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let (arrived, signal) = AsyncStream<Void>.makeStream()
        try await serving(path) { _ in
            signal.finish()
            do {
                try await Task.sleep(for: .seconds(600))
                return LocalServer.Response(status: 500)
            } catch {
                return LocalServer.Response(status: 503)
            }
        } _: {
            Thread.detachNewThread {
                _ = try? LocalSocketClient(path: path).request(
                    method: .get,
                    path: "/",
                    deadlineMilliseconds: 20_000
                )
            }
            for await _ in arrived {}
        }
        #expect(scratch.entries.isEmpty)
    }

    @Test("Stopping while clients go on connecting drops none of them uncleanly")
    func stop_underLoad_isClean() async throws {
        let scratch = try ScratchDirectory()
        for round in 0..<20 {
            let path = "\(scratch.path)/s\(round)"
            let (answered, signal) = AsyncStream<Void>.makeStream()
            try await serving(path) { _ in
                LocalServer.Response()
            } _: {
                for _ in 0..<4 {
                    Thread.detachNewThread { askUntilRefused(path, signal) }
                }
                for await _ in answered.prefix(8) {}
            }
        }
        #expect(scratch.entries.isEmpty)
    }
}
