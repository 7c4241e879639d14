package import Addressing

/// A packet that is traced: one echo request, UDP datagram or TCP SYN, known by a mark.
package struct ProbePacket: Hashable, Sendable {
    /// What it carries.
    package enum Transport: Hashable, Sendable {
        /// An echo request.
        case icmp
        /// A datagram to a port.
        case udp(port: UInt16)
        /// The first segment of a connection to a port.
        case tcp(port: UInt16)
    }

    /// From where.
    package let source: IPAddress
    /// To where; of the same family.
    package let target: IPAddress
    /// What.
    package let transport: Transport
    /// Bytes of the IP packet, headers included.
    package let size: Int
    /// The identification of IPv4 or the flow label of IPv6, 1 to 65,535; also the source port.
    package let mark: UInt16

    private static let ttl: UInt8 = 64

    /// The smallest and the largest size that can be asked for.
    package static let sizes = 84...65_000

    /// Describes a packet.
    package init(
        source: IPAddress,
        target: IPAddress,
        transport: Transport,
        size: Int,
        mark: UInt16
    ) {
        precondition(source.isV4 == target.isV4, "a packet is of one family")
        precondition(mark != 0 && Self.sizes.contains(size))
        self.source = source
        self.target = target
        self.transport = transport
        self.size = size
        self.mark = mark
    }

    private var headerSize: Int { source.isV4 ? 20 : 40 }

    private var protocolNumber: UInt8 {
        switch transport {
        case .icmp: source.isV4 ? 1 : 58
        case .udp: 17
        case .tcp: 6
        }
    }

    /// The Ethernet frame, as the pod's stack would send it.
    package func frame(from mac: MACAddress, to gateway: MACAddress) -> [UInt8] {
        Array(gateway.bytes) + Array(mac.bytes) + (source.isV4 ? [0x08, 0x00] : [0x86, 0xdd])
            + network + payload
    }

    private var network: [UInt8] {
        guard source.isV4 else {
            let length = UInt16(size - headerSize)
            return [0x60, 0] + Self.bytes(mark) + Self.bytes(length) + [protocolNumber, Self.ttl]
                + Array(source.bytes) + Array(target.bytes)
        }
        var header: [UInt8] =
            [0x45, 0] + Self.bytes(UInt16(size)) + Self.bytes(mark) + [0x40, 0]
            + [Self.ttl, protocolNumber, 0, 0] + source.bytes.suffix(4) + target.bytes.suffix(4)
        Self.put(Self.checksum(header), into: &header, at: 10)
        return header
    }

    /// The transport header and zeroes, with the checksum in place.
    private var payload: [UInt8] {
        let length = size - headerSize
        var bytes: [UInt8]
        let checksumAt: Int
        switch transport {
        case .icmp:
            bytes = [source.isV4 ? 8 : 128, 0, 0, 0] + Self.bytes(mark) + [0, 1]
            checksumAt = 2
        case .udp(let port):
            bytes = Self.bytes(mark) + Self.bytes(port) + Self.bytes(UInt16(length)) + [0, 0]
            checksumAt = 6
        case .tcp(let port):
            let window: [UInt8] = [0xff, 0xff]
            bytes = Self.bytes(mark) + Self.bytes(port) + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02]
            bytes += window + [0, 0, 0, 0]
            checksumAt = 16
        }
        bytes += Array(repeating: 0, count: length - bytes.count)
        let isPlain = transport == .icmp && source.isV4
        Self.put(
            Self.checksum((isPlain ? [] : pseudoHeader(length)) + bytes),
            into: &bytes,
            at: checksumAt
        )
        return bytes
    }

    /// RFC 9293 section 3.1, RFC 8200 section 8.1.
    private func pseudoHeader(_ length: Int) -> [UInt8] {
        let count = source.isV4 ? 4 : 16
        var header = Array(source.bytes.suffix(count))
        header += target.bytes.suffix(count)
        header += [0, 0] + Self.bytes(UInt16(length))
        return header + [0, 0, 0, protocolNumber]
    }

    /// Whether a frame is this packet, as it arrives at its target.
    package func isSeen(in frame: [UInt8]) -> Bool {
        guard let found = Found(frame), found.source == source, found.target == target else {
            return false
        }
        return found.mark == UInt32(mark) && found.protocolNumber == protocolNumber
    }

    /// Whether a frame is what the target sends back: an echo reply, or anything from the port.
    package func isAnswered(by frame: [UInt8]) -> Bool {
        guard let found = Found(frame), found.source == target, found.target == source,
            found.protocolNumber == protocolNumber, found.payload.count >= 6
        else { return false }
        let first = found.payload
        switch transport {
        case .icmp:
            return first[0] == (source.isV4 ? 0 : 129) && Array(first[4..<6]) == Self.bytes(mark)
        case .udp(let port), .tcp(let port):
            return Array(first[0..<2]) == Self.bytes(port)
                && Array(first[2..<4]) == Self.bytes(mark)
        }
    }

    /// What can be read off the front of a frame without options or extension headers.
    private struct Found {
        let source: IPAddress
        let target: IPAddress
        let mark: UInt32
        let protocolNumber: UInt8
        let payload: [UInt8]

        init?(_ frame: [UInt8]) {
            guard frame.count >= 34 else { return nil }
            switch (frame[12], frame[13]) {
            case (0x08, 0x00) where frame[14] == 0x45:
                source = IPAddress(v4: Self.word(frame, 26))
                target = IPAddress(v4: Self.word(frame, 30))
                mark = Self.word(frame, 18) >> 16
                protocolNumber = frame[23]
                payload = Array(frame[34...])
            case (0x86, 0xdd) where frame.count >= 54:
                source = Self.address(frame, 22)
                target = Self.address(frame, 38)
                mark = Self.word(frame, 14) & 0xfffff
                protocolNumber = frame[20]
                payload = Array(frame[54...])
            default: return nil
            }
        }

        private static func word(_ frame: [UInt8], _ at: Int) -> UInt32 {
            frame[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }

        private static func address(_ frame: [UInt8], _ at: Int) -> IPAddress {
            let halves = [at, at + 8].map { start in
                frame[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            }
            return IPAddress(high: halves[0], low: halves[1])
        }
    }

    private static func bytes(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 0xff)]
    }

    private static func put(_ number: UInt16, into bytes: inout [UInt8], at index: Int) {
        bytes[index] = UInt8(number >> 8)
        bytes[index + 1] = UInt8(number & 0xff)
    }

    /// RFC 1071.
    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            let low = index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0
            sum += UInt32(bytes[index]) << 8 | low
        }
        while sum > 0xffff { sum = (sum & 0xffff) + sum >> 16 }
        return ~UInt16(sum)
    }
}
