import Determinism
import Foundation
import Glibc

/// The nodes of a lab (`scripts/lab`), with nothing running in them that the bench did not start.
///
/// Each node is a network namespace with a veth to a bridge. Loss and counters are nftables rules
/// on the hooks of the nodes' `eth0`; they are outside the programs and alike for all.
package struct Underlay: Sendable {
    /// The lab's number: the underlay is 172.30.ID.0/24.
    package let id: Int
    /// How many nodes there are.
    package let nodes: Int
    private let script: String
    private let environment: [String: String]

    /// Makes the nodes; they are taken down at the end of the process.
    package init(
        script: String,
        id: Int,
        nodes: Int,
        binaries: String,
        directory: String
    ) throws(BenchError) {
        self.id = id
        self.nodes = nodes
        self.script = script
        let environment = [
            "GENIE_LAB_DIR": "\(directory)/lab", "GENIE_LAB_NODES_ONLY": "1", "GENIE_BIN": binaries,
        ]
        self.environment = environment
        Cleanup.shared.atEnd {
            do {
                try Command.runLate(script, ["--id", "\(id)", "down"], environment: environment)
            } catch {
                FileHandle.standardError.write(Data("genie-bench: \(error)\n".utf8))
            }
        }
        try Command.run(script, ["--id", "\(id)", "up", "\(nodes)"], environment: environment)
    }

    /// Names the nodes of a lab and makes none.
    init(id: Int) {
        self.id = id
        nodes = 0
        script = ""
        environment = [:]
    }

    /// A node's address.
    package func address(_ node: Int) -> String { "172.30.\(id).\(node)" }

    /// A node's network namespace.
    package func namespace(_ node: Int) -> String { "/run/netns/grlab\(id)-node\(node)" }

    /// Starts a program inside a node; the process id is the program's own.
    package func start(_ command: [String], on node: Int) throws(BenchError) -> Child {
        try Child(
            script,
            ["--id", "\(id)", "exec", "node\(node)"] + command,
            environment: environment
        )
    }

    /// Makes a pod's empty namespace on a node, and gives back its path.
    package func addPod(_ pod: String, on node: Int) throws(BenchError) -> String {
        try Command.run(
            script,
            ["--id", "\(id)", "pod", "add", "node\(node)", pod],
            environment: environment
        )
    }

    /// Runs a program inside a node to its end.
    @discardableResult
    package func run(_ command: [String], on node: Int) throws(BenchError) -> String {
        try Command.run(
            script,
            ["--id", "\(id)", "exec", "node\(node)"] + command,
            environment: environment
        )
    }
}

/// Packets and bytes that went through a node's uplink.
package struct Traffic: Hashable, Sendable {
    package var packets = 0
    package var bytes = 0

    static func - (lhs: Traffic, rhs: Traffic) -> Traffic {
        Traffic(packets: lhs.packets - rhs.packets, bytes: lhs.bytes - rhs.bytes)
    }

    /// With the Ethernet headers, which nftables counts on the way out and not on the way in.
    var withEthernetHeaders: Traffic {
        Traffic(packets: packets, bytes: bytes + packets * 14)
    }
}

extension Underlay {
    /// Counts what a program's port sends and receives on a node from now on.
    package func countTraffic(port: UInt16, on node: Int) throws(BenchError) {
        let rules = ["udp dport", "udp sport", "tcp dport", "tcp sport"]
        func chain(_ hook: String, _ counter: String) -> String {
            "chain \(counter) { type filter hook \(hook) device eth0 priority 0; "
                + rules.map { "\($0) \(port) counter name \(counter) return; " }.joined() + "}"
        }
        try nft(
            """
            add table netdev bench_count
            delete table netdev bench_count
            table netdev bench_count {
            counter received {}
            counter sent {}
            \(chain("ingress", "received"))
            \(chain("egress", "sent"))
            }
            """,
            on: node
        )
    }

    /// What was counted so far.
    package func traffic(
        on node: Int
    ) throws(BenchError) -> (sent: Traffic, received: Traffic) {
        let text = try run(
            ["nft", "-j", "list", "counters", "table", "netdev", "bench_count"],
            on: node
        )
        guard let sent = Self.counter("sent", text), let received = Self.counter("received", text)
        else { throw .unreadable(what: "nftables counters", text: text) }
        return (sent, received.withEthernetHeaders)
    }

    /// Drops this share of all packets that arrive at every node, at random; 0 ends it.
    ///
    /// A packet from node to node passes one such place: the share is that of a path, per
    /// direction. A question with its answer is lost nearly twice as often.
    package func lose(percent: Double) throws(BenchError) {
        for node in 1...nodes {
            let thousandths = Int((percent * 10).rounded())
            let rule = "numgen random mod 1000 < \(thousandths) counter drop"
            try nft(
                """
                add table netdev bench_loss
                delete table netdev bench_loss
                table netdev bench_loss {
                chain arriving {
                type filter hook ingress device eth0 priority -9
                \(thousandths > 0 ? rule : "")
                }
                }
                """,
                on: node
            )
        }
    }

    private func nft(_ rules: String, on node: Int) throws(BenchError) {
        try run(["nft", rules], on: node)
    }

    static func counter(_ name: String, _ json: String) -> Traffic? {
        struct Listing: Decodable {
            struct Item: Decodable {
                let counter: Counter?
            }
            struct Counter: Decodable {
                let name: String
                let packets: Int
                let bytes: Int
            }
            let nftables: [Item]
        }
        guard let listing = try? JSONDecoder().decode(Listing.self, from: Data(json.utf8)),
            let found = listing.nftables.compactMap(\.counter).first(where: { $0.name == name })
        else { return nil }
        return Traffic(packets: found.packets, bytes: found.bytes)
    }
}
