import Foundation
import LabNet
import LocalAPI
import Synchronization
import Testing

@Suite(
    "Addresses in a lab: blocks, wanted ones, the audit, nodes that are gone",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct AddressLabTests {
    @Test("C17: 64 ADDs at once on two nodes give 64 addresses, and 64 DELs take them back")
    func together() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/23")
            #expect(made.status == 0, "\(made.errors)")
            for index in 0..<64 {
                try lab.script("pod", "add", "node\(1 + index % 2)", "p\(index)")
            }
            let added = Mutex<[String]>([])
            for verb in ["ADD", "DEL"] {
                // Threads of their own: every call waits for a process.
                let calls = (0..<64).map { index in
                    Thread {
                        let output = try? lab.cni(verb, 1 + index % 2, "p\(index)", "red")
                        let isDone = output?.status == 0
                        added.withLock { $0.append(isDone ? output?.text ?? "" : "failed") }
                    }
                }
                for call in calls { call.start() }
                let isOver = try await lab.eventually(seconds: 60) {
                    calls.allSatisfy { $0.isFinished }
                }
                #expect(isOver)
                let said = added.withLock { said in
                    defer { said = [] }
                    return said
                }
                #expect(!said.contains("failed") && said.count == 64)
                if verb == "ADD" {
                    let addresses = try said.flatMap { text in
                        try AddResult(text: text).ips.map(
                            \.address
                        )
                    }
                    #expect(Set(addresses).count == 64)
                    #expect(
                        try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.count == 64
                    )
                }
            }
            #expect(try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.isEmpty)
            #expect(try lab.ring(1, "ipam", "check").status == 0)
        }
    }

    @Test(
        "groups with exclusions, wanted addresses, ipam and its check"
    )
    func addresses() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(
                1,
                "groups",
                "create",
                "red/web",
                "--subnet",
                "10.20.0.0/24",
                "--exclude",
                "10.20.0.2-10.20.0.9",
                "--exclude",
                "10.20.0.64/26"
            )
            #expect(made.status == 0, "\(made.errors)")
            try lab.script("pod", "add", "node1", "a")
            let wanted = try lab.cni("ADD", 1, "a", "red", arguments: "IP=10.20.0.200")
            #expect(wanted.status == 0 && wanted.text.contains("10.20.0.200"), "\(wanted.text)")
            try lab.script("pod", "add", "node2", "b")
            let taken = try lab.cni("ADD", 2, "b", "red", arguments: "IP=10.20.0.200")
            #expect(taken.status != 0 && taken.text.contains("node1"), "\(taken.text)")
            let excluded = try lab.cni("ADD", 2, "b", "red", arguments: "IP=10.20.0.5")
            #expect(excluded.status != 0 && excluded.text.contains("10.20.0.5"))
            #expect(try lab.cni("ADD", 2, "b", "red").status == 0)

            let status = try lab.ring(1, "ipam", as: IPAMStatus.self)
            let subnet = try #require(status.subnets.first)
            #expect(subnet.used == 2 && subnet.blocksOfSubnet == 4)
            #expect(Set(subnet.blocks.map(\.owner)) == ["node1", "node2"])
            #expect(subnet.blocks.allSatisfy { $0.state == "owned" && $0.fence == 1 })
            let check = try lab.ring(1, "ipam", "check")
            #expect(check.status == 0, "\(check.text)\(check.errors)")
        }
    }

    @Test("a lost node is removed, its blocks drain under a higher fence; one that answers is not")
    func removal() async throws {
        try await Lab.with(nodes: 4, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            _ = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/24")
            let isGrown = try await lab.eventually(seconds: 20) {
                try lab.ring(1, "ring", as: RingStatus.self).stewards.count == 3
            }
            #expect(isGrown)
            let ring = try lab.ring(1, "ring", as: RingStatus.self)
            let plain = try #require(ring.members.first { !ring.stewards.contains($0.name) })
            let number = try #require(Int(plain.name.dropFirst(4)))
            let helper = number == 1 ? 2 : 1
            _ = try lab.attach(number, "p", "red")

            let alive = try lab.ring(helper, "node", "remove", plain.name)
            #expect(alive.status == 1 && alive.errors.contains("answers"), "\(alive.errors)")
            let unknown = try lab.ring(helper, "node", "remove", "nobody")
            #expect(unknown.status == 1 && unknown.errors.contains("node1"))
            let removed = try lab.ring(
                helper,
                "node",
                "remove",
                plain.name,
                "--force",
                "-o",
                "json"
            )
            #expect(removed.status == 0, "\(removed.errors)")
            let isDraining = try await lab.eventually(seconds: 25) {
                try lab.ring(helper, "ipam", as: IPAMStatus.self).subnets.flatMap(\.blocks)
                    .contains { $0.state == "draining" && $0.fence == 2 }
            }
            #expect(isDraining)
        }
    }
}
