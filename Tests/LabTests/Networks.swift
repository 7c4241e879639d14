import Foundation
import LabNet
import LocalAPI

/// A node's folder of networks of others, real plugins from Debian behind wrappers that fail when
/// told to, and everything that may be left of a pod.
struct Networks {
    let lab: Lab
    let folder: URL

    /// Stock plugins, as the Debian package installs them.
    static let stock = "/usr/lib/cni"
    static var isStockThere: Bool {
        FileManager.default.isExecutableFile(atPath: "\(stock)/bridge")
    }

    init(_ lab: Lab) throws {
        self.lab = lab
        folder = URL(filePath: "/run/genie-lab/\(lab.id)/node1/networks")
        for name in ["net.d", "bin", "leases"] {
            try FileManager.default.createDirectory(
                at: folder.appending(path: name),
                withIntermediateDirectories: true
            )
        }
        try write("net.d/10-inner.conflist", Self.bridge(leases, "inner"))
        // The stock bandwidth fails a CHECK of a pod that has no limits.
        let shaper = #"{"type":"bandwidth","capabilities":{"bandwidth":true}},"#
        try write("net.d/40-shaped.conflist", Self.bridge(leases, "shaped", shaper))
        try write("net.d/20-outer.conf", Self.macvlan(leases))
        try write("net.d/30-line.conf", Self.line(leases))
        for type in ["bridge", "macvlan", "ptp", "tuning", "bandwidth", "portmap"] {
            try wrap(type)
        }
        let made = try lab.ring(1, "vpcs", "create", "red")
        let group = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.60.0.0/24")
        guard made.status == 0, group.status == 0 else {
            throw Failure(description: made.errors + group.errors)
        }
    }

    var leases: String { folder.appending(path: "leases").path }
    var path: String { "\(folder.path)/bin:\(Self.stock)" }

    private static func addresses(_ leases: String, _ subnet: String, _ routes: String = "")
        -> String
    {
        #""ipam":{"type":"host-local","subnet":"\#(subnet)","dataDir":"\#(leases)"\#(routes)}"#
    }

    /// A bridge with what stock chain members do.
    private static func bridge(_ leases: String, _ name: String, _ more: String = "") -> String {
        """
        {"cniVersion":"1.0.0","name":"\(name)","plugins":[
         {"type":"bridge","bridge":"lbr0","isGateway":true,"capabilities":{"mac":true},
          \(addresses(leases, "10.61.0.0/24", #","routes":[{"dst":"0.0.0.0/0"}]"#))},
         {"type":"tuning","sysctl":{"net.core.somaxconn":"500"}},
         \(more)
         {"type":"portmap","capabilities":{"portMappings":true},"snat":true}]}
        """
    }

    private static func macvlan(_ leases: String) -> String {
        """
        {"cniVersion":"0.4.0","name":"outer","type":"macvlan","master":"eth0",
         "capabilities":{"ips":true},
         "ipam":{"type":"static","addresses":[{"address":"172.30.99.7/24"}]}}
        """
    }

    private static func line(_ leases: String) -> String {
        """
        {"cniVersion":"0.3.1","name":"line","type":"ptp",
         \(addresses(leases, "10.63.0.0/24", #","routes":[{"dst":"0.0.0.0/0"}]"#))}
        """
    }

    func write(_ name: String, _ text: String) throws {
        try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
    }

