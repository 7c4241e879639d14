import Bench
import Determinism
import Foundation
import Glibc
import LocalAPI
import LocalSocket

/// The daemons of a drill: started, ended, stopped and robbed of their disks on purpose.
///
/// Each node's disk is a small file system in memory, so that it can be filled. Only the thread
/// that breaks things uses it.
final class DrillRing {
    private struct Node {
        var child: Child?
        /// Disks that it has had; its name says which.
        var disks = 0
    }

    let underlay: Underlay
    let count: Int
    let recorder: Recorder
    private let directory: String
    private let secret: String
    private var nodes: [Int: Node] = [:]
    /// Whether disks are file systems of their own, which can be filled.
    private(set) var canFill = true
    /// Names of nodes whose disks are gone.
    private(set) var lostNames: [String] = []
    /// Those among them that the ring was not seen without yet.
    private(set) var unremovedNames: [String] = []

    init(
        _ underlay: Underlay,
        directory: String,
        secret: String,
        recorder: Recorder
    ) throws(BenchError) {
        self.underlay = underlay
        self.directory = directory
        self.secret = secret
        self.recorder = recorder
        count = underlay.nodes
        for node in 1...count {
            nodes[node] = Node()
            do throws(BenchError) {
                try underlay.run(
                    ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", "/var/lib/genie"],
                    on: node
                )
            } catch {
                canFill = false
                recorder.say("no small file systems here, so none is filled: \(error)")
            }
        }
    }

    /// The name that a node has in the ring: a new one with each disk.
    func name(_ node: Int) -> String {
        let disks = nodes[node]?.disks ?? 0
        return disks == 0 ? "node\(node)" : "node\(node)-\(disks)"
    }

    /// A node's socket, as it is seen from here.
    func socket(_ node: Int) -> String {
        "\(directory)/lab/\(underlay.id)/node\(node)/run/genied.sock"
    }

    func session(_ node: Int) -> NodeSession { NodeSession(path: socket(node)) }

    /// Starts a node's daemon.
    func start(_ node: Int) throws(BenchError) {
        var role: [String] = []
        if node == 1, nodes[1]?.disks == 0 {
            role = ["--bootstrap"]
        } else {
            for other in 1...count where other != node {
                role += ["--join", "\(underlay.address(other)):7940"]
            }
        }
        let child = try underlay.start(
            ["genied"] + role + [
                "--secret", secret, "--uplink", "eth0", "--node-name", name(node),
                "--data-dir", "/var/lib/genie",
            ],
            on: node
        )
        nodes[node]?.child = child
    }

    /// Whether a node's daemon runs.
    func isRunning(_ node: Int) -> Bool {
        guard let child = nodes[node]?.child else { return false }
        return child.end == nil
    }

    func signal(_ node: Int, _ number: Int32) { nodes[node]?.child?.send(number) }

    /// Sends a signal and waits for the end, which SIGKILL hurries after a while.
    func end(_ node: Int, _ number: Int32) {
        guard let child = nodes[node]?.child else { return }
        child.send(number)
        if child.waitForEnd(within: .seconds(15)) == nil {
            recorder.find("\(name(node)) goes on 15 s after signal \(number)")
            child.send(SIGKILL)
            _ = child.waitForEnd(within: .seconds(10))
        }
        nodes[node]?.child = nil
    }

    /// What a node's daemon said last, where it ended by itself; nil while it runs.
    func lastWords(_ node: Int) -> String? {
        guard let child = nodes[node]?.child, child.end != nil else { return nil }
        return child.lines().suffix(4).map(\.text).joined(separator: " | ")
    }

    /// Waits until a node's daemon answers and belongs to the ring.
    @discardableResult
    func waitUntilServing(_ node: Int, within span: Span) -> Bool {
        let session = session(node)
        return Monotonic.wait(span) {
            guard isRunning(node) else { return true }
            if session.get("/v1/ring", as: RingStatus.self) != nil { return true }
            usleep(100_000)
            return false
        } && isRunning(node)
    }

    /// Takes a node's disk away; the daemon must not run.
    ///
    /// It is another node from now on.
    func wipe(_ node: Int) throws(BenchError) {
        lostNames.append(name(node))
        unremovedNames.append(name(node))
        nodes[node]?.disks += 1
        try underlay.run(["find", "/var/lib/genie", "-mindepth", "1", "-delete"], on: node)
    }

    /// Takes nodes whose disks are gone out of the ring, as who runs it does.
    ///
    /// They stay among the owners of slots until then. One that is refused is tried again later.
    func removeLost() {
        let asked = (1...count).map(session).first {
            $0.get("/v1/ring", as: RingStatus.self) != nil
        }
        guard let asked, !unremovedNames.isEmpty else { return }
        for name in unremovedNames {
            var isGone = false
            if case .ok = asked.ask(.delete, "/v1/nodes/\(name)", within: 12_000) { isGone = true }
            // The answer may have got lost; the ring shows it.
            if let ring = asked.get("/v1/ring", as: RingStatus.self) {
                isGone = isGone || !ring.members.contains { $0.name == name }
            }
            guard isGone else { continue }
            recorder.say("\(name) is removed from the ring")
            unremovedNames.removeAll { $0 == name }
        }
    }

    /// Keeps a copy of a node's disk; the daemon must not run.
    func copyDisk(_ node: Int) throws(BenchError) {
        try Command.run("mkdir", ["-p", copy(node)])
        try underlay.run(["cp", "-a", "/var/lib/genie/.", copy(node)], on: node)
    }

    /// Puts the copy in the place of the disk; the daemon must not run.
    func restoreDisk(_ node: Int) throws(BenchError) {
        try underlay.run(["find", "/var/lib/genie", "-mindepth", "1", "-delete"], on: node)
        try underlay.run(["cp", "-a", copy(node) + "/.", "/var/lib/genie"], on: node)
        try Command.run("rm", ["-rf", copy(node)])
    }

    /// Fills a node's disk to the last byte.
    func fill(_ node: Int) throws(BenchError) {
        let filler = "dd if=/dev/zero of=/var/lib/genie/filler bs=4k 2>/dev/null || true"
        try underlay.run(["sh", "-c", filler], on: node)
    }

    /// Makes room again.
    func empty(_ node: Int) throws(BenchError) {
        try underlay.run(["rm", "-f", "/var/lib/genie/filler"], on: node)
    }

    /// Has a node drop what comes from others; nobody for none.
    func drop(_ sources: [Int], on node: Int) throws(BenchError) {
        let addresses = sources.map { underlay.address($0) }.joined(separator: ", ")
        let rule = sources.isEmpty ? "" : "ip saddr { \(addresses) } counter drop"
        let rules = """
            add table netdev drill_cut
            delete table netdev drill_cut
            table netdev drill_cut {
            chain arriving {
            type filter hook ingress device eth0 priority -9
            \(rule)
            }
            }
            """
        try underlay.run(["nft", rules], on: node)
    }

    /// The names of the stewards, as any node that answers tells them.
    var stewards: [String] {
        for node in 1...count {
            if let ring = session(node).get("/v1/ring", as: RingStatus.self) {
                return ring.stewards
            }
        }
        return []
    }

    /// Whether one more disk may be lost: a majority of the stewards must keep theirs.
    var canLoseDisk: Bool {
        let stewards = stewards
        let lost = stewards.count { lostNames.contains($0) || !$0.hasPrefix("node") }
        return !stewards.isEmpty && lost + 1 <= (stewards.count - 1) / 2
    }

    private func copy(_ node: Int) -> String { "\(directory)/copy\(node)" }
}
