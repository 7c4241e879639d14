import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Packets that are explained, traced and captured",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct TraceLabTests {
    private func makeNetwork(_ lab: Lab, subnets: [String] = ["10.20.0.0/24"]) throws {
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        let options = subnets.flatMap { ["--subnet", $0] }
        let group = try lab.run(
            on: 1,
            ["genie-ring", "groups", "create", "red/web"] + options
        )
        #expect(group.status == 0, "\(group.errors)")
    }

    private static let both = ["10.20.0.0/24", "fd00:20::/64"]

    private func trace(_ lab: Lab, _ arguments: String...) throws -> TraceAnswer {
        let output = try lab.run(on: 1, ["genie-ring", "trace"] + arguments + ["-o", "json"])
        return try JSONDecoder().decode(TraceAnswer.self, from: Data(output.text.utf8))
    }

    @Test("a packet is explained by the tables, and one that is sent goes the way that they said")
    func explainAndSend() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetwork(lab)
            let sender = try lab.attach(1, "a", "red")
            let near = try lab.attach(1, "b", "red")
            let far = try lab.attach(2, "c", "red")

            let local = try trace(lab, "a", "b", "--live")
            #expect(local.verdict == "delivered" && local.isArrived == true)
            #expect(local.seen?.map(\.verdict) == ["to_local_pod"])
            #expect(local.answeredMicroseconds != nil)

            let remote = try trace(lab, sender.address, "c", "--live")
            #expect(remote.verdict == "sent" && remote.seen?.map(\.verdict) == ["to_other_node"])
            #expect(remote.answeredMicroseconds != nil)
            #expect(remote.steps.contains { $0.found.hasPrefix("node2 (alive") })
            let seen = try lab.ring(2, "trace", "--seen", as: SightingList.self).seen
            let there = seen.filter { $0.mark == remote.mark }
            #expect(there.map(\.program) == ["uplink_xdp"])
            #expect(there.map(\.verdict) == ["to_local_pod"])

            // Nobody listens there: the pod's own stack answers with a reset.
            let refused = try trace(lab, "a", far.address, "tcp", "81", "--live")
            #expect(refused.answeredMicroseconds != nil)
            let datagram = try trace(lab, "a", near.address, "udp", "9", "--live")
            #expect(datagram.isArrived == true)
        }
    }

    @Test("over an IPv6 underlay, packets of both families are explained, sent and seen")
    func overIPv6() async throws {
        let environment = ["GENIE_LAB_XDP_NODES": "node2", "GENIE_LAB_UNDERLAY": "6"]
        try await Lab.with(nodes: 3, id: Lab.testID, environment: environment) { lab in
            try makeNetwork(lab, subnets: Self.both)
            let sender = try lab.attach(1, "a", "red")
            let near = try lab.attach(1, "b", "red")
            // One node strips in XDP, the other in tc.
            for (node, program) in [(2, "uplink_xdp"), (3, "uplink_ingress")] {
                let far = try lab.attach(node, "far\(node)", "red")
                for (index, address) in far.addresses.enumerated() {
                    let answer = try trace(lab, "a", address, "--live")
                    #expect(answer.packet.contains("from \(sender.addresses[index]) to \(address)"))
                    #expect(answer.verdict == "sent", "\(answer)")
                    #expect(answer.seen?.map(\.verdict) == ["to_other_node"])
                    #expect(answer.answeredMicroseconds != nil, "\(answer)")
                    let vtep = "fd30:\(lab.id)::\(node)"
                    #expect(answer.steps.contains { $0.found.contains("VTEP \(vtep)") })
                    #expect(answer.steps.contains { $0.found.hasPrefix("node\(node) (alive") })
                    let there = try lab.ring(node, "trace", "--seen", as: SightingList.self).seen
                        .filter { $0.mark == answer.mark }
                    #expect(there.map(\.program) == [program], "\(address)")
                    #expect(there.map(\.verdict) == ["to_local_pod"])
                }
            }
            // A sender that is named by an address keeps to its family, whatever the target has.
            let six = try trace(lab, sender.addresses[1], "b", "--live")
            #expect(six.packet.contains("to \(near.addresses[1])") && six.isArrived == true)
            // 70 bytes around a packet: 1,430 of 1,500 are the pod's.
            #expect(try trace(lab, "a", "far2", "--bytes", "1430").verdict == "sent")
            #expect(try trace(lab, "a", "far2", "--bytes", "1431").reason == "too_big")
        }
    }

    @Test("what would be dropped says why, and what cannot be meant is refused")
    func refusals() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            try makeNetwork(lab)
            _ = try lab.attach(1, "a", "red")
            let nowhere = try trace(lab, "a", "10.20.0.77", "--live")
            #expect(nowhere.verdict == "dropped" && nowhere.reason == "no_endpoint")
            #expect(nowhere.seen?.map(\.reason) == ["no_endpoint"])
            let gateway = try trace(lab, "a", "10.20.0.1", "tcp", "80")
            #expect(gateway.reason == "gateway_not_echo" && gateway.seen == nil)
            let answered = try trace(lab, "a", "10.20.0.1", "--live")
            #expect(answered.verdict == "answered" && answered.answeredMicroseconds != nil)
            #expect(try lab.ring(1, "trace", "a", "10.20.0.77").status == 1)
            let unknown = try lab.ring(1, "trace", "nobody", "a")
            #expect(unknown.status == 1 && unknown.errors.contains("no pod is called 'nobody'"))
            let family = try lab.ring(1, "trace", "a", "fd00::1")
            #expect(family.status == 1 && family.errors.contains("of two families"))
            #expect(try lab.ring(1, "trace", "a", "a", "sctp").status == 2)
            #expect(try lab.ring(1, "trace", "a", "a", "udp").status == 2)
        }
    }

    @Test("a capture has a pod's packets before and after encapsulation, and leaves nothing behind")
    func capture() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            try makeNetwork(lab, subnets: Self.both)
            let pod = try lab.attach(1, "a", "red")
            let other = try lab.attach(1, "b", "red")
            let far = try lab.attach(2, "c", "red")
            #expect(try lab.lostPings(pod, to: far.address) == 0)
            let path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
                .path
            defer { try? FileManager.default.removeItem(atPath: path) }
            let capture = try Background(
                lab,
                on: 1,
                ["genie-ring", "capture", "a", "--write", path, "--seconds", "5"]
            )
            let isOpen = try await lab.eventually(seconds: 10) {
                ((try? Data(contentsOf: URL(filePath: path)))?.count ?? 0) > 0
            }
            #expect(isOpen)
            // Another pod's packets on the same uplink are not taken.
            #expect(try lab.lostPings(other, to: far.address, count: 10) == 0)
            for address in far.addresses {
                #expect(try lab.lostPings(pod, to: address, count: 5) == 0)
            }
            let hasEnded = try await lab.eventually(seconds: 10) { capture.hasEnded }
            #expect(hasEnded)
            _ = try capture.end()
            let blocks = try #require(PcapBlocks(Array(Data(contentsOf: URL(filePath: path)))))
            #expect(blocks.interfaces == 2)
            // Echoes of both families; what differs on the way out, the age in hops, is left out.
            for (size, addressesAt) in [(98, 26), (118, 22)] {
                let inner = blocks.packets.filter { $0.interface == 0 && $0.bytes.count == size }
                let outer = blocks.packets.filter {
                    $0.interface == 1 && $0.bytes.count == size + 50
                }
                #expect(inner.count == 10 && outer.count == 10)
                for (inner, outer) in zip(inner, outer) {
                    #expect(inner.bytes[addressesAt...] == outer.bytes[(addressesAt + 50)...])
                }
            }
            #expect(blocks.packets.filter { $0.interface == 1 }.count == 20)
            let bad = try lab.ring(1, "capture", "nobody", "--write", "/dev/null")
            #expect(bad.status == 1 && bad.errors.contains("this node has no such pod"))
        }
    }
}

/// The blocks of a pcapng file, read as its specification says.
private struct PcapBlocks {
    struct Packet {
        let interface: Int
        let bytes: [UInt8]
    }

    private(set) var interfaces = 0
    private(set) var packets: [Packet] = []

    init?(_ bytes: [UInt8]) {
        func number(_ at: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        }
        var at = 0
        while at + 12 <= bytes.count {
            let length = number(at + 4)
            guard length >= 12, length % 4 == 0, at + length <= bytes.count,
                number(at + length - 4) == length
            else { return nil }
            switch number(at) {
            case 0x0a0d_0d0a: guard number(at + 8) == 0x1a2b_3c4d else { return nil }
            case 1: interfaces += 1
            case 6:
                let size = number(at + 20)
                guard size <= length - 32 else { return nil }
                packets.append(
                    Packet(interface: number(at + 8), bytes: Array(bytes[at + 28..<at + 28 + size]))
                )
            default: return nil
            }
            at += length
        }
        guard at == bytes.count else { return nil }
    }
}
