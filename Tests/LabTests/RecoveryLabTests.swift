import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Stewards on real daemons: replaced, removed, and lost for good",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct RecoveryLabTests {
    private func ring(_ lab: Lab, _ node: Int) throws -> RingStatus {
        try lab.ring(node, "ring", as: RingStatus.self)
    }

    private func waitForStewards(_ lab: Lab, _ node: Int, count: Int = 3) async throws {
        let isGrown = try await lab.eventually(seconds: 30) {
            try ring(lab, node).stewards.count == count
        }
        #expect(isGrown)
    }

    private func number(_ name: String) throws -> Int { try #require(Int(name.dropFirst(4))) }

    /// Ends a node's daemon and takes its disk away.
    private func destroy(_ lab: Lab, _ node: Int) throws {
        try lab.script("kill", "node\(node)")
        let folder = "/run/genie-lab/\(lab.id)/node\(node)/data"
        let output = try Lab.run("/bin/bash", ["-c", "rm -f \(folder)/*"])
        #expect(output.status == 0, "\(output.errors)")
    }

    @Test(
        "two of three stewards' disks are destroyed: refused first, then recovered by their names"
    )
    func disksDestroyed() async throws {
        try await Lab.with(nodes: 4, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            _ = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/22")
            #expect(try lab.ring(1, "register", "set", "app/x", "seven").status == 0)
            try await waitForStewards(lab, 1)
            let before = try ring(lab, 1)
            #expect(before.recoveries == 0 && before.registry == before.id)
            #expect(before.stewardStates.allSatisfy { $0.isReachable })
            // The first node would found a second ring without its disk.
            let lost = try before.stewards.filter { $0 != "node1" }.prefix(2).map(number)
            let lostIDs = before.members.filter { lost.contains((try? number($0.name)) ?? 0) }
                .map(\.id)
            let first = try lab.attach(1, "a", "red")
            let other = try lab.attach(lost[0], "b", "red")
            try await refuse(lab, lost)

            let names = lost.map { "node\($0)" }
            let result = try lab.ring(
                1,
                "ring",
                "recover",
                "--give-up",
                names[0],
                "--give-up",
                names[1],
                as: RecoveryResult.self
            )
            #expect(result.founder == "node1" && result.untold.count == 2)
            #expect(try lab.ring(1, "register", "get", "app/x").text.contains("seven"))
            #expect(try lab.ring(1, "vpcs", "list").text.contains("red"))
            try await goOn(lab, lost, lostIDs, [first, other])
        }
    }

    /// Without stewards nothing is recovered unless exactly the lost ones are named.
    private func refuse(_ lab: Lab, _ lost: [Int]) async throws {
        let living = try lab.ring(1, "ring", "recover")
        #expect(living.status == 0 && living.errors.contains("nothing to recover"))
        for node in lost { try destroy(lab, node) }
        let areGone = try await lab.eventually(seconds: 10) {
            try lab.ring(1, "members", as: MemberList.self).members.count { $0.state == "dead" }
                == 2
        }
        #expect(areGone)
        let looked = try lab.ring(1, "ring", "recover")
        #expect(looked.status == 1, "\(looked.text)")
        for node in lost {
            #expect(looked.errors.contains("--give-up node\(node)"), "\(looked.errors)")
        }
        #expect(looked.errors.contains("nothing was changed"), "\(looked.errors)")
        let half = try lab.ring(1, "ring", "recover", "--give-up", "node\(lost[0])")
        #expect(half.status == 1 && half.errors.contains("node\(lost[1])"), "\(half.errors)")
        #expect(try ring(lab, 1).recoveries == 0)
    }

    private func goOn(
        _ lab: Lab,
        _ lost: [Int],
        _ lostIDs: [String],
        _ pods: [Pod]
    ) async throws {
        for node in lost { try lab.script("start", "node\(node)") }
        let isGrown = try await lab.eventually(seconds: 60) {
            try (1...4).allSatisfy { node in
                let status = try ring(lab, node)
                return status.recoveries == 1 && status.stewards.count == 3
                    && status.members.count == 6
            }
        }
        #expect(isGrown)
        // Who has a block goes on; who needs one is told whose word is missing.
        let next = try lab.attach(1, "c", "red")
        #expect(!pods.contains { $0.address == next.address })
        try lab.script("pod", "add", "node\(lost[1])", "d")
        let doubt = try lab.cni("ADD", lost[1], "d", "red")
        #expect(doubt.status != 0)
        for id in lostIDs { #expect(doubt.text.contains(id), "\(doubt.text)") }
        for id in lostIDs {
            // As tables show it.
            let removed = try lab.ring(1, "node", "remove", String(id.prefix(8)))
            #expect(removed.status == 0, "\(removed.errors)")
        }
        #expect(try lab.ring(1, "ring", as: RingStatus.self).members.count == 4)
        // Its block is kept for as long as any that a removed node had.
        let isDraining = try await lab.eventually(seconds: 30) {
            try lab.ring(1, "ipam", as: IPAMStatus.self).subnets.flatMap(\.blocks)
                .contains { $0.state == "draining" }
        }
        #expect(isDraining)
    }

    @Test("a steward is removed: another node takes its place first, and registers go on")
    func removal() async throws {
        try await Lab.with(nodes: 4, id: Lab.testID) { lab in
            try await waitForStewards(lab, 1)
            #expect(try lab.ring(1, "register", "set", "app/x", "seven").status == 0)
            let before = try ring(lab, 1)
            let name = try #require(before.stewards.first { $0 != "node1" })
            let alive = try lab.ring(1, "node", "remove", name)
            #expect(alive.status == 1 && alive.errors.contains("answers"), "\(alive.errors)")
            #expect(try ring(lab, 1).leaving.isEmpty)
            try destroy(lab, try number(name))
            let isGone = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "members", as: MemberList.self).members.contains {
                    $0.name == name && $0.state == "dead"
                }
            }
            #expect(isGone)
            let removed = try lab.ring(1, "node", "remove", name, "--force")
            #expect(removed.status == 0, "\(removed.errors)")
            let after = try ring(lab, 1)
            #expect(!after.stewards.contains(name) && after.stewards.count == 3)
            #expect(after.stewardEpoch > before.stewardEpoch && after.leaving.isEmpty)
            #expect(!after.members.contains { $0.name == name })
            #expect(try lab.ring(1, "register", "get", "app/x").text.contains("seven"))
        }
    }
}

