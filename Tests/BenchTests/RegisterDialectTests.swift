import Determinism
import Statistics
import Testing

@testable import Bench

/// What a program says, given to a dialect in pieces of every length.
private func answers(
    _ dialect: some RegisterDialect,
    _ question: RegisterQuestion,
    _ bytes: [UInt8],
    pieces length: Int
) throws -> (answers: [RegisterAnswer], replies: [UInt8]) {
    var dialect = dialect
    _ = dialect.question(question)
    var answers: [RegisterAnswer] = []
    var replies: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: length) {
        let piece = Array(bytes[start..<min(start + length, bytes.count)])
        replies += try piece.withUnsafeBytes { try dialect.take($0) }
        while let answer = try dialect.next() { answers.append(answer) }
    }
    return (answers, replies)
}

private func http(_ body: String, status: Int = 200) -> [UInt8] {
    Array(
        "HTTP/1.1 \(status) OK\r\nContent-Type: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            .utf8
    )
}

@Suite("How programs with registers are spoken to")
struct RegisterDialectTests {
    private static let change = RegisterQuestion.compareAndSet(key: "k", expected: 6, value: "v")

    @Test("genied's answers are read from pieces of any length", arguments: [1, 7, 4_096])
    func genie(length: Int) throws {
        let committed = #"{"outcome":"committed","register":{"key":"k","version":7}}"#
        let conflict = #"{"outcome":"conflict","register":{"key":"k","version":12}}"#
        let bytes = http(committed) + http(conflict) + http("{}", status: 503)
        let found = try answers(GenieDialect(), Self.change, bytes, pieces: length).answers
        #expect(
            found == [.committed(version: 7), .conflict(version: 12), .failed("503 {}")]
        )
        let held = http(#"{"isPresent":true,"key":"k","text":"v","version":3}"#)
        let read = try answers(GenieDialect(), .read(key: "a/k"), held, pieces: length).answers
        #expect(read == [.holds(version: 3)])
    }

    @Test("a register's name is one segment of a path, and only a body has a length")
    func request() {
        var dialect = GenieDialect()
        let read = String(decoding: dialect.question(.read(key: "a/b")), as: UTF8.self)
        #expect(read == "GET /v1/registers/a%2Fb HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let change = String(decoding: dialect.question(Self.change), as: UTF8.self)
        let body = #"{"key":"k","expectedVersion":6,"text":"v"}"#
        #expect(change.hasSuffix("\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"))
    }

    @Test("etcd's gateway tells of success, of the version that was there, and of events in chunks")
    func gateway() throws {
        let succeeded = http(#"{"header":{"revision":"9"},"succeeded":true,"responses":[]}"#)
        let failed = http(
            #"{"header":{},"responses":[{"response_range":{"kvs":[{"version":"4"}]}}]}"#
        )
        let found = try answers(
            EtcdGatewayDialect(),
            Self.change,
            succeeded + failed,
            pieces: 5
        ).answers
        #expect(found == [.committed(version: 7), .conflict(version: 4)])
        func chunk(_ text: String) -> String {
            String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n"
        }
        let stream =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk(#"{"result":{"created":true}}"#)
            + chunk(#"{"result":{"events":[{"kv":{"version":"5"}}]}}"#)
        let told = try answers(
            EtcdGatewayDialect(),
            .watch(key: "k", after: 1),
            Array(stream.utf8),
            pieces: 3
        ).answers
        #expect(told == [.watching, .holds(version: 5)])
    }

    @Test("an answer without a length is an error, not a wait")
    func noLength() {
        #expect(throws: BenchError.self) {
            _ = try answers(
                GenieDialect(),
                Self.change,
                Array("HTTP/1.1 200 OK\r\n\r\n".utf8),
                pieces: 64
            )
        }
    }

    /// A frame of RFC 9113 section 4.1.
    private func frame(_ kind: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let length = UInt32(payload.count)
        return [UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), kind, flags]
            + [0, 0, 0, 1] + payload
    }

    private func data(_ message: [UInt8]) -> [UInt8] {
        frame(0, 0, [0, 0, 0, 0, UInt8(message.count)] + message)
    }

    @Test("etcd's own answers, between settings, pings and trailers", arguments: [1, 9, 4_096])
    func grpc(length: Int) throws {
        // succeeded = true
        let succeeded: [UInt8] = [0x10, 1]
        // responses[0].response_range.kvs[0].version = 300
        let conflict: [UInt8] = [0x1a, 7, 0x0a, 5, 0x12, 3, 0x20, 0xac, 2]
        let bytes =
            frame(4, 0, []) + frame(1, 4, [0x88]) + data(succeeded) + frame(6, 0, [1, 2])
            + frame(1, 5, []) + data(conflict) + frame(1, 5, [])
        let found = try answers(EtcdDialect(), Self.change, bytes, pieces: length)
        #expect(found.answers == [.committed(version: 7), .conflict(version: 300)])
        // Both are acknowledged: settings, and the ping with what it brought.
        #expect(found.replies == zero(frame(4, 1, [])) + zero(frame(6, 1, [1, 2])))
    }

    /// The same frame on the connection instead of a stream.
    private func zero(_ frame: [UInt8]) -> [UInt8] {
        frame[..<5] + [0, 0, 0, 0] + frame[9...]
    }

    @Test("a call of etcd's that ends without an answer failed, and one that is reset is an error")
    func grpcFailures() throws {
        let found = try answers(EtcdDialect(), .read(key: "k"), frame(1, 5, [0x88]), pieces: 64)
        #expect(found.answers == [.failed("the call ended without an answer")])
        #expect(throws: BenchError.self) {
            _ = try answers(EtcdDialect(), .read(key: "k"), frame(3, 0, [0, 0, 0, 2]), pieces: 64)
        }
    }

