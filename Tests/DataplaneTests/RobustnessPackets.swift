import Addressing
import BPFObjects
import Determinism
import Testing

private typealias F = DataplaneFixture

/// Right packets of every kind, to be cut and changed.
enum RobustnessPackets {
    /// Packets of more than 200 bytes where the kind allows it, all accepted.
    static func whole(for program: Dataplane.Program) -> [[UInt8]] {
        let payload = (0..<200).map { UInt8(truncatingIfNeeded: $0) }
        let padding = [UInt8](repeating: 0, count: 160)
        guard program == .podEgress else {
            return [tunnel(payload: payload), tunnel6(payload: payload)]
        }
        return [
            F.podUDP(to: F.remote, payload: payload), F.podUDP(to: F.local, payload: payload),
            F.podUDP6(to: F.remote6, payload: payload), F.podUDP6(to: F.local6, payload: payload),
            arp + padding, echo(payload: payload), echo6(payload: payload), solicitation + padding,
            segment(payload: payload), options(payload: payload), extended(payload: payload),
        ]
    }

    /// One of them, short.
    static func any(
        for program: Dataplane.Program,
        _ generator: inout SeededGenerator
    ) -> [UInt8] {
        let size = Int.random(in: 0...30, using: &generator)
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 29) }
        guard program == .podEgress else {
            return Bool.random(using: &generator)
                ? tunnel(payload: payload) : tunnel6(payload: payload)
        }
        return switch Int.random(in: 0..<11, using: &generator) {
        case 0: F.podUDP(to: F.local, payload: payload)
        case 1: F.podUDP(to: F.remote, payload: payload)
        case 2: F.podUDP6(to: F.local6, payload: payload)
        case 3: F.podUDP6(to: F.remote6, payload: payload)
        case 4: arp
        case 5, 6: solicitation
        case 7: echo(payload: payload)
        case 8: echo6(payload: payload)
        case 9: segment(payload: payload)
        default:
            Bool.random(using: &generator) ? options(payload: payload) : extended(payload: payload)
        }
    }

    private static let arp = Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x0806)
        .carrying(
            ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.gateway).bytes
        )

    private static let solicitation = NeighbourDiscoveryTests.solicitation(for: F.local6)

    private static func v4(_ ip: IPv4, _ payload: [UInt8]) -> [UInt8] {
        Ethernet(target: F.gatewayMAC, source: F.podMAC).carrying(ip.carrying(payload))
    }

    private static func echo(payload: [UInt8]) -> [UInt8] {
        v4(
            IPv4(source: F.pod, target: F.gateway, transport: 1),
            icmpEcho(type: 8, rest: [0, 1, 0, 2] + payload)
        )
    }

    private static func echo6(payload: [UInt8]) -> [UInt8] {
        Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            .carrying(
                IPv6(source: F.pod6, target: F.gateway6, next: 58)
                    .carrying(type: 128, rest: [0, 1, 0, 2] + payload)
            )
    }

    /// The first segment of a connection to another node, its segment size too large.
    private static func segment(payload: [UInt8]) -> [UInt8] {
        let tcp = TCP(flags: 2, options: [1, 2, 4, 0x23, 0, 1, 1, 1])
        return v4(
            IPv4(source: F.pod, target: F.remote, transport: 6),
            tcp.carrying(payload, between: F.pod, F.remote)
        )
    }

    private static func options(payload: [UInt8]) -> [UInt8] {
        let options = [0x94, 4, 0, 0] + [UInt8](repeating: 1, count: 36)
        return v4(
            IPv4(source: F.pod, target: F.local, transport: 17, options: options),
            UDP(source: 1, target: 2).carrying(payload)
        )
    }

    private static func extended(payload: [UInt8]) -> [UInt8] {
        let front: [UInt8] = [60, 0, 1, 4, 0, 0, 0, 0] + [17, 0, 1, 4, 0, 0, 0, 0]
        return Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
            .carrying(
                IPv6(source: F.pod6, target: F.remote6, next: 0)
                    .carrying(front + UDP(source: 1, target: 2).carrying(payload))
            )
    }

    private static func tunnel(payload: [UInt8]) -> [UInt8] {
        var packet = F.TunnelPacket()
        packet.payload = UDP(source: 53, target: 5000).carrying(payload)
        return packet.bytes
    }

    private static func tunnel6(payload: [UInt8]) -> [UInt8] {
        var packet = F.TunnelPacket()
        packet.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17, hopLimit: 63)
        packet.payload = UDP(source: 53, target: 5000).carrying(payload)
        return packet.bytes
    }
}

/// Whether what came of a packet is where it belongs, whatever the packet was.
struct DestinationCheck {
    private let program: Dataplane.Program