    /// A plugin that is the stock one, unless the file `fault` names its call: then it fails, or
    /// the daemon dies, before or after its work.
    private func wrap(_ type: String) throws {
        let text = """
            #!/bin/sh
            fault=$(cat '\(folder.path)/fault' 2>/dev/null)
            input=$(cat)
            act() { # PHASE
                case "$fault" in
                "\(type) $CNI_COMMAND $1 fail")
                    echo '{"cniVersion":"0.4.0","code":107,"msg":"told to fail"}'; exit 1 ;;
                "\(type) $CNI_COMMAND $1 slow")
                    sleep 2 ;;
                "\(type) $CNI_COMMAND $1 hang")
                    sleep 25 ;;
                "\(type) $CNI_COMMAND $1 kill")
                    rm '\(folder.path)/fault'
                    kill -9 "$(cat /run/genie-lab/\(lab.id)/node1/genied.pid)" ;;
                esac
            }
            echo "\(type) $CNI_COMMAND $CNI_IFNAME" >>'\(folder.path)/calls'
            act before
            output=$(printf %s "$input" | '\(Self.stock)/\(type)'); status=$?
            act after
            printf %s "$output"
            exit $status

            """
        try write("bin/\(type)", text)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755],
            ofItemAtPath: folder.appending(path: "bin/\(type)").path
        )
    }

    /// Lets a call of a plugin fail, or kill the daemon, from now on.
    func setFault(_ fault: String?) throws {
        if let fault { return try write("fault", fault) }
        try? FileManager.default.removeItem(at: folder.appending(path: "fault"))
    }

    /// Calls the plugin for a pod as a runtime does.
    func call(
        _ verb: String,
        _ pod: String,
        annotations: [String: String] = [:],
        config: String = "",
        arguments: String = "",
        interface: String = "eth0",
        version: String = "1.0.0"
    ) throws -> Lab.Output {
        let text = String(decoding: try JSONEncoder().encode(annotations), as: UTF8.self)
        let name = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=\(pod)"
        return try lab.run(
            on: 1,
            ["genie"],
            input: """
                {"cniVersion":"\(version)","name":"cluster","type":"genie",\
                "confDir":"\(folder.path)/net.d"\(config)}
                """,
            environment: [
                "CNI_COMMAND": verb, "CNI_CONTAINERID": pod, "CNI_IFNAME": interface,
                "CNI_ARGS": "IgnoreUnknown=1;\(name);K8S_ANNOT=\(text)\(arguments)",
                "CNI_NETNS": "/var/run/netns/grlab\(lab.id)-node1-\(pod)", "CNI_PATH": path,
            ]
        )
    }

    /// Runs a command in a pod.
    func inPod(_ pod: String, _ command: String) throws -> String {
        let words = command.split(separator: " ").map(String.init)
        let output = try Lab.run(
            "/usr/sbin/ip",
            ["netns", "exec", "grlab\(lab.id)-node1-\(pod)"] + words
        )
        return output.text + output.errors
    }

    /// Everything that pods take of the node and of networks of others.
    func left() throws -> [String: [String]] {
        func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
        let files =
            FileManager.default.enumerator(atPath: leases)?.compactMap { $0 as? String } ?? []
        let dataplane = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
        let rules = try lab.run(on: 1, ["iptables-save", "-t", "nat"]).text
        let links = try lab.run(on: 1, ["ip", "-br", "link"]).text
        return [
            // One file an address, in a folder a network.
            "leases": files.filter { file in
                let parts = file.split(separator: "/")
                return parts.count == 2 && parts[1].contains(".") && !parts[1].hasPrefix("last")
            }.sorted(),
            "links": lines(links).map { String($0.prefix { $0 != " " && $0 != "@" }) }
                .filter { $0 != "lbr0" }.sorted(),
            "rules": lines(rules).filter { $0.contains("CNI-DN") || $0.contains("10.6") },
            "pods": try lab.ring(1, "pods", as: PodList.self).pods.map(\.containerID),
            "maps": dataplane.maps
                .filter { ["gr_port_r2", "gr_endpoint_r2", "gr_vni_r1"].contains($0.name) }
                .map { "\($0.name) \($0.entries)" },
            "programs": dataplane.attachments.map(\.program).sorted(),
            "addresses": try lab.ring(1, "ipam", as: IPAMStatus.self).subnets.map { "\($0.used)" },
        ]
    }
}

/// A call that had to succeed and did not.
private struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// The result of an ADD, strictly read.
struct AddResult: Decodable {
    struct Interface: Decodable {
        let name: String
        let sandbox: String?
        let mac: String?
    }
    struct Address: Decodable {
        let address: String
        let interface: Int?
        let gateway: String?
    }
    struct Route: Decodable {
        let dst: String
        let gw: String?
    }
    let cniVersion: String
    let interfaces: [Interface]
    let ips: [Address]
    let routes: [Route]?

    init(_ output: Lab.Output) throws {
        guard output.status == 0 else {
            throw Failure(description: output.text + output.errors)
        }
        try self.init(text: output.text)
    }

    init(text: String) throws {
        self = try JSONDecoder().decode(AddResult.self, from: Data(text.utf8))
    }

    /// `INTERFACE ADDRESS` of each address, in order.
    var shown: [String] {
        ips.map { ip in
            let name = ip.interface.map {
                interfaces.indices.contains($0) ? interfaces[$0].name : "?"
            }
            return "\(name ?? "-") \(ip.address)"
        }
    }
}
