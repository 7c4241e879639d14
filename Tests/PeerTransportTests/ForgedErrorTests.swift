import Addressing
import CLinux
import Glibc
import Testing

@testable import PeerTransport

@Suite("ICMP: what a stranger makes up about a closed port")
struct ForgedErrorTests {
    /// What the forged error quotes of the datagram that it claims to answer.
    enum Quote: CaseIterable, Sendable {
        /// Nothing beyond the eight bytes that RFC 792 asks for.
        case portsOnly
        /// Bytes made up.
        case invented
        /// The header of another process's datagram.
        case ofAnother
        /// The header of a datagram that this very socket did send: whoever sees it can do that.
        case genuine
    }

    /// ICMP "port unreachable" for a datagram from `sender` to `target` that held `content`.
    private func error(
        from sender: SocketAddress,
        to target: SocketAddress,
        _ content: [UInt8]
    ) -> [UInt8] {
        func big(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xff)] }
        let datagram =
            big(Int(sender.port)) + big(Int(target.port)) + big(8 + content.count) + [0, 0]
            + content
        let packet =
            [0x45, 0] + big(20 + datagram.count) + [0, 0, 0, 0, 64, 17, 0, 0]
            + sender.address.bytes.suffix(4) + target.address.bytes.suffix(4) + datagram
        var message: [UInt8] = [3, 3, 0, 0, 0, 0, 0, 0] + packet
        if message.count % 2 == 1 { message.append(0) }
        var sum = 0
        for index in stride(from: 0, to: message.count, by: 2) {
            sum += Int(message[index]) << 8 | Int(message[index + 1])
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        message.replaceSubrange(2..<4, with: big(~sum & 0xffff))
        return message
    }

    /// Sends an ICMP message over the loopback; false without the right to.
    private func send(_ message: [UInt8]) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_ICMP))
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var item = genie_udp_outgoing(
            destination: SocketAddress.loopback().kernel,
            offset: 0,
            length: UInt32(message.count)
        )
        return genie_udp_send(descriptor, 1, message, &item, 1) == 1
    }

    @Test(
        "a forged error is believed only when it quotes a datagram that was sent",
        .enabled(if: getuid() == 0, "raw sockets need root"),
        arguments: Quote.allCases
    )
    func forged_isCounted(quote: Quote) async throws {
        let peer = DatagramPeer()
        let address = try await peer.open()
        // A live peer, that the stranger wants to be thought dead.
        let victim = RawSocket.datagram()
        await peer.send([[1, 2, 3]], to: victim.localAddress)
        let sent = victim.read()
        #expect(sent.count == 3 + DatagramSeal.overheadByteCount)
        let other = DatagramSeal(
            keyring: Keyring(ClusterSecret.insecure.gossipKey),
            clusterLabel: "lab"
        )
        let content: [UInt8] =
            switch quote {
            case .portsOnly: []
            case .invented: [UInt8](repeating: 1, count: 48)
            case .ofAnother: try #require(other.seal([1, 2, 3]))
            case .genuine: sent
            }
        let message = error(from: address, to: victim.localAddress, content)
        #expect(send(message))
        await eventually("the error is judged") {
            let counters = await peer.counters
            return counters.portClosed + counters.portClosedForged == 1
        }
        let isBelieved = quote == .genuine
        #expect(await peer.counters.portClosed == (isBelieved ? 1 : 0))
        #expect(await peer.closedPorts == (isBelieved ? [victim.localAddress] : []))
    }

    @Test("only headers of one's own latest datagrams are one's own")
    func ownHeader_isRecent() throws {
        let seal = DatagramSeal(
            keyring: Keyring(ClusterSecret.insecure.gossipKey),
            clusterLabel: "lab"
        )
        let first = try #require(seal.seal([]))
        #expect(seal.isOwnHeader(first[...]))
        #expect(!seal.isOwnHeader(first.prefix(28)))
        #expect(!seal.isOwnHeader([]))
        var later = first
        later[28] = 2
        #expect(!seal.isOwnHeader(later[...]))
        later[28] = 0
        #expect(!seal.isOwnHeader(later[...]))
        for _ in 0..<16_383 { _ = seal.seal([]) }
        #expect(seal.isOwnHeader(first[...]))
        _ = seal.seal([])
        #expect(!seal.isOwnHeader(first[...]))
    }
}
