import Addressing
import Determinism

/// What an attacker in a pod would send: frames of every kind that the dataplane knows, each field
/// now and then the pod's own, somebody else's or nonsense.
///
/// Written for breadth and not for rightness: checksums and lengths are right only by chance.
struct HostileFrames {
    /// The MAC and addresses that are worth pretending to have.
    struct Identity: Sendable {
        let mac: MACAddress
        let v4: IPAddress
        let v6: IPAddress
    }

    let own: Identity
    /// Whom to impersonate and to reach: pods of the own VPC and of others, gateways, nodes.
    let others: [Identity]
    var generator: SeededGenerator

    /// The next frame, 60 to 1,400 bytes; a pod's interface takes no shorter ones off the wire.
    mutating func next() -> [UInt8] {
        let body: (type: UInt16, bytes: [UInt8])
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<7: body = (0x0800, ipv4(payload(depth: 0)))
        case 7..<14: body = (0x86dd, ipv6(payload(depth: 0)))
        case 14, 15: body = (0x0806, arp())
        case 16, 17: body = (0x86dd, neighbour())
        case 18: body = (0x8100, [0, 7, 8, 0] + ipv4(payload(depth: 0)))
        default: body = (.random(in: 0...0xffff, using: &generator), random(46...200))
        }
        let target = chance(2) ? own.mac.gateway : mac()
        let source = chance(8) ? mac() : own.mac
        let frame = target.bytes + source.bytes + big(body.type) + body.bytes
        return frame + .init(repeating: 0, count: max(0, 60 - frame.count))
    }

    private mutating func payload(depth: Int) -> [UInt8] {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0 where depth == 0: tunnel()
        case 1: [.random(in: 0...255, using: &generator), 0] + random(6...60)
        case 2: [8, 0, 0xf7, 0xff] + [0, 0, 0, 0]
        case 3: random(0...1_200)
        default: big(UInt16(40_000)) + big(UInt16(53)) + big(UInt16(16)) + random(10...40)
        }
    }

    /// Geneve with a frame inside, as a node would send it.
    private mutating func tunnel() -> [UInt8] {
        let inner = mac().bytes + mac().bytes + [8, 0] + ipv4(payload(depth: 1))
        let vni: UInt32 = .random(in: 0...0xff_ffff, using: &generator)
        let geneve = [0, 0, 0x65, 0x58] + big(vni << 8) + inner
        return big(UInt16(50_000)) + big(UInt16(6081)) + big(UInt16(8 + geneve.count)) + [0, 0]
            + geneve
    }

    private mutating func ipv4(_ payload: [UInt8]) -> [UInt8] {
        let length =
            chance(10) ? .random(in: 0...0xffff, using: &generator) : UInt16(20 + payload.count)
        let fragment: UInt16 = chance(6) ? .random(in: 0...0xffff, using: &generator) : 0
        let first: UInt8 = chance(12) ? .random(in: 0...255, using: &generator) : 0x45
        let ttl: UInt8 = chance(10) ? .random(in: 0...2, using: &generator) : 64
        let transport: UInt8 =
            [1, 6, 17, 47, .random(in: 0...255, using: &generator)].randomElement(using: &generator)
            ?? 17
        let source = chance(6) ? address(isV4: true) : own.v4
        return [first, 0] + big(length) + [0, 1] + big(fragment) + [ttl, transport, 0, 0]
            + source.bytes.suffix(4) + address(isV4: true).bytes.suffix(4) + payload
    }

    private mutating func ipv6(_ payload: [UInt8]) -> [UInt8] {
        let length = chance(10) ? .random(in: 0...0xffff, using: &generator) : UInt16(payload.count)
        let first: UInt8 = chance(12) ? .random(in: 0...255, using: &generator) : 0x60
        let hops: UInt8 = chance(10) ? .random(in: 0...2, using: &generator) : 64
        let next: UInt8 =
            [0, 6, 17, 43, 44, 58, 60, .random(in: 0...255, using: &generator)].randomElement(
                using: &generator
            ) ?? 17
        // A mapped address in an IPv6 header is the way from one family into the other.
        let source = chance(6) ? address(isV4: chance(4)) : own.v6
        return [first, 0, 0, 0] + big(length) + [next, hops] + source.bytes
            + address(isV4: chance(6)).bytes + payload
    }

    /// A request, a reply or an announcement, true or poisoned.
    private mutating func arp() -> [UInt8] {
        let operation = UInt16.random(in: 0...3, using: &generator)
        let sender = chance(2) ? own.mac : mac()
        let address = chance(2) ? own.v4 : self.address(isV4: true)
        return [0, 1, 8, 0, 6, 4] + big(operation) + sender.bytes + address.bytes.suffix(4)
            + mac().bytes + self.address(isV4: true).bytes.suffix(4)
    }

    /// Any message of neighbour discovery, true or poisoned, its checksum often right.
    private mutating func neighbour() -> [UInt8] {
        let type = UInt8.random(in: 133...137, using: &generator)
        let source = chance(2) ? own.v6 : address(isV4: false)
        let target = address(isV4: false)
        let option =
            [UInt8.random(in: 1...2, using: &generator), 1] + (chance(2) ? own.mac : mac()).bytes
        let rest = [0xe0, 0, 0, 0] + target.bytes + option
        let pseudo = source.bytes + target.bytes + [0, 0, 0, 36 - 4] + [0, 0, 0, 58]
        let sum = chance(3) ? 0 : checksum(pseudo + [type, 0, 0, 0] + rest)
        return [0x60, 0, 0, 0, 0, 32, 58, 255] + source.bytes + target.bytes
            + [type, 0] + big(sum) + rest
    }

    private mutating func mac() -> MACAddress {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: MACAddress(bits: 0xffff_ffff_ffff)
        case 1: MACAddress(bits: 0x3333_0000_0001)
        case 2: MACAddress(bits: .random(in: 0...0xffff_ffff_ffff, using: &generator))
        default: others.randomElement(using: &generator)?.mac ?? own.mac
        }
    }

    private mutating func address(isV4: Bool) -> IPAddress {
        if chance(10) {
            let low = UInt64.random(in: 0 ... .max, using: &generator)
            return isV4
                ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : IPAddress(high: low, low: low)
        }
        if chance(20) { return IPAddress(isV4 ? "224.0.0.251" : "ff02::1") ?? own.v4 }
        let other = others.randomElement(using: &generator) ?? own
        return isV4 ? other.v4 : other.v6
    }

    private mutating func random(_ counts: ClosedRange<Int>) -> [UInt8] {
        let count = Int.random(in: counts, using: &generator)
        return (0..<count).map { _ in .random(in: 0...255, using: &generator) }
    }

    /// True once in `count` times.
    private mutating func chance(_ count: Int) -> Bool {
        Int.random(in: 0..<count, using: &generator) == 0
    }
}

extension MACAddress {
    /// What every pod's gateway has.
    fileprivate var gateway: MACAddress { MACAddress(bits: 0x02_67_72_00_00_01) }
}

private func big(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

private func checksum(_ bytes: [UInt8]) -> UInt16 {
    let sum = bytes.enumerated().reduce(UInt64(0)) { sum, item in
        sum + UInt64(item.element) << (item.offset % 2 == 0 ? 8 : 0)
    }
    return ~UInt16(sum % 0xffff)
}
