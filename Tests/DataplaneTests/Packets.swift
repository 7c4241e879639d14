import Addressing

// Packets by hand: written from the RFCs, sharing nothing with the programs under test.

struct Ethernet {
    var target: MACAddress
    var source: MACAddress
    var type: UInt16 = 0x0800

    func carrying(_ payload: [UInt8]) -> [UInt8] {
        target.bytes + source.bytes + big(type) + payload
    }
}

struct IPv4 {
    var source: IPAddress
    var target: IPAddress
    var transport: UInt8
    var ttl: UInt8 = 64
    var tos: UInt8 = 0
    var id: UInt16 = 0x1234
    var fragment: UInt16 = 0x4000
    var options: [UInt8] = []
    var totalLength: UInt16?
    var versionAndLength: UInt8?

    func carrying(_ payload: [UInt8]) -> [UInt8] {
        let words = UInt8(5 + options.count / 4)
        let length = totalLength ?? UInt16(Int(words) * 4 + payload.count)
        var header: [UInt8] = [versionAndLength ?? (0x40 | words), tos]
        header += big(length) + big(id) + big(fragment) + [ttl, transport, 0, 0]
        header += source.bytes.suffix(4) + target.bytes.suffix(4) + options
        let sum = internetChecksum(header)
        header[10] = UInt8(sum >> 8)
        header[11] = UInt8(sum & 0xff)
        return header + payload
    }
}

struct IPv6 {
    var source: IPAddress
    var target: IPAddress
    var next: UInt8
    var hopLimit: UInt8 = 64
    var trafficClass: UInt8 = 0
    var flowLabel: UInt32 = 0
    var payloadLength: UInt16?
    var version: UInt8 = 6

    func carrying(_ payload: [UInt8]) -> [UInt8] {
        let first = UInt32(version) << 28 | UInt32(trafficClass) << 20 | flowLabel
        return big(first) + big(payloadLength ?? UInt16(payload.count)) + [next, hopLimit]
            + source.bytes + target.bytes + payload
    }

    /// An ICMPv6 message with its checksum, which covers the addresses.
    func carrying(type: UInt8, code: UInt8 = 0, rest: [UInt8]) -> [UInt8] {
        let length = UInt32(4 + rest.count)
        let pseudo = source.bytes + target.bytes + big(length) + [0, 0, 0, 58]
        let sum = internetChecksum(pseudo + [type, code, 0, 0] + rest)
        return carrying([type, code, UInt8(sum >> 8), UInt8(sum & 0xff)] + rest)
    }
}

/// A neighbour solicitation or advertisement, as an ICMPv6 message behind the checksum.
struct NeighbourMessage {
    var flags: UInt32 = 0
    var target: IPAddress
    var options: [UInt8] = []

    var rest: [UInt8] { big(flags) + target.bytes + options }

    /// Source (1) or target (2) link-layer address.
    static func link(_ type: UInt8, _ mac: MACAddress) -> [UInt8] { [type, 1] + mac.bytes }
}

struct UDP {
    var source: UInt16
    var target: UInt16
    var length: UInt16?
    var checksum: UInt16 = 0

    func carrying(_ payload: [UInt8]) -> [UInt8] {
        big(source) + big(target) + big(length ?? UInt16(8 + payload.count)) + big(checksum)
            + payload
    }
}

struct TCP {
    var source: UInt16 = 40_000
    var target: UInt16 = 80
    var flags: UInt8
    /// Padded by the caller to whole words.
    var options: [UInt8] = []

    /// The segment with its checksum, which covers the addresses.
    func carrying(_ payload: [UInt8], between source: IPAddress, _ target: IPAddress) -> [UInt8] {
        let offset = UInt8(5 + options.count / 4) << 4
        var segment = big(self.source) + big(self.target) + big(UInt64(1))
        segment += [offset, flags, 0xff, 0xff, 0, 0, 0, 0] + options + payload
        let sum = Self.checksum(segment, between: source, target)
        segment.replaceSubrange(16..<18, with: big(sum))
        return segment
    }

    /// Zero over a segment whose own checksum is right.
    static func checksum(
        _ segment: [UInt8],
        between source: IPAddress,
        _ target: IPAddress
    ) -> UInt16 {
        let count = source.isV4 ? 4 : 16
        let addresses = Array(source.bytes.suffix(count) + target.bytes.suffix(count))
        return internetChecksum(addresses + big(UInt32(segment.count)) + [0, 0, 0, 6] + segment)
    }
}

struct Geneve {
    var vni: UInt32
    var versionAndOptions: UInt8 = 0
    var flags: UInt8 = 0
    var payloadType: UInt16 = 0x6558
    var reserved: UInt8 = 0

    func carrying(_ payload: [UInt8]) -> [UInt8] {
        [versionAndOptions, flags] + big(payloadType) + big(vni << 8 | UInt32(reserved)) + payload
    }
}

struct ARP {
    var operation: UInt16 = 1
    var senderMAC: MACAddress
    var senderAddress: IPAddress
    var targetMAC = MACAddress(bits: 0)
    var targetAddress: IPAddress
    var addressSize: UInt8 = 4

    var bytes: [UInt8] {
        big(UInt16(1)) + big(UInt16(0x0800)) + [6, addressSize] + big(operation)
            + senderMAC.bytes + senderAddress.bytes.suffix(4)
            + targetMAC.bytes + targetAddress.bytes.suffix(4)
    }
}

func icmpEcho(type: UInt8, code: UInt8 = 0, rest: [UInt8]) -> [UInt8] {
    let sum = internetChecksum([type, code, 0, 0] + rest)
    return [type, code, UInt8(sum >> 8), UInt8(sum & 0xff)] + rest
}

func big(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

/// RFC 1071, the slow way: modulo 65,535 at the end, so that no fold can be forgotten.
func internetChecksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt64 = 0
    for (index, byte) in bytes.enumerated() {
        sum += UInt64(byte) << (index % 2 == 0 ? 8 : 0)
    }
    let rest = sum % 0xffff
    return sum == 0 ? 0xffff : ~UInt16(rest == 0 ? 0xffff : rest)
}

extension IPAddress {
    /// For literals of tests only.
    init(literal text: String) {
        guard let address = IPAddress(text) else { preconditionFailure("not an address: \(text)") }
        self = address
    }
}

extension VNI {
    /// For literals of tests only.
    init(literal number: UInt32) {
        guard let vni = VNI(number) else { preconditionFailure("not a VNI: \(number)") }
        self = vni
    }
}
