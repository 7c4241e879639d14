import Addressing
import BPFObjects
import CLibBPF
import Testing

/// One node's dataplane with a handful of rows, and test runs against it.
///
/// VPC 42 has the pod under test (10.1.0.5), a neighbour on this node (10.1.0.6) and one on
/// another node (10.1.0.9). VPC 43 has an endpoint of its own under 10.1.0.7 only. Each has the
/// IPv6 address that ends in the same digit, below fd00:1::.
final class DataplaneFixture {
    let mount: BPFMount
    let dataplane: Dataplane

    static let vni = VNI(literal: 42)
    static let otherVNI = VNI(literal: 43)
    static let pod = IPAddress(literal: "10.1.0.5")
    static let podMAC = MACAddress(bits: 0x0200_0000_0105)
    static let pod6 = IPAddress(literal: "fd00:1::5")
    /// The link-local address that the pod's kernel makes of its MAC.
    static let podLinkLocal = IPAddress(literal: "fe80::ff:fe00:105")
    static let gateway = IPAddress(literal: "10.1.0.1")
    static let gateway6 = IPAddress(literal: "fd00:1::1")
    static let gatewayMAC = MACAddress(bits: 0x0e00_0000_0001)
    static let local = IPAddress(literal: "10.1.0.6")
    static let local6 = IPAddress(literal: "fd00:1::6")
    static let localMAC = MACAddress(bits: 0x0200_0000_0106)
    static let remote = IPAddress(literal: "10.1.0.9")
    static let remote6 = IPAddress(literal: "fd00:1::9")
    static let remoteMAC = MACAddress(bits: 0x0200_0000_0109)
    static let elsewhere = IPAddress(literal: "10.1.0.7")
    static let elsewhere6 = IPAddress(literal: "fd00:1::7")
    static let overIPv6v6 = IPAddress(literal: "fd00:1::8")
    static let overIPv6 = IPAddress(literal: "10.1.0.8")
    static let vtep = IPAddress(literal: "192.0.2.1")
    static let otherVTEP = IPAddress(literal: "192.0.2.2")
    static let uplinkMAC = MACAddress(bits: 0x0200_0000_aa01)
    static let otherUplinkMAC = MACAddress(bits: 0x0200_0000_aa02)
    /// Test runs see the loopback interface.
    static let podIfindex: UInt32 = 1
    static let localIfindex: UInt32 = 77
    static let podMTU = 1450

    static let vtep6 = IPAddress(literal: "fd00::1")
    static let otherVTEP6 = IPAddress(literal: "fd00::2")

    /// A node of an IPv6 underlay where that is asked for: the pods on `otherVTEP6` can be reached
    /// from it, and those on `otherVTEP` from any other.
    init(isConfigured: Bool = true, vtep: IPAddress = DataplaneFixture.vtep) throws {
        mount = try BPFMount()
        dataplane = try Dataplane(pinDirectory: mount.path + "/genie")
        if isConfigured {
            try dataplane.setNode(
                NodeConfiguration(vtep: vtep, uplinkIfindex: 5, uplinkMTU: 1500)
            )
        }
        try putRows()
    }

