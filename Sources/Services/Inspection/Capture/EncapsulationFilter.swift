import Addressing
import LocalAPI

/// Which frames of an uplink belong to one pod: tunnel packets of its VPC with one of its addresses
/// inside, and what XDP has stripped of them already, which is for the pod's MAC.
struct EncapsulationFilter {
    private let vni: UInt32
    private let addresses: [[UInt8]]
    private let mac: [UInt8]

    private static let genevePort: [UInt8] = [0x17, 0xc1]

    init(_ endpoint: EndpointTraffic) {
        vni = endpoint.vni
        mac = MACAddress(endpoint.mac).map { Array($0.bytes) } ?? []
        addresses = endpoint.addresses.compactMap { IPAddress($0) }
            .map { Array($0.isV4 ? $0.bytes.suffix(4) : $0.bytes[...]) }
    }

    /// Whether a frame of the uplink is the pod's.
    func takes(_ frame: [UInt8]) -> Bool {
        guard frame.count >= 14 else { return false }
        if Array(frame[0..<6]) == mac { return true }
        guard let geneve = Self.geneve(in: frame), frame.count >= geneve + 22 else { return false }
        let number = frame[geneve + 4..<geneve + 7].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let inner = geneve + 8 + Int(frame[geneve] & 0x3f) * 4 + 14
        guard number == vni, frame.count >= inner else { return false }
        let at: (source: Int, size: Int)
        switch (frame[inner - 2], frame[inner - 1]) {
        case (0x08, 0x00): at = (inner + 12, 4)
        case (0x86, 0xdd): at = (inner + 8, 16)
        default: return false
        }
        let target = at.source + at.size
        guard frame.count >= target + at.size else { return false }
        return addresses.contains(Array(frame[at.source..<target]))
            || addresses.contains(Array(frame[target..<target + at.size]))
    }

    /// Where the Geneve header is; nil in what is no Geneve over IPv4 or IPv6.
    private static func geneve(in frame: [UInt8]) -> Int? {
        let udp: Int
        switch (frame[12], frame[13]) {
        case (0x08, 0x00) where frame.count >= 34 && frame[23] == 17:
            udp = 14 + Int(frame[14] & 0xf) * 4
        case (0x86, 0xdd) where frame.count >= 54 && frame[20] == 17: udp = 54
        default: return nil
        }
        guard frame.count >= udp + 8, Array(frame[udp + 2..<udp + 4]) == genevePort else {
            return nil
        }
        return udp + 8
    }
}
