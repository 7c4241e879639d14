import Determinism
import Glibc
import Testing

@testable import Bench

/// On loopback of the namespace that the tests run in; entering even that one takes root.
@Suite("The flood of garbage says what it really sent", .enabled(if: geteuid() == 0))
struct GarbageFloodTests {
    private static let namespace = "/proc/self/ns/net"

    /// A socket on a free port of loopback, and the port.
    private static func bind(_ type: __socket_type) throws -> (socket: Int32, port: UInt16) {
        let handle = socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let error = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(handle, $0, length) | getsockname(handle, $0, &length)
            }
        }
        try #require(error == 0)
        return (handle, UInt16(bigEndian: name.sin_port))
    }

    private func flood(_ port: UInt16) throws -> GarbageFlood {
        try GarbageFlood(
            from: Self.namespace,
            at: [(Self.namespace, "127.0.0.1")],
            port: port,
            datagramsPerSecond: 500,
            seed: 1
        )
    }

    @Test("where nothing genuine is overheard there is no flood")
    func silence() throws {
        let (socket, port) = try Self.bind(SOCK_DGRAM)
        defer { close(socket) }
        let error = #expect(throws: BenchError.self) { try flood(port) }
        #expect(error?.description.contains("genuine datagram to port \(port)") == true)
    }

    @Test("connections count where somebody takes them only", arguments: [false, true])
    func connections(isTaken: Bool) throws {
        let (listener, port) = try Self.bind(SOCK_STREAM)
        defer { close(listener) }
        if isTaken { try #require(listen(listener, 128) == 0) }
        // What is overheard.
        let speaker = try Child(
            "/bin/bash",
            ["-c", "while :; do echo genuine > /dev/udp/127.0.0.1/\(port); sleep 0.02; done"]
        )
        defer {
            speaker.send(SIGKILL)
            _ = speaker.waitForEnd(within: .seconds(10))
        }
        let flood = try flood(port)
        Monotonic.sleep(.milliseconds(500))
        let sent = try flood.end()
        #expect(sent.datagramsPerSecond > 0)
        #expect((sent.connections > 0) == isTaken)
    }
}