    @Test("the end of an earlier call of etcd's is not taken for the end of the present one")
    func grpcLateEnd() throws {
        var dialect = EtcdDialect()
        _ = dialect.question(.read(key: "k"))
        let answer = data([])
        _ = try answer.withUnsafeBytes { try dialect.take($0) }
        #expect(try dialect.next() == .holds(version: 0))
        _ = try frame(1, 5, []).withUnsafeBytes { try dialect.take($0) }
        #expect(try dialect.next() == nil)
        _ = dialect.question(.read(key: "k"))
        _ = try frame(1, 5, []).withUnsafeBytes { try dialect.take($0) }
        #expect(try dialect.next() == nil)
    }

    @Test("what is asked of etcd is a whole call on a stream of its own")
    func grpcQuestion() throws {
        var dialect = EtcdDialect()
        let first = dialect.question(.read(key: "key"))
        let second = dialect.question(.read(key: "key"))
        #expect(first[3] == 1 && first[4] == 4)
        #expect(first[8] == 1 && second[8] == 3)
        // RangeRequest { key = 1 }, not compressed, at the end of the stream.
        #expect(
            first.suffix(19) == [0, 0, 10, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0x0a, 3] + "key".utf8
        )
        #expect(String(decoding: first, as: UTF8.self).contains("/etcdserverpb.KV/Range"))
    }
}

@Suite("What a bench of the ring sums up")
struct RingFiguresTests {
    @Test("a floor is kept from itself upwards", arguments: [(2.0, true), (1.999, false)])
    func floor(ours: Double, holds: Bool) {
        let figure = Figure("a", unit: "n/s", ours: ours, atLeast: 2, runs: 1)
        #expect(figure.holds == holds)
        #expect(Figure.table([figure]).contains(">= 2"))
    }

    private func round(_ milliseconds: [Int64], seconds: Int64) -> LoadResult {
        var result = LoadResult()
        result.spans = milliseconds.map { .milliseconds($0) }
        result.duration = .seconds(seconds)
        return result
    }

    @Test("a figure is the median of the rounds; changes are judged by the peer, reads are not")
    func medians() throws {
        let change = LoadCase(kind: .changeOwn, clients: 8)
        let read = LoadCase(kind: .readOwn, clients: 8)
        var (ours, peer) = (RingResults(), RingResults())
        ours.loads[change] = [round([1, 2], seconds: 1), round([9], seconds: 1)]
        ours.loads[change]?.append(round([1, 1, 1], seconds: 1))
        peer.loads[change] = [round([3], seconds: 1)]
        ours.loads[read] = [round([1], seconds: 1)]
        var settings = RingSettings()
        settings.clientCounts = [8]
        let all = RingFigures(ours: ours, peer: peer, settings: settings).all
        let rate = try #require(all.first { $0.name == "ring.cas.own.8.throughput" })
        #expect(rate.ours == 2 && rate.peer == 1 && rate.holds == true && rate.runs == 6)
        let late = try #require(all.first { $0.name == "ring.cas.own.8.p99" })
        #expect(late.ours == 2 && late.bar == 3 && late.holds == true)
        let reads = try #require(all.first { $0.name == "ring.read.8.throughput" })
        #expect(reads.bar == nil && reads.peer == nil)
        #expect(!all.contains { $0.name.hasPrefix("ring.watch") || $0.name.contains("hot") })
    }

    @Test("the disk that is measured on is named, and its writes take time")
    func disk() throws {
        let directory = try Cleanup().temporaryDirectory()
        let probe = try DiskProbe(directory: directory, count: 4)
        #expect(probe.fileSystem != "unknown file system")
        #expect(probe.spans?.count == 4)
        try Command.run("rmdir", [directory])
    }
}