@Suite("genie-ring: one exit status for each kind of end")
struct ExitStatusTests {
    @Test(
        "what cannot be meant ends with 2, what did not succeed with 1, help with 0",
        arguments: [
            ([], 2), (["--help"], 0), (["nonsense"], 2), (["watch"], 2), (["watch", "--help"], 0),
            (["register"], 2), (["node"], 2), (["secret"], 2), (["members", "--nonsense"], 2),
            (["keys", "use"], 2), (["keys", "use", "zz"], 2), (["keys", "remove", "0123"], 2),
            (["keys", "rotate", "--wait", "0"], 2), (["register", "set", "a"], 2),
            (["register", "set", "", "x"], 2), (["register", "get", "a b"], 2),
            (["register", "cas", "a\nb", "--expect", "0", "x"], 2),
            (["register", "get", String(repeating: "k", count: 256)], 2),
            (["node", "remove", "x", "--wait", "-1"], 2), (["members"], 1), (["ring"], 1),
            (["ring", "recover"], 1), (["ring", "recover", "--give-up", "x"], 1),
            (["keys", "use", "01234567"], 1), (["ipam", "check"], 1),
        ] as [([String], Int32)]
    )
    func status(arguments: [String], wanted: Int32) throws {
        let nowhere = ["--socket", "/nonexistent/genied.sock"]
        let hasSocket = wanted == 1
        let output = try Lab.run(
            Lab.binaries + "/genie-ring",
            arguments + (hasSocket ? nowhere : [])
        )
        #expect(output.status == wanted, "\(output.text)\(output.errors)")
        if wanted == 0 {
            #expect(output.errors.isEmpty)
        } else {
            #expect(output.text.isEmpty && !output.errors.isEmpty, "\(output.text)")
        }
    }
}
