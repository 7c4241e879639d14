import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "The device that merges tunnel packets is no way into the node",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct MergeLabTests {
    /// VXLAN to an address that no program judges, with an ARP request inside, for a node that has
    /// the asked address: whatever comes of it would be an answer.
    private static let sender = #"""
        import socket, struct, sys, time
        source, target, asked = sys.argv[1:]
        mac = bytes.fromhex("020000000099")
        arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + socket.inet_aton(source)
        arp += bytes(6) + socket.inet_aton(asked)
        frame = b"\xff" * 6 + mac + b"\x08\x06" + arp
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for vni in (0, 1, 42):
            header = struct.pack(">II", 0x08000000, vni << 8)
            for _ in range(20):
                out.sendto(header + frame, (target, 6081))
        """#

    @Test("what a stranger sends to it is dropped and counted, and the node's stack never sees it")
    func guarded() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            // An address of the node that is not its tunnel's: tc leaves what is sent there alone.
            let other = "172.30.\(lab.id).201"
            _ = try lab.run(on: 1, ["ip", "address", "add", "\(other)/24", "dev", "eth0"])
            func noPort() throws -> UInt64 {
                try lab.ring(1, "dataplane", as: DataplaneStatus.self).drops
                    .filter { $0.reason == "no_port" }.reduce(0) { $0 + $1.packets }
            }
            let before = try noPort()
            let sent = try lab.run(
                on: 2,
                ["python3", "-c", Self.sender, "172.30.\(lab.id).77", other, other]
            )
            #expect(sent.status == 0, "\(sent.errors)")
            #expect(try await lab.eventually(seconds: 5) { try noPort() >= before + 20 })
            let neighbours = try lab.run(on: 1, ["ip", "neigh"]).text
            #expect(!neighbours.contains("02:00:00:00:00:99"), "\(neighbours)")
            // Restarts make the device anew, and it is guarded again.
            try lab.script("kill", "node1")
            try lab.script("start", "node1")
            let isBack = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "dataplane").status == 0
            }
            #expect(isBack)
            let status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
            #expect(status.merging.hasPrefix("genie-merge"))
            #expect(status.attachments.contains { $0.interface == "genie-merge" })
        }
    }
}
