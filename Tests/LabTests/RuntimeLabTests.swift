import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Container runtimes from Debian run their containers on what pods ask for",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Runtimes.areThere, "containerd, runc, podman or busybox is not installed")
)
struct RuntimeLabTests {
    @Test("containerd and podman: three interfaces of three plugins, ping and TCP over each")
    func bothRuntimes() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let runtimes = try Runtimes(lab, networks)
            let before = try networks.left()
            try await runtimes.start()
            try runtimes.containerd(
                "run",
                "-d",
                "--rootfs",
                "--cni",
                runtimes.root,
                "first",
                "/bin/sleep",
                "300"
            )
            try runtimes.podman(
                "run",
                "-d",
                "--name",
                "second",
                "--network",
                "ask",
                "--no-hosts",
                "--rootfs",
                runtimes.root,
                "/bin/httpd",
                "-f",
                "-p",
                "7000",
                "-h",
                "/www"
            )
            let pods = try lab.ring(1, "pods", as: PodList.self).pods
            let second = try #require(pods.first { $0.pod == "second" })
            let first = try #require(pods.first { $0.pod != "second" })
            for pod in [first, second] {
                #expect(pod.interfaces.map(\.interface) == ["eth0", "data", "line0"])
                #expect(pod.interfaces.map { $0.plugins[0] } == ["genie", "bridge", "ptp"])
            }
            for (own, peer) in zip(first.interfaces, second.interfaces) {
                let source = try #require(own.addresses.first?.split(separator: "/").first)
                let target = try #require(peer.addresses.first?.split(separator: "/").first)
                let ping = try runtimes.inFirst("ping -c 2 -i 0.05 -W 2 \(target)")
                #expect(ping.contains(" 0% packet loss"), "\(own.interface): \(ping)")
                let said = try runtimes.inFirst("curl -s -m 5 http://\(target):7000/cgi-bin/who")
                #expect(said.contains("\(source)]\n"), "\(own.interface): \(said)")
                // Also where the source is chosen by hand.
                let bound = try runtimes.inFirst("ping -c 2 -i 0.05 -W 2 -I \(source) \(target)")
                #expect(bound.contains(" 0% packet loss"), "\(own.interface): \(bound)")
            }
            try runtimes.podman("rm", "-f", "-t", "0", "second")
            try runtimes.containerd("task", "kill", "-s", "SIGKILL", "first")
            // ctr takes the network away with a container that it ran in the foreground only.
            #expect(try runtimes.collect().status == 0)
            try runtimes.containerd("container", "rm", "first")
            let isClean = try await lab.eventually(seconds: 10) { try networks.left() == before }
            let left = try networks.left()
            #expect(isClean, "\(left) and not \(before)")
        }
    }

    @Test("a container that ends takes its networks with it, and one that may not start has none")
    func lifeCycle() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let runtimes = try Runtimes(lab, networks)
            let before = try networks.left()
            try await runtimes.start()
            let addresses = try runtimes.containerd(
                "run",
                "--rm",
                "--rootfs",
                "--cni",
                runtimes.root,
                "once",
                "/bin/ip",
                "-4",
                "address"
            )
            #expect(addresses.contains("10.60.0.") && addresses.contains("10.61.0."))
            let other = try runtimes.podman(
                "run",
                "--rm",
                "--network",
                "ask",
                "--no-hosts",
                "--rootfs",
                runtimes.root,
                "/bin/ip",
                "-4",
                "address"
            )
            #expect(other.contains("10.60.0.") && other.contains("10.63.0."))
            #expect(try networks.left() == before)
            // The plugin's error is what people see.
            try networks.setFault("ptp ADD after fail")
            let failed = #expect(throws: Runtimes.Failure.self) {
                try runtimes.podman(
                    "run",
                    "--rm",
                    "--network",
                    "ask",
                    "--no-hosts",
                    "--rootfs",
                    runtimes.root,
                    "/bin/true"
                )
            }
            #expect(failed.map { "\($0)".contains("told to fail") } == true)
            try networks.setFault(nil)
            let isClean = try await lab.eventually(seconds: 10) { try networks.left() == before }
            let left = try networks.left()
            #expect(isClean, "\(left) and not \(before)")
        }
    }
}

/// containerd and podman inside a node of the lab, with state of their own.
private struct Runtimes {
    let lab: Lab
    let networks: Networks
    let folder: URL

    static var areThere: Bool {
        [
            "/usr/bin/ctr", "/usr/bin/containerd", "/usr/sbin/runc", "/usr/bin/podman",
            "/bin/busybox",
        ]
        .allSatisfy { FileManager.default.isExecutableFile(atPath: $0) } && Networks.isStockThere
    }

    /// A command that did not succeed.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The root of containers: one busybox.
    var root: String { folder.appending(path: "root").path }
    private var socket: String { folder.appending(path: "containerd.sock").path }

