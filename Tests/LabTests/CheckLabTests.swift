import Foundation
import LabNet
import LocalAPI
import Synchronization
import Testing

@Suite(
    "CHECK is content with pods that are as their ADD left them, and names what they have lost",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct CheckLabTests {
    private static let web = ",\"vpc\":\"red\",\"group\":\"web\""

    private func with(_ body: (Networks) throws -> Void) async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let words = ["--subnet", "10.64.0.0/24", "--subnet", "fd00:64::/64"]
            let group = try lab.run(on: 1, ["genie-ring", "groups", "create", "red/api"] + words)
            #expect(group.status == 0, "\(group.errors)")
            let own = #""type":"genie","vpc":"red","group":"api""#
            try networks.write(
                "net.d/60-blue.conf",
                #"{"cniVersion":"1.0.0","name":"blue",\#(own)}"#
            )
            try networks.write(
                "net.d/70-apart.conflist",
                #"{"cniVersion":"1.0.0","name":"apart","plugins":[{\#(own)},{"type":"sbr"}]}"#
            )
            try lab.script("pod", "add", "node1", "a")
            try body(networks)
        }
    }

    /// One call of a runtime, which CHECK repeats with the result.
    private struct Attachment {
        let networks: Networks
        var annotations: [String: String] = [:]
        var config = ""
        var interface = "eth0"
        var result = ""

        mutating func add() throws -> AddResult {
            let add = try networks.call(
                "ADD",
                "a",
                annotations: annotations,
                config: config,
                interface: interface
            )
            result = add.text
            return try AddResult(add)
        }

        func check() throws -> Lab.Output {
            try networks.call(
                "CHECK",
                "a",
                annotations: annotations,
                config: "\(config),\"prevResult\":\(result)",
                interface: interface
            )
        }
    }

    @Test(
        "several networks, ours and others', of both families",
        arguments: [
            "red/api,red/api@x,inner", "inner,red/api", "red/web,line,red/api@data",
        ]
    )
    func several(ask: String) async throws {
        try await with { networks in
            var pod = Attachment(networks: networks, annotations: ["cni": ask])
            _ = try pod.add()
            let check = try pod.check()
            #expect(check.status == 0, "\(check.text)")
        }
    }

    @Test("a node's end that is down, and a hardware address that nothing is taken from")
    func damaged() async throws {
        try await with { networks in
            var pod = Attachment(networks: networks, config: Self.web)
            let result = try pod.add()
            let host = result.interfaces[0].name
            for (command, words) in [
                ("ip link set \(host) down", ["node's end of interface eth0", host]),
                ("ip link set \(host) up", []),
            ] {
                let done = try networks.lab.run(
                    on: 1,
                    command.split(separator: " ").map(String.init)
                )
                #expect(done.status == 0, "\(done.errors)")
                let check = try pod.check()
                #expect((check.status == 0) == words.isEmpty, "\(check.text)")
                for word in words { #expect(check.text.contains(word), "\(check.text)") }
            }
            _ = try networks.inPod("a", "ip link set eth0 address 02:00:00:00:00:09")
            let other = try pod.check()
            #expect(other.status != 0 && other.text.contains("another hardware address"))
        }
    }

    @Test(
        "a network that has the default route instead of the first one",
        arguments: ["inner", #"[{"name":"inner","interface":"main0"}]"#]
    )
    func defaultRoute(cluster: String) async throws {
        try await with { networks in
            let asked = #"[{"name":"blue","default-route":["10.64.0.1","fd00:64::1"]}]"#
            var pod = Attachment(
                networks: networks,
                annotations: [
                    "k8s.v1.cni.cncf.io/networks": asked,
                    "v1.multus-cni.io/default-network": cluster,
                ]
            )
            _ = try pod.add()
            let healthy = try pod.check()
            #expect(healthy.status == 0, "\(healthy.text)")
            _ = try networks.inPod("a", "ip -6 route delete default")
            let lost = try pod.check()
            #expect(
                lost.status != 0 && lost.text.contains("its route ::/0 via fd00:64::1"),
                "\(lost.text)"
            )
        }
    }

    @Test("plugins behind ours may move its routes into tables of their own")
    func chained() async throws {
        try await with { networks in
            for ask in ["apart", "inner,apart"] {
                var pod = Attachment(networks: networks, annotations: ["cni": ask])
                _ = try pod.add()
                let check = try pod.check()
                #expect(check.status == 0, "\(ask): \(check.text)")
                #expect(try networks.call("DEL", "a").status == 0)
            }
        }
    }

    @Test("a call behind one whose default route is another plugin's, and two calls at once")
    func oneDefault() async throws {
        try await with { networks in
            func defaults() throws -> Int {
                try networks.inPod("a", "ip route show default").split(separator: "\n").count
            }
            var first = Attachment(networks: networks, annotations: ["cni": "inner"])
            var second = Attachment(networks: networks, config: Self.web, interface: "eth1")
            _ = try first.add()
            _ = try second.add()
            #expect(try defaults() == 1)
            for pod in [first, second] {
                let check = try pod.check()
                #expect(check.status == 0, "\(pod.interface): \(check.text)")
                #expect(try networks.call("DEL", "a", interface: pod.interface).status == 0)
            }
            for round in 0..<6 {
                let failures = Mutex([String]())
                let isPlain = round % 2 == 0
                DispatchQueue.concurrentPerform(iterations: 2) { number in
                    let add = try? networks.call(
                        "ADD",
                        "a",
                        annotations: ["cni": "red/web,red/api@more\(number)"],
                        config: number == 0 && isPlain ? Self.web : "",
                        interface: "eth\(number * 4)"
                    )
                    if add?.status != 0 { failures.withLock { $0.append(add?.text ?? "") } }
                }
                #expect(failures.withLock { $0 } == [])
                #expect(try defaults() == 1, "round \(round)")
                for interface in ["eth0", "eth4"] {
                    #expect(try networks.call("DEL", "a", interface: interface).status == 0)
                }
            }
        }
    }

    @Test("several calls for one container, one after another, and one fewer of them")
    func calls() async throws {
        try await with { networks in
            var first = Attachment(networks: networks, config: Self.web)
            var second = first
            second.interface = "eth1"
            var third = Attachment(networks: networks, annotations: ["cni": "red/api,inner"])
            third.interface = "eth2"
            _ = try first.add()
            _ = try second.add()
            for pod in [first, second] {
                let check = try pod.check()
                #expect(check.status == 0, "\(pod.interface): \(check.text)")
            }
            _ = try third.add()
            // One that fails takes nothing with it.
            var failing = third
            failing.annotations = ["cni": "red/api,red/absent"]
            failing.interface = "eth5"
            #expect(throws: (any Error).self) { try failing.add() }
            var fourth = failing
            fourth.annotations = ["cni": "red/api,line"]
            let ips = try fourth.add().ips
            for (ip, interface) in zip([ips[0], ips[2]], ["eth5", "eth4"]) {
                let address = ip.address.prefix { $0 != "/" }
                let way = try networks.inPod("a", "ip route get 192.0.2.1 from \(address)")
                #expect(way.contains("dev \(interface)"), "\(way)")
            }
            for pod in [first, second, third, fourth] {
                let check = try pod.check()
                #expect(check.status == 0, "\(pod.interface): \(check.text)")
            }
            let defaults = try networks.inPod("a", "ip route show default")
            #expect(defaults.split(separator: "\n").count == 1, "\(defaults)")
            for gone in ["eth5", "eth2", "eth1"] {
                #expect(try networks.call("DEL", "a", interface: gone).status == 0)
                let check = try first.check()
                #expect(check.status == 0, "without \(gone): \(check.text)")
            }
        }
    }

    @Test("a route that has more next hops than ours, and one that the runtime no longer lists")
    func besides() async throws {
        try await with { networks in
            var pod = Attachment(networks: networks, annotations: ["cni": "red/api"])
            let address = try #require(try pod.add().ips.first { $0.address.contains(":") })
            let more = "ip -6 route append default via fd00:64::77 dev eth0 onlink"
            #expect(try networks.inPod("a", more) == "")
            let shown = try networks.inPod("a", "ip -6 route show default")
            #expect(shown.components(separatedBy: "via").count == 3, "\(shown)")
            let check = try pod.check()
            #expect(check.status == 0, "\(address): \(check.text)")
            // As a plugin behind us would have done it.
            _ = try networks.inPod("a", "ip route delete default")
            #expect(try pod.check().status != 0)
            pod.result = pod.result.replacing(#"{"dst":"0.0.0.0/0","gw":"10.64.0.1"},"#, with: "")
            let changed = try pod.check()
            #expect(changed.status == 0, "\(changed.text)")
        }
    }
}
