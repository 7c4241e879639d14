import Addressing
import BPFObjects

private typealias F = DataplaneFixture

/// The programs' decisions once more, slow and plain, for the rows of ``DataplaneFixture``.
///
/// Written from `bpf/README.md`, byte offsets by hand, to disagree where the programs are wrong.
struct ReferenceModel {
    let podMTU: Int

    enum Outcome: Hashable {
        case accepted
        case passed
        /// Copied to the group's places, of which the fixture has none.
        case copied
        case dropped(vni: UInt32, String)
    }

    /// The reasons for which the sender may get an ICMP error.
    static let reasonsTold = ["ttl_expired", "no_endpoint", "too_big"]

    func outcome(of packet: [UInt8], program: Dataplane.Program) -> Outcome {
        program == .podEgress ? pod(packet) : uplink(packet, program)
    }

    // MARK: - From a pod

    private func pod(_ packet: [UInt8]) -> Outcome {
        let reason = podReason(packet)
        return reason.map { .dropped(vni: 42, $0) } ?? .accepted
    }

    private func podReason(_ packet: [UInt8]) -> String? {
        if packet[6..<12] != F.podMAC.bytes[...] { return "spoofed_mac" }
        switch number(packet, 12, 2) {
        case 0x0800: return ipv4Reason(packet)
        case 0x0806: return arpReason(packet)
        case 0x86dd: return ipv6Reason(packet)
        case 0x8100, 0x88a8: return "vlan"
        default: return "ethertype"
        }
    }

    private func arpReason(_ packet: [UInt8]) -> String? {
        if packet.count < 42 { return "truncated" }
        if Array(packet[14..<20]) != [0, 1, 8, 0, 6, 4] { return "arp_malformed" }
        if Array(packet[22..<28]) != F.podMAC.bytes { return "arp_spoofed" }
        let sender = address(packet, 28)
        if sender != F.pod, sender != IPAddress(v4: 0) { return "arp_spoofed" }
        if number(packet, 20, 2) != 1 { return "arp_not_request" }
        let target = address(packet, 38)
        if target == F.pod { return "arp_own_address" }
        return [F.gateway, F.local, F.remote, F.overIPv6].contains(target) ? nil : "arp_no_target"
    }

    private func ipv4Reason(_ packet: [UInt8]) -> String? {
        if packet.count < 34 { return "truncated" }
        let isToGroup = packet[0] & 1 == 1
        if isToGroup, packet[23] == 2 { return "multicast_report" }
        if !isToGroup, packet[0..<6] != F.gatewayMAC.bytes[...] { return "not_to_gateway" }
        let header = Int(packet[14] & 15) * 4
        let length = number(packet, 16, 2)
        if packet[14] >> 4 != 4 || header < 20 || length < header || length > packet.count - 14 {
            return "bad_ipv4"
        }
        if isToGroup {
            return isMany4(packet, 30) && address(packet, 26) != F.pod
                ? "spoofed_address" : "multicast"
        }
        if address(packet, 26) != F.pod { return "spoofed_address" }
        let target = address(packet, 30)
        if target == F.gateway { return gatewayReason(packet, header) }
        guard [F.pod, F.local, F.remote, F.overIPv6].contains(target) else { return "no_endpoint" }
        if packet[22] <= 1 { return "ttl_expired" }
        if target == F.overIPv6 { return "vtep_family" }
        if target == F.remote, packet.count - 14 > podMTU { return "too_big" }
        return nil
    }

    private func gatewayReason(_ packet: [UInt8], _ header: Int) -> String? {
        let isFragment = number(packet, 20, 2) & 0x3fff != 0
        if packet[23] != 1 || isFragment { return "gateway_not_echo" }
        if packet.count < 14 + header + 8 { return "truncated" }
        return packet[14 + header] == 8 && packet[15 + header] == 0 ? nil : "gateway_not_echo"
    }

