import Foundation
import LabNet
import LocalAPI
import SQLiteRows
import Testing

@Suite(
    "Bad input: one line that names the thing and the way out, and a status that is not zero",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct BadInputTests {
    /// The daemon's options that are right in a node of the lab.
    private let good = [
        "--uplink", "eth0", "--secret", "/run/genie-lab/\(Lab.testID + 1)/secret", "--node-name",
        "x",
    ]

    private func expectRefusal(
        _ output: Lab.Output,
        naming words: [String],
        status: Int32 = 1,
        location: SourceLocation = #_sourceLocation
    ) {
        #expect(output.status == status, sourceLocation: location)
        let lines = output.errors.split(separator: "\n").filter { !$0.contains(" genie.") }
        if status == 1 {
            #expect(lines.count == 1, "\(output.errors)", sourceLocation: location)
        }
        for word in words {
            #expect(output.errors.contains(word), "\(output.errors)", sourceLocation: location)
        }
    }

    @Test("what people type at genie-ring and what runtimes give the plugin")
    func requests() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID + 1) { lab in
            expectRefusal(
                try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/16"),
                naming: ["no VPC 'red'", "genie-ring vpcs create red"]
            )
            #expect(try lab.ring(1, "vpcs", "create", "red", "--vni", "42").status == 0)
            #expect(
                try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/30").status
                    == 0
            )
            // What a creation leaves that breaks off between the number and the VPC.
            let ghost = ["register", "set", "vni/77", "ghost 1f", "--force"]
            #expect(try lab.run(on: 1, ["genie-ring"] + ghost).status == 0)
            #expect(try lab.ring(1, "vpcs", "create", "green", "--vni", "77").status == 0)
            let fenced = try lab.ring(1, "register", "get", "vpc/ghost", as: RegisterStatus.self)
            #expect(fenced.version == 1 && !fenced.isPresent)
            let cases: [([String], [String])] = [
                (["vpcs", "create", "blue", "--vni", "77"], ["VNI 77 belongs to VPC green"]),
                (["vpcs", "create", "red"], ["VPC red exists"]),
                (["vpcs", "create", "blue", "--vni", "42"], ["VNI 42 belongs to VPC red"]),
                (["vpcs", "create", "blue", "--vni", "0"], ["VNI 0", "1 to 16777215"]),
                (["vpcs", "create", "Red_1"], ["'Red_1'", "lower-case"]),
                (["vpcs", "delete", "red"], ["still has groups", "web"]),
                (["vpcs", "delete", "none"], ["no VPC 'none'", "red"]),
                (["groups", "create", "red/x", "--subnet", "10.1.0.0"], ["'10.1.0.0'", "CIDR"]),
                (["groups", "create", "red/x", "--subnet", "10.1.0.1/16"], ["CIDR"]),
                (
                    ["groups", "create", "red/x", "--subnet", "10.0.0.0/8"],
                    ["overlaps 10.1.0.0/30", "web"]
                ),
                (
                    [
                        "groups", "create", "red/x", "--subnet", "fd00:1::/64", "--subnet",
                        "fd00:2::/64",
                    ], ["one family"]
                ),
                (["groups", "create", "red/x", "--subnet", "fe80::/64"], ["reserved"]),
                (["groups", "create", "red", "--subnet", "10.9.0.0/16"], ["VPC/GROUP"]),
                (["groups", "delete", "red/api"], ["no group api", "web"]),
                (["endpoints", "--group", "red/api"], ["no group api"]),
            ]
            // What could not be meant whatever there is, and what is not so here.
            let malformed: Set<String> = ["0", "Red_1", "10.1.0.0", "10.1.0.1/16", "red"]
            for (arguments, words) in cases {
                let output = try lab.run(on: 1, ["genie-ring"] + arguments)
                let isMalformed =
                    arguments[1] == "create" && arguments != ["vpcs", "create", "red"]
                    && arguments.contains { malformed.contains($0) }
                expectRefusal(output, naming: words, status: isMalformed ? 2 : 1)
            }
            expectRefusal(try lab.ring(1, "groups", "create"), naming: ["Usage"], status: 2)

            // The only address of a /30 goes to the first pod.
            _ = try lab.attach(1, "a", "red")
            try lab.script("pod", "add", "node1", "b")
            let full = try lab.cni("ADD", 1, "b", "red")
            #expect(full.status != 0 && full.text.contains("no free address left in 10.1.0.0/30"))
            let unknown = try lab.cni("ADD", 1, "b", "red", group: "api")
            #expect(unknown.status != 0 && unknown.text.contains("\"code\":100"))
            let busy = try lab.ring(1, "groups", "delete", "red/web")
            expectRefusal(busy, naming: ["still has 1 endpoints"])

            try lab.script("stop", "node1")
            expectRefusal(
                try lab.ring(1, "members"),
                naming: ["/run/genie/genied.sock", "start genied"]
            )
        }
    }

    @Test("a start waits a moment for a daemon that is being killed to let go of the database")
    func databaseHeld() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID + 1) { lab in
            try lab.script("stop", "node1")
            let store = try RowStore(path: "/run/genie-lab/\(lab.id)/node1/data/genie.db")
            try lab.script("start", "node1")
            let log = "/run/genie-lab/\(lab.id)/node1/genied.log"
            let isWaiting = try await lab.eventually(seconds: 10) {
                try String(contentsOfFile: log, encoding: .utf8)
                    .contains("waiting for another process to close the database")
            }
            #expect(isWaiting)
            try store.close()
            let isServing = try await lab.eventually(seconds: 15) {
                try lab.ring(1, "endpoints").status == 0
            }
            #expect(isServing)
        }
    }

    @Test("what keeps a daemon from starting")
    func daemon() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID + 1) { lab in
            func genied(_ arguments: [String]) throws -> Lab.Output {
                try lab.run(
                    on: 2,
                    ["timeout", "--signal", "KILL", "20", "genied"] + arguments
                )
            }
            let scratch = ["--socket", "/run/genie/x.sock", "--pin-dir", "/sys/fs/bpf/x"]
            func folder(_ name: String) -> [String] { ["--data-dir", "/run/genie/\(name)"] }

            expectRefusal(
                try genied(good + scratch + folder("port") + ["--bootstrap"]),
                naming: ["172.30.\(lab.id).2:7940", "another process", "another port"]
            )
            try lab.script("stop", "node2")
            expectRefusal(
                try genied(good + scratch + folder("none")),
                naming: ["--join", "--bootstrap"]
            )
            expectRefusal(
                try genied(["--uplink", "eth0", "--bootstrap"] + folder("secret")),
                naming: ["--secret", "--insecure"]
            )
            expectRefusal(
                try genied(["--uplink", "eth9", "--insecure", "--bootstrap"] + folder("uplink")),
                naming: ["no interface eth9", "eth0"]
            )
            expectRefusal(
                try genied(good + folder("seed") + ["--join", "node1"]),
                naming: ["'node1'", "HOST:PORT"]
            )
            expectRefusal(
                try genied(good + ["--data-dir", "/nonexistent/x", "--bootstrap"]),
                naming: ["/nonexistent/x", "--data-dir"]
            )
            expectRefusal(
                try genied(
                    good + scratch + folder("bpffs") + [
                        "--bootstrap", "--pin-dir", "/run/genie/pins",
                    ]
                ),
                naming: ["/run/genie/pins", "bpf"]
            )
            expectRefusal(
                try genied(good + scratch + folder("level") + ["--log-level", "bogus"]),
                naming: ["bogus", "info"]
            )
            expectRefusal(
                try genied(
                    good + folder("words") + ["--metadata", String(repeating: "x", count: 65)]
                ),
                naming: ["--metadata", "64 bytes"]
            )
            try missingFeature(lab)
            try await otherRing(lab)
            try await databases(lab)
            try noPrivileges(lab)
        }
    }

    /// A bridge has no native XDP: what the kernel lacks is named, with what to do.
    private func missingFeature(_ lab: Lab) throws {
        for command in [
            "link add nox type bridge", "address add 172.31.0.1/24 dev nox", "link set nox up",
        ] {
            let words = command.split(separator: " ").map(String.init)
            #expect(try lab.run(on: 2, ["ip"] + words).status == 0)
        }
        let options = ["--uplink", "nox", "--uplink-mode", "xdp", "--insecure", "--bootstrap"]
        let scratch = ["--data-dir", "/run/genie/nox", "--socket", "/run/genie/nox.sock"]
        let pins = ["--pin-dir", "/sys/fs/bpf/nox"]
        let output = try lab.run(on: 2, ["timeout", "10", "genied"] + options + scratch + pins)
        expectRefusal(output, naming: ["native XDP", "--uplink-mode"])
    }

    private func otherRing(_ lab: Lab) async throws {
        let own = ["--data-dir", "/run/genie/ring", "--socket", "/run/genie/ring.sock"]
        let pins = ["--pin-dir", "/sys/fs/bpf/ring"]
        _ = try lab.run(on: 2, ["timeout", "3", "genied", "--bootstrap"] + good + own + pins)
        let joining = try lab.run(
            on: 2,
            ["timeout", "--signal", "KILL", "10", "genied", "--join", "172.30.\(lab.id).1:7940"]
                + good
                + own + pins
        )
        expectRefusal(joining, naming: ["this is ring", "belongs to another", "--join"])
    }

    private func databases(_ lab: Lab) async throws {
        let start = ["timeout", "--signal", "KILL", "10", "genied", "--bootstrap"] + good
        let sockets = ["--socket", "/run/genie/db.sock", "--pin-dir", "/sys/fs/bpf/db"]
        _ = try lab.run(
            on: 2,
            [
                "bash", "-c",
                "mkdir -p /run/genie/bad && head -c 8192 /dev/urandom >/run/genie/bad/genie.db",
            ]
        )
        let damaged = try lab.run(on: 2, start + sockets + ["--data-dir", "/run/genie/bad"])
        expectRefusal(damaged, naming: ["/run/genie/bad/genie.db", "damaged", "move it away"])
        // The layout number stands at offset 60 of the file, big-endian.
        _ = try lab.run(
            on: 2,
            [
                "bash", "-c",
                """
                cp -r /run/genie/ring /run/genie/new && rm -f /run/genie/new/*-wal /run/genie/new/*-shm
                printf '\\x00\\x00\\x00\\x63' |
                    dd of=/run/genie/new/genie.db bs=1 seek=60 conv=notrunc status=none
                """,
            ]
        )
        let newer = try lab.run(on: 2, start + sockets + ["--data-dir", "/run/genie/new"])
        expectRefusal(newer, naming: ["/run/genie/new/genie.db", "layout 99", "that wrote it"])
    }

    private func noPrivileges(_ lab: Lab) throws {
        let output = try lab.run(
            on: 2,
            ["setpriv", "--reuid", "65534", "--clear-groups", "genied", "--bootstrap"] + good
        )
        expectRefusal(output, naming: ["needs root"])
        // Root without capabilities, as in a container that is not privileged.
        let bare = try lab.run(
            on: 2,
            ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "genied", "--bootstrap"]
                + good + ["--data-dir", "/run/genie/bare", "--socket", "/run/genie/bare.sock"]
                + ["--pin-dir", "/sys/fs/bpf/bare"]
        )
        #expect(bare.status == 1)
        #expect(bare.errors.split(separator: "\n").filter { !$0.contains(" genie.") }.count == 1)
    }
}
