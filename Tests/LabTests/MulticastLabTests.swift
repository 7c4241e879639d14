import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Multicast and broadcast in a lab (E22)",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct MulticastLabTests {
    /// Says what came within four seconds; `ready` once it listens.
    private static let listen = """
        import socket, struct, sys
        group, marker = sys.argv[1], sys.argv[2]
        is6 = ':' in group
        s = socket.socket(socket.AF_INET6 if is6 else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('::' if is6 else '', 9999))
        index = socket.if_nametoindex('eth0')
        if is6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                         socket.inet_pton(socket.AF_INET6, group) + struct.pack('@I', index))
        elif group != '255.255.255.255':
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                         socket.inet_aton(group) + struct.pack('@4si', b'', index))
        open(marker, 'w').close()
        s.settimeout(4)
        got = []
        try:
            while True:
                data, source = s.recvfrom(2048)
                got.append(source[0] + ' ' + data.decode())
        except socket.timeout:
            pass
        print('\\n'.join(sorted(got)))
        """

    private static let send = """
        import socket, sys
        group = sys.argv[1]
        is6 = ':' in group
        s = socket.socket(socket.AF_INET6 if is6 else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        index = socket.if_nametoindex('eth0')
        if is6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        else:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
        for number in range(3):
            s.sendto(('hello%d' % number).encode(), (group, 9999))
        """

    private func makeNetworks(_ lab: Lab) throws {
        for vpc in ["red", "blue"] { #expect(try lab.ring(1, "vpcs", "create", vpc).status == 0) }
        for (group, digit) in [("red/web", 20), ("red/db", 21), ("blue/web", 20)] {
            let made = try lab.ring(
                1,
                "groups",
                "create",
                group,
                "--subnet",
                "10.\(digit).0.0/22",
                "--subnet",
                "fd00:\(digit)::/64"
            )
            #expect(made.status == 0, "\(made.errors)")
        }
    }

    @Test("multicast and broadcast reach the pods of the group on every node, and no others")
    func reach() async throws {
        try await Lab.with(nodes: 3, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            try makeNetworks(lab)
            let sender = try lab.attach(1, "sender", "red")
            let members = try [1, 2, 2, 3].enumerated().map {
                try lab.attach($1, "member\($0)", "red")
            }
            let others = [
                try lab.attach(1, "near", "red", group: "db"),
                try lab.attach(2, "far", "red", group: "db"),
                try lab.attach(1, "b1", "blue"), try lab.attach(2, "b2", "blue"),
            ]
            // The sender's node knows of the last pod once it can be reached.
            for member in members {
                let isKnown = try await lab.eventually(seconds: 5) {
                    try lab.lostPings(sender, to: member.address, count: 1) == 0
                        && lab.lostPings(member, to: sender.address, count: 1) == 0
                }
                #expect(isKnown)
            }
            for group in ["239.1.2.3", "255.255.255.255", "ff05::77"] {
                let heard = try await hear(lab, members + others, group) {
                    let sent = try lab.inPod(sender, "python3", "-c", Self.send, group)
                    #expect(sent.status == 0, "\(sent.errors)")
                }
                let address = sender.addresses[group.contains(":") ? 1 : 0]
                let wanted = (0..<3).map { "\(address) hello\($0)" }
                for (index, member) in members.enumerated() {
                    #expect(heard[index] == wanted, "\(group) at \(member.name)")
                }
                let stray = heard[members.count...].flatMap(\.self)
                #expect(stray.isEmpty, "\(group): \(stray)")
            }
            let counts = try (1...3).map { node in
                try lab.ring(node, "dataplane", as: DataplaneStatus.self).counts
                    .reduce(into: [:]) { $0[$1.name] = $1.packets }
            }
            // Three packets of three kinds: one pod here, two nodes; two pods; one.
            #expect(counts[0]["multicast_sent"] == 9)
            #expect(counts[0]["multicast_copies"] == 27)
            #expect(counts[1]["multicast_received"] == 9)
            #expect(counts[1]["multicast_copies"] == 18)
            #expect(counts[2]["multicast_copies"] == 9)
            for count in counts { #expect(count["multicast_copies_lost"] ?? 0 == 0) }
        }
    }

    /// What each pod hears while `body` sends.
    private func hear(
        _ lab: Lab,
        _ pods: [Pod],
        _ group: String,
        _ body: () throws -> Void
    ) async throws -> [[String]] {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Self.listen.write(
            to: folder.appending(path: "listen.py"),
            atomically: true,
            encoding: .utf8
        )
        // In the background, and without what they would inherit of this process: as many tasks that
        // wait would leave no thread of the pool to anybody else.
        let start = """
            import subprocess, sys
            for index, namespace in enumerate(sys.argv[3:]):
                command = f"ip netns exec {namespace} python3 listen.py {sys.argv[2]} {index}.up"
                command += f" > {index}.out 2>&1; mv {index}.out {index}.heard"
                subprocess.Popen(['sh', '-c', command], cwd=sys.argv[1], close_fds=True)
            """
        let started = try Lab.run(
            "/usr/bin/env",
            ["python3", "-c", start, folder.path, group] + pods.map(\.namespace)
        )
        #expect(started.status == 0, "\(started.errors)")
        func areThere(_ ending: String) -> Bool {
            pods.indices.allSatisfy {
                FileManager.default.fileExists(
                    atPath: folder.appending(path: "\($0).\(ending)").path
                )
            }
        }
        #expect(try await lab.eventually(seconds: 5) { areThere("up") })
        try body()
        #expect(try await lab.eventually(seconds: 10) { areThere("heard") })
        return try pods.indices.map { index in
            let file = folder.appending(path: "\(index).heard")
            return try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
                .map(String.init)
        }
    }
}