    private func ipv6Reason(_ packet: [UInt8]) -> String? {
        if packet.count < 54 { return "truncated" }
        if packet[14] >> 4 != 6 || number(packet, 18, 2) + 40 > packet.count - 14 {
            return "bad_ipv6"
        }
        if packet[20] == 58, packet.count > 54, (133...137).contains(packet[54]) {
            return neighbourReason(packet)
        }
        if packet[0] & 1 == 1 {
            if packet[20] == 0 { return "multicast_report" }
            return isMany6(packet, 38) && address6(packet, 22) != F.pod6
                ? "spoofed_address" : "multicast"
        }
        if packet[38] == 0xff { return "multicast" }
        if packet[0..<6] != F.gatewayMAC.bytes[...] { return "not_to_gateway" }
        if address6(packet, 22) != F.pod6 { return "spoofed_address" }
        let target = address6(packet, 38)
        if target == F.gateway6 {
            if packet[20] != 58 { return "gateway_not_echo" }
            if packet.count < 62 { return "truncated" }
            return packet[54] == 128 && packet[55] == 0 ? nil : "gateway_not_echo"
        }
        let known = [F.pod6, F.local6, F.remote6, F.overIPv6v6]
        guard known.contains(target) else { return "no_endpoint" }
        if packet[21] <= 1 { return "ttl_expired" }
        if target == F.overIPv6v6 { return "vtep_family" }
        if target == F.remote6, packet.count - 14 > podMTU { return "too_big" }
        return nil
    }

    private func neighbourReason(_ packet: [UInt8]) -> String? {
        let source = address6(packet, 22)
        let isProbe = source == IPAddress(high: 0, low: 0)
        if !isProbe, source != F.pod6, source != F.podLinkLocal { return "nd_spoofed" }
        if packet[54] == 133 { return "router_solicitation" }
        if packet[54] != 135 { return "nd_not_solicitation" }
        if packet.count < 78 { return "nd_malformed" }
        let size = number(packet, 18, 2)
        if size < 24 || packet[21] != 255 || packet[55] != 0 || packet[62] == 0xff {
            return "nd_malformed"
        }
        let pseudo = Array(packet[22..<54]) + big(UInt32(size)) + [0, 0, 0, 58]
        if internetChecksum(pseudo + packet[54..<54 + size]) != 0 { return "nd_malformed" }
        var isNamed = false
        var options = packet[78..<54 + size]
        for _ in 0..<4 where !options.isEmpty {
            guard options.count >= 8, let type = options.first,
                case let count = Int(options[options.startIndex + 1]), count > 0
            else { return "nd_malformed" }
            if type == 1 {
                if count != 1 { return "nd_malformed" }
                if Array(options.dropFirst(2).prefix(6)) != F.podMAC.bytes { return "nd_spoofed" }
                isNamed = true
            }
            guard count * 8 <= options.count else { return "nd_malformed" }
            options = options.dropFirst(count * 8)
        }
        if !options.isEmpty || (isProbe && isNamed) { return "nd_malformed" }
        let target = address6(packet, 62)
        if target == F.pod6 || target == F.podLinkLocal { return "nd_own_address" }
        return [F.gateway6, F.local6, F.remote6, F.overIPv6v6].contains(target)
            ? nil : "nd_no_target"
    }

    // MARK: - From the uplink

    private func uplink(_ packet: [UInt8], _ program: Dataplane.Program) -> Outcome {
        guard packet.count >= 34, number(packet, 12, 2) == 0x0800 else { return .passed }
        let header = Int(packet[14] & 15) * 4
        guard packet[14] >> 4 == 4, header >= 20, packet[23] == 17,
            address(packet, 30) == F.vtep, number(packet, 20, 2) & 0x1fff == 0,
            packet.count >= 14 + header + 8, number(packet, 16 + header, 2) == 6081
        else { return .passed }
        if address(packet, 26) != F.otherVTEP { return .dropped(vni: 0, "bad_vtep") }
        if number(packet, 20, 2) & 0x2000 != 0 { return .dropped(vni: 0, "outer_fragment") }
        if header != 20 { return .dropped(vni: 0, "outer_options") }
        if internetChecksum(Array(packet[14..<34])) != 0 {
            return .dropped(vni: 0, "outer_checksum")
        }
        let length = number(packet, 16, 2)
        let payload = number(packet, 38, 2)
        if length > packet.count - 14 || payload + 20 != length || payload < 16 {
            return .dropped(vni: 0, "outer_length")
        }
        return geneve(packet, payload - 16, program)
    }

