package import Addressing
import COpenSSL
import Glibc

/// Why a socket or the credentials for it could not be set up.
package enum TransportError: Error, Hashable, Sendable {
    /// The two listening sockets of a peer.
    package enum Channel: String, Hashable, Sendable {
        /// Datagrams.
        case udp = "UDP"
        /// Streams.
        case tcp = "TCP"
    }

    /// Another process holds the port.
    case addressInUse(Channel, SocketAddress)
    /// No interface of this machine has the address.
    case addressNotLocal(Channel, SocketAddress)
    /// The port needs a right that the process lacks.
    case notPermitted(Channel, SocketAddress)
    /// The kernel refused the socket for another reason.
    case refused(Channel, SocketAddress, errno: Int32)
    /// libcrypto or libssl refused to make keys, a certificate or a context.
    case cryptography(code: UInt)

    /// Sorts an errno of bind(2) or listen(2).
    init(_ channel: Channel, _ address: SocketAddress, errno code: Int32) {
        self =
            switch code {
            case EADDRINUSE: .addressInUse(channel, address)
            case EADDRNOTAVAIL: .addressNotLocal(channel, address)
            case EACCES, EPERM: .notPermitted(channel, address)
            default: .refused(channel, address, errno: code)
            }
    }

    /// The last error of libcrypto on this thread; the rest of its queue is dropped.
    static func lastCryptography() -> TransportError {
        defer { ERR_clear_error() }
        return .cryptography(code: ERR_peek_last_error())
    }
}

extension TransportError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .addressInUse(let channel, let address):
            "cannot listen on \(channel.rawValue) \(address): another process holds the port; stop"
                + " it (ss -lnp shows it) or choose another port"
        case .addressNotLocal(let channel, let address):
            "cannot listen on \(channel.rawValue) \(address): no interface of this machine has the"
                + " address; name one that `ip address` shows"
        case .notPermitted(let channel, let address):
            "cannot listen on \(channel.rawValue) \(address): not permitted; run as root or choose"
                + " a port from 1024 on"
        case .refused(let channel, let address, let code):
            "cannot listen on \(channel.rawValue) \(address): \(systemText(code))"
        case .cryptography(let code):
            "cannot make the keys for the cluster: \(libcryptoText(code)); check that the libssl"
                + " configuration allows TLS 1.3, P-256 and AES-256-GCM"
        }
    }
}

/// The system's text for an errno, with its number.
func systemText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    // strerror_r(3) fills the buffer; strerror(3) is not safe between threads.
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "errno \(code)" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return "\(String(decoding: bytes, as: UTF8.self)) (errno \(code))"
}

/// The text of libcrypto for one of its error codes, with its number.
func libcryptoText(_ code: UInt) -> String {
    let reason = ERR_reason_error_string(code).map { String(cString: $0) }
    return "\(reason ?? "unknown error") (code \(String(code, radix: 16)))"
}
