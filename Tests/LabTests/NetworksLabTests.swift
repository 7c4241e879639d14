import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "A pod gets exactly the networks that it asks for, ours and anybody's",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct NetworksLabTests {
    private func with(
        environment: [String: String] = [:],
        _ body: (Networks) async throws -> Void
    ) async throws {
        try await Lab.with(nodes: 1, id: Lab.testID, environment: environment) { lab in
            try await body(try Networks(lab))
        }
    }

    private func expectNothingLeft(
        _ networks: Networks,
        _ before: [String: [String]],
        _ what: String = ""
    ) async throws {
        let isClean = try await networks.lab.eventually(seconds: 10) {
            try networks.left() == before
        }
        let after = isClean ? before : try networks.left()
        for (kind, things) in after where things != before[kind] {
            Issue.record("\(what) leaves \(kind) \(things) and not \(before[kind] ?? [])")
        }
    }

    @Test("three interfaces of three plugins: each answers through itself, one default route")
    func threeNetworks() async throws {
        try await with { networks in
            let before = try networks.left()
            try networks.lab.script("pod", "add", "node1", "a")
            let ask = ["cni": "inner,line@data,red/web@own"]
            let add = try networks.call("ADD", "a", annotations: ask)
            let result = try AddResult(add)
            #expect(result.shown.prefix(2) == ["eth0 10.61.0.2/24", "data 10.63.0.2/24"])
            let own = try #require(result.ips.last?.address.dropLast(3)).description
            #expect(result.shown.last == "own \(own)/32" && own.hasPrefix("10.60.0."))
            #expect(result.routes?.filter { $0.dst == "0.0.0.0/0" }.map(\.gw) == ["10.61.0.1"])
            #expect(
                result.interfaces.filter { $0.sandbox != nil }.map(\.name)
                    == ["eth0", "data", "own"]
            )
            let defaults = try networks.inPod("a", "ip route show default")
            #expect(defaults.split(separator: "\n").count == 1, "\(defaults)")
            #expect(defaults.contains("via 10.61.0.1 dev eth0"))
            for (source, interface) in [
                ("10.61.0.2", "eth0"), ("10.63.0.2", "data"), (own, "own"),
            ] {
                let way = try networks.inPod("a", "ip route get 192.0.2.1 from \(source)")
                #expect(way.contains("dev \(interface)"), "\(way)")
            }
            for (source, gateway) in [("10.61.0.2", "10.61.0.1"), ("10.63.0.2", "10.63.0.1")] {
                let ping = try networks.inPod("a", "ping -c 2 -i 0.05 -W 1 -I \(source) \(gateway)")
                #expect(ping.contains(" 0% packet loss"), "\(ping)")
            }
            let ping = try networks.inPod("a", "ping -c 2 -i 0.05 -W 1 -I \(own) 10.60.0.1")
            #expect(ping.contains(" 0% packet loss"), "\(ping)")
            let check = try networks.call(
                "CHECK",
                "a",
                annotations: ask,
                config: ",\"prevResult\":\(add.text)"
            )
            #expect(check.status == 0, "C11: \(check.text)")
            _ = try networks.inPod("a", "ip address del 10.63.0.2/24 dev data")
            let damaged = try networks.call(
                "CHECK",
                "a",
                config: ",\"prevResult\":\(add.text)"
            )
            // 0.3.1 has no CHECK: the stock ptp was not asked.
            #expect(damaged.status == 0)
            _ = try networks.inPod("a", "ip route del 10.60.0.0/24 dev own")
            let lost = try networks.call("CHECK", "a", config: ",\"prevResult\":\(add.text)")
            #expect(
                lost.status != 0
                    && lost.text.contains("own in the pod has not its route 10.60.0.0/24"),
                "\(lost.text)"
            )
            _ = try networks.inPod("a", "ip link set own down")
            let down = try networks.call("CHECK", "a", config: ",\"prevResult\":\(add.text)")
            #expect(down.status != 0 && down.text.contains("own in the pod is down"))
            for _ in 0..<3 { #expect(try networks.call("DEL", "a").status == 0) }
            #expect(try networks.inPod("a", "ip -br link").split(separator: "\n").count == 1)
            #expect(!(try networks.inPod("a", "ip rule").contains("1000")))
            try networks.lab.script("pod", "del", "node1", "a")
            try await expectNothingLeft(networks, before)
        }
    }

    @Test("pods and explain show network, address, plugin and why; the annotations for tools")
    func shown() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            let ask = ["k8s.v1.cni.cncf.io/networks": #"[{"name":"line","interface":"data"}]"#]
            _ = try AddResult(try networks.call("ADD", "a", annotations: ask))
            let table = try networks.lab.ring(1, "pods").text
            #expect(table.contains("shop/a"), "\(table)")
            let rows = table.split(separator: "\n").map {
                $0.split(separator: " ").map(String.init).prefix(6).joined(separator: " ")
            }
            #expect(
                rows == [
                    "POD INTERFACE NETWORK ADDRESS PLUGIN STATE",
                    "shop/a eth0* inner 10.61.0.2/24 bridge,tuning,portmap attached",
                    "shop/a data shop/line 10.63.0.2/24 ptp attached",
                ]
            )
            let pod = try #require(try networks.lab.ring(1, "pods", as: PodList.self).pods.first)
            #expect(
                pod.annotations.map(\.key)
                    == ["k8s.v1.cni.cncf.io/network-status", "multi-ip-preferences"]
            )
            let status = pod.annotations[0].value
            #expect(status.components(separatedBy: "\"default\":true").count == 2, "\(status)")
            #expect(
                pod.annotations[1].value == """
                    {"multi_entry":2,"ips":{"ip1":{"ip":"10.61.0.2","interface":"eth0"},\
                    "ip2":{"ip":"10.63.0.2","interface":"data"}}}
                    """
            )
            let explained = try networks.lab.ring(1, "pods", "explain", "shop/a").text
            #expect(explained.contains("annotation k8s.v1.cni.cncf.io/networks[0] of pod shop/a"))
            #expect(explained.contains("the first configuration of \(networks.folder.path)/net.d"))
            let own = "/run/genie-lab/\(networks.lab.id)/node1/net.d/10-own.conf"
            try #"{"cniVersion":"1.0.0","name":"own","type":"bridge"}"#
                .write(to: URL(filePath: own), atomically: true, encoding: .utf8)
            let stranger = try networks.lab.ring(1, "pods", "explain", "shop/stranger")
            #expect(stranger.errors.contains("nothing is known of its annotations"))
            #expect(try networks.call("DEL", "a").status == 0)
            #expect(try networks.lab.ring(1, "pods").errors == "no pods\n")
        }
    }

    @Test("a request that makes no sense attaches nothing, names its field and can be replayed")
    func refused() async throws {
        try await with { networks in
            let before = try networks.left()
            try networks.lab.script("pod", "add", "node1", "a")
            for (ask, field) in [
                ("inner,absent", "annotation cni[1] of pod shop/a names network absent"),
                ("inner@x,line@x", "annotation cni[1] of pod shop/a asks for interface x"),
            ] {
                let add = try networks.call("ADD", "a", annotations: ["cni": ask])
                #expect(add.status != 0 && add.text.contains(field), "\(add.text)")
                #expect(add.text.contains("\"code\":7"))
            }
            let calls = networks.folder.appending(path: "calls").path
            #expect(
                !FileManager.default.fileExists(atPath: calls),
                "C1 row 4: no plugin was called"
            )
            let kept = "/var/lib/genie/cni-failed/a@eth0.json"
            let replay = try networks.lab.ring(1, "cni", "replay", kept)
            #expect(replay.status == 1 && replay.errors.contains("asks for interface x"))
            #expect(try networks.call("DEL", "a").status == 0)
            try networks.lab.script("pod", "del", "node1", "a")
            try await expectNothingLeft(networks, before)
        }
    }

    @Test("the same network twice has two interfaces and two addresses, and DEL frees both")
    func twice() async throws {
        try await with { networks in
            let before = try networks.left()
            try networks.lab.script("pod", "add", "node1", "a")
            let result = try AddResult(
                try networks.call("ADD", "a", annotations: ["cni": "inner,inner,red/web,red/web"])
            )
            #expect(result.ips.map(\.address).count == 4)
            #expect(Set(result.ips.map(\.address)).count == 4)
            #expect(Set(result.shown.map { $0.prefix(4) }) == ["eth0", "eth1", "eth2", "eth3"])
            #expect(try networks.call("DEL", "a").status == 0)
            try networks.lab.script("pod", "del", "node1", "a")
            try await expectNothingLeft(networks, before)
        }
    }

    @Test("C13: behind a bridge genie adds to its result; before a portmap it is the result")
    func chained() async throws {
        try await with { networks in
            try networks.lab.script("pod", "add", "node1", "a")
            let first = try networks.call("ADD", "a", annotations: ["cni": "inner"])
            // The same container as a runtime's next plugin sees it: eth0 is there already.
            let before = try AddResult(first)
            #expect(before.shown == ["eth0 10.61.0.2/24"])
            let second = try networks.lab.run(
                on: 1,
                ["genie"],
                input: """
                    {"cniVersion":"1.0.0","name":"chain","type":"genie","vpc":"red","group":"web",\
                    "prevResult":\(first.text)}
                    """,
                environment: [
                    "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "a-chained", "CNI_IFNAME": "eth0",
                    "CNI_NETNS": "/var/run/netns/grlab\(networks.lab.id)-node1-a",
                    "CNI_PATH": networks.path,
                ]
            )
            let whole = try AddResult(second)
            #expect(whole.ips.map(\.interface).count == 2)
            #expect(
                whole.shown[0] == "eth0 10.61.0.2/24" && whole.shown[1].hasPrefix("eth1 10.60.")
            )
            let own = try #require(whole.ips.last?.address.dropLast(3)).description
            #expect(
                whole.interfaces.prefix(before.interfaces.count).map(\.name)
                    == before.interfaces.map(\.name)
            )
            let way = try networks.inPod("a", "ip route get 192.0.2.1 from \(own)")
            #expect(way.contains("dev eth1"), "\(way)")
            let defaults = try networks.inPod("a", "ip route show default")
            #expect(defaults.contains("eth0") && !defaults.contains("eth1"), "\(defaults)")
        }
    }

    @Test("portMappings, bandwidth and mac reach the chain members that declare them")
    func capabilities() async throws {
        try await with { networks in
            let before = try networks.left()
            try networks.lab.script("pod", "add", "node1", "a")
            let config = """
                ,"runtimeConfig":{"portMappings":[{"hostPort":8081,"containerPort":80,\
                "protocol":"tcp"}],"bandwidth":{"ingressRate":8000000,"ingressBurst":80000,\
                "egressRate":8000000,"egressBurst":80000},"mac":"02:11:22:33:44:55"}
                """
            let result = try AddResult(
                try networks.call("ADD", "a", annotations: ["cni": "shaped"], config: config)
            )
            #expect(result.interfaces.contains { $0.mac == "02:11:22:33:44:55" })
            let rules = try networks.lab.run(on: 1, ["iptables-save", "-t", "nat"]).text
            #expect(rules.contains("--to-destination 10.61.0.2:80"), "\(rules)")
            let shapers = try networks.lab.run(on: 1, ["tc", "qdisc"]).text
            #expect(shapers.contains("tbf"), "\(shapers)")
            #expect(try networks.call("DEL", "a").status == 0)
            try networks.lab.script("pod", "del", "node1", "a")
            try await expectNothingLeft(networks, before)
            // A place in the ring has no portmap behind it here.
            try networks.lab.script("pod", "add", "node1", "b")
            let own = try networks.call(
                "ADD",
                "b",
                annotations: ["cni": "red/web"],
                config: config
            )
            #expect(own.status != 0 && own.text.contains("runtimeConfig.portMappings"))
            #expect(own.text.contains("\"code\":2"))
        }
    }

    @Test("C15: GC removes what the runtime does not list, ours and others', and nothing else")
    func collect() async throws {
        try await with { networks in
            for pod in ["a", "b"] {
                try networks.lab.script("pod", "add", "node1", pod)
                _ = try AddResult(
                    try networks.call("ADD", pod, annotations: ["cni": "inner,red/web"])
                )
            }
            func collect(_ valid: String) throws -> Lab.Output {
                try networks.call(
                    "GC",
                    "none",
                    config: ",\"cni.dev/valid-attachments\":[\(valid)]",
                    version: "1.1.0"
                )
            }
            func containers() throws -> [String] {
                try networks.lab.ring(1, "pods", as: PodList.self).pods.map(\.containerID)
            }
            let kept = try collect(
                #"{"containerID":"a","ifname":"eth0"},{"containerID":"b","ifname":"eth0"}"#
            )
            #expect(kept.status == 0, "\(kept.text)")
            #expect(try containers() == ["a", "b"])
            #expect(try collect(#"{"containerID":"b","ifname":"eth0"}"#).status == 0)
            #expect(try containers() == ["b"])
            let ping = try networks.inPod("b", "ping -c 1 -W 1 10.61.0.1")
            #expect(ping.contains(" 0% packet loss"))
            #expect(try networks.left()["leases"] == ["inner/10.61.0.3"])
            let unlisted = try networks.call("GC", "none", version: "1.1.0")
            #expect(unlisted.status != 0 && unlisted.text.contains("cni.dev/valid-attachments"))
            #expect(try collect("").status == 0)
            #expect(try containers().isEmpty)
        }
    }

    @Test(
        "C16: STATUS is 50 without a free address, 51 where a pod's program is gone, else content"
    )
    func status() async throws {
        try await with { networks in
            let lab = networks.lab
            func status(_ config: String) throws -> String {
                let output = try networks.call("STATUS", "none", config: config, version: "1.1.0")
                return output.status == 0 ? "content" : output.text
            }
            let tiny = #","vpc":"red","group":"tiny""#
            let made = try lab.ring(1, "groups", "create", "red/tiny", "--subnet", "10.68.0.0/29")
            #expect(made.status == 0, "\(made.errors)")
            #expect(try status(tiny) == "content" && status("") == "content")
            let wrong = try status(#","default_plugin":"absent""#)
            #expect(wrong.contains("\"code\":50") && wrong.contains("default_plugin[0]"))
            try networks.write(
                "net.d/70-missing.conf",
                #"{"cniVersion":"0.4.0","name":"missing","type":"nosuchplugin"}"#
            )
            let missing = try status(#","default_plugin":"missing""#)
            #expect(missing.contains("\"code\":50") && missing.contains("plugin nosuchplugin"))
            var pods = 0
            while pods < 10 {
                try lab.script("pod", "add", "node1", "t\(pods)")
                let add = try networks.call("ADD", "t\(pods)", config: tiny)
                if add.status != 0 {
                    #expect(add.text.contains("\"code\":11"), "\(add.text)")
                    break
                }
                pods += 1
            }
            #expect((3...6).contains(pods))
            let full = try status(tiny)
            #expect(full.contains("\"code\":50") && full.contains("no free address"), "\(full)")
            // Others than that group's pods can be attached all the same.
            #expect(try status("") == "content")
            let pins = try lab.run(
                on: 1,
                ["find", "/sys/fs/bpf/genie", "-name", "*gr*", "-type", "f"]
            )
            let pin = try #require(pins.text.split(separator: "\n").first { $0.contains("pod") })
            #expect(try lab.run(on: 1, ["rm", String(pin)]).status == 0)
            let lost = try status("")
            #expect(lost.contains("\"code\":51"), "\(lost)")
            for pod in 0..<pods { #expect(try networks.call("DEL", "t\(pod)").status == 0) }
        }
    }

    @Test("an ADD that fails for a plugin that is not installed leaves nothing, and DEL says so")
    func absentPlugin() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            try networks.write(
                "net.d/60-absent.conf",
                #"{"cniVersion":"1.0.0","name":"absent","type":"nosuchplugin"}"#
            )
            let before = try networks.left()
            try lab.script("pod", "add", "node1", "a")
            let added = try networks.call("ADD", "a", annotations: ["cni": "inner,red/web,absent"])
            #expect(added.status != 0, "\(added.text)")
            for part in [
                "plugin nosuchplugin of network absent for eth2",
                "annotation cni[2] of pod shop/a", "install it there",
            ] { #expect(added.text.contains(part), "\(added.text)") }
            #expect(try networks.left() == before)
            // What is kept of it says when and why, and a replay what is in the way.
            let kept = "/var/lib/genie/cni-failed/a@eth0.json"
            let replay = try lab.ring(1, "cni", "replay", kept)
            #expect(replay.status == 0 && replay.errors.contains("it failed at 20"), "\(replay)")
            #expect(replay.errors.contains("code 7: plugin nosuchplugin"), "\(replay.errors)")
            #expect(replay.errors.contains("for eth2 (annotation cni[2]"), "\(replay.errors)")
            // A place in the ring that is not there names its element, too.
            let own = try networks.call("ADD", "a", annotations: ["cni": "inner,red/none"])
            #expect(own.text.contains("network red/none (annotation cni[1] of pod shop/a): "))
            #expect(try networks.call("DEL", "a").status == 0)
            #expect(try networks.call("ADD", "a", annotations: ["cni": "inner"]).status == 0)
            #expect(try networks.call("DEL", "a").status == 0)
        }
    }

    @Test("a DEL of an old sandbox takes nothing from the new one at the same path")
    func oldSandbox() async throws {
        try await with { networks in
            let path = "grlab\(networks.lab.id)-node1-a"
            try networks.lab.script("pod", "add", "node1", "a")
            let ask = ["cni": "inner,line@data"]
            _ = try AddResult(try networks.call("ADD", "a", annotations: ask))
            // The runtime makes the pod anew under the path of before, and removes the old later.
            try networks.lab.script("pod", "del", "node1", "a")
            try networks.lab.script("pod", "add", "node1", "a")
            let again = try networks.lab.run(
                on: 1,
                ["genie"],
                input: """
                    {"cniVersion":"1.0.0","name":"cluster","type":"genie",\
                    "confDir":"\(networks.folder.path)/net.d"}
                    """,
                environment: [
                    "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "a-2", "CNI_IFNAME": "eth0",
                    "CNI_ARGS": #"K8S_ANNOT={"cni":"inner,line@data"}"#,
                    "CNI_NETNS": "/var/run/netns/\(path)", "CNI_PATH": networks.path,
                ]
            )
            let result = try AddResult(again)
            #expect(result.shown == ["eth0 10.61.0.3/24", "data 10.63.0.3/24"])
            #expect(try networks.call("DEL", "a").status == 0)
            #expect(try networks.left()["leases"] == ["inner/10.61.0.3", "line/10.63.0.3"])
            let ping = try networks.inPod("a", "ping -c 1 -W 1 10.61.0.1")
            #expect(ping.contains(" 0% packet loss"), "\(ping)")
        }
    }
}
