package import Addressing
internal import CGenieABI
internal import Glibc

/// Asks other nodes' uplink programs for a sign of life: they answer in the kernel, with no daemon.
///
/// A question is a Geneve control packet (RFC 8926 section 3.4, the O bit) that carries a number
/// drawn for this socket; an answer that does not bring it back is no answer.
package struct TunnelEchoSocket: Sendable {
    private let descriptor: Int32
    private let nonce: UInt64

    private static let port: UInt16 = 6_081
    private static let answersMax = 4_096

    /// Opens a socket on this node's tunnel address; it stays open.
    package init(bind address: IPAddress) throws(BPFError) {
        var generator = SystemRandomNumberGenerator()
        nonce = generator.next()
        let family = address.isV4 ? AF_INET : AF_INET6
        descriptor = socket(family, Int32(SOCK_DGRAM.rawValue) | O_NONBLOCK | 0o2000000, 0)
        guard descriptor >= 0 else { throw .socket(operation: "open", errno: errno) }
        let descriptor = descriptor
        let result = Self.withName(address, port: 0) { Glibc.bind(descriptor, $0, $1) }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw .socket(operation: "bind", errno: code)
        }
    }

    /// Sends one question to a node; a loss is like silence.
    package func ask(_ vtep: IPAddress) {
        let packet = Self.packet(kind: TUNNEL_ECHO_REQUEST.rawValue, nonce: nonce)
        _ = Self.withName(vtep, port: Self.port) { name, length in
            sendto(descriptor, packet, packet.count, Int32(MSG_DONTWAIT), name, length)
        }
    }

    /// The nodes whose answers have come in since the last call.
    package func takeAnswers() -> [IPAddress] {
        let expected = Self.packet(kind: TUNNEL_ECHO_REPLY.rawValue, nonce: nonce)
        var answers: [IPAddress] = []
        var buffer = [UInt8](repeating: 0, count: 128)
        for _ in 0..<Self.answersMax {
            var name = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(
                        descriptor,
                        &buffer,
                        buffer.count,
                        Int32(MSG_DONTWAIT),
                        $0,
                        &length
                    )
                }
            }
            // An error that ICMP left behind is taken off with the call; the next one goes on.
            if count < 0 {
                guard errno == ECONNREFUSED || errno == EHOSTUNREACH else { break }
                continue
            }
            guard Array(buffer[..<count]) == expected, let sender = Self.sender(&name) else {
                continue
            }
            answers.append(sender)
        }
        return answers
    }

    /// Geneve header 8 (O bit, no options, VNI 0), then `struct tunnel_echo`: kind 4, nonce 8.
    private static func packet(kind: UInt32, nonce: UInt64) -> [UInt8] {
        var bytes: [UInt8] = [0x00, 0x80]
        bytes += bigEndian(UInt16(GENIE_ECHO_PROTOCOL))
        bytes += [0, 0, 0, 0]
        bytes += bigEndian(kind)
        bytes += bigEndian(nonce)
        return bytes
    }

    private static func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }

    /// The node that sent from the tunnel's port; nil for any other port.
    private static func sender(_ name: inout sockaddr_storage) -> IPAddress? {
        withUnsafeBytes(of: &name) { bytes in
            // Both families have the port in the same place.
            let head = bytes.loadUnaligned(as: sockaddr_in.self)
            guard head.sin_port == port.bigEndian else { return nil }
            if head.sin_family == sa_family_t(AF_INET) {
                return IPAddress(v4: UInt32(bigEndian: head.sin_addr.s_addr))
            }
            let place = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
            return IPAddress(bytes: bytes[place..<place + 16])
        }
    }

    private static func withName(
        _ address: IPAddress,
        port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> some FixedWidthInteger
    ) -> Int {
        if let v4 = address.v4 {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = v4.bigEndian
            return withBytes(of: name, body)
        }
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.bytes) }
        return withBytes(of: name, body)
    }

    private static func withBytes<Name>(
        of name: Name,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> some FixedWidthInteger
    ) -> Int {
        withUnsafePointer(to: name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Int(body($0, socklen_t(MemoryLayout<Name>.size)))
            }
        }
    }
}
