import Glibc
import LocalSocket
import Testing

@Suite("LocalSocketClient: one request, one answer, bounded")
struct LocalSocketClientTests {
    /// Asks a server that plays `pieces`, and gives back the request that it saw.
    private func ask(
        _ pieces: [String],
        bodyBytesMax: Int = 1 << 20,
        body: String = "{}"
    ) throws -> (Result<LocalSocketClient.Response, LocalSocketError>, path: String, seen: String) {
        let server = try RawServer(pieces)
        let client = LocalSocketClient(path: server.path, bodyBytesMax: bodyBytesMax)
        let result = Result { () throws(LocalSocketError) in
            try client.request(
                method: .post,
                path: "/v1/cni?a=b",
                body: Array(body.utf8),
                deadlineMilliseconds: 10_000
            )
        }
        return (result, server.path, server.finish())
    }

    @Test("The request is HTTP/1.1 with its length, and the whole body arrives")
    func request_isWellFormed() throws {
        let body = String(repeating: "x", count: 300_000)
        let (result, _, seen) = try ask(
            ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
            body: body
        )
        #expect(try result.get().status == 200)
        #expect(seen.hasPrefix("POST /v1/cni?a=b HTTP/1.1\r\nhost: localhost\r\n"))
        #expect(seen.contains("\r\ncontent-length: 300000\r\n"))
        #expect(seen.contains("\r\nconnection: close\r\n"))
        #expect(seen.hasSuffix("\r\n\r\n" + body))
    }

