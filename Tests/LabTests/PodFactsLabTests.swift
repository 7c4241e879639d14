import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "What a file says of pods decides as Kubernetes' objects will",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct PodFactsLabTests {
    /// The objects as `kubectl get -o json` lists them.
    private static let objects = #"""
        {"apiVersion":"v1","kind":"List","items":[
         {"kind":"Namespace","metadata":{"name":"shop","annotations":{"cni":"line"}}},
         {"kind":"Pod","metadata":{"namespace":"shop","name":"a","annotations":{
           "k8s.v1.cni.cncf.io/networks":"[{\"name\":\"fixed\",\"ips\":[\"10.66.0.9/24\"],\"mac\":\"02:00:00:00:00:66\",\"default-route\":[\"10.66.0.1\"]}]"}}},
         {"kind":"Pod","metadata":{"namespace":"shop","name":"b","annotations":{"cni":"","networks":"front@eth0,back"}}},
         {"kind":"Pod","metadata":{"namespace":"shop","name":"d","annotations":{"cni":"","other":"x"}}},
         {"kind":"NetworkAttachmentDefinition","metadata":{"namespace":"shop","name":"fixed"},
          "spec":{"config":"{\"cniVersion\":\"1.0.0\",\"type\":\"bridge\",\"bridge\":\"lbr6\",\"capabilities\":{\"ips\":true,\"mac\":true},\"ipam\":{\"type\":\"static\"}}"}},
         {"kind":"Physicalnetwork","metadata":{"namespace":"shop","name":"whole"},
          "spec":{"sharedStatus":{"plugin":"","subnet":"10.67.0.0/16","dedicatedNet":false}}},
         {"kind":"Logicalnetwork","metadata":{"namespace":"shop","name":"front"},
          "spec":{"physicalNet":"whole","sub_subnet":"10.67.1.0/24","plugin":"inner"}},
         {"kind":"Logicalnetwork","metadata":{"namespace":"shop","name":"back"},
          "spec":{"physicalNet":"whole","sub_subnet":"10.67.2.0/24","plugin":"line"}}
        ]}
        """#

    @Test("definitions, logical networks, the namespace's word and the least loaded network")
    func objects() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "facts-\(UUID()).json")
        try Self.objects.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let environment = ["GENIE_LAB_POD_FACTS": file.path]
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            let networks = try Networks(lab)
            func add(_ pod: String) throws -> AddResult {
                try lab.script("pod", "add", "node1", pod)
                return try AddResult(try networks.call("ADD", pod))
            }
            // The namespace's network is the cluster-wide one; the other leads the default routes.
            let fixed = try add("a")
            #expect(fixed.shown == ["eth0 10.63.0.2/24", "net1 10.66.0.9/24"])
            #expect(
                fixed.interfaces.contains { $0.name == "net1" && $0.mac == "02:00:00:00:00:66" }
            )
            #expect(fixed.routes?.filter { $0.dst == "0.0.0.0/0" }.map(\.gw) == ["10.66.0.1"])
            let route = try networks.inPod("a", "ip route show default")
            #expect(route.hasPrefix("default via 10.66.0.1 dev net1"), "\(route)")
            #expect(route.split(separator: "\n").count == 1, "\(route)")
            // Two parts of one physical network, with a plugin each.
            #expect(try add("b").shown == ["eth0 10.67.1.2/24", "eth1 10.67.2.2/24"])
            // One that asks for nothing gets the namespace's.
            #expect(try add("c").shown == ["eth0 10.63.0.3/24"])
            let least = try add("d")
            #expect(least.ips.count == 1)
            let why = try lab.ring(1, "pods", "explain", "shop/d").text
            #expect(why.contains("least loaded of"), "\(why)")
            // What would a pod get that is not here?
            let front = try lab.ring(1, "pods", "explain", "shop/absent")
            #expect(front.errors.contains("names network line, which is not there"))
            // N28: DEL takes away what ADD made, though the definitions are gone meanwhile.
            try #"{"apiVersion":"v1","kind":"List","items":[]}"#
                .write(to: file, atomically: true, encoding: .utf8)
            for pod in ["a", "b", "c", "d"] {
                #expect(try networks.call("DEL", pod).status == 0)
            }
            #expect(try networks.left()["leases"] == [])
            #expect(try networks.left()["pods"] == [])
        }
    }

    /// Answers as cAdvisor does, out of a file, until it is told to end.
    private static let loadServer = """
        import http.server, json, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                good = self.path == "/api/v1.3/containers/" and asked == {"num_stats": 2}
                self.send_response(200 if good else 400)
                self.end_headers()
                self.wfile.write(open(sys.argv[1], "rb").read())
            def log_message(self, *words): pass
        http.server.HTTPServer(("127.0.0.1", 4194), Handler).serve_forever()
        """

    private static func loads(_ bytes: [String: Int]) -> String {
        let samples = [0, 1].map { times in
            let interfaces = bytes.map {
                #"{"name":"\#($0.key)","rx_bytes":\#($0.value * times),"tx_bytes":0}"#
            }
            return #"{"network":{"interfaces":[\#(interfaces.joined(separator: ","))]}}"#
        }
        return #"{"stats":[\#(samples.joined(separator: ","))]}"#
    }

    private func log(_ lab: Lab) throws -> String {
        try String(contentsOfFile: "/run/genie-lab/\(lab.id)/node1/genied.log", encoding: .utf8)
    }

    @Test("cAdvisor tells what interfaces carry; where it does not, the node's counters do")
    func cAdvisor() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let file = networks.folder.appending(path: "loads").path
            let config =
                #","default_plugin":"inner,outer","cAdvisor_address":"http://127.0.0.1:4194/""#
            func chosen(_ pod: String) async throws -> String {
                // Pods that come within a second share one answer.
                try await Task.sleep(for: .milliseconds(1_100))
                try lab.script("pod", "add", "node1", pod)
                let add = try networks.call("ADD", pod, annotations: ["cni": ""], config: config)
                #expect(add.status == 0, "\(add.text)")
                let why = try lab.ring(1, "pods", "explain", "shop/\(pod)").text
                #expect(try networks.call("DEL", pod, config: config).status == 0)
                return why
            }
            #expect(try await chosen("a").contains("bytes a second"))
            #expect(try log(lab).contains("tells no loads (nothing listens there)"))
            try networks.write("server.py", Self.loadServer)
            let server = Process()
            server.executableURL = URL(filePath: "/usr/sbin/ip")
            server.arguments = [
                "netns", "exec", "grlab\(lab.id)-node1", "python3",
                networks.folder.appending(path: "server.py").path, file,
            ]
            server.standardInput = FileHandle.nullDevice
            server.standardOutput = FileHandle.nullDevice
            server.standardError = FileHandle.nullDevice
            try server.run()
            defer { kill(server.processIdentifier, SIGKILL) }
            for (loads, network) in [
                (["lbr0": 7, "eth0": 900], "inner"), (["lbr0": 900, "eth0": 7], "outer"),
            ] {
                try networks.write("loads", Self.loads(loads))
                let isUp = try await lab.eventually(seconds: 10) {
                    try lab.run(on: 1, ["ss", "-ltn"]).text.contains(":4194")
                }
                #expect(isUp)
                let why = try await chosen("b\(network)")
                #expect(why.contains(network), "\(why)")
                #expect(why.contains("7 bytes between cAdvisor's samples"), "\(why)")
            }
            try networks.write("loads", "no JSON")
            #expect(try await chosen("c").contains("bytes a second"))
            let said = try log(lab)
            // Each reason once.
            #expect(
                said.components(separatedBy: "tells no loads (").count == 3,
                "\(said.suffix(900))"
            )
        }
    }

    @Test("annotations that are no texts keep their pod from running, and no other")
    func malformedAnnotations() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "facts-\(UUID()).json")
        let pod =
            #"{"kind":"Pod","metadata":{"namespace":"shop","name":"a","annotations":{"cni":5}}}"#
        try #"{"items":[\#(pod)]}"#.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let environment = ["GENIE_LAB_POD_FACTS": file.path]
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            let networks = try Networks(lab)
            for name in ["a", "b"] { try lab.script("pod", "add", "node1", name) }
            let add = try networks.call("ADD", "a")
            #expect(
                add.status != 0
                    && add.text.contains("metadata.annotations of pod shop/a must be an object"),
                "\(add.text)"
            )
            #expect(try networks.call("ADD", "b").status == 0)
        }
    }

    @Test("a file that cannot be read keeps a pod from running without its networks")
    func unreadable() async throws {
        let environment = ["GENIE_LAB_POD_FACTS": "/absent/facts.json"]
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            let networks = try Networks(lab)
            try lab.script("pod", "add", "node1", "a")
            let add = try networks.call("ADD", "a", annotations: ["cni": "inner"])
            #expect(add.status != 0 && add.text.contains("\"code\":11"), "\(add.text)")
            #expect(add.text.contains("/absent/facts.json"))
        }
    }
}
