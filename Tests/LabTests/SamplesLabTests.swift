import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "The samples of configurations do what README says of them",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct SamplesLabTests {
    private static let samples = Lab.root.appending(path: "cluster/samples")

    private static func install(_ lab: Lab) throws {
        for name in ["00-genie.conf", "20-ports.conflist"] {
            try FileManager.default.copyItem(
                at: samples.appending(path: name),
                to: URL(filePath: "/run/genie-lab/\(lab.id)/node1/net.d/\(name)")
            )
        }
        for vpc in ["default", "red"] { _ = try lab.ring(1, "vpcs", "create", vpc) }
        let web = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.61.0.0/24")
        #expect(web.status == 0, "\(web.errors)")
        let group = try lab.ring(1, "groups", "create", "default/pods", "--subnet", "10.60.0.0/16")
        #expect(group.status == 0, "\(group.errors)")
    }

    /// Calls the plugin with the sample that chooses, as a runtime does for a pod with a port.
    private static func call(
        _ verb: String,
        _ lab: Lab,
        pod: String = "a",
        ports: String = #"[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]"#,
        after add: Lab.Output? = nil
    ) throws -> Lab.Output {
        let sample = try String(
            contentsOf: samples.appending(path: "00-genie.conf"),
            encoding: .utf8
        )
        let previous = add.map { #","prevResult":\#($0.text)"# } ?? ""
        let asked = #","runtimeConfig":{"portMappings":\#(ports)}\#(previous)}"#
        return try lab.run(
            on: 1,
            ["genie"],
            input: sample.prefix { $0 != "}" } + "}" + asked,
            environment: [
                "CNI_COMMAND": verb, "CNI_CONTAINERID": pod, "CNI_IFNAME": "eth0",
                "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=\(pod)",
                "CNI_NETNS": "/var/run/netns/grlab\(lab.id)-node1-\(pod)",
                "CNI_PATH": Networks.stock,
            ]
        )
    }

    @Test("hostPort leads to a pod of ours: from its node, from another one, from itself")
    func hostPort() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            try Self.install(lab)
            try lab.script("pod", "add", "node1", "a")
            let add = try Self.call("ADD", lab)
            #expect(try AddResult(add).shown.first?.hasPrefix("eth0 10.60.") == true)
            let server = Process()
            server.executableURL = URL(filePath: "/usr/sbin/ip")
            server.arguments = [
                "netns", "exec", "grlab\(lab.id)-node1-a", "python3", "-m", "http.server", "80",
            ]
            server.standardInput = FileHandle.nullDevice
            server.standardOutput = FileHandle.nullDevice
            server.standardError = FileHandle.nullDevice
            try server.run()
            defer { kill(server.processIdentifier, SIGKILL) }
            let ask = [
                "curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}",
                "http://172.30.\(lab.id).1:8080/",
            ]
            let isServed = try await lab.eventually(seconds: 10) {
                try lab.run(on: 2, ask).text == "200"
            }
            #expect(isServed)
            #expect(try lab.run(on: 1, ask).text == "200")
            let pod = ["netns", "exec", "grlab\(lab.id)-node1-a"]
            #expect(try Lab.run("/usr/sbin/ip", pod + ask).text == "200")
            let check = try Self.call("CHECK", lab, after: add)
            #expect(check.status == 0, "\(check.text)")
            func rules() throws -> String {
                try lab.run(on: 1, ["iptables-save", "-t", "nat"]).text
            }
            #expect(try rules().contains("10.60."))
            #expect(try Self.call("DEL", lab).status == 0)
            let left = try rules()
            #expect(!left.contains("10.60."), "\(left)")
        }
    }

    @Test("objects give a logical network, one by itself, and a definition beside the node's own")
    func facts() async throws {
        let file = Self.samples.appending(path: "pod-facts.json").path
        let environment = ["GENIE_LAB_POD_FACTS": file]
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            try Self.install(lab)
            func plan(_ pod: String) throws -> [String] {
                try lab.ring(1, "pods", "explain", pod, as: PodPlan.self).networks.map {
                    "\($0.interface) \($0.network) \($0.plugins.joined(separator: ","))"
                }
            }
            #expect(try plan("shop/logical-1") == ["eth0 back genie", "data front macvlan"])
            #expect(
                try plan("shop/beside-1") == ["eth0 ports genie,portmap", "data shop/red genie"]
            )
            for pod in ["logical-1", "beside-1"] {
                try lab.script("pod", "add", "node1", pod)
                let add = try Self.call("ADD", lab, pod: pod, ports: "[]")
                #expect(try AddResult(add).ips.count == 2, "\(add.text)")
                if pod == "logical-1" { #expect(add.text.contains("10.67.1.2/24"), "\(add.text)") }
                let check = try Self.call("CHECK", lab, pod: pod, ports: "[]", after: add)
                #expect(check.status == 0, "\(check.text)")
                #expect(try Self.call("DEL", lab, pod: pod, ports: "[]").status == 0)
            }
        }
    }
}