    private static let answers: [(String, Int, String)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
        ("HTTP/1.1 503 Not now\r\nContent-Length: 2\r\n\r\nno", 503, "no"),
        ("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, ""),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\n", 200, "hello world"
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            200, "0123456789"
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok-and-more", 200, "ok"),
    ]

    @Test("Lengths, chunks and the end of the connection bound a body", arguments: answers)
    func answer_isRead(text: String, status: Int, body: String) throws {
        let (result, _, _) = try ask([text])
        let response = try result.get()
        #expect(response.status == status)
        #expect(String(decoding: response.body, as: UTF8.self) == body)
    }

    @Test("An answer may come in any pieces", arguments: answers)
    func answer_inPieces_isRead(text: String, status: Int, body: String) throws {
        let (result, _, _) = try ask(text.unicodeScalars.map { String($0) })
        let response = try result.get()
        #expect(response.status == status)
        #expect(String(decoding: response.body, as: UTF8.self) == body)
    }

    @Test("Names of header fields are lower-cased, values trimmed, repeats joined")
    func headers_areNormalised() throws {
        let (result, _, _) = try ask(
            ["HTTP/1.1 200 OK\r\nX-A: \t1 \r\nx-a:2\r\nEmpty:\r\nContent-Length: 0\r\n\r\n"]
        )
        let headers = try result.get().headers
        #expect(headers == ["x-a": "1, 2", "empty": "", "content-length": "0"])
    }

    @Test(
        "A connection that ends early is told from an answer",
        arguments: [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ]
    )
    func truncated_isClosed(text: String) throws {
        let (result, path, _) = try ask([text])
        let expected = LocalSocketError.closed(path: path, receivedBytes: text.utf8.count)
        #expect(throws: expected) { try result.get() }
        #expect(!expected.isDefinite && expected.isRetryable)
    }

    @Test(
        "What is not HTTP is refused, and the part is named",
        arguments: [
            ("SSH-2.0-x\r\n", LocalSocketError.Part.statusLine),
            ("S", .statusLine), ("\r\n\r\n", .statusLine), ("HTTP/1.1 abc OK\r\n", .statusLine),
            ("HTTP/1.1 2000 OK\r\n", .statusLine), ("HTTP/2 200\r\n", .statusLine),
            ("HTTP/1.1 099 x\r\n", .statusLine), ("HTTP/1.1\r\n", .statusLine),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", .header),
            ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", .header),
            ("HTTP/1.1 200 OK\r\na b: x\r\n\r\n", .header),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", .header),
            ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", .contentLength),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n", .contentLength),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", .contentLength),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", .contentLength
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", .chunk),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", .chunk),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n", .chunk),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", .chunk),
        ]
    )
    func garbage_isMalformed(text: String, part: LocalSocketError.Part) throws {
        let (result, path, _) = try ask([text])
        #expect(throws: LocalSocketError.malformed(path: path, part: part)) { try result.get() }
    }

    @Test("A head without an end is refused at its bound")
    func endlessHead_isRefused() throws {
        let field = "a: " + String(repeating: "x", count: 1000) + "\r\n"
        for text in [
            "HTTP/1.1 200 OK\r\n" + String(repeating: field, count: 100),
            "HTTP/1.1 200 OK\r\na: " + String(repeating: "x", count: 100_000),
        ] {
            let (result, path, _) = try ask([text])
            #expect(throws: LocalSocketError.malformed(path: path, part: .header)) {
                try result.get()
            }
        }
    }

    @Test(
        "A body beyond the bound is refused before it is kept",
        arguments: [
            "content-length: 1001\r\n\r\n", "content-length: 999999999999\r\n\r\n",
            "\r\n" + String(repeating: "x", count: 1001),
            "transfer-encoding: chunked\r\n\r\nffffffff\r\n",
            "transfer-encoding: chunked\r\n\r\n258\r\n" + String(repeating: "x", count: 600)
                + "\r\n258\r\n",
        ]
    )
    func oversized_isRefused(rest: String) throws {
        let (result, path, _) = try ask(["HTTP/1.1 200 OK\r\n" + rest], bodyBytesMax: 1000)
        #expect(throws: LocalSocketError.oversized(path: path, bytesMax: 1000)) {
            try result.get()
        }
    }

    @Test("A body exactly at the bound is taken")
    func bodyAtTheBound_isTaken() throws {
        let body = String(repeating: "x", count: 1000)
        let (result, _, _) = try ask(
            ["HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + body],
            bodyBytesMax: 1000
        )
        #expect(try result.get().body.count == 1000)
    }

    @Test("A silent server runs into the deadline, with and without the start of an answer")
    func silence_timesOut() throws {
        for pieces in [[], ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"]] {
            let server = try RawServer(pieces, holdsOpen: true)
            let expected = LocalSocketError.timedOut(path: server.path, deadlineMilliseconds: 100)
            #expect(throws: expected) {
                try LocalSocketClient(path: server.path).request(
                    method: .get,
                    path: "/",
                    deadlineMilliseconds: 100
                )
            }
            _ = server.finish()
        }
    }

    @Test("A server that never ends is cut off, by the deadline or by what it sent")
    func endless_isCutOff() throws {
        let interim = String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 40_000)
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        let trailers = chunks + "0\r\n" + String(repeating: "a: b\r\n", count: 40_000)
        let slivers =
            chunks
            + String(repeating: "1;\(String(repeating: "x", count: 99))\r\na\r\n", count: 9_000)
        for answer in [interim, trailers, slivers] {
            let server = try RawServer(Array(repeating: answer, count: 20))
            let error = #expect(throws: LocalSocketError.self) {
                try LocalSocketClient(path: server.path, bodyBytesMax: 10_000).request(
                    method: .get,
                    path: "/",
                    deadlineMilliseconds: 2_000
                )
            }
            switch error {
            case .oversized, .timedOut, .malformed: break
            default: Issue.record("\(String(describing: error))")
            }
            _ = server.finish()
        }
    }

    @Test(
        "A server that answers without reading is heard, whether it then closes or not",
        arguments: [false, true]
    )
    func earlyAnswer_isHeard(holdsOpen: Bool) throws {
        let server = try RawServer(
            ["HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"],
            readsRequest: false,
            holdsOpen: holdsOpen
        )
        let result = Result { () throws(LocalSocketError) in
            try LocalSocketClient(path: server.path).request(
                method: .post,
                path: "/",
                body: [UInt8](repeating: 0, count: 4 << 20),
                deadlineMilliseconds: 10_000
            )
        }
        #expect(try result.get().status == 413)
        _ = server.finish()
    }

    @Test("Nobody there, a dead process's file and a plain file all read as not running")
    func nobodyThere_isNotRunning() throws {
        let scratch = try ScratchDirectory()
        let dead = "\(scratch.path)/dead"
        close(try RawServer.listen(on: dead))
        let plain = "\(scratch.path)/plain"
        close(open(plain, O_CREAT | O_WRONLY, 0o600))
        for path in ["\(scratch.path)/none", dead, plain, "\(plain)/x"] {
            let expected = LocalSocketError.notRunning(path: path)
            #expect(throws: expected) {
                try LocalSocketClient(path: path).request(
                    method: .get,
                    path: "/",
                    deadlineMilliseconds: 1000
                )
            }
            #expect(expected.description.contains(path))
            #expect(expected.description.contains("--socket"))
            #expect(expected.isDefinite)
        }
    }

    @Test("A path that no socket address holds is refused")
    func longPath_isRefused() {
        let path = "/" + String(repeating: "a", count: 107)
        #expect(throws: LocalSocketError.pathTooLong(path: path, bytesMax: 107)) {
            try LocalSocketClient(path: path).request(
                method: .get,
                path: "/",
                deadlineMilliseconds: 1000
            )
        }
    }

    @Test("A full backlog is waited out up to the deadline")
    func fullBacklog_timesOut() throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let listener = try RawServer.listen(on: path, backlog: 0)
        defer { close(listener) }
        let client = LocalSocketClient(path: path)
        let expected = LocalSocketError.timedOut(path: path, deadlineMilliseconds: 50)
        for _ in 0..<4 {
            #expect(throws: expected) {
                try client.request(method: .get, path: "/", deadlineMilliseconds: 50)
            }
        }
    }

    @Test("Segments are escaped down to the unreserved characters")
    func escaped_keepsOnlyUnreserved() {
        #expect(LocalSocketClient.escaped("aZ09-._~") == "aZ09-._~")
        #expect(LocalSocketClient.escaped("a/b c?d=\u{e4}%\n") == "a%2Fb%20c%3Fd%3D%C3%A4%25%0A")
    }
}
