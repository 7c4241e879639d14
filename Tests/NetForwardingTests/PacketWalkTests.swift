import Addressing
import NetForwarding
import Testing

@Suite("Where a packet would go, by the rows that programs read")
struct PacketWalkTests {
    private static let pod = IPAddress(literal: "10.1.0.5")
    private static let gateway = IPAddress(literal: "10.1.0.1")
    private static let other = IPAddress(literal: "10.1.0.9")
    private static let vni = VNI(literal: 42)
    private static let port = PacketWalk.Port(vni: vni, addresses: [pod], gateways: [gateway])
    private static let node = PacketWalk.Node(vtep: IPAddress(literal: "192.0.2.1"), podMTU: 1450)

    private static func entry(_ place: ForwardingEntry.Place) -> ForwardingEntry {
        ForwardingEntry(vni: vni, address: other, mac: MACAddress(bits: 9), place: place, fence: 1)
    }

    private func packet(
        to target: IPAddress,
        _ transport: ProbePacket.Transport = .icmp,
        size: Int = 84
    ) -> ProbePacket {
        ProbePacket(source: Self.pod, target: target, transport: transport, size: size, mark: 7)
    }

    private func walk(
        _ packet: ProbePacket,
        port: PacketWalk.Port? = port,
        isAttached: Bool = true,
        node: PacketWalk.Node? = node,
        target: ForwardingEntry? = nil
    ) -> PacketWalk {
        PacketWalk(packet, .init(port: port, isAttached: isAttached, node: node, target: target))
    }

    @Test("a pod of this node gets it through the redirect, a remote one through its VTEP")
    func places() {
        let near = walk(packet(to: Self.other), target: Self.entry(.local(interface: 12)))
        #expect(near.verdict == .delivered(interface: 12))
        let vtep = IPAddress(literal: "192.0.2.2")
        let far = walk(packet(to: Self.other), target: Self.entry(.remote(vtep: vtep)))
        #expect(far.verdict == .sent(vtep: vtep))
        #expect(far.steps.last?.found.contains("VNI 42 from 192.0.2.1 to 192.0.2.2") == true)
    }

    @Test("each check that fails has the reason that the programs count")
    func drops() {
        let remote = Self.entry(.remote(vtep: IPAddress(literal: "192.0.2.2")))
        let other = packet(to: Self.other)
        #expect(walk(other, isAttached: false).verdict == .dropped(reason: "not_attached"))
        #expect(walk(other, port: nil).verdict == .dropped(reason: "no_port"))
        let stranger = PacketWalk.Port(vni: Self.vni, addresses: [Self.other], gateways: [])
        #expect(walk(other, port: stranger).verdict == .dropped(reason: "spoofed_address"))
        #expect(walk(other).verdict == .dropped(reason: "no_endpoint"))
        #expect(
            walk(other, node: nil, target: remote).verdict == .dropped(reason: "not_configured")
        )
        let large = packet(to: Self.other, size: 1451)
        #expect(walk(large, target: remote).verdict == .dropped(reason: "too_big"))
        let narrow = PacketWalk.Node(vtep: Self.node.vtep, podMTU: 1450, pathMTU: 1280)
        let wide = packet(to: Self.other, size: 1281)
        #expect(walk(wide, node: narrow, target: remote).verdict == .dropped(reason: "too_big"))
        let v6 = Self.entry(.remote(vtep: IPAddress(literal: "fd00::2")))
        #expect(walk(other, target: v6).verdict == .dropped(reason: "vtep_family"))
        let fitting = packet(to: Self.other, size: 1450)
        #expect(walk(fitting, target: remote).verdict != .dropped(reason: "too_big"))
        let toGateway = packet(to: Self.gateway, .udp(port: 53))
        #expect(walk(toGateway).verdict == .dropped(reason: "gateway_not_echo"))
    }

    @Test("in the open VPC what is nobody's goes to the node, unless it is of the link alone")
    func open() throws {
        let node = PacketWalk.Node(vtep: Self.node.vtep, podMTU: 1450, isOpen: true)
        #expect(walk(packet(to: Self.other), node: node).verdict == .handed)
        let vtep = IPAddress(literal: "192.0.2.2")
        let entry = Self.entry(.remote(vtep: vtep))
        let known = walk(packet(to: Self.other), node: node, target: entry)
        #expect(known.verdict == .sent(vtep: vtep))
        let tunnel = walk(packet(to: Self.other, .udp(port: 6_081)), node: node)
        #expect(tunnel.verdict == .dropped(reason: "no_endpoint"))
        let metadata = walk(packet(to: IPAddress(literal: "169.254.169.254")), node: node)
        #expect(metadata.verdict == .dropped(reason: "no_endpoint"))
        let pod = IPAddress(literal: "fd00::5")
        let port = PacketWalk.Port(vni: Self.vni, addresses: [pod], gateways: [])
        for (target, verdict) in [
            ("2001:db8::9", PacketWalk.Verdict.handed),
            ("fe80::9", .dropped(reason: "no_endpoint")),
        ] {
            let packet = ProbePacket(
                source: pod,
                target: try #require(IPAddress(target)),
                transport: .icmp,
                size: 84,
                mark: 7
            )
            #expect(walk(packet, port: port, node: node).verdict == verdict)
        }
    }

    @Test("the gateway's echo is answered")
    func gateway() {
        #expect(walk(packet(to: Self.gateway)).verdict == .answered)
    }
}