    init(_ program: Dataplane.Program) {
        self.program = program
    }

    /// Which pod has an address of a VPC on this node.
    private static let homes: [UInt32: [IPAddress: (mac: MACAddress, ifindex: UInt32)]] = [
        42: [
            F.pod: (F.podMAC, F.podIfindex), F.pod6: (F.podMAC, F.podIfindex),
            F.local: (F.localMAC, F.localIfindex), F.local6: (F.localMAC, F.localIfindex),
        ],
        43: [F.elsewhere: (F.localMAC, 78), F.elsewhere6: (F.localMAC, 78)],
    ]

    /// Holds an outcome to the rows of ``DataplaneFixture``; only what was sent on is looked at.
    func expectRight(
        _ outcome: DataplaneFixture.Outcome,
        of packet: [UInt8],
        _ wanted: ReferenceModel.Outcome
    ) {
        switch (program, outcome.verdict, wanted) {
        case (.podEgress, Verdict.redirect, .accepted): expectSent(outcome.packet, of: packet)
        case (.podEgress, Verdict.redirect, _): Self.expectError(outcome.packet)
        case (.uplinkIngress, Verdict.redirect, _), (.uplinkXDP, Verdict.xdpPass, .accepted):
            expectDelivered(outcome, of: packet)
        default: break
        }
    }

    private func expectSent(_ sent: [UInt8], of packet: [UInt8]) {
        let front = sent.prefix(12)
        if front == (F.podMAC.bytes + F.gatewayMAC.bytes)[...]
            || front == ([0x33, 0x33, 0, 0, 0, 1] + F.gatewayMAC.bytes)[...]
        {
            return  // an answer, or the pod's own address
        }
        if sent.count == packet.count {
            #expect(front == (F.localMAC.bytes + F.gatewayMAC.bytes)[...], "\(packet)")
            let target = Self.target(sent[...])
            #expect(target == F.local || target == F.local6, "\(packet)")
            return
        }
        #expect(sent.count == packet.count + 50, "\(packet)")
        #expect(sent[26..<34] == (F.vtep.bytes.suffix(4) + F.otherVTEP.bytes.suffix(4))[...])
        #expect(internetChecksum(Array(sent[14..<34])) == 0)
        #expect(Array(sent[42..<50]) == [0, 0, 0x65, 0x58, 0, 0, 42, 0], "\(packet)")
        #expect(sent[50..<62] == (F.remoteMAC.bytes + F.gatewayMAC.bytes)[...], "\(packet)")
        let target = Self.target(sent[50...])
        #expect(target == F.remote || target == F.remote6, "\(packet)")
    }

    private func expectDelivered(_ outcome: DataplaneFixture.Outcome, of packet: [UInt8]) {
        let vni = UInt32(packet[46]) << 16 | UInt32(packet[47]) << 8 | UInt32(packet[48])
        let target = Self.target(outcome.packet[...])
        guard let home = target.flatMap({ Self.homes[vni]?[$0] }) else {
            Issue.record("nobody of VNI \(vni) is \(String(describing: target)): \(packet)")
            return
        }
        #expect(Array(outcome.packet.prefix(6)) == home.mac.bytes, "\(packet)")
        if program == .uplinkXDP {
            #expect(Array(outcome.metadata.suffix(4)) == big(home.ifindex.bigEndian), "\(packet)")
        }
    }

    /// The address that a frame is to, by its EtherType.
    private static func target(_ frame: ArraySlice<UInt8>) -> IPAddress? {
        let start = frame.startIndex
        return switch (frame[start + 12], frame[start + 13]) {
        case (0x08, 0x00):
            IPAddress(
                v4: frame[start + 30..<start + 34].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            )
        case (0x86, 0xdd): IPAddress(bytes: frame[start + 38..<start + 54])
        default: nil
        }
    }

    /// What comes back about a dropped packet goes to the pod, and its checksums are right.
    private static func expectError(_ packet: [UInt8]) {
        #expect(packet.prefix(12) == (F.podMAC.bytes + F.gatewayMAC.bytes)[...])
        if packet[12] == 0x08 {
            let ends = Array(F.gateway.bytes.suffix(4) + F.pod.bytes.suffix(4))
            #expect(packet[23] == 1 && Array(packet[26..<34]) == ends)
            #expect(internetChecksum(Array(packet[14..<34])) == 0)
            #expect(internetChecksum(Array(packet[34...])) == 0)
        } else {
            let ends = F.gateway6.bytes + F.pod6.bytes
            #expect(packet[20] == 58 && Array(packet[22..<54]) == ends)
            let pseudo = ends + big(UInt32(packet.count - 54)) + [0, 0, 0, 58]
            #expect(internetChecksum(pseudo + packet[54...]) == 0)
        }
    }
}
