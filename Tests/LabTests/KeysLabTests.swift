import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Gossip keys and member events on real daemons",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct KeysLabTests {
    private func keys(_ lab: Lab, _ node: Int = 1) throws -> [KeyList.Item] {
        try lab.ring(node, "keys", as: KeyList.self).keys
    }

    private func states(_ lab: Lab, _ node: Int) throws -> [String] {
        try lab.ring(node, "members", as: MemberList.self).members.map(\.state)
    }

    private func isWhole(_ lab: Lab, nodes: ClosedRange<Int> = 1...3) throws -> Bool {
        try nodes.allSatisfy { try states(lab, $0) == ["alive", "alive", "alive"] }
    }

    private func folder(_ lab: Lab, _ node: Int) -> String {
        "/run/genie-lab/\(lab.id)/node\(node)"
    }

    private func signal(_ lab: Lab, _ node: Int, _ name: String) throws {
        let pid = try String(contentsOfFile: "\(folder(lab, node))/genied.pid", encoding: .utf8)
        let output = try Lab.run(
            "/bin/kill",
            ["-\(name)", pid.trimmingCharacters(in: .whitespacesAndNewlines)]
        )
        #expect(output.status == 0, "\(output.errors)")
    }

    /// The lines that a watch on a node printed so far.
    private func lines(_ path: String) throws -> [Line] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return try text.split(separator: "\n", omittingEmptySubsequences: true)
            .filter { $0.hasSuffix("}") }
            .map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    private struct Line: Decodable {
        let change: String
        let name: String?
        let revision: UInt64?
        let boot: UInt64?
    }

    /// Starts a watch that outlives the call, in a shell that holds nothing of the caller's open.
    private func startWatch(_ lab: Lab, _ node: Int) throws -> String {
        let file = "\(folder(lab, node))/watch"
        let output = try lab.run(
            on: node,
            [
                "bash", "-c",
                """
                for fd in /proc/$BASHPID/fd/*; do
                    fd=${fd##*/}
                    if ((fd > 2 && fd < 200)); then eval "exec $fd>&-"; fi
                done
                (genie-ring watch members -o json >\(file) 2>\(file).errors &
                echo $! >\(file).pid; wait $!; echo $? >\(file).status) </dev/null >/dev/null 2>&1 &
                """,
            ]
        )
        #expect(output.status == 0, "\(output.errors)")
        return file
    }

    @Test("a rotation under a running ring: no member ever leaves alive, and no key is shown")
    func rotate() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            let before = try keys(lab)
            #expect(before.map(\.origin) == ["secret"] && before.map(\.isSealing) == [true])
            let watches = try (1...3).map { try startWatch(lab, $0) }
            let isWatching = try await lab.eventually(seconds: 5) {
                try watches.allSatisfy { try lines($0).count == 3 }
            }
            #expect(isWatching)
            // At once from another node, which has not heard yet that the first one is over.
            let rotated = try [2, 3].map {
                try lab.ring($0, "keys", "rotate", as: KeyList.self).keys.map(\.id)
            }
            #expect(rotated.allSatisfy { $0.count == 1 } && rotated[0] != rotated[1])
            // Long enough that probes over the old key would have failed.
            for _ in 0..<20 {
                for node in 1...3 { #expect(try states(lab, node).allSatisfy { $0 == "alive" }) }
                try await Task.sleep(for: .milliseconds(200))
            }
            for watch in watches {
                #expect(try lines(watch).map(\.change) == ["present", "present", "present"])
            }
            for node in 1...3 {
                let after = try keys(lab, node)
                #expect(after.count == 1 && after[0].origin == "generated")
                #expect(after[0].id == rotated[1].first && after[0].id != before[0].id)
                #expect(after[0].members.count == 3 && after[0].lacking.isEmpty)
            }
            try checkSecrecy(lab)
        }
    }

    /// A key that the test chose is in no answer, no log, and in no file that others may read.
    private func checkSecrecy(_ lab: Lab) throws {
        let key = String(repeating: "5a17c0de", count: 8)
        let file = "\(folder(lab, 1))/key"
        try (key + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        _ = try Lab.run("/bin/chmod", ["600", file])
        let installed = try lab.ring(1, "keys", "install", "--file", file)
        #expect(installed.status == 0, "\(installed.errors)")
        let listed = try lab.ring(1, "keys", "list", "-o", "json")
        for text in [installed.text, installed.errors, listed.text] {
            #expect(!text.lowercased().contains("5a17c0de"))
        }
        for node in 1...3 {
            let log = try String(contentsOfFile: "\(folder(lab, node))/genied.log", encoding: .utf8)
            #expect(!log.lowercased().contains("5a17c0de") && !log.contains("90, 23, 192"))
            let mode = try Lab.run(
                "/bin/bash",
                ["-c", "stat -c %a \(folder(lab, node))/data/genie.db*"]
            )
            let modes = Set(mode.text.split(separator: "\n"))
            #expect(modes == ["600"], "\(mode.text)")
        }
    }

    @Test("rotations that begin at the same time on all nodes end with one key that all have")
    func concurrentRotations() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            let before = try keys(lab)
            let ends = try await withThrowingTaskGroup(of: Lab.Output.self) { group in
                for node in 1...3 {
                    group.addTask { try lab.ring(node, "keys", "rotate", "--wait", "60") }
                }
                return try await group.reduce(into: [Lab.Output]()) { $0.append($1) }
            }
            for end in ends { #expect(end.status == 0, "\(end.errors)") }
            let isWhole = try await lab.eventually(seconds: 10) {
                let all = try (1...3).map { try keys(lab, $0).map(\.id) }
                return all.allSatisfy { $0.count == 1 && $0 == all[0] }
            }
            #expect(isWhole)
            #expect(try keys(lab).map(\.id) != before.map(\.id))
        }
    }

    @Test("a node that was down, and one that was stopped for 20 s, come back after a rotation")
    func absent() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            try lab.script("kill", "node2")
            try signal(lab, 3, "STOP")
            let stoppedAt = Date()
            let areGone = try await lab.eventually(seconds: 8) {
                try states(lab, 1).filter { $0 == "dead" }.count == 2
            }
            #expect(areGone)
            let output = try lab.ring(1, "keys", "rotate")
            #expect(output.status == 0, "\(output.errors)")
            #expect(try keys(lab).map(\.origin) == ["generated"])
            try await Task.sleep(for: .seconds(max(0, 20 + stoppedAt.timeIntervalSinceNow)))
            try signal(lab, 3, "CONT")
            let isAwake = try await lab.eventually(seconds: 8) {
                try states(lab, 3).count { $0 == "alive" } == 2
                    && states(lab, 1).count { $0 == "alive" } == 2
            }
            #expect(isAwake)
            try lab.script("start", "node2")
            let isBack = try await lab.eventually(seconds: 8) { try isWhole(lab) }
            #expect(isBack)
            let ids = try (1...3).map { try keys(lab, $0).map(\.id) }
            #expect(ids[0] == ids[1] && ids[0] == ids[2] && ids[0].count == 1)
            // It stays so: datagrams flow in both directions.
            for _ in 0..<15 {
                let isStable = try isWhole(lab)
                #expect(isStable)
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    @Test("the steps by hand: what cannot be done says why and what to do, and changes nothing")
    func steps() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            let first = try #require(try keys(lab).first?.id)
            func refused(
                _ words: [String],
                status: Int32 = 1,
                _ arguments: String...
            ) throws {
                let output = try lab.run(on: 1, ["genie-ring", "keys"] + arguments)
                #expect(output.status == status, "\(output.text)")
                for word in words { #expect(output.errors.contains(word), "\(output.errors)") }
            }
            try refused(["00000000", first, "genie-ring keys"], "use", "00000000")
            try refused(["'x'", "eight hexadecimal digits"], status: 2, "use", "x")
            try refused([first, "use another"], "remove", first)
            try refused(["/nonexistent"], "install", "--file", "/nonexistent")
            let file = "\(folder(lab, 1))/key"
            try "00\n".write(toFile: file, atomically: true, encoding: .utf8)
            _ = try Lab.run("/bin/chmod", ["644", file])
            try refused([file, "chmod 600"], "install", "--file", file)
            _ = try Lab.run("/bin/chmod", ["600", file])
            try refused([file, "64 hexadecimal digits"], "install", "--file", file)
            #expect(try keys(lab).map(\.id) == [first])

            // A live member that has not been heard to follow: stopped a moment ago.
            try signal(lab, 2, "STOP")
            let new = try lab.ring(1, "keys", "install", as: KeyChanged.self)
            #expect(new.isChanged)
            try refused(["node2", "--force"], "use", new.id)
            try signal(lab, 2, "CONT")
            let isUsed = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "keys", "use", new.id).status == 0
            }
            #expect(isUsed)
            #expect(try !lab.ring(1, "keys", "use", new.id, as: KeyChanged.self).isChanged)
            // A rotation that was begun is brought to its end.
            let output = try lab.ring(1, "keys", "rotate")
            #expect(output.status == 0 && output.errors.contains("go on with"), "\(output.errors)")
            #expect(try keys(lab).map(\.id) == [new.id])
        }
    }

    @Test("a watch tells each change once, says where it lost any, and ends on Ctrl-C with 0")
    func watch() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID) { lab in
            let file = try startWatch(lab, 1)
            func eventually(_ name: String, _ change: String) async throws {
                let isTold = try await lab.eventually(seconds: 10) {
                    try lines(file).contains { $0.name == name && $0.change == change }
                }
                #expect(isTold, "\(name) \(change)")
            }
            try await eventually("node3", "present")
            try lab.script("kill", "node2")
            try await eventually("node2", "suspect")
            try await eventually("node2", "dead")
            try lab.script("start", "node2")
            try await eventually("node2", "restarted")
            try lab.script("stop", "node3")
            try await eventually("node3", "left")
            let told = try lines(file).compactMap(\.revision)
            #expect(!told.isEmpty && zip(told, told.dropFirst()).allSatisfy { $0 + 1 == $1 })

            // The daemon is not held up by who watches it, and the watch finds the next one.
            let start = Date()
            try lab.script("stop", "node1")
            #expect(Date().timeIntervalSince(start) < 5)
            try await Task.sleep(for: .seconds(1))
            try lab.script("start", "node1")
            let isResynced = try await lab.eventually(seconds: 10) {
                let changes = try lines(file).map(\.change)
                guard let resync = changes.firstIndex(of: "resync") else { return false }
                return changes[resync...].contains("present")
            }
            #expect(isResynced)
            let errors = try String(contentsOfFile: file + ".errors", encoding: .utf8)
            #expect(errors.contains("trying again") && errors.contains("answers again"))

            let pid = try String(contentsOfFile: file + ".pid", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            _ = try Lab.run("/bin/kill", ["-INT", pid])
            let hasEnded = try await lab.eventually(seconds: 5) {
                (try? String(contentsOfFile: file + ".status", encoding: .utf8)) == "0\n"
            }
            let end = try? String(contentsOfFile: file + ".status", encoding: .utf8)
            #expect(hasEnded, "ended with \(end ?? "nothing")")
        }
    }
}