@Suite("A traced packet")
struct ProbePacketTests {
    private static let four = (IPAddress(literal: "10.1.0.5"), IPAddress(literal: "10.1.0.9"))
    private static let six = (IPAddress(literal: "fd00::5"), IPAddress(literal: "fd00::9"))

    private func frame(_ packet: ProbePacket) -> [UInt8] {
        packet.frame(from: MACAddress(bits: 1), to: MACAddress(bits: 2))
    }

    /// Sums up 16-bit words, as RFC 1071 has it, in another way than the code under test.
    private func sum(_ bytes: some Collection<UInt8>) -> Int {
        var total = 0
        for (index, byte) in bytes.enumerated() {
            total = (total + Int(byte) << (index.isMultiple(of: 2) ? 8 : 0)) % 0xffff
        }
        return total
    }

    @Test(
        "an IPv4 frame has its size and right checksums, odd sizes too",
        arguments: [ProbePacket.Transport.icmp, .udp(port: 53), .tcp(port: 443)],
        [84, 85, 1450]
    )
    func checksums(transport: ProbePacket.Transport, size: Int) {
        let packet = ProbePacket(
            source: Self.four.0,
            target: Self.four.1,
            transport: transport,
            size: size,
            mark: 0xbeef
        )
        let bytes = frame(packet)
        #expect(bytes.count == 14 + size)
        #expect(sum(bytes[14..<34]) == 0)
        let number = Int(bytes[23])
        let pseudo = transport == .icmp ? 0 : sum(bytes[26..<34]) + number + size - 20
        #expect((pseudo + sum(bytes[34...])) % 0xffff == 0)
        #expect(packet.isSeen(in: bytes))
    }

    @Test("an IPv6 frame carries its mark as flow label, and its checksum covers the addresses")
    func v6() {
        let packet = ProbePacket(
            source: Self.six.0,
            target: Self.six.1,
            transport: .icmp,
            size: 100,
            mark: 0xbeef
        )
        let bytes = frame(packet)
        #expect(bytes.count == 114)
        #expect(Array(bytes[14..<18]) == [0x60, 0, 0xbe, 0xef])
        #expect((sum(bytes[22..<54]) + 58 + 60 + sum(bytes[54...])) % 0xffff == 0)
        #expect(packet.isSeen(in: bytes))
    }

    @Test("the answer is known by its mark and ports, and nothing else is taken for it")
    func answers() {
        func packet(_ transport: ProbePacket.Transport, mark: UInt16 = 7) -> ProbePacket {
            ProbePacket(
                source: Self.four.0,
                target: Self.four.1,
                transport: transport,
                size: 84,
                mark: mark
            )
        }
        func reply(to packet: ProbePacket) -> [UInt8] {
            var bytes = frame(packet)
            bytes.replaceSubrange(26..<34, with: bytes[30..<34] + bytes[26..<30])
            if packet.transport == .icmp {
                bytes[34] = 0
            } else {
                bytes.replaceSubrange(34..<38, with: bytes[36..<38] + bytes[34..<36])
            }
            return bytes
        }
        for transport in [ProbePacket.Transport.icmp, .udp(port: 53), .tcp(port: 80)] {
            let sent = packet(transport)
            #expect(sent.isAnswered(by: reply(to: sent)))
            #expect(!sent.isAnswered(by: frame(sent)))
            #expect(!sent.isAnswered(by: reply(to: packet(transport, mark: 8))))
            #expect(!sent.isAnswered(by: Array(reply(to: sent).prefix(36))))
        }
        #expect(!packet(.udp(port: 53)).isAnswered(by: reply(to: packet(.tcp(port: 53)))))
    }
}

extension IPAddress {
    init(literal text: String) {
        guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
        self = address
    }
}

extension VNI {
    init(literal number: UInt32) {
        guard let vni = VNI(number) else { preconditionFailure("\(number) is no VNI") }
        self = vni
    }
}
