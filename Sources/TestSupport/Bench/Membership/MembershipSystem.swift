import Determinism

/// How a member fares, in the eyes of another.
package enum Verdict: String, Hashable, Sendable {
    case alive
    case suspect
    case dead
}

/// A membership program: how it is started on a node, and what its log lines say.
package protocol MembershipSystem: Sendable {
    /// Its name in tables.
    var name: String { get }
    /// Its port, UDP and TCP.
    var port: UInt16 { get }
    /// Whether every suspicion and its end is in the log of every member.
    var logsRefutations: Bool { get }

    /// The command that runs it on a node, 1 and up.
    func command(node: Int) -> [String]

    /// What a line says about a member; nil for every other line.
    func report(_ line: String) -> (member: String, verdict: Verdict)?
}

extension MembershipSystem {
    /// The name that a node has in its ring.
    package static func nodeName(_ node: Int) -> String { "node\(node)" }
}

/// `genied` as a whole, with its dataplane.
package struct GenieSystem: MembershipSystem {
    package let name = "genied"
    package let port: UInt16 = 7_940
    package let logsRefutations = true
    let secretPath: String
    let underlay: Underlay

    package func command(node: Int) -> [String] {
        let role =
            node == 1 ? ["--bootstrap"] : ["--join", "\(underlay.address(1)):\(port)"]
        return ["genied"] + role + [
            "--secret", secretPath, "--uplink", "eth0", "--node-name", Self.nodeName(node),
        ]
    }

    /// Reads `… name=node2 peer=… status=dead … member changed`.
    package func report(_ line: String) -> (member: String, verdict: Verdict)? {
        guard line.hasSuffix("member changed") else { return nil }
        let words = line.split(separator: " ")
        func value(_ key: String) -> String? {
            words.first { $0.hasPrefix("\(key)=") }.map { String($0.dropFirst(key.count + 1)) }
        }
        guard let member = value("name"), let status = value("status") else { return nil }
        // Somebody who left politely is as gone as one that died.
        guard let verdict = Verdict(rawValue: status == "left" ? "dead" : status) else {
            return nil
        }
        return (member, verdict)
    }
}

/// Debian's serf with the timers of its LAN profile.
package struct SerfSystem: MembershipSystem {
    package let name = "serf"
    package let port: UInt16 = 7_946
    package let logsRefutations = false
    let program: String
    let underlay: Underlay

    package func command(node: Int) -> [String] {
        let seeds = node == 1 ? 2 : 1
        return [
            program, "agent", "-node=\(Self.nodeName(node))",
            "-bind=\(underlay.address(node)):\(port)", "-rpc-addr=127.0.0.1:7373",
            "-profile=lan", "-log-level=debug", "-retry-join=\(underlay.address(seeds)):\(port)",
            "-retry-interval=1s",
        ]
    }

    /// Reads the lines that are written at once; event handlers run seconds later.
    package func report(_ line: String) -> (member: String, verdict: Verdict)? {
        let signs: [(String, Verdict)] = [
            ("serf: EventMemberJoin: ", .alive), ("serf: EventMemberFailed: ", .dead),
            ("serf: EventMemberLeave: ", .dead), ("memberlist: Suspect ", .suspect),
        ]
        for (sign, verdict) in signs {
            guard let range = line.firstRange(of: sign) else { continue }
            let member = line[range.upperBound...].prefix { $0 != " " }
            return member.isEmpty ? nil : (String(member), verdict)
        }
        return nil
    }
}