    private func geneve(
        _ packet: [UInt8],
        _ size: Int,
        _ program: Dataplane.Program
    ) -> Outcome {
        if packet[42] >> 6 != 0 { return .dropped(vni: 0, "geneve_version") }
        if packet[42] & 0x3f != 0 || packet[43] & 0x40 != 0 {
            return .dropped(vni: 0, "geneve_options")
        }
        if packet[43] & 0x80 != 0 {
            // No seed packet is a tunnel echo.
            return program == .uplinkXDP ? .passed : .dropped(vni: 0, "bad_oam")
        }
        if number(packet, 44, 2) != 0x6558 { return .dropped(vni: 0, "geneve_protocol") }
        let vni = UInt32(number(packet, 46, 3))
        if vni == 0 { return .dropped(vni: 0, "zero_vni") }
        if vni != 42, vni != 43 { return .dropped(vni: 0, "unknown_vni") }
        let reason = innerReason(packet, size, vni)
        guard reason == Self.copied else {
            return reason.map { .dropped(vni: vni, $0) } ?? .accepted
        }
        // XDP leaves copies to tc, which looks at the sender: a pod of the node it comes from.
        if program == .uplinkXDP { return .passed }
        let isV6 = number(packet, 62, 2) == 0x86dd
        let sender = isV6 ? address6(packet, 72) : address(packet, 76)
        let isRight = vni == 42 && sender == (isV6 ? F.remote6 : F.remote)
        return isRight ? .copied : .dropped(vni: vni, "multicast_sender")
    }

    /// What is no reason.
    private static let copied = "copied"

    private func isMany4(_ packet: [UInt8], _ start: Int) -> Bool {
        packet[start] >> 4 == 0xe || packet[start..<start + 4].allSatisfy { $0 == 0xff }
    }

    private func isMany6(_ packet: [UInt8], _ start: Int) -> Bool {
        packet[start] == 0xff && packet[start + 1] & 0xf > 1
    }

    private func innerReason(_ packet: [UInt8], _ size: Int, _ vni: UInt32) -> String? {
        if packet.count < 64 || size < 14 { return "truncated" }
        let size = size - 14
        let ecn: UInt8
        let target: IPAddress
        let isMany: Bool
        switch number(packet, 62, 2) {
        case 0x0800:
            if packet.count < 84 { return "truncated" }
            let header = Int(packet[64] & 15) * 4
            let length = number(packet, 66, 2)
            if packet[64] >> 4 != 4 || header < 20 || length < header || length > size {
                return "inner_ipv4"
            }
            target = address(packet, 80)
            isMany = isMany4(packet, 80)
            ecn = packet[65]
        case 0x86dd:
            if packet.count < 104 { return "truncated" }
            if packet[64] >> 4 != 6 || number(packet, 66 + 2, 2) + 40 > size {
                return "inner_ipv6"
            }
            target = address6(packet, 88)
            isMany = isMany6(packet, 88)
            ecn = packet[65] >> 4
        default: return "inner_ethertype"
        }
        if packet[50] & 1 == 1 {
            if !isMany { return "inner_mac" }
            return packet[15] & 3 == 3 && ecn & 3 == 0 ? "bad_ecn" : Self.copied
        }
        return targetReason(packet, vni, target, ecn)
    }

    private func targetReason(
        _ packet: [UInt8],
        _ vni: UInt32,
        _ target: IPAddress,
        _ ecn: UInt8
    ) -> String? {
        // A mapped address in an IPv6 header is nobody's.
        if number(packet, 62, 2) == 0x86dd, target.isV4 { return "no_endpoint" }
        let macs: [IPAddress: MACAddress] =
            vni == 42
            ? [F.pod: F.podMAC, F.local: F.localMAC, F.pod6: F.podMAC, F.local6: F.localMAC]
            : [F.elsewhere: F.localMAC, F.elsewhere6: F.localMAC]
        if vni == 42, [F.remote, F.remote6, F.overIPv6, F.overIPv6v6].contains(target) {
            return "not_local"
        }
        guard let mac = macs[target] else { return "no_endpoint" }
        if Array(packet[50..<56]) != mac.bytes { return "inner_mac" }
        return packet[15] & 3 == 3 && ecn & 3 == 0 ? "bad_ecn" : nil
    }

    private func number(_ packet: [UInt8], _ start: Int, _ count: Int) -> Int {
        packet[start..<start + count].reduce(0) { $0 << 8 | Int($1) }
    }

    private func address6(_ packet: [UInt8], _ start: Int) -> IPAddress {
        IPAddress(bytes: packet[start..<start + 16]) ?? IPAddress(high: 0, low: 0)
    }

    private func address(_ packet: [UInt8], _ start: Int) -> IPAddress {
        IPAddress(v4: UInt32(number(packet, start, 4)))
    }
}
