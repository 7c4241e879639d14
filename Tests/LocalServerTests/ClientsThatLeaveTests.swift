import Addressing
import Foundation
import Glibc
import LocalServer
import Logging
import Testing

@Suite("LocalServer: clients that leave, stall or trickle")
struct ClientsThatLeaveTests {
    @Test(
        "What a GET waits for ends when its client leaves, what a POST does is carried through",
        .timeLimit(.minutes(1)),
        arguments: ["GET", "POST"]
    )
    func clientLeaves(method: String) async throws {
        let scratch = try ScratchDirectory()
        let path = "\(scratch.path)/s"
        let (arrived, signal) = AsyncStream<Void>.makeStream()
        let (ended, end) = AsyncStream<Bool>.makeStream()
        let wasCancelled = try await serving(path) { _ in
            signal.finish()
            do {
                try await Task.sleep(for: .seconds(1))
                end.yield(false)
            } catch {
                end.yield(true)
            }
            return LocalServer.Response()
        } _: {
            let descriptor = try connection(to: path)
            let request = "\(method) / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
            _ = request.withCString { send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
            for await _ in arrived {}
            close(descriptor)
            return await ended.first { _ in true }
        }
        #expect(wasCancelled == (method == "GET"))
    }

    @Test(
        "As many clients as are admitted, who never read or never finish, hold nobody off for good",
        .timeLimit(.minutes(1)),
        arguments: ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost"]
    )
    func stalledClients(sent: String) async throws {
        let place = try freeAddress()
        let server = PlainServer(
            address: place,
            exchangeSeconds: 1,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { _ in
            // More than the buffers of both ends of a connection take.
            LocalServer.Response(body: [UInt8](repeating: 1, count: 32 << 20))
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            var held: [Int32] = []
            while held.count < 16 {
                guard let descriptor = streamSocket(to: place) else {
                    try await Task.sleep(for: .milliseconds(10))
                    continue
                }
                _ = sent.withCString { send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
                held.append(descriptor)
            }
            defer { for descriptor in held { close(descriptor) } }
            let late = try #require(streamSocket(to: place))
            defer { close(late) }
            let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
            _ = request.withCString { send(late, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
            #expect(await firstBytes(late).hasPrefix("HTTP/1.1 200"))
            group.cancelAll()
        }
    }
}

/// A port of the loopback that nobody listens at just now.
private func freeAddress() throws -> Addressing.SocketAddress {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = loopback(port: 0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, size) | getsockname(descriptor, $0, &size)
        }
    }
    try #require(status == 0)
    let port = UInt16(bigEndian: address.sin_port)
    let place = Addressing.SocketAddress("127.0.0.1:\(port)")
    return try #require(place)
}

private func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

private func streamSocket(to place: Addressing.SocketAddress) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = loopback(port: place.port)
    let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else {
        close(descriptor)
        return nil
    }
    return descriptor
}

/// What a server says first; the wait blocks, so it gets a thread that is not one of the pool's.
private func firstBytes(_ descriptor: Int32) async -> String {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 64)
            let count = max(0, recv(descriptor, &buffer, buffer.count, 0))
            continuation.resume(returning: String(decoding: buffer[..<count], as: UTF8.self))
        }
    }
}
