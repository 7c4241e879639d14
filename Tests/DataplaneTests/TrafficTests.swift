import Addressing
import BPFObjects
import CGenieABI
import CLibBPF
import CNetworkNamespace
import Foundation
import Testing

@Suite(
    "real traffic between pods in namespaces",
    .enabled(if: getuid() == 0, "needs root"),
    .serialized
)
struct TrafficTests {
    @Test("pods of one node reach each other, the gateway, and no other VPC")
    func sameNode() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly)
        #expect(try lab.a.ping(lab.b.address).0 == 0)
        #expect(try lab.a.ping(TwoNodes.gateway, "-c 3 -i 0.05 -s 1001").0 == 0)
        #expect(try lab.a.ping(lab.b.address6).0 == 0)
        #expect(try lab.a.ping(TwoNodes.gateway6, "-c 3 -i 0.05 -s 1001").0 == 0)
        try transfer(from: lab.a, to: lab.b)
        try transfer(from: lab.a, to: lab.b, over: \.address6)
        // The twin has b's addresses in another VPC: it got nothing, and it reaches nobody.
        #expect(try counter("Ip:", "InReceives", of: lab.twin) == 0)
        #expect(try lab.twin.ping(lab.a.address, "-c 1").0 != 0)
        #expect(try lab.twin.ping(lab.a.address6, "-c 1").0 != 0)
        // All that it ever got is the gateway's word that there is nobody.
        #expect(try counter("Icmp:", "InDestUnreachs", of: lab.twin) == 1)
        #expect(try counter("Ip:", "InReceives", of: lab.twin) == 1)
        let drops = try lab.first.drops()
        #expect(drops["43/no_endpoint", default: 0] > 0)
        #expect(try lab.first.count("pod_to_local_pod") > 10)
        #expect(try lab.first.count("pod_to_remote_pod") == 0)
        try expectNoBadChecksums([lab.a, lab.b])
    }

    @Test(
        "pods of two nodes reach each other at full MTU",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func acrossNodes(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        let (status, output) = try lab.a.ping(lab.c.address, "-c 3 -i 0.05 -M do -s 1422")
        let dropped = try lab.second.drops()
        #expect(status == 0, "\(output), drops \(dropped)")
        #expect(output.contains("ttl=63"))
        try transfer(from: lab.a, to: lab.c)
        try transfer(from: lab.c, to: lab.a)
        let (status6, output6) = try lab.a.ping(lab.c.address6, "-c 3 -i 0.05 -M do -s 1402")
        #expect(status6 == 0, "\(output6)")
        #expect(output6.contains("ttl=63"))
        try transfer(from: lab.a, to: lab.c, over: \.address6)
        try transfer(from: lab.c, to: lab.a, over: \.address6)
        let stripped = try lab.second.count("xdp_stripped")
        let delivered = try lab.second.count("xdp_delivered")
        if mode == .nativeXDP {
            #expect(try lab.second.count("tc_delivered") == 0)
            // GRO merged inner segments between the two programs.
            #expect(stripped > delivered && delivered > 0, "\(stripped) and \(delivered)")
        } else {
            #expect(stripped == 0)
            #expect(try lab.second.count("tc_delivered") > 10)
        }
        try expectNoBadChecksums([lab.a, lab.c])
        // What a Linux pod says to its link of its own accord.
        let chatter = ["42/multicast_report", "42/router_solicitation", "42/nd_own_address"]
        let drops = try lab.second.drops().filter { !chatter.contains($0.key) }
        #expect(drops.isEmpty, "\(drops)")
    }

    @Test(
        "a fragmented datagram arrives whole",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func fragments(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        #expect(try lab.a.ping(lab.c.address, "-c 3 -i 0.05 -s 4000").0 == 0)
        #expect(try lab.a.ping(lab.c.address6, "-c 3 -i 0.05 -s 4000").0 == 0)
    }

    @Test(
        "E14: fragments that come in the wrong order make a whole packet",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func reversedFragments(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        let body = (0..<128).map { UInt8($0) }
        for target in [lab.b, lab.c] {
            let echo = icmpEcho(type: 8, rest: [0, 1, 0, 1] + body)
            let whole = IPv6(source: lab.a.address6, target: target.address6, next: 58)
                .carrying(type: 128, rest: [0, 1, 0, 1] + body)
            let echo6 = Array(whole.dropFirst(40))
            try lab.a.namespace.inside {
                for (offset, isLast) in [(64, true), (0, false)] {
                    let pieces = [echo, echo6].map { $0[offset...].prefix(isLast ? 200 : 64) }
                    let more: UInt16 = isLast ? 0 : 1
                    var ip = IPv4(source: lab.a.address, target: target.address, transport: 1)
                    ip.fragment = more << 13 | UInt16(offset / 8)
                    let front = [58, 0] + big(UInt16(offset) | more) + big(UInt32(7))
                    let ip6 = IPv6(source: lab.a.address6, target: target.address6, next: 44)
                    let frames = [
                        Ethernet(target: TwoNodes.gatewayMAC, source: lab.a.mac)
                            .carrying(ip.carrying(Array(pieces[0]))),
                        Ethernet(target: TwoNodes.gatewayMAC, source: lab.a.mac, type: 0x86dd)
                            .carrying(ip6.carrying(front + pieces[1])),
                    ]
                    for frame in frames {
                        #expect(network_frame_send("eth0", frame, frame.count) == 0)
                    }
                }
            }
        }
        #expect(try eventually { try counter("Icmp:", "InEchoReps", of: lab.a) == 2 })
        let isWhole = try eventually {
            try lab.a.namespace.run("grep Icmp6InEchoReplies /proc/net/snmp6").hasSuffix("\t2\n")
        }
        #expect(isWhole)
    }

    @Test(
        "the tunnel echo is answered by the kernel",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func tunnelEcho(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        let nonce: [UInt8] = [9, 8, 7, 6, 5, 4, 3, 2]
        let header = Geneve(vni: 0, flags: 0x80, payloadType: UInt16(GENIE_ECHO_PROTOCOL))
        let reply = try lab.second.namespace.inside {
            try exchange(header.carrying(big(UInt32(1)) + nonce), with: lab.first.vtep)
        }
        #expect(reply == header.carrying(big(UInt32(2)) + nonce))
        #expect(try lab.first.count("tunnel_echo_reply") == 1)
    }

    @Test("E7, E9, E12, E13: a pod is told what it sends too far, too long or to nobody")
    func errors() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly)
        for target in [lab.c.address, lab.c.address6] {
            let (status, output) = try lab.a.ping(target, "-c 1 -t 1")
            #expect(
                status == 1 && output.contains("Time") && output.contains("xceeded"),
                "\(output)"
            )
        }
        for target in ["10.1.0.66", "fd00:1::66"] {
            let (status, output) = try lab.a.ping(IPAddress(literal: target), "-c 1")
            #expect(status == 1 && output.lowercased().contains("unreachable"), "\(output)")
        }
        // A pod that raises its MTU learns the tunnel's, and its connections work at once.
        try lab.a.namespace.run("ip link set eth0 mtu 9000")
        try lab.first.namespace.run("ip link set pod-a mtu 9000")
        for target in [lab.c.address, lab.c.address6] {
            let (status, output) = try lab.a.ping(target, "-c 2 -i 0.05 -M do -s 3000")
            #expect(status == 1 && output.contains("mtu") && output.contains("1450"), "\(output)")
            let (later, said) = try lab.a.ping(target, "-c 3 -i 0.05 -s 3000")
            #expect(later == 0, "\(said)")
        }
        try lab.a.namespace.run("ip route flush cache")
        try lab.a.namespace.run("ip -6 route flush cache")
        let before = try lab.first.drops()["42/too_big"]
        try transfer(from: lab.c, to: lab.a)
        try transfer(from: lab.c, to: lab.a, over: \.address6)
        #expect(try lab.first.drops()["42/too_big"] == before)
        try expectNoBadChecksums([lab.a, lab.c])
    }

    @Test(
        "E1: over an IPv6 underlay, both families reach each other at full MTU",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func overIPv6(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode, isOverIPv6: true)
        for pod in [lab.a, lab.b, lab.c] {
            try pod.namespace.run("ip link set eth0 mtu 1430")
        }
        for (target, size) in [(lab.c.address, 1402), (lab.c.address6, 1382)] {
            let (status, output) = try lab.a.ping(target, "-c 3 -i 0.05 -M do -s \(size)")
            let dropped = try lab.second.drops()
            #expect(status == 0, "\(output), drops \(dropped)")
            #expect(try lab.a.ping(target, "-c 3 -i 0.05 -s 4000").0 == 0)
        }
        for address in [\TwoNodes.Pod.address, \.address6] {
            try transfer(from: lab.a, to: lab.c, over: address)
            try transfer(from: lab.c, to: lab.a, over: address)
        }
        #expect(try lab.second.count(mode == .nativeXDP ? "xdp_delivered" : "tc_delivered") > 10)
        try expectNoBadChecksums([lab.a, lab.c])
    }

    @Test("E8: a path narrower than the uplink is learnt, and connections go on")
    func narrowPath() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly, pathMTU: 1400)
        for target in [lab.c.address, lab.c.address6] {
            // The first big packet is lost on the way, the next ones are told of by the gateway.
            let (status, output) = try lab.a.ping(target, "-c 4 -i 0.1 -M do -s 1390")
            #expect(status == 1 && output.contains("1350"), "\(output)")
        }
        #expect(try lab.first.count("path_mtu_news") >= 1)
        try transfer(from: lab.a, to: lab.c)
        try transfer(from: lab.a, to: lab.c, over: \.address6)
        try transfer(from: lab.c, to: lab.a)
        try expectNoBadChecksums([lab.a, lab.c])
    }

    @Test("replacing every program under traffic loses no packet")
    func replacement() throws {
        let lab = try TwoNodes(mode: .nativeXDP)
        #expect(try lab.a.ping(lab.c.address).0 == 0)
        let ping = try lab.a.namespace.start("ping -n -q -c 1000 -i 0.001 -W 2 \(lab.c.address)")
        for node in [lab.first, lab.second] {
            try node.namespace.inside {
                for _ in 0..<3 {
                    let next = try Dataplane(pinDirectory: node.dataplane.pinDirectory)
                    for pod in [lab.a, lab.b, lab.twin, lab.c] where pod.node === node {
                        try next.attachPod(ifindex: pod.ifindex, key: pod.name)
                    }
                    let uplink = try #require(try next.node()).uplinkIfindex
                    let attached = try next.attachUplink(ifindex: uplink, mode: .nativeXDP)
                    #expect(attached.mode == .nativeXDP)
                }
            }
        }
        let output = ping.finish()
        #expect(output.contains("1000 received, 0% packet loss"), "\(output)")
    }

    @Test(
        "whoever listens at the uplink with a packet socket keeps no packet from the pods",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func listener(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        #expect(try lab.a.ping(lab.c.address).0 == 0)
        let everything = Int32(UInt16(0x0003).bigEndian)
        let socket = try lab.second.namespace.inside {
            Glibc.socket(AF_PACKET, Int32(SOCK_RAW.rawValue), everything)
        }
        try #require(socket >= 0)
        defer { close(socket) }
        let (status, said) = try lab.a.ping(lab.c.address, "-c 20 -i 0.01")
        #expect(status == 0 && said.contains(" 0% packet loss"), "\(said)")
    }

    @Test(
        "what tc took out of a tunnel counts as the segments that it was",
        .timeLimit(.minutes(1))
    )
    func countedSegments() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly)
        try transfer(from: lab.a, to: lab.c)
        let sent = try #require(
            try lab.first.dataplane.traffic().first { $0.pod == .port(ifindex: lab.a.ifindex) }
        )
        let received = try #require(
            try lab.second.dataplane.traffic().first { $0.pod == .port(ifindex: lab.c.ifindex) }
        )
        // Of a last segment that is short nobody can tell afterwards.
        let ratio = Double(received.receivedPackets) / Double(sent.sentPackets)
        #expect(
            abs(ratio - 1) < 0.02,
            "\(sent.sentPackets) sent, \(received.receivedPackets) received"
        )
    }

    @Test("short and tagged frames, which no test run can make, are dropped for their reason")
    func oddFrames() throws {
        let lab = try TwoNodes(mode: .trafficControlOnly)
        let frame = Ethernet(target: TwoNodes.gatewayMAC, source: lab.a.mac)
            .carrying([0x45] + .init(repeating: 0, count: 18))
        let tagged = Ethernet(target: TwoNodes.gatewayMAC, source: lab.a.mac, type: 0x8100)
            .carrying([0, 7, 8, 0] + .init(repeating: 0, count: 42))
        try lab.a.namespace.inside {
            for length in 15...33 {
                #expect(network_frame_send("eth0", frame, length) == 0)
            }
            #expect(network_frame_send("eth0", tagged, tagged.count) == 0)
        }
        #expect(try eventually { try lab.first.drops()["42/vlan"] == 1 })
        #expect(try lab.first.drops()["42/truncated"] == 19)
    }

    @Test(
        "E20: no flow is put out of order over uplinks and pods with two queues each",
        arguments: [UplinkMode.nativeXDP, .trafficControlOnly]
    )
    func severalQueues(mode: UplinkMode) throws {
        let lab = try TwoNodes(mode: mode)
        let ends =
            [(lab.first.namespace, "uplink"), (lab.second.namespace, "uplink")]
            + [lab.a, lab.c].map { ($0.namespace, "eth0") }
        // With XDP at one end the other may not send over more queues than it receives from.
        for channels in ["rx 2", "tx 2"] {
            for (namespace, device) in ends {
                // It says 80 where nothing was to be changed.
                try namespace.run("ethtool -L \(device) \(channels) || test $? = 80")
            }
        }
        let listening = try lab.c.namespace.start("iperf3 -s -1")
        defer { listening.stop() }
        var report = Report()
        let isDone = try eventually {
            // A flow whose sender moves to another CPU overtakes itself in any kernel.
            let (status, output) = try lab.a.namespace.tryRun(
                "iperf3 -c \(lab.c.address) -u -b 50M -l 1000 -P 16 -t 2 -A 0 -J"
            )
            guard status == 0 else { return false }
            report = try JSONDecoder().decode(Report.self, from: Data(output.utf8))
            return true
        }
        #expect(isDone)
        #expect(report.end.streams.count == 16)
        for stream in report.end.streams {
            #expect(stream.udp.packets > 1_000 && stream.udp.outOfOrder == 0)
        }
        if mode == .nativeXDP {
            let queues = try lab.second.namespace.run("ethtool -S uplink").split(separator: "\n")
                .filter { $0.contains("xdp_packets") }
                .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
            #expect(queues.count == 2 && queues.allSatisfy { $0 > 100 }, "\(queues)")
        }
    }

    /// What iperf3 says of datagrams, under its names.
    private struct Report: Decodable {
        struct End: Decodable { var streams: [Stream] = [] }
        struct Stream: Decodable { let udp: Datagrams }
        struct Datagrams: Decodable {
            let packets: Int
            let outOfOrder: Int
            enum CodingKeys: String, CodingKey {
                case packets
                case outOfOrder = "out_of_order"
            }
        }
        var end = End()
    }

    // MARK: - Tools

    /// Sends 20 MB over TCP; the server may need a moment until it listens.
    private func transfer(
        from client: TwoNodes.Pod,
        to server: TwoNodes.Pod,
        over address: KeyPath<TwoNodes.Pod, IPAddress> = \.address
    ) throws {
        let listening = try server.namespace.start("iperf3 -s -1")
        defer { listening.stop() }
        var said = ""
        let isDone = try eventually {
            let (status, output) = try client.namespace.tryRun(
                "iperf3 -c \(server[keyPath: address]) -n 20M --connect-timeout 1000"
            )
            said = output
            return status == 0
        }
        #expect(isDone, "\(said)")
    }

    private func eventually(_ condition: () throws -> Bool) throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        repeat {
            if try condition() { return true }
        } while ContinuousClock.now < deadline
        return false
    }

    private func expectNoBadChecksums(_ pods: [TwoNodes.Pod]) throws {
        for pod in pods {
            for kind in ["Tcp:", "Udp:", "Icmp:"] {
                #expect(try counter(kind, "InCsumErrors", of: pod) == 0, "\(pod.name) \(kind)")
            }
            let bad6 = try pod.namespace.run("grep Csum /proc/net/snmp6").split(separator: "\n")
            #expect(bad6.allSatisfy { $0.hasSuffix("\t0") }, "\(pod.name): \(bad6)")
        }
    }

    /// One number out of the pod's `/proc/net/snmp`.
    private func counter(_ kind: String, _ name: Substring, of pod: TwoNodes.Pod) throws -> Int {
        let rows = try pod.namespace.run("cat /proc/net/snmp").split(separator: "\n")
            .filter { $0.hasPrefix(kind) }
            .map { $0.split(separator: " ") }
        try #require(rows.count == 2)
        let column = try #require(rows[0].firstIndex(of: name))
        return try #require(Int(rows[1][column]))
    }

    /// Sends a datagram to port 6081 and returns the answer.
    private func exchange(_ datagram: [UInt8], with node: IPAddress) throws -> [UInt8] {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var wait = timeval(tv_sec: 2, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        try #require(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, size) == 0)
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = UInt16(GENIE_GENEVE_PORT).bigEndian
        target.sin_addr.s_addr = try #require(node.v4).bigEndian
        let connected = withUnsafePointer(to: target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0)
        try #require(send(descriptor, datagram, datagram.count, 0) == datagram.count)
        var answer = [UInt8](repeating: 0, count: 256)
        let received = recv(descriptor, &answer, answer.count, 0)
        try #require(received > 0, "no answer: errno \(errno)")
        return Array(answer.prefix(received))
    }
}
