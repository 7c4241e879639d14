import Foundation
import LabNet
import LocalAPI
import Testing

/// Services as kube-proxy makes them: the node of the client translates, and answers have to find
/// their way back through it, wherever the pod behind is.
@Suite(
    "Services that a node translates for pods of its open VPC, in a lab",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct ServiceLabTests {
    /// What runs in a pod behind a service: it answers with the address that it was asked from.
    private static let server = """
        import os, socket, sys, threading
        families = {'4': socket.AF_INET, '6': socket.AF_INET6}
        def datagrams(s):
            while True:
                data, peer = s.recvfrom(65535)
                s.sendto(peer[0].encode() + b' ' + data, peer)
        def talk(c, peer):
            # Answers once the client is done: half a connection is open until then.
            data = b''
            while part := c.recv(65536):
                data += part
            c.sendall(peer[0].encode() + b' ' + data)
            c.close()
        for family in families.values():
            for checksum in (0, 1):
                s = socket.socket(family, socket.SOCK_DGRAM)
                # SO_NO_CHECK: UDP over IPv4 may go without a checksum.
                if family == socket.AF_INET: s.setsockopt(socket.SOL_SOCKET, 11, checksum)
                if family == socket.AF_INET6: s.setsockopt(41, 26, 1)
                s.bind(('', 9000 + checksum))
                threading.Thread(target=datagrams, args=(s,)).start()
            s = socket.socket(family, socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6: s.setsockopt(41, 26, 1)
            s.bind(('', 9000))
            s.listen()
            def accept(s):
                while True:
                    c, peer = s.accept()
                    threading.Thread(target=talk, args=(c, peer)).start()
            threading.Thread(target=accept, args=(s,)).start()
        """

    /// What a client does at a service, with one word a line of what it saw.
    private static let client = """
        import socket, sys
        service, checksum = sys.argv[1], int(sys.argv[2])
        family = socket.AF_INET6 if ':' in service else socket.AF_INET
        def show(name, value): print(name, value, flush=True)
        # The last goes in fragments.
        for size in (0, 1, 17, 1200, 5000):
            s = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET: s.setsockopt(socket.SOL_SOCKET, 11, checksum)
            s.settimeout(2)
            s.sendto(b'x' * size, (service, 80 + checksum))
            data, peer = s.recvfrom(65535)
            show('datagram-from', peer[0])
            show('datagram-seen', data.split(b' ')[0].decode())
            assert data.split(b' ', 1)[1] == b'x' * size
        s = socket.create_connection((service, 80), timeout=5)
        show('stream-from', s.getpeername()[0])
        sent = bytes(range(256)) * 4096
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
        data = b''
        while part := s.recv(65536):
            data += part
        show('stream-seen', data.split(b' ')[0].decode())
        assert data.split(b' ', 1)[1] == sent, len(data)
        # A port that nobody listens at: the error speaks of the pod, and is translated back.
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(2)
        s.connect((service, 89))
        s.send(b'x')
        try:
            s.recv(10)
            show('closed-port', 'answered')
        except ConnectionRefusedError:
            show('closed-port', 'refused')
        except TimeoutError:
            show('closed-port', 'silent')
        """

    private static func services(_ number: Int) -> [String] {
        ["10.96.0.\(number)", "fd00:96::\(number)"]
    }

    @Test(
        "a service of either family: TCP, UDP, fragments, errors, hairpin, removal, rejection",
        .timeLimit(.minutes(3))
    )
    func service() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            let (client, near, far) = try await makePods(lab)
            try offer([near, far], on: lab)
            let nodeAddresses = try lab.nodeAddresses(1)
            for (index, pod) in [near, far].enumerated() {
                for (service, family) in zip(Self.services(index + 1), 0...) {
                    for checksum in 0...1 {
                        let seen = try ask(lab, client, service, checksum)
                        // E18: the service is what answers. The pod sees the node, which the
                        // answer has to go back through.
                        #expect(seen["datagram-from"] == [service], "\(seen)")
                        #expect(seen["stream-from"] == [service])
                        #expect(seen["datagram-seen"] == [nodeAddresses[family]])
                        #expect(seen["stream-seen"] == [nodeAddresses[family]])
                        // E14: an error about the pod is one about the service.
                        #expect(seen["closed-port"] == ["refused"], "\(pod.name) \(service)")
                    }
                }
            }
            try expectHairpin(lab, near)
            try await expectEstablishedStays(lab, client)
            try expectRejected(lab, client)
        }
    }

    /// E17: a pod at the service that it is behind itself.
    private func expectHairpin(_ lab: Lab, _ pod: Pod) throws {
        for service in Self.services(1) {
            let seen = try ask(lab, pod, service, 1)
            #expect(seen["datagram-from"] == [service], "\(seen)")
            #expect(seen["stream-from"] == [service])
            #expect(seen["datagram-seen"]?.isDisjoint(with: pod.addresses) ?? false)
        }
    }

    private func makePods(_ lab: Lab) async throws -> (client: Pod, near: Pod, far: Pod) {
        #expect(try lab.ring(1, "vpcs", "create", "default").status == 0)
        let made = try lab.ring(
            1,
            "groups",
            "create",
            "default/web",
            "--subnet",
            "10.20.0.0/22",
            "--subnet",
            "fd00:20::/64"
        )
        #expect(made.status == 0, "\(made.errors)")
        let isOpen = try await lab.eventually(seconds: 12) {
            try (1...2).allSatisfy { node in
                try lab.run(on: node, ["ip", "-o", "address", "show", "dev", "genie-node"])
                    .text.contains("/128")
            }
        }
        #expect(isOpen)
        return (
            try lab.attach(1, "client", "default"), try lab.attach(1, "near", "default"),
            try lab.attach(2, "far", "default")
        )
    }

    /// Starts what answers in each pod, and has node 1 translate a service of each family to it.
    private func offer(_ pods: [Pod], on lab: Lab) throws {
        for (route, family) in [("10.96.0.0/24", "-4"), ("fd00:96::/64", "-6")] {
            // As a default route would: what has none is not translated either.
            let added = try lab.run(on: 1, ["ip", family, "route", "add", route, "dev", "eth0"])
            #expect(added.status == 0, "\(added.errors)")
        }
        for (index, pod) in pods.enumerated() {
            // It ends with the pod's namespace, or by itself.
            try start(lab, pod)
            try translate(Self.services(index + 1), to: pod, "lab-service\(index)", on: lab)
        }
    }

    /// Has node 1 translate what comes for an address of each family.
    private func translate(
        _ services: [String],
        to pod: Pod,
        _ table: String,
        on lab: Lab
    ) throws {
        var translations = ""
        for (service, address) in zip(services, pod.addresses) {
            let family = address.contains(":") ? "ip6" : "ip"
            let place = address.contains(":") ? "[\(address)]" : address
            for (protocols, from, to) in [
                ("tcp", 80, 9_000), ("udp", 80, 9_000), ("udp", 81, 9_001), ("udp", 89, 9_009),
            ] {
                translations +=
                    "\(family) daddr \(service) \(protocols) dport \(from) "
                    + "dnat \(family) to \(place):\(to); "
            }
        }
        let rules = """
            table inet \(table) {
                chain prerouting { type nat hook prerouting priority dstnat; \(translations) }
            }
            """
        let made = try lab.run(on: 1, ["nft", "-f", "/dev/stdin"], input: rules)
        #expect(made.status == 0, "\(made.errors)")
    }

    @Test(
        "a port of another node, whose pod is on a third place again: out of one tunnel into another",
        .timeLimit(.minutes(2))
    )
    func nodePort() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            let (_, _, far) = try await makePods(lab)
            let client = try lab.attach(2, "client2", "default")
            try start(lab, far)
            let nodeAddresses = try lab.nodeAddresses(1)
            try translate(nodeAddresses, to: far, "lab-port", on: lab)
            for (address, family) in zip(nodeAddresses, 0...) {
                for checksum in 0...1 {
                    let seen = try ask(lab, client, address, checksum)
                    #expect(seen["datagram-from"] == [address], "\(seen)")
                    #expect(seen["stream-seen"] == [nodeAddresses[family]], "\(seen)")
                }
            }
        }
    }

    @Test(
        "E15: a pod's own tunnels carry datagrams and streams to a pod of another node",
        .timeLimit(.minutes(2))
    )
    func nestedTunnel() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID) { lab in
            let (client, _, far) = try await makePods(lab)
            for (pod, other, number) in [(client, far, 1), (far, client, 2)] {
                for (remote, id) in zip(other.addresses, [4, 6]) {
                    let name = "vx\(id)"
                    for words in [
                        "link add \(name) type vxlan id \(id) dstport 478\(id) remote \(remote) "
                            + (id == 6 ? "udp6zerocsumtx udp6zerocsumrx" : ""),
                        "address add 10.99.\(id).\(number)/24 dev \(name)",
                        "link set \(name) up",
                    ] {
                        let made = try Lab.run(
                            "/usr/sbin/ip",
                            ["-n", pod.namespace] + words.split(separator: " ").map(String.init)
                        )
                        #expect(made.status == 0, "\(words): \(made.errors)")
                    }
                }
            }
            try start(lab, far)
            for id in [4, 6] {
                let talk = """
                    import socket
                    s = socket.create_connection(('10.99.\(id).2', 9000), timeout=10)
                    sent = bytes(range(256)) * 16384
                    s.sendall(sent)
                    s.shutdown(socket.SHUT_WR)
                    data = b''
                    while part := s.recv(65536):
                        data += part
                    assert data.split(b' ', 1)[1] == sent, len(data)
                    """
                let ping = try lab.inPod(client, "ping", "-c", "2", "-i", "0.1", "10.99.\(id).2")
                #expect(ping.status == 0, "\(ping.text)")
                let said = try lab.inPod(client, "timeout", "20", "python3", "-c", talk)
                #expect(said.status == 0, "vxlan over \(id): \(said.errors)")
            }
        }
    }

    private func start(_ lab: Lab, _ pod: Pod) throws {
        let launch = """
            import subprocess, sys
            subprocess.Popen(['timeout', '-k', '1', '100', sys.executable, '-c', sys.argv[1]],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                close_fds=True, start_new_session=True)
            """
        let started = try lab.inPod(pod, "python3", "-c", launch, Self.server)
        #expect(started.status == 0, "\(started.errors)")
        let listening = try lab.inPod(
            pod,
            "bash",
            "-c",
            "for _ in {1..100}; do ss -ltn | grep -q '\\[::\\]:9000' && exit; sleep 0.05; done; exit 1"
        )
        #expect(listening.status == 0)
    }

    private func ask(
        _ lab: Lab,
        _ pod: Pod,
        _ service: String,
        _ checksum: Int
    ) throws -> [String: Set<String>] {
        let output = try lab.inPod(
            pod,
            "timeout",
            "20",
            "python3",
            "-c",
            Self.client,
            service,
            "\(checksum)"
        )
        #expect(output.status == 0, "\(pod.name) at \(service): \(output.text)\(output.errors)")
        var seen: [String: Set<String>] = [:]
        for line in output.text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            seen[words[0], default: []].insert(words[1])
        }
        return seen
    }

    /// E17: who is connected stays so when a pod is taken out of its service.
    private func expectEstablishedStays(_ lab: Lab, _ client: Pod) async throws {
        let talk = """
            import socket, time
            s = socket.create_connection(('\(Self.services(2)[0])', 80), timeout=5)
            s.sendall(b'before')
            open('/tmp/lab\(lab.id)-connected', 'w').close()
            time.sleep(1.5)
            s.sendall(b' after')
            s.shutdown(socket.SHUT_WR)
            data = b''
            while part := s.recv(100):
                data += part
            print(data.decode().split(' ', 1)[1])
            """
        let mark = "/tmp/lab\(lab.id)-connected"
        defer { try? FileManager.default.removeItem(atPath: mark) }
        let talking = Task.detached {
            try lab.inPod(client, "timeout", "10", "python3", "-c", talk)
        }
        let isConnected = try await lab.eventually(seconds: 5) {
            FileManager.default.fileExists(atPath: mark)
        }
        #expect(isConnected)
        let removed = try lab.run(on: 1, ["nft", "delete", "table", "inet", "lab-service1"])
        #expect(removed.status == 0, "\(removed.errors)")
        let said = try await talking.value
        #expect(said.text == "before after\n", "\(said.errors)")
        let again = try lab.inPod(
            client,
            "timeout",
            "2",
            "bash",
            "-c",
            "</dev/tcp/\(Self.services(2)[0])/80"
        )
        #expect(again.status != 0, "nobody is behind it any more")
    }

    /// E13: what the node's own policy rejects is told to the pod as that.
    private func expectRejected(_ lab: Lab, _ client: Pod) throws {
        let rules = """
            table inet lab-policy {
                chain forward {
                    type filter hook forward priority filter;
                    ip daddr 172.30.\(lab.id).2 reject with icmp admin-prohibited;
                    ip6 daddr fd30:\(lab.id)::2 reject with icmpv6 admin-prohibited;
                }
            }
            """
        let made = try lab.run(on: 1, ["nft", "-f", "/dev/stdin"], input: rules)
        #expect(made.status == 0, "\(made.errors)")
        for (address, word) in [
            ("172.30.\(lab.id).2", "Packet filtered"),
            ("fd30:\(lab.id)::2", "Administratively prohibited"),
        ] {
            let ping = try lab.inPod(client, "ping", "-c", "1", "-W", "2", address)
            #expect(ping.status == 1 && ping.text.contains(word), "\(ping.text)")
        }
    }
}