    private func putRows() throws {
        try dataplane.putPort(
            PortRow(
                ifindex: Self.podIfindex,
                vni: Self.vni,
                addresses: [
                    PodAddress(address: Self.pod, gateway: Self.gateway),
                    PodAddress(address: Self.pod6, gateway: Self.gateway6),
                ],
                mac: Self.podMAC,
                gatewayMAC: Self.gatewayMAC,
                generation: 1
            )
        )
        let rows: [(VNI, IPAddress, MACAddress, EndpointRow.Place)] = [
            (Self.vni, Self.pod, Self.podMAC, .local(ifindex: Self.podIfindex)),
            (Self.vni, Self.pod6, Self.podMAC, .local(ifindex: Self.podIfindex)),
            (Self.vni, Self.local, Self.localMAC, .local(ifindex: Self.localIfindex)),
            (Self.vni, Self.local6, Self.localMAC, .local(ifindex: Self.localIfindex)),
            (Self.vni, Self.remote, Self.remoteMAC, .remote(vtep: Self.otherVTEP)),
            (Self.vni, Self.remote6, Self.remoteMAC, .remote(vtep: Self.otherVTEP)),
            (Self.vni, Self.overIPv6, Self.remoteMAC, .remote(vtep: Self.otherVTEP6)),
            (Self.vni, Self.overIPv6v6, Self.remoteMAC, .remote(vtep: Self.otherVTEP6)),
            (Self.otherVNI, Self.elsewhere, Self.localMAC, .local(ifindex: 78)),
            (Self.otherVNI, Self.elsewhere6, Self.localMAC, .local(ifindex: 78)),
        ]
        for (vni, address, mac, place) in rows {
            try dataplane.putEndpoint(
                EndpointRow(vni: vni, address: address, mac: mac, place: place, fence: 9)
            )
        }
        try dataplane.putVTEP(Self.otherVTEP)
        try dataplane.putVTEP(Self.otherVTEP6)
        for vni in [Self.vni, Self.otherVNI] {
            try dataplane.putVNI(VNIRow(vni: vni, gatewayMAC: Self.gatewayMAC))
        }
    }

    /// What became of a packet.
    struct Outcome: Equatable {
        var verdict: Int32
        var packet: [UInt8]
        /// What XDP put in front of the packet.
        var metadata: [UInt8] = []
    }

    /// Runs `packet` through a loaded program.
    ///
    /// For tc, `gsoSize` pretends that the packet is a super-packet of such segments, and `mark`
    /// that somebody has marked it.
    func run(
        _ program: Dataplane.Program,
        _ packet: [UInt8],
        gsoSize: UInt32 = 0,
        mark: UInt32 = 0
    ) throws -> Outcome {
        program == .uplinkXDP
            ? try runXDP(packet) : try runTrafficControl(program, packet, gsoSize, mark)
    }

    private func runXDP(_ packet: [UInt8]) throws -> Outcome {
        var context = xdp_md()
        context.data_end = UInt32(packet.count)
        let input = context
        let (verdict, output) = try withUnsafePointer(to: input) { input in
            try withUnsafeMutablePointer(to: &context) { context in
                try testRun(.uplinkXDP, packet) { options in
                    options.ctx_in = UnsafeRawPointer(input)
                    options.ctx_size_in = UInt32(MemoryLayout<xdp_md>.size)
                    options.ctx_out = UnsafeMutableRawPointer(context)
                    options.ctx_size_out = UInt32(MemoryLayout<xdp_md>.size)
                }
            }
        }
        let metadataSize = Int(context.data)
        return Outcome(
            verdict: verdict,
            packet: Array(output.dropFirst(metadataSize)),
            metadata: Array(output.prefix(metadataSize))
        )
    }

    private func runTrafficControl(
        _ program: Dataplane.Program,
        _ packet: [UInt8],
        _ gsoSize: UInt32,
        _ mark: UInt32
    ) throws -> Outcome {
        var context = __sk_buff()
        context.mark = mark
        context.gso_size = gsoSize
        context.gso_segs = gsoSize == 0 ? 0 : 2
        let (verdict, output) = try withUnsafePointer(to: context) { context in
            try testRun(program, packet) { options in
                options.ctx_in = UnsafeRawPointer(context)
                options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
            }
        }
        return Outcome(verdict: verdict, packet: output)
    }

    /// The kernel would not run the program on such a packet.
    struct TestRunError: Error {
        let errno: Int32
    }

