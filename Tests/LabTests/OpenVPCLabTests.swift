import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "The VPC that is open to its nodes, in a lab",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct OpenVPCLabTests {
    private func makeNetworks(_ lab: Lab) throws {
        // Open by its name; the other is closed as every other one is.
        #expect(try lab.ring(1, "vpcs", "create", "default").status == 0)
        #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
        for vpc in ["default", "red"] {
            let made = try lab.ring(
                1,
                "groups",
                "create",
                "\(vpc)/web",
                "--subnet",
                "10.20.0.0/22",
                "--subnet",
                "fd00:20::/64"
            )
            #expect(made.status == 0, "\(made.errors)")
        }
    }

    @Test("a node that does not forward is made to, and goes on taking its router's advertisements")
    func forwarding() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let switches = [
                "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0",
                "net/ipv6/conf/eth0/accept_ra": "1",
            ]
            for (name, value) in switches {
                let done = try lab.run(on: 1, ["sysctl", "-qw", "\(name)=\(value)"])
                #expect(done.status == 0, "\(done.errors)")
            }
            try makeNetworks(lab)
            try await waitForNodes(lab, count: 1)
            let pod = try lab.attach(1, "pod", "default")
            _ = try lab.run(on: 1, ["ip", "address", "add", "198.51.100.1/32", "dev", "lo"])
            #expect(try reaches(lab, pod, "198.51.100.1"), "the node's own addresses")
            var found: [String: String] = [:]
            for name in switches.keys {
                found[name] = try lab.run(on: 1, ["sysctl", "-n", name]).text
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }
            let wanted = [
                "net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1",
                "net/ipv6/conf/eth0/accept_ra": "2",
            ]
            #expect(found == wanted)
        }
    }

    private func waitForNodes(_ lab: Lab, count: Int) async throws {
        for node in 1...count {
            let isIn = try await lab.eventually(seconds: 12) {
                try lab.nodeAddresses(node).count == 2
            }
            #expect(isIn, "node\(node) is not in the VPC")
        }
    }

    /// Whether the node's own programs reach an address, as a probe of the kubelet does.
    private func reaches(_ lab: Lab, node: Int, _ address: String) throws -> Bool {
        try lab.run(on: node, ["ping", "-c", "3", "-i", "0.05", "-W", "1", "-q", address]).status
            == 0
    }

    private func reaches(_ lab: Lab, _ pod: Pod, _ address: String) throws -> Bool {
        try lab.lostPings(pod, to: address, count: 3) == 0
    }

    /// Sends 20 MB over TCP and gives what the server says of the client.
    private func stream(
        _ lab: Lab,
        server: @escaping @Sendable ([String]) throws -> Lab.Output,
        client: ([String]) throws -> Lab.Output,
        to address: String,
        port: Int = 5_201
    ) async throws -> String {
        let listening = Task.detached {
            try server(["timeout", "-k", "1", "10", "iperf3", "-s", "-1", "-J"])
        }
        let isUp = try await lab.eventually(seconds: 3) {
            try server(["ss", "-ltn"]).text.contains(":5201")
        }
        #expect(isUp)
        let sent = try client(
            ["timeout", "8", "iperf3", "-c", address, "-p", "\(port)", "-n", "20M"]
        )
        #expect(sent.status == 0, "\(address): \(sent.text)\(sent.errors)")
        return try await listening.value.text
    }

    private func inPod(_ lab: Lab, _ pod: Pod) -> @Sendable ([String]) throws -> Lab.Output {
        { try Lab.run("/usr/sbin/ip", ["netns", "exec", pod.namespace] + $0) }
    }

    private func onNode(_ lab: Lab, _ node: Int) -> @Sendable ([String]) throws -> Lab.Output {
        { try lab.run(on: node, $0) }
    }

    @Test("nodes and pods reach each other, pods what their node routes, and no other VPC the node")
    func open() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetworks(lab)
            try await waitForNodes(lab, count: 3)
            let near = try lab.attach(1, "near", "default")
            let far = try lab.attach(2, "far", "default")
            let closed = try lab.attach(1, "closed", "red")
            try expectProbes(lab, [near, far])
            try await expectStreams(lab, near, far)
            try await expectService(lab, near, far)
            try expectClosed(lab, closed, beside: near)
            try expectNoTunnel(lab, near)
            try await expectNewGroup(lab)
            try await expectLifecycle(lab, near, far)
        }
    }

    private func expectProbes(_ lab: Lab, _ pods: [Pod]) throws {
        for node in 1...3 {
            for pod in pods {
                for address in pod.addresses {
                    #expect(try reaches(lab, node: node, address), "node\(node) to \(address)")
                }
                for address in try lab.nodeAddresses(node) {
                    #expect(try reaches(lab, pod, address), "\(pod.name) to node\(node) \(address)")
                }
                // What the node routes: its own address and those of others on the underlay.
                for address in ["172.30.\(lab.id).\(node)", "fd30:\(lab.id)::\(node)"] {
                    #expect(try reaches(lab, pod, address), "\(pod.name) to \(address)")
                }
            }
        }
        // A program of the node that is bound to another of its addresses is answered as well.
        let bound = try lab.run(
            on: 1,
            [
                "ping", "-c", "3", "-i", "0.05", "-W", "1", "-I", "172.30.\(lab.id).1",
                pods[1].address,
            ]
        )
        #expect(bound.status == 0, "\(bound.text)")
    }

    private func expectStreams(_ lab: Lab, _ near: Pod, _ far: Pod) async throws {
        for (node, pod) in [(1, near), (1, far), (3, near)] {
            for address in pod.addresses {
                _ = try await stream(
                    lab,
                    server: inPod(lab, pod),
                    client: onNode(lab, node),
                    to: address
                )
            }
        }
        // Node 3 knows nothing of the pods' addresses: it sees node 1.
        let seen = try await stream(
            lab,
            server: onNode(lab, 3),
            client: inPod(lab, near),
            to: "172.30.\(lab.id).3"
        )
        #expect(seen.contains("\"172.30.\(lab.id).1\""), "\(seen)")
        _ = try await stream(
            lab,
            server: onNode(lab, 3),
            client: inPod(lab, far),
            to: "fd30:\(lab.id)::3"
        )
    }

    /// A service as kube-proxy makes one: the node translates, and the answer has to come back
    /// through it, wherever the pod behind is.
    private func expectService(_ lab: Lab, _ near: Pod, _ far: Pod) async throws {
        let other = try lab.attach(1, "other", "default")
        // As a default route would: what has none is not translated either.
        _ = try lab.run(on: 1, ["ip", "route", "add", "10.96.0.0/24", "dev", "eth0"])
        for (index, pod) in [other, far].enumerated() {
            let service = "10.96.0.\(index + 1)"
            let rule = "ip daddr \(service) tcp dport 80 dnat ip to \(pod.address):5201"
            let rules = """
                table inet lab-service\(index) {
                    chain prerouting { type nat hook prerouting priority dstnat; \(rule); }
                    chain output { type nat hook output priority -100; \(rule); }
                }
                """
            let made = try lab.run(on: 1, ["nft", "-f", "/dev/stdin"], input: rules)
            #expect(made.status == 0, "\(made.errors)")
            for client in [inPod(lab, near), onNode(lab, 1)] {
                _ = try await stream(
                    lab,
                    server: inPod(lab, pod),
                    client: client,
                    to: service,
                    port: 80
                )
            }
        }
        #expect(try lab.cni("DEL", 1, "other", "default").status == 0)
    }

    /// Under a node's address other nodes believe tunnel packets: no pod's may leave under it.
    private func expectNoTunnel(_ lab: Lab, _ pod: Pod) throws {
        func strangers() throws -> UInt64 {
            try lab.ring(2, "dataplane", as: DataplaneStatus.self).drops
                .filter { $0.vni == 0 || $0.reason == "multicast_sender" }
                .reduce(0) { $0 + $1.packets }
        }
        let before = try strangers()
        let send = """
            import socket
            frame = bytes([0, 0, 0x65, 0x58, 0xff, 0xff, 0xff, 0]) + bytes(60)
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for number in range(20):
                s.sendto(frame, ('172.30.\(lab.id).2', 6081))
            # The same behind a first fragment, which the node puts together.
            s.sendto(frame + bytes(4000), ('172.30.\(lab.id).2', 6081))
            """
        let sent = try lab.inPod(pod, "python3", "-c", send)
        #expect(sent.status == 0, "\(sent.errors)")
        #expect(try strangers() == before)
    }

    private func expectClosed(_ lab: Lab, _ pod: Pod, beside near: Pod) throws {
        let places =
            try lab.nodeAddresses(1) + lab.nodeAddresses(2)
            + ["172.30.\(lab.id).1", "172.30.\(lab.id).2", "fd30:\(lab.id)::1"]
        // Both VPCs have the same subnets: an address of the node may be the pod's own in its VPC.
        for address in places where !pod.addresses.contains(address) {
            #expect(try lab.lostPings(pod, to: address, count: 1) == 1, "\(address)")
        }
        // The ring's own port, over TCP.
        let dialled = try lab.inPod(
            pod,
            "timeout",
            "1",
            "bash",
            "-c",
            "</dev/tcp/172.30.\(lab.id).1/7940"
        )
        #expect(dialled.status != 0)
        let open = try lab.inPod(
            near,
            "timeout",
            "1",
            "bash",
            "-c",
            "</dev/tcp/172.30.\(lab.id).1/7940"
        )
        #expect(open.status == 0, "\(open.errors)")
        let status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
        let sent = status.endpoints.first { $0.containerID == "closed" }
        #expect((sent?.drops.first { $0.reason == "no_endpoint" }?.packets ?? 0) >= 4)
    }

    private func expectNewGroup(_ lab: Lab) async throws {
        let made = try lab.ring(1, "groups", "create", "default/db", "--subnet", "10.30.0.0/24")
        #expect(made.status == 0)
        let pod = try lab.attach(2, "db", "default", group: "db")
        let isReached = try await lab.eventually(seconds: 12) {
            try reaches(lab, node: 3, pod.address) && reaches(lab, node: 1, pod.address)
        }
        #expect(isReached)
        #expect(try lab.cni("DEL", 2, "db", "default", group: "db").status == 0)
    }

    private func expectLifecycle(_ lab: Lab, _ near: Pod, _ far: Pod) async throws {
        let before = try lab.nodeAddresses(1)
        let ping = Task.detached {
            try lab.lostPings(near, to: "172.30.\(lab.id).3", count: 500)
        }
        try await Task.sleep(for: .milliseconds(300))
        try lab.script("kill", "node1")
        #expect(try reaches(lab, node: 1, far.address))
        try lab.script("start", "node1")
        #expect(try await ping.value == 0)
        #expect(try lab.nodeAddresses(1) == before)
        #expect(try reaches(lab, near, "172.30.\(lab.id).2"))

        // A machine that was restarted has lost its device: it comes back with another.
        try lab.script("crash", "node3")
        try lab.script("start", "node3")
        let isBack = try await lab.eventually(seconds: 20) {
            try lab.nodeAddresses(3).count == 2 && reaches(lab, node: 3, near.address)
        }
        #expect(isBack)

        // The nodes hold no group back, and leave with it.
        for (pod, node) in [("near", 1), ("far", 2)] {
            #expect(try lab.cni("DEL", node, pod, "default").status == 0)
        }
        for group in ["web", "db"] {
            let gone = try lab.ring(1, "groups", "delete", "default/\(group)")
            #expect(gone.status == 0, "\(gone.errors)")
        }
        #expect(try lab.ring(1, "vpcs", "delete", "default").status == 0)
        for node in 1...3 {
            let isOut = try await lab.eventually(seconds: 12) {
                let tables = try lab.run(on: node, ["nft", "list", "tables"]).text
                return try lab.nodeAddresses(node).isEmpty && !tables.contains("genie-ring")
            }
            #expect(isOut, "node\(node) is still in the VPC")
        }
        // Another one can be the open one now.
        #expect(try lab.ring(1, "vpcs", "create", "green", "--open").status == 0)
        let second = try lab.ring(1, "vpcs", "create", "default")
        #expect(second.status == 1 && second.errors.contains("VPC green is the one that is open"))
        #expect(try lab.ring(1, "vpcs", "create", "default", "--closed").status == 0)
    }
}