    init(_ lab: Lab, _ networks: Networks) throws {
        self.lab = lab
        self.networks = networks
        folder = URL(filePath: "/run/genie-lab/\(lab.id)/node1/runtimes")
        let files = FileManager.default
        for name in [
            "root/bin", "root/proc", "root/sys", "root/dev", "root/etc", "root/run", "bin",
        ] {
            try files.createDirectory(
                at: folder.appending(path: name),
                withIntermediateDirectories: true
            )
        }
        let programs = folder.appending(path: "root/bin")
        try files.copyItem(atPath: "/bin/busybox", toPath: programs.appending(path: "busybox").path)
        for name in ["sh", "ip", "sleep", "httpd", "true"] {
            try files.createSymbolicLink(
                atPath: programs.appending(path: name).path,
                withDestinationPath: "busybox"
            )
        }
        let page = folder.appending(path: "root/www/cgi-bin/who")
        try files.createDirectory(
            at: page.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        try "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfrom %s\\n' \"$REMOTE_ADDR\"\n"
            .write(to: page, atomically: true, encoding: .utf8)
        chmod(page.path, 0o755)
        // Wrappers before the stock plugins.
        for path in [networks.folder.appending(path: "bin").path, Networks.stock] {
            for name in try files.contentsOfDirectory(atPath: path) {
                let link = folder.appending(path: "bin/\(name)").path
                guard !files.fileExists(atPath: link) else { continue }
                try files.createSymbolicLink(
                    atPath: link,
                    withDestinationPath: "\(path)/\(name)"
                )
            }
        }
        try files.copyItem(
            atPath: "\(Lab.binaries)/genie",
            toPath: folder.appending(path: "bin/genie").path
        )
        let node = "/run/genie-lab/\(lab.id)/node1/net.d"
        try """
        {"cniVersion":"1.0.0","name":"ask","plugins":[{"type":"genie","confDir":"\
        \(networks.folder.path)/net.d","default_plugin":"red/web,inner@data,line@line0"}]}
        """.write(toFile: "\(node)/00-ask.conflist", atomically: true, encoding: .utf8)
        try """
        [network]
        network_backend = "cni"
        cni_plugin_dirs = ["/opt/cni/bin"]
        network_config_dir = "/etc/cni/net.d"
        [engine]
        cgroup_manager = "cgroupfs"
        events_logger = "file"
        runtime = "runc"
        [containers]
        default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
        """.write(
            to: folder.appending(path: "containers.conf"),
            atomically: true,
            encoding: .utf8
        )
    }

    /// What the test has open must not stay open for as long as runtimes leave programs running.
    private static let closing = [
        "bash", "-c",
        """
        for fd in /proc/$$/fd/*; do
            fd=${fd##*/}
            if ((fd > 2)); then eval "exec $fd>&-"; fi
        done
        exec "$@"
        """, "closing",
    ]

    /// Gives the node the machine's control groups and starts containerd in it.
    func start() async throws {
        let script = #"""
            grep -E '^[^ ]+ /sys/fs/cgroup' /proc/1/mounts | while read -r _ place type options _; do
                case $type in
                tmpfs) mount -t tmpfs tmpfs "$place" ;;
                cgroup) mkdir -p "$place"
                    mount -t cgroup -o "$(echo "$options" |
                        sed -E 's/(rw|ro|relatime|nosuid|nodev|noexec),//g')" cgroup "$place" ;;
                cgroup2) mkdir -p "$place"; mount -t cgroup2 cgroup2 "$place" ;;
                esac
            done
            # What runtimes keep in /run is the node's own.
            for place in /run/containerd /run/runc /run/crun /run/libpod; do
                mkdir -p "$place" && mount -t tmpfs tmpfs "$place"
            done
            mkdir -p /opt/cni/bin && mount --bind "$1/bin" /opt/cni/bin
            containerd --root "$1/containerd" --state "$1/state" --address "$1/containerd.sock" \
                >"$1/containerd.log" 2>&1 </dev/null &
            """#
        let started = try lab.run(
            on: 1,
            Self.closing + ["bash", "-ec", script, "start", folder.path]
        )
        guard started.status == 0 else { throw Failure(description: started.errors) }
        let isUp = try await lab.eventually(seconds: 15) {
            try lab.run(on: 1, ["ctr", "--address", socket, "version"]).status == 0
        }
        guard isUp else {
            let log = folder.appending(path: "containerd.log")
            throw Failure(description: try String(contentsOf: log, encoding: .utf8))
        }
    }

    @discardableResult
    func containerd(_ arguments: String...) throws -> String {
        try run(["ctr", "--address", socket] + arguments)
    }

    @discardableResult
    func podman(_ arguments: String...) throws -> String {
        try run(
            [
                "env", "CONTAINERS_CONF=\(folder.path)/containers.conf", "podman", "--root",
                "\(folder.path)/podman", "--runroot", "\(folder.path)/podman-run",
                "--storage-driver", "vfs",
            ] + arguments
        )
    }

    /// Runs a command of the node where the first container's network is.
    func inFirst(_ command: String) throws -> String {
        let tasks = try containerd("task", "ls").split(separator: "\n")
        guard let task = tasks.first(where: { $0.hasPrefix("first") })?.split(separator: " "),
            task.count > 1
        else { throw Failure(description: "no task in \(tasks)") }
        let words = command.split(separator: " ").map(String.init)
        let output = try lab.run(
            on: 1,
            ["nsenter", "-t", String(task[1]), "-n"] + words
        )
        return output.text + output.errors
    }

    /// The GC of a runtime that knows of no attachment any more.
    func collect() throws -> Lab.Output {
        try lab.run(
            on: 1,
            ["genie"],
            input: """
                {"cniVersion":"1.1.0","name":"ask","type":"genie","cni.dev/valid-attachments":[]}
                """,
            environment: ["CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"]
        )
    }

    private func run(_ command: [String]) throws -> String {
        let output = try lab.run(on: 1, Self.closing + ["timeout", "60"] + command)
        guard output.status == 0 else {
            throw Failure(description: output.text + output.errors)
        }
        return output.text
    }
}
