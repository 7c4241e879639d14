import Addressing
import PluginProcess

/// The rules, in a table of their own, by which pods of the open VPC reach through the node what
/// knows nothing of their addresses.
///
/// - What comes out of the node's device goes on under the node's own address, also back into the
///   VPC: a service that the node translates is answered through the node again.
/// - What the node sends into the VPC under another of its addresses gets the one that it has
///   there: pods of other nodes could not answer otherwise.
/// - Tunnel packets are not passed on: under the node's address other nodes would believe them,
///   whatever VPC they name. Nor is what belongs to no connection, such as made-up news of paths.
struct NodeMasquerade: Hashable, Sendable {
    /// The table, which nobody else writes.
    static let table = "genie-ring"
    private static let deadlineMilliseconds = 5_000

    /// The node's device in the VPC.
    let device: String
    /// The node's addresses there.
    let addresses: [IPAddress]

    /// The input of `nft -f`: the whole table, replacing one of that name in one transaction.
    var script: String {
        let local = addresses.map { address in
            let family = address.isV4 ? "ip" : "ip6"
            return
                "oifname \"\(device)\" \(family) saddr != \(address) fib saddr type local masquerade"
        }
        let rules = ["iifname \"\(device)\" masquerade"] + local
        return """
            table inet \(Self.table)
            delete table inet \(Self.table)
            table inet \(Self.table) {
                chain postrouting {
                    type nat hook postrouting priority srcnat
                    \(rules.joined(separator: "\n        "))
                }
                chain forward {
                    type filter hook forward priority filter
                    iifname "\(device)" udp dport 6081 drop
                    iifname "\(device)" udp sport 6081 drop
                    iifname "\(device)" ct state invalid drop
                }
            }

            """
    }

    /// Puts the table in place of what was there.
    ///
    /// - Throws: ``NodeMasqueradeError``.
    func apply() throws { try Self.run(script) }

    /// Takes the table away; where there is none, or no nft, nothing is to be done.
    @discardableResult
    static func remove() throws -> Bool {
        do {
            try run("delete table inet \(table)\n")
            return true
        } catch NodeMasqueradeError.missing {
            return false
        } catch NodeMasqueradeError.refused(let said) where said.contains("No such file") {
            return false
        }
    }

    private static func run(_ script: String) throws {
        guard let path = PluginProcess.find("nft", in: "/usr/sbin:/sbin:/usr/bin:/bin") else {
            throw NodeMasqueradeError.missing
        }
        let outcome = try PluginProcess.run(
            PluginProcess.Call(
                path: path,
                arguments: ["-f", "-"],
                environment: [],
                input: Array(script.utf8),
                deadlineMilliseconds: deadlineMilliseconds
            )
        )
        guard outcome.status == 0 else { throw NodeMasqueradeError.refused(outcome.errors) }
    }
}

/// Why the rules could not be set.
enum NodeMasqueradeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no nft on this node.
    case missing
    /// It did not take the rules.
    case refused(String)

    var description: String {
        switch self {
        case .missing:
            "this node has no nft, which lets pods of the open VPC reach through the node what is "
                + "outside of it: install nftables"
        case .refused(let detail):
            "nft did not take the rules of table inet \(NodeMasquerade.table): \(detail)"
        }
    }
}
