import CNetworkNamespace
import Determinism
import Foundation
import Glibc
import Synchronization

/// Datagrams and connections with garbage at every member's port, from a node that runs no member.
///
/// A quarter of the datagrams is random; a quarter is cut short to 0 to 40 bytes; half begins like
/// a genuine one that was overheard, as a stranger on the path would forge it.
package final class GarbageFlood: Sendable {
    private struct State {
        var isEnding = false
        var threads = 0
        var datagrams = 0
        var connections = 0
        var failure: BenchError?
    }

    private let state = Mutex(State())
    private let startedAt = Monotonic.now

    /// Starts the flood at `datagramsPerSecond` in total, and fifty connections a second.
    ///
    /// - Throws: ``BenchError/refused(call:reason:)`` where the namespace cannot be entered;
    ///   ``BenchError/timedOut(waitingFor:seconds:)`` where nothing genuine is overheard: half of
    ///   the flood would then be weaker than the figures say.
    package init(
        from attacker: String,
        at targets: [(namespace: String, address: String)],
        port: UInt16,
        datagramsPerSecond: Int,
        seed: UInt64
    ) throws(BenchError) {
        let names = targets.map { Self.name($0.address, port) }
        let opening = try Self.overhear(targets[0].namespace, port)
        let udp = try Self.sockets(attacker, 1, SOCK_DGRAM)[0]
        state.withLock { $0.threads = 2 }
        Thread.detachNewThread { [self] in
            var generator = SeededGenerator(seed: seed)
            sendDatagrams(udp, names, opening, datagramsPerSecond, &generator)
            close(udp)
            state.withLock { $0.threads -= 1 }
        }
        Thread.detachNewThread { [self] in
            var generator = SeededGenerator(seed: seed &+ 1)
            do throws(BenchError) {
                try sendStreams(attacker, names, &generator)
            } catch { state.withLock { $0.failure = error } }
            state.withLock { $0.threads -= 1 }
        }
    }

    /// Ends it; datagrams a second, and connections over which garbage really left.
    ///
    /// - Throws: why a part of the flood ended before.
    package func end() throws(BenchError) -> (datagramsPerSecond: Double, connections: Int) {
        let span = Monotonic.now.since(startedAt)
        abandon()
        let last = state.withLock { $0 }
        if let failure = last.failure { throw failure }
        guard last.threads == 0 else {
            throw .timedOut(waitingFor: "the end of the flood", seconds: 5)
        }
        let rate = Double(last.datagrams) / Double(max(1, span.microseconds)) * 1_000_000
        return (rate, last.connections)
    }

    /// Ends it where its figures are of no use any more.
    package func abandon() {
        state.withLock { $0.isEnding = true }
        _ = Monotonic.wait(.seconds(5)) { state.withLock { $0.threads } == 0 }
    }

    private var isEnding: Bool { state.withLock { $0.isEnding } }

    private func sendDatagrams(
        _ socket: Int32,
        _ targets: [sockaddr_in],
        _ opening: [UInt8],
        _ perSecond: Int,
        _ generator: inout SeededGenerator
    ) {
        let noise = (0..<8_192).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        var (last, credit, sent) = (Monotonic.now, 0.0, 0)
        while !isEnding {
            let now = Monotonic.now
            // A machine that cannot keep up is not flooded harder afterwards.
            credit = min(
                credit + Double(now.since(last).microseconds) * Double(perSecond) / 1e6,
                Double(perSecond) / 20
            )
            last = now
            while credit >= 1, !isEnding {
                credit -= 1
                let kind = Int.random(in: 0..<4, using: &generator)
                let length = Int.random(in: 0...(kind == 0 ? 40 : 1_400), using: &generator)
                let from = Int.random(in: 0..<noise.count - 1_400, using: &generator)
                var bytes = Array(noise[from..<from + length])
                if kind >= 2 { bytes.replaceSubrange(..<min(opening.count, length), with: opening) }
                let target = Int.random(in: targets.indices, using: &generator)
                if Self.send(socket, bytes, targets[target]) { sent += 1 }
            }
            state.withLock { $0.datagrams = sent }
            usleep(500)
        }
    }

    private static func send(
        _ socket: Int32,
        _ bytes: [UInt8],
        _ target: sockaddr_in
    ) -> Bool {
        var target = target
        return withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    socket,
                    bytes,
                    bytes.count,
                    Int32(MSG_DONTWAIT),
                    $0,
                    socklen_t(MemoryLayout<sockaddr_in>.size)
                ) == bytes.count
            }
        }
    }

    /// Connections that send garbage and stay for a second, fifty at a time.
    private func sendStreams(
        _ attacker: String,
        _ targets: [sockaddr_in],
        _ generator: inout SeededGenerator
    ) throws(BenchError) {
        while !isEnding {
            let sockets = try Self.sockets(attacker, 50, SOCK_STREAM)
            for (index, socket) in sockets.enumerated() where !isEnding {
                _ = fcntl(socket, F_SETFL, O_NONBLOCK)
                var target = targets[index % targets.count]
                withUnsafePointer(to: &target) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        _ = connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                usleep(20_000)
                let length = Int.random(in: 1...4_096, using: &generator)
                let bytes = (0..<length).map { _ in
                    UInt8.random(in: .min ... .max, using: &generator)
                }
                // Nothing leaves where nobody took the connection.
                guard Glibc.send(socket, bytes, length, Int32(MSG_NOSIGNAL)) > 0 else { continue }
                state.withLock { $0.connections += 1 }
            }
            for socket in sockets { close(socket) }
        }
    }

    private static func name(_ address: String, _ port: UInt16) -> sockaddr_in {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        return name
    }

    /// Sockets of a namespace; they stay in it whichever thread uses them.
    private static func sockets(
        _ namespace: String,
        _ count: Int,
        _ type: __socket_type
    ) throws(BenchError) -> [Int32] {
        try visit(namespace) {
            (0..<count).map { _ in
                socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            }
        }
    }

    /// The first bytes of a genuine datagram to `port`: what a header begins with.
    private static func overhear(
        _ namespace: String,
        _ port: UInt16
    ) throws(BenchError) -> [UInt8] {
        let everyProtocol = Int32(UInt16(0x0800).bigEndian)
        let sniffer = try visit(namespace) {
            [
                socket(
                    AF_PACKET,
                    Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
                    everyProtocol
                )
            ]
        }[0]
        defer { close(sniffer) }
        _ = fcntl(sniffer, F_SETFL, O_NONBLOCK)
        var packet = [UInt8](repeating: 0, count: 2_048)
        var opening: [UInt8] = []
        let isHeard = Monotonic.wait(.seconds(3)) {
            let count = recv(sniffer, &packet, packet.count, 0)
            // IPv4 without options, UDP, to the port, with at least five bytes.
            guard count >= 33, packet[0] == 0x45, packet[9] == UInt8(IPPROTO_UDP),
                UInt16(packet[22]) << 8 | UInt16(packet[23]) == port
            else { return false }
            opening = Array(packet[28..<33])
            return true
        }
        guard isHeard else {
            throw .timedOut(
                waitingFor: "a genuine datagram to port \(port) in \(namespace)",
                seconds: 3
            )
        }
        return opening
    }

    private static func visit(
        _ namespace: String,
        _ body: () -> [Int32]
    ) throws(BenchError) -> [Int32] {
        var sockets: [Int32] = []
        let error = withoutActuallyEscaping(body) { body in
            var work: () -> Void = { sockets = body() }
            return withUnsafeMutablePointer(to: &work) { work in
                network_namespace_run(
                    namespace,
                    { context in context?.assumingMemoryBound(to: (() -> Void).self).pointee() },
                    work
                )
            }
        }
        guard error == 0 else {
            throw .refused(call: "entering \(namespace)", reason: BenchError.reason(error))
        }
        guard !sockets.isEmpty, !sockets.contains(where: { $0 < 0 }) else {
            throw .refused(call: "socket in \(namespace)", reason: "no descriptor")
        }
        return sockets
    }
}
