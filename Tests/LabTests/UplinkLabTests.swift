import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "What becomes of a node's uplink while genied runs is followed",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct UplinkLabTests {
    private func withPods(
        nodes: Int,
        _ body: (Lab, Pod, Pod) async throws -> Void
    ) async throws {
        try await Lab.with(nodes: nodes, id: Lab.testID) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.1.0.0/22")
            #expect(made.status == 0, "\(made.errors)")
            let near = try lab.attach(1, "near", "red")
            let far = try lab.attach(nodes, "far", "red")
            #expect(try lab.lostPings(near, to: far.address) == 0)
            try await body(lab, near, far)
        }
    }

    private func log(_ lab: Lab, _ node: Int) throws -> String {
        try String(
            contentsOfFile: "/run/genie-lab/\(lab.id)/node\(node)/genied.log",
            encoding: .utf8
        )
    }

    private func dataplane(_ lab: Lab, _ node: Int) throws -> DataplaneStatus {
        try lab.ring(node, "dataplane", as: DataplaneStatus.self)
    }

    @Test("a smaller MTU: pods hear of what is too big, instead of losing it")
    func smallerMTU() async throws {
        try await withPods(nodes: 2) { lab, near, far in
            #expect(try lab.run(on: 1, ["ip", "link", "set", "eth0", "mtu", "1400"]).status == 0)
            let isSeen = try await lab.eventually(seconds: 12) {
                try dataplane(lab, 1).podMTU == 1_350
            }
            #expect(isSeen)
            let ping = try lab.inPod(
                near,
                "ping",
                "-c",
                "2",
                "-W",
                "1",
                "-M",
                "do",
                "-s",
                "1400",
                far.address
            )
            #expect((ping.text + ping.errors).contains("1350"), "\(ping.text)\(ping.errors)")
            #expect(try lab.lostPings(near, to: far.address) == 0)
        }
    }

    @Test("hooks that somebody took off, of the uplink and of a pod, are put back")
    func hooks() async throws {
        try await withPods(nodes: 2) { lab, near, far in
            let pins = try lab.run(on: 1, ["find", "/sys/fs/bpf/genie", "-type", "f"]).text
                .split(separator: "\n").map(String.init)
            let hooks = pins.filter { $0.contains("/links/") || $0.contains("-at-") }
            #expect(hooks.count >= 2, "\(pins)")
            for pin in hooks { _ = try lab.run(on: 1, ["rm", pin]) }
            for device in ["eth0", try dataplane(lab, 1).endpoints[0].hostInterface] {
                _ = try lab.run(on: 1, ["tc", "qdisc", "del", "dev", device, "clsact"])
            }
            let isMended = try await lab.eventually(seconds: 15) {
                try lab.lostPings(near, to: far.address, count: 2) == 0
            }
            #expect(isMended)
            let log = try log(lab, 1)
            #expect(log.contains("was taken off by somebody else"), "\(log.suffix(400))")
        }
    }

    @Test("another address: the node starts anew by itself, and its pods are reached again")
    func otherAddress() async throws {
        try await withPods(nodes: 3) { lab, near, far in
            let old = "172.30.\(lab.id).3"
            let new = "172.30.\(lab.id).33"
            for words in [
                "address add \(new)/24 dev eth0", "address del \(old)/24 dev eth0",
                // A first address takes the others of its network with it.
                "address replace \(new)/24 dev eth0",
            ] {
                _ = try lab.run(on: 3, ["ip"] + words.split(separator: " ").map(String.init))
            }
            let isFollowed = try await lab.eventually(seconds: 40) {
                try log(lab, 3).contains("genied starts anew with it")
                    && lab.ring(3, "dataplane").text.contains(new)
            }
            #expect(isFollowed)
            let isBack = try await lab.eventually(seconds: 40) {
                try lab.lostPings(near, to: far.address, count: 2) == 0
            }
            let said = try log(lab, 3)
            #expect(isBack, "\(said.suffix(600))")
            #expect(try dataplane(lab, 3).vtep == new)
            #expect(try lab.ring(1, "members").text.contains(new))
        }
    }
}
