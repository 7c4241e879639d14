package import Addressing
import COpenSSL
package import Determinism

/// A connection of one transport; numbers are given in order and never again.
package struct ConnectionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    let number: UInt64

    package static func < (lhs: ConnectionID, rhs: ConnectionID) -> Bool {
        lhs.number < rhs.number
    }

    package var description: String { "connection \(number)" }
}

/// What a stream transport tells its owner.
package enum StreamEvent: Sendable {
    /// A peer is there: both sides have judged the other's certificate and spoken.
    ///
    /// The address is the one that was dialled, or the one that the peer's connection came from.
    case connected(NodeID, ConnectionID, SocketAddress)
    /// A peer sent a frame; those of one connection come in the order in which they were sent.
    case frame(from: NodeID, connection: ConnectionID, bytes: [UInt8])
    /// A connection has ended that was connected, or that somebody had opened towards this peer.
    ///
    /// The node is nil when the connection ended before it was connected.
    case closed(ConnectionID, NodeID?, StreamCloseReason)
    /// A dial came to nothing.
    case dialFailed(SocketAddress, StreamCloseReason)
}

/// Why a connection ended.
package enum StreamCloseReason: Hashable, Sendable {
    /// The owner of this transport closed it.
    case closedLocally
    /// The peer closed it, or its process ended.
    case closedByPeer
    /// The kernel ended it: refused, reset, no route, or nothing heard for too long.
    case socket(errno: Int32)
    /// It was not connected in time.
    case timedOut
    /// Newer ones took its place: too many were on their way, or of the same node.
    case crowdedOut
    /// The peer's certificate is not of this cluster: another secret, or another label.
    case certificateUntrusted
    /// The peer showed no certificate.
    case certificateMissing
    /// The peer's certificate is of this cluster and names no node.
    case certificateUnnamed
    /// The other end has this node's own identity: it dialled itself, or its disk was copied.
    case ownIdentity
    /// The peer refused this side, with a TLS alert (RFC 8446 section 6).
    case refusedByPeer(alert: UInt8)
    /// The peer does not speak TLS 1.3, or broke it.
    case tls(code: UInt)
    /// The peer's first frame was no hello.
    case helloMalformed
    /// The peer speaks no protocol version that this release speaks.
    case versionUnknown(lowest: UInt8, highest: UInt8)
    /// The peer announced a frame longer than the limit.
    case frameOversized(length: Int)
}

extension StreamCloseReason: CustomStringConvertible {
    package var description: String {
        switch self {
        case .closedLocally: "closed by this side"
        case .closedByPeer: "closed by the peer"
        case .socket(let code): systemText(code)
        case .timedOut: "no connection in time; check that the address is a peer's"
        case .crowdedOut: "newer connections took its place: too many at once from one side"
        case .certificateUntrusted:
            "the peer's certificate is not of this cluster; give both the same secret and label"
        case .certificateMissing: "the peer showed no certificate; only peers may connect"
        case .certificateUnnamed: "the peer's certificate names no node"
        case .ownIdentity:
            "the other end has this node's own identity; if it is another machine, its disk is a"
                + " copy: delete its database"
        case .refusedByPeer(let alert):
            "refused by the peer with TLS alert \(alert); give both the same secret and label"
        case .tls(let code): "the other end does not keep to TLS 1.3: \(libcryptoText(code))"
        case .helloMalformed: "the peer's first frame is no hello"
        case .versionUnknown(let lowest, let highest):
            "the peer speaks protocol versions \(lowest) to \(highest) only; upgrade the older one"
        case .frameOversized(let length):
            "a frame of \(length) bytes was announced, more than the"
                + " \(StreamTransport.frameBytesMax) allowed"
        }
    }
}

/// What became of a frame that was to be sent.
package enum StreamSendOutcome: Hashable, Sendable {
    /// It will be sent before the connection ends, unless the peer ends it first.
    case sent
    /// There is no connection to take it; dial.
    case notConnected
    /// Too much waits already; the frame was not taken, try again later or give the peer up.
    case queueFull
    /// The frame is longer than ``StreamTransport/frameBytesMax``; it was not taken.
    case oversized
}
