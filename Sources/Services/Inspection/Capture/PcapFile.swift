import Netlink

/// A capture file with several interfaces.
///
/// - Source: the pcapng format (draft-ietf-opsawg-pcapng), sections 4.1 to 4.3; little-endian.
struct PcapFile {
    /// What the interfaces are called.
    let interfaces: [String]
    /// The bytes that are kept of a packet.
    let snapBytes: Int

    private static let linkTypeEthernet: UInt16 = 1

    /// The section and the interfaces.
    var header: [UInt8] {
        // Version 1.0, length not known.
        let section =
            Self.bytes(UInt32(0x1a2b_3c4d)) + Self.bytes(UInt16(1)) + Self.bytes(UInt16(0))
            + Array(repeating: 0xff, count: 8)
        var blocks = Self.block(0x0a0d_0d0a, section)
        for name in interfaces {
            // if_name; if_tsresol: nanoseconds; the end of options.
            let options =
                Self.option(2, Array(name.utf8)) + Self.option(9, [9]) + Self.option(0, [])
            blocks += Self.block(
                1,
                Self.bytes(Self.linkTypeEthernet) + Self.bytes(UInt16(0))
                    + Self.bytes(UInt32(snapBytes)) + options
            )
        }
        return blocks
    }

    /// One packet.
    func packet(_ frame: PacketTap.Frame, interface: Int) -> [UInt8] {
        let time = UInt64(max(0, frame.nanoseconds))
        // epb_flags: 1 is inbound, 2 outbound.
        let flags = Self.option(2, Self.bytes(UInt32(frame.isSent ? 2 : 1))) + Self.option(0, [])
        return Self.block(
            6,
            Self.bytes(UInt32(interface)) + Self.bytes(UInt32(time >> 32))
                + Self.bytes(UInt32(truncatingIfNeeded: time))
                + Self.bytes(UInt32(frame.bytes.count))
                + Self.bytes(UInt32(frame.size)) + Self.padded(frame.bytes) + flags
        )
    }

    private static func block(_ type: UInt32, _ body: [UInt8]) -> [UInt8] {
        let length = bytes(UInt32(body.count + 12))
        return bytes(type) + length + body + length
    }

    private static func option(_ code: UInt16, _ value: [UInt8]) -> [UInt8] {
        bytes(code) + bytes(UInt16(value.count)) + padded(value)
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + Array(repeating: 0, count: (4 - bytes.count % 4) % 4)
    }

    private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }
}
