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
    private func makeNetwork(_ lab: Lab) throws {
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        let group = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/24")
        #expect(group.status == 0)
    }

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
            try makeNetwork(lab)
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
            #expect(try lab.lostPings(pod, to: far.address, count: 5) == 0)
            let hasEnded = try await lab.eventually(seconds: 10) { capture.hasEnded }
            #expect(hasEnded)
            _ = try capture.end()
            let blocks = try #require(PcapBlocks(Array(Data(contentsOf: URL(filePath: path)))))
            #expect(blocks.interfaces == 2)
            let inner = blocks.packets.filter { $0.interface == 0 && $0.bytes.count == 98 }
            let outer = blocks.packets.filter { $0.interface == 1 }
            #expect(inner.count == 10 && outer.count == 10)
            for (inner, outer) in zip(inner, outer) {
                // What the tunnel carries is what the pod sent or got, one hop older on its way out.
                #expect(outer.bytes.count == 148)
                #expect(
                    Array(outer.bytes[76..<84]) != [] && inner.bytes[38...] == outer.bytes[88...]
                )
            }
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
