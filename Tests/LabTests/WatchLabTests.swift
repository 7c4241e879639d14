import Foundation
import LabNet
import LocalAPI
import MetricsText
import Testing

@Suite(
    "What people see of the ring: groups watched, levels of reads, metrics",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct WatchLabTests {
    @Test("a group is watched at a node without pods of it, through changes and a lost owner")
    func watchGroup() async throws {
        try await Lab.with(nodes: 4, id: Lab.testID) { lab in
            try makeGroup(lab)
            try refuse(lab)
            let first = try lab.attach(1, "a", "red")
            let file = "/run/genie/watch"
            // Node 4 runs no pod of the group.
            try startWatch(lab, file)
            try await expect(lab, file, ["present \(first.address)", "complete"])
            let second = try lab.attach(2, "b", "red")
            try await expect(
                lab,
                file,
                ["present \(first.address)", "complete", "added \(second.address)"]
            )
            #expect(try lab.cni("DEL", 1, "a", "red").status == 0)
            // Whichever node it follows: each of the others is lost once, and none of it is missed.
            try lab.script("kill", "node3")
            let third = try lab.attach(1, "c", "red")
            try lab.script("start", "node3")
            let seen = [
                "present \(first.address)", "complete", "added \(second.address)",
                "removed \(first.address)", "added \(third.address)",
            ]
            try await expect(lab, file, seen)
            try await goOn(lab, file, third.address)
            #expect(try lab.cni("DEL", 2, "b", "red").status == 0)
            #expect(try lab.cni("DEL", 1, "c", "red").status == 0)
            try await expect(
                lab,
                file,
                seen + ["removed \(second.address)", "removed \(third.address)"]
            )
            // The group goes, and the watch ends and says why.
            #expect(try lab.ring(1, "groups", "delete", "red/web").status == 0)
            var errors = ""
            let isEnded = try await lab.eventually(seconds: 15) {
                errors = try lab.run(on: 4, ["cat", file + ".err"]).text
                return errors.contains("has no group")
            }
            #expect(isEnded, "\(errors)")
        }
    }

    /// In the background, without what this process has open: it would be waited for otherwise.
    private func startWatch(_ lab: Lab, _ file: String) throws {
        let script = """
            (
                for fd in /proc/$BASHPID/fd/*; do
                    fd=${fd##*/}
                    ((fd <= 2)) || eval "exec $fd>&-"
                done
                exec setsid genie-ring watch group red/web -o json </dev/null >\(file) 2>\(file).err
            ) &
            """
        #expect(try lab.run(on: 4, ["bash", "-c", script]).status == 0)
    }

    private func makeGroup(_ lab: Lab) throws {
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        let group = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/24")
        #expect(group.status == 0, "\(group.errors)")
    }

    private func refuse(_ lab: Lab) throws {
        for (name, reason, status) in [
            ("red", "VPC/GROUP", 2), ("red/none", "has no group", 1),
            ("blue/web", "there is no VPC", 1), ("red/We b", "We b", 2),
        ] {
            let output = try lab.ring(4, "watch", "group", name)
            #expect(output.status == status, "\(name)")
            #expect(output.errors.contains(reason), "\(name): \(output.errors)")
        }
        let level = try lab.ring(4, "endpoints", "--consistency", "some")
        #expect(level.status == 2)
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct Line: Decodable {
        let change: String
        let revision: UInt64
        let endpoint: GroupEvents.Endpoint?
    }

    private func lines(_ lab: Lab, _ file: String) throws -> [Line] {
        try lab.run(on: 4, ["cat", file]).text.split(separator: "\n").map {
            try JSONDecoder().decode(Line.self, from: Data($0.utf8))
        }
    }

    private func expect(_ lab: Lab, _ file: String, _ wanted: [String]) async throws {
        var found: [String] = []
        let isSeen = try await lab.eventually(seconds: 15) {
            found = try lines(lab, file).map { line in
                [line.change, line.endpoint?.address].compactMap(\.self).joined(separator: " ")
            }
            return found == wanted
        }
        #expect(isSeen, "found \(found), wanted \(wanted)")
    }

    /// A second watch goes on after a line of the first one, and sees what follows it, once.
    private func goOn(_ lab: Lab, _ file: String, _ address: String) async throws {
        let all = try lines(lab, file)
        let start = try #require(all.dropLast().last).revision
        let output = try lab.run(
            on: 4,
            [
                "timeout", "5", "genie-ring", "watch", "group", "red/web", "-o", "json", "--from",
                "\(start)",
            ]
        )
        let seen = try output.text.split(separator: "\n").map {
            try JSONDecoder().decode(Line.self, from: Data($0.utf8))
        }
        #expect(seen.map(\.revision) == [all.last?.revision])
        #expect(seen.last?.endpoint?.address == address)
        let strange = try lab.run(
            on: 4,
            [
                "timeout", "5", "genie-ring", "watch", "group", "red/web", "-o", "json", "--from",
                "1",
            ]
        )
        #expect(strange.text.contains("\"resync\""), "\(strange.text)\(strange.errors)")
    }

    @Test("a read that too few owners answer fails, says who is missing, and has a way out")
    func levels() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            try makeGroup(lab)
            let pod = try lab.attach(1, "a", "red")
            for level in ["one", "quorum", "all", "local"] {
                let list = try lab.ring(
                    1,
                    "endpoints",
                    "--group",
                    "red/web",
                    "--consistency",
                    level,
                    as: EndpointList.self
                )
                #expect(list.endpoints.map(\.address) == [pod.address], "\(level)")
            }
            try lab.script("kill", "node3")
            let all = try lab.ring(1, "endpoints", "--group", "red/web", "--consistency", "all")
            #expect(all.status == 1)
            #expect(all.errors.contains("at level all: 2 of its owners answered and 3 are wanted"))
            #expect(all.errors.contains("missing: node3"), "\(all.errors)")
            // Who owned the slot before the last node joined is asked as well, for half a minute.
            let isReadable = try await lab.eventually(seconds: 45) {
                try lab.ring(1, "endpoints", "--group", "red/web").status == 0
            }
            #expect(isReadable)
            try lab.script("kill", "node2")
            let quorum = try lab.ring(
                1,
                "endpoints",
                "--group",
                "red/web",
                "--consistency",
                "quorum"
            )
            #expect(quorum.status == 1)
            #expect(quorum.errors.contains("1 of its owners answered and 2 are wanted"))
            #expect(quorum.errors.contains("missing: node2, node3"), "\(quorum.errors)")
            for level in ["one", "local"] {
                let list = try lab.ring(
                    1,
                    "endpoints",
                    "--consistency",
                    level,
                    as: EndpointList.self
                )
                #expect(list.endpoints.map(\.address) == [pod.address], "\(level)")
            }
        }
    }

    @Test("a group that is added reaches a node with pods of its VPC without being polled for")
    func registersAreFollowed() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            try makeGroup(lab)
            _ = try lab.attach(2, "a", "red")
            let more = try lab.ring(1, "groups", "create", "red/db", "--subnet", "10.21.0.0/24")
            #expect(more.status == 0, "\(more.errors)")
            try await attach(lab, 3, "d", group: "db")
            // Far below the five seconds of a poll: the way from the register to node 2's map.
            let isThere = try await lab.eventually(seconds: 2) {
                try page(lab, 2).value("genie_watches", ["by": "node"]) == 2
            }
            #expect(isThere)
            let followed = try page(lab, 2)
            // Its own VPC, and the register that names the open one.
            #expect(followed.value("genie_registers_followed") == 2)
        }
    }

    private func attach(
        _ lab: Lab,
        _ node: Int,
        _ name: String,
        group: String
    ) async throws {
        try lab.script("pod", "add", "node\(node)", name)
        let output = try lab.cni("ADD", node, name, "red", group: group)
        guard output.status == 0 else { throw Failure(description: output.errors) }
    }

    private func page(_ lab: Lab, _ node: Int) throws -> MetricsText {
        let output = try lab.run(
            on: node,
            ["curl", "-sS", "--fail", "http://127.0.0.1:7941/metrics"]
        )
        guard output.status == 0 else { throw Failure(description: output.errors) }
        return try MetricsText(output.text)
    }

    @Test("a real daemon's metrics are a strict page, grow with what happens, and are local")
    func metrics() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            let before = try page(lab, 1)
            #expect(before.value("genie_members", ["state": "alive"]) == 3)
            #expect(before.value("genie_ring_members") == 3)
            try makeGroup(lab)
            _ = try lab.attach(1, "a", "red")
            _ = try lab.attach(2, "b", "red")
            let after = try page(lab, 1)
            for (name, labels, least) in [
                ("genie_register_operations_total", ["operation": "change", "outcome": "done"], 1),
                ("genie_register_operation_duration_seconds_count", ["operation": "change"], 1),
                ("genie_record_publications_total", ["outcome": "done"], 1),
                ("genie_ipam_blocks", [:], 1), ("genie_records", [:], 2),
                ("genie_ipam_addresses", ["state": "used"], 1),
                ("genie_ipam_claims_total", ["outcome": "done"], 1),
                ("genie_ring_slots_owned", [:], 1), ("genie_membership_probes_total", [:], 1),
                ("genie_transport_datagrams_sent_total", [:], 1),
                ("genie_pod_interfaces", ["state": "attached"], 1),
                ("genie_dataplane_map_entries", ["map": "gr_endpoint_r2"], 2),
                ("genie_healthy", [:], 1),
            ] as [(String, [String: String], Double)] {
                #expect(after.value(name, labels) ?? -1 >= least, "\(name) \(labels)")
            }
            for family in before.families where family.kind == "counter" {
                for sample in family.samples {
                    let later = after.value(sample.name, sample.labels)
                    #expect(later ?? -1 >= sample.value, "\(sample.name) went back")
                }
            }
            let health = try lab.run(
                on: 1,
                ["curl", "-sS", "--fail", "http://127.0.0.1:7941/healthz"]
            )
            #expect(health.text == "ok\n", "\(health.errors)")
            let missing = try lab.run(
                on: 1,
                ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:7941/x"]
            )
            #expect(missing.text == "404")
            let foreign = try lab.run(
                on: 2,
                ["curl", "-sS", "-m", "2", "http://172.30.\(lab.id).1:7941/metrics"]
            )
            #expect(foreign.status != 0)
        }
    }
}