    private func testRun(
        _ program: Dataplane.Program,
        _ packet: [UInt8],
        _ configure: (inout bpf_test_run_opts) -> Void
    ) throws -> (Int32, [UInt8]) {
        var output = [UInt8](repeating: 0, count: packet.count + 256)
        let (result, verdict, size) = packet.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { output in
                var options = bpf_test_run_opts()
                options.sz = MemoryLayout<bpf_test_run_opts>.size
                options.data_in = input.baseAddress
                options.data_size_in = UInt32(input.count)
                options.data_out = output.baseAddress
                options.data_size_out = UInt32(output.count)
                options.`repeat` = 1
                configure(&options)
                let result = bpf_prog_test_run_opts(dataplane.descriptor(of: program), &options)
                return (result, options.retval, options.data_size_out)
            }
        }
        guard result == 0 else { throw TestRunError(errno: -result) }
        return (Int32(bitPattern: verdict), Array(output.prefix(Int(size))))
    }

    /// The totals that are not zero, as `name=count`.
    func counts() throws -> [String] {
        try dataplane.counts().filter { $0.count > 0 }.map { "\($0.name)=\($0.count)" }
    }

    /// The drops, as `vni/reason=count`; 0 is the VNI of what is unknown here.
    func drops() throws -> [String] {
        try dataplane.drops().map { "\($0.vni?.number ?? 0)/\($0.reason)=\($0.count)" }
    }
}

/// Return codes of tc programs (linux/pkt_cls.h) and XDP programs (linux/bpf.h).
enum Verdict {
    static let unspecified: Int32 = -1
    static let shot: Int32 = 2
    static let redirect: Int32 = 7
    static let xdpDrop: Int32 = 1
    static let xdpPass: Int32 = 2
}

extension DataplaneFixture {
    typealias F = DataplaneFixture

    /// A UDP packet as the pod sends it.
    static func podUDP(
        to target: IPAddress,
        ttl: UInt8 = 64,
        tos: UInt8 = 0,
        payload: [UInt8] = Array("golden".utf8)
    ) -> [UInt8] {
        let ip = IPv4(source: pod, target: target, transport: 17, ttl: ttl, tos: tos)
        return Ethernet(target: gatewayMAC, source: podMAC)
            .carrying(ip.carrying(UDP(source: 5000, target: 53).carrying(payload)))
    }

    /// The same in IPv6.
    static func podUDP6(
        to target: IPAddress,
        hopLimit: UInt8 = 64,
        trafficClass: UInt8 = 0,
        payload: [UInt8] = Array("golden".utf8)
    ) -> [UInt8] {
        let ip = IPv6(
            source: pod6,
            target: target,
            next: 17,
            hopLimit: hopLimit,
            trafficClass: trafficClass
        )
        return Ethernet(target: gatewayMAC, source: podMAC, type: 0x86dd)
            .carrying(ip.carrying(UDP(source: 5000, target: 53).carrying(payload)))
    }

    /// What the other node sends for the pod at `local`, in pieces that a case may change.
    struct TunnelPacket {
        var ethernet = Ethernet(target: F.uplinkMAC, source: F.otherUplinkMAC)
        var outer = IPv4(
            source: F.otherVTEP,
            target: F.vtep,
            transport: 17,
            id: 0,
            fragment: 0x4000
        )
        var udp = UDP(source: 50_000, target: 6081)
        var geneve = Geneve(vni: 42)
        var innerEthernet = Ethernet(target: F.localMAC, source: MACAddress(bits: 0x0e00_0000_0099))
        var inner = IPv4(source: F.remote, target: F.local, transport: 17, ttl: 63)
        /// When set, it takes the place of ``inner``, and the EtherType follows.
        var inner6: IPv6? {
            didSet { innerEthernet.type = inner6 == nil ? 0x0800 : 0x86dd }
        }
        var payload = UDP(source: 53, target: 5000).carrying(Array("golden".utf8))

        private var packet: [UInt8] {
            inner6.map { $0.carrying(payload) } ?? inner.carrying(payload)
        }

        var bytes: [UInt8] {
            let frame = innerEthernet.carrying(packet)
            return ethernet.carrying(outer.carrying(udp.carrying(geneve.carrying(frame))))
        }

        /// The frame that the pod gets.
        var delivered: [UInt8] {
            Ethernet(
                target: innerEthernet.target,
                source: F.gatewayMAC,
                type: innerEthernet.type
            )
            .carrying(packet)
        }
    }
}
