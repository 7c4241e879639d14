import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "One pod's trouble is not another's, and one call's not another's",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct NetworksCareTests {
    private static let web = ",\"vpc\":\"red\",\"group\":\"web\""

    private func with(_ body: (Networks) async throws -> Void) async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in try await body(try Networks(lab)) }
    }

    private func hook(_ lab: Lab, of interface: String) throws -> String? {
        try lab.ring(1, "dataplane", as: DataplaneStatus.self).attachments
            .first { $0.interface == interface }?.hook
    }

    @Test("a plugin that hangs keeps neither other pods nor the node's own work waiting")
    func hanging() async throws {
        try await with { networks in
            let lab = networks.lab
            for pod in ["stuck", "other", "late"] { try lab.script("pod", "add", "node1", pod) }
            for (pod, network) in [("stuck", "inner"), ("other", "line")] {
                _ = try AddResult(try networks.call("ADD", pod, annotations: ["cni": network]))
            }
            // Both removals come while nobody is there.
            try lab.script("stop", "node1")
            for pod in ["stuck", "other"] {
                #expect(try networks.call("DEL", pod).errors.contains("is kept"))
            }
            try networks.setFault("bridge DEL before hang")
            try lab.script("start", "node1")
            func pods() throws -> [String] {
                try lab.ring(1, "pods", as: PodList.self).pods.map(\.containerID)
            }
            let isBack = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "pods").status == 0
            }
            #expect(isBack, "the daemon is not back")
            let isGone = try await lab.eventually(seconds: 10) { try pods() == ["stuck"] }
            #expect(isGone, "the other pod waits for the plugin, too")
            let result = try AddResult(try networks.call("ADD", "late", config: Self.web))
            let isSettled = try await lab.eventually(seconds: 10) {
                try hook(lab, of: result.interfaces[0].name) != "clsact"
            }
            #expect(isSettled, "hooks of new pods wait for the plugin")
            let during = try pods()
            #expect(during == ["late", "stuck"], "it hung for too short a time: \(during)")
            try networks.setFault(nil)
            let isOver = try await lab.eventually(seconds: 40) { try pods() == ["late"] }
            #expect(isOver, "the pod whose plugin hung is still there")
        }
    }

    @Test("a daemon that is told to stop ends the calls that are under way, and begins no other")
    func stopped() async throws {
        try await with { networks in
            let lab = networks.lab
            for pod in ["a", "b"] { try lab.script("pod", "add", "node1", pod) }
            try networks.setFault("bridge ADD before slow")
            let slow = Task.detached {
                try networks.call("ADD", "a", annotations: ["cni": "inner,red/web"])
            }
            let isCalled = try await lab.eventually(seconds: 5) {
                try lab.ring(1, "pods").text.contains("adding")
            }
            #expect(isCalled)
            let stopping = Task.detached { _ = try lab.script("stop", "node1") }
            try await Task.sleep(for: .milliseconds(500))
            let late = try networks.call("ADD", "b", config: Self.web)
            #expect(late.status != 0 && late.text.contains("is being stopped"), "\(late)")
            let result = try AddResult(try await slow.value)
            #expect(result.shown.first == "eth0 10.61.0.2/24" && result.ips.count == 2)
            try await stopping.value
            try lab.script("start", "node1")
            let isBack = try await lab.eventually(seconds: 10) {
                try lab.ring(1, "pods").text.contains("attached")
            }
            #expect(isBack)
            #expect(try networks.inPod("a", "ping -c 1 -W 1 10.61.0.1").contains(" 0% packet"))
            for pod in ["a", "b"] { #expect(try networks.call("DEL", pod).status == 0) }
        }
    }

    @Test("a call that fails undoes nothing that another call for the same container made")
    func otherCall() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            let first = try AddResult(try networks.call("ADD", "a", config: Self.web))
            let address = try #require(first.ips.first?.address.dropLast(3)).description
            let second = try networks.call(
                "ADD",
                "a",
                annotations: ["cni": "inner,red/web@eth0"],
                interface: "eth1"
            )
            #expect(second.status != 0 && second.text.contains("asks for interface eth0"))
            let again = try networks.call("ADD", "a", annotations: ["cni": "inner"])
            #expect(again.status != 0 && again.text.contains("has interface eth0 already"))
            let ping = try networks.inPod("a", "ping -c 2 -i 0.05 -W 1 -I \(address) 10.60.0.1")
            #expect(ping.contains(" 0% packet loss"), "\(ping)")
            // Names that nobody asked for go round what is taken.
            let third = try AddResult(
                try networks.call(
                    "ADD",
                    "a",
                    annotations: ["cni": "red/web,red/web"],
                    interface: "eth1"
                )
            )
            #expect(third.shown.map { $0.prefix(4) } == ["eth1", "eth2"], "\(third.shown)")
            #expect(try networks.call("DEL", "a", interface: "eth1").status == 0)
            #expect(try networks.inPod("a", "ip -br link").contains("eth0"))
            #expect(try networks.call("DEL", "a").status == 0)
        }
    }

    @Test("networks that are made side by side do not wait for the node's next look around")
    func sideBySide() async throws {
        try await with { networks in
            let lab = networks.lab
            for name in ["api", "db"] {
                let subnet = name == "api" ? "10.64.0.0/24" : "10.65.0.0/24"
                let made = try lab.ring(1, "groups", "create", "red/\(name)", "--subnet", subnet)
                #expect(made.status == 0)
            }
            try lab.script("pod", "add", "node1", "a")
            // It looks around every 5 s; a wake-up that is lost is served by that.
            for round in 0..<12 {
                let start = ContinuousClock.now
                let ask = ["cni": "red/web,red/api,red/db"]
                _ = try AddResult(try networks.call("ADD", "a", annotations: ask))
                let span = ContinuousClock.now - start
                #expect(span < .seconds(2), "round \(round) took \(span)")
                #expect(try networks.call("DEL", "a").status == 0)
                try await Task.sleep(for: .milliseconds(700))
            }
        }
    }

    @Test("interfaces of one group may come in any order, each with routes of its own metric")
    func anyOrder() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            for interface in ["eth1", "eth0", "eth2"] {
                let add = try networks.call("ADD", "a", config: Self.web, interface: interface)
                #expect(add.status == 0, "\(interface): \(add.text)")
            }
            let pods = try networks.lab.ring(1, "pods", as: PodList.self).pods
            for own in pods.flatMap(\.interfaces) {
                let source = String(own.addresses[0].prefix { $0 != "/" })
                let way = try networks.inPod("a", "ip route get 192.0.2.1 from \(source)")
                #expect(way.contains("dev \(own.interface)"), "\(way)")
                let ping = try networks.inPod("a", "ping -c 1 -W 1 -I \(source) 10.60.0.1")
                #expect(ping.contains(" 0% packet loss"), "\(ping)")
            }
            for interface in ["eth0", "eth2", "eth1"] {
                let delete = try networks.call("DEL", "a", interface: interface)
                #expect(delete.status == 0, "\(interface): \(delete.text)")
            }
            let rules = try networks.inPod("a", "ip rule")
            #expect(rules.split(separator: "\n").count <= 4, "\(rules)")
        }
    }

    @Test("the node's end is removed though somebody gave it another name")
    func renamed() async throws {
        try await with { networks in
            let before = try networks.left()
            try networks.lab.script("pod", "add", "node1", "a")
            let add = try AddResult(try networks.call("ADD", "a", config: Self.web))
            let name = add.interfaces[0].name
            for command in ["set \(name) down", "set \(name) name stray0", "set stray0 up"] {
                let words = ["ip", "link"] + command.split(separator: " ").map(String.init)
                #expect(try networks.lab.run(on: 1, words).status == 0)
            }
            #expect(try networks.call("DEL", "a").status == 0)
            let after = try networks.left()
            #expect(after == before)
        }
    }

    @Test("a pod whose plugin never undoes its network can be forgotten, and ours is undone")
    func forgotten() async throws {
        try await with { networks in
            let lab = networks.lab
            try lab.script("pod", "add", "node1", "a")
            let ask = ["cni": "red/web,inner"]
            _ = try AddResult(try networks.call("ADD", "a", annotations: ask))
            let inUse = try lab.ring(1, "pods", "forget", "shop/a")
            #expect(inUse.status == 1 && inUse.errors.contains("delete the pod"), "\(inUse)")
            try networks.setFault("bridge DEL before fail")
            #expect(try networks.call("DEL", "a").status != 0)
            let listed = try lab.ring(1, "pods")
            #expect(listed.errors.contains("cannot be taken off its networks"), "\(listed)")
            #expect(listed.errors.contains("plugin bridge of network inner for eth1"))
            let page = try lab.run(on: 1, ["curl", "-s", "http://127.0.0.1:7941/metrics"]).text
            #expect(page.contains("genie_pods_stuck 1"))
            #expect(page.contains(#"genie_cni_calls_total{verb="ADD",code="0"} 1"#))
            #expect(page.contains(#"genie_cni_calls_total{verb="DEL",code="107"} 1"#))
            // The pod's next container is another one.
            try lab.script("pod", "add", "node1", "c")
            let next = try networks.call(
                "ADD",
                "c",
                annotations: ["cni": "red/web"],
                arguments: ";K8S_POD_NAME=a"
            )
            #expect(next.status == 0, "\(next.text)")
            let explained = try lab.ring(1, "pods", "explain", "shop/a")
            #expect(explained.status == 0, "\(explained)")
            let forgot = try lab.ring(1, "pods", "forget", "shop/a")
            #expect(forgot.status == 0 && forgot.text.contains("bridge"), "\(forgot)")
            #expect(try networks.call("DEL", "c").status == 0)
            #expect(try lab.ring(1, "pods").errors == "no pods\n")
            #expect(try lab.ring(1, "endpoints").text.contains("10.60.0.") == false)
            #expect(try lab.ring(1, "pods", "forget", "shop/a").status == 1)
        }
    }

    @Test("networks that were never begun are not undone, so what they fail with blocks no pod")
    func neverBegun() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            try networks.setFault("bridge DEL before fail")
            let failed = try networks.call("ADD", "a", annotations: ["cni": "red/absent,inner"])
            #expect(failed.status != 0 && failed.text.contains("absent"), "\(failed.text)")
            #expect(try networks.lab.ring(1, "pods").errors == "no pods\n")
            let mended = try networks.call("ADD", "a", annotations: ["cni": "red/web"])
            #expect(mended.status == 0, "\(mended.text)")
        }
    }

    @Test("a pod with one network that nobody chose is shown, explained and not forgotten")
    func plain() async throws {
        try await with { networks in
            let lab = networks.lab
            try lab.script("pod", "add", "node1", "a")
            _ = try AddResult(try networks.call("ADD", "a", config: Self.web))
            #expect(try lab.ring(1, "pods").text.contains("shop/a"))
            let explained = try lab.ring(1, "pods", "explain", "shop/a")
            #expect(
                explained.text.contains("vpc and group of the plugin's configuration"),
                "\(explained)"
            )
            let forgot = try lab.ring(1, "pods", "forget", "shop/a")
            #expect(forgot.status == 1 && forgot.errors.contains("delete the pod"), "\(forgot)")
        }
    }

    @Test("uninstall does not pass over pods of others' networks; what it took is told of")
    func uninstall() async throws {
        try await with { networks in
            let lab = networks.lab
            try lab.script("pod", "add", "node1", "a")
            let ask = ["cni": "inner,red/web"]
            _ = try AddResult(try networks.call("ADD", "a", annotations: ask))
            try lab.script("stop", "node1")
            let refused = try lab.run(on: 1, ["genied", "uninstall"])
            #expect(refused.status != 0 && refused.errors.contains("a:eth0"), "\(refused)")
            let forced = try lab.run(on: 1, ["genied", "uninstall", "--force"])
            #expect(forced.text.contains("NOT removed: network inner of a:eth0"), "\(forced)")
            try lab.script("start", "node1")
            let isTold = try await lab.eventually(seconds: 15) {
                try lab.ring(1, "pods").errors.contains("interface eth1 was taken off this node")
            }
            #expect(isTold)
            let delete = try networks.call("DEL", "a")
            #expect(delete.status == 0, "\(delete.text)")
            #expect(try lab.ring(1, "pods").errors == "no pods\n")
        }
    }

    @Test("a pod does not get its gateway's hardware address")
    func gatewayMAC() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            let add = try networks.call(
                "ADD",
                "a",
                config: Self.web,
                arguments: ";MAC=02:67:72:00:00:01"
            )
            #expect(add.status != 0 && add.text.contains("is the gateway's"), "\(add.text)")
        }
    }
}
