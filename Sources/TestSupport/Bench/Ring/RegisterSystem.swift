import Determinism
import Foundation
import LocalAPI
import LocalSocket

/// A program that holds registers: how its nodes are started, and how clients reach them.
protocol RegisterSystem {
    /// Its name in tables.
    var name: String { get }

    /// Starts a member on each node of `nodes`, which are numbered from 1, and waits until they
    /// decide together.
    func start(nodes: ClosedRange<Int>) throws(BenchError) -> [Child]

    /// The socket that clients of a node connect to.
    func path(_ node: Int) -> String

    /// What is spoken over one connection.
    func makeDialect() -> any RegisterDialect
}

/// `genied` as a whole, with its dataplane.
struct GenieRegisters: RegisterSystem {
    let name = "genied"
    let underlay: Underlay
    let directory: String
    let secretPath: String

    func path(_ node: Int) -> String {
        "\(directory)/lab/\(underlay.id)/node\(node)/run/genied.sock"
    }

    func makeDialect() -> any RegisterDialect { GenieDialect() }

    func start(nodes: ClosedRange<Int>) throws(BenchError) -> [Child] {
        let system = GenieSystem(secretPath: secretPath, underlay: underlay)
        var children: [Child] = []
        for node in nodes {
            children.append(try underlay.start(system.command(node: node), on: node))
        }
        let count = nodes.upperBound
        let wanted = count >= 5 ? 5 : 3
        let isReady = Monotonic.wait(.seconds(60)) {
            Monotonic.sleep(.milliseconds(100))
            return (1...count).allSatisfy { node in
                guard let ring = ring(node) else { return false }
                return ring.members.count == count && ring.stewards.count == wanted
            }
        }
        guard isReady else {
            let words = children.map { $0.lines().last?.text ?? "" }
            throw .timedOut(
                waitingFor: "\(wanted) stewards in a ring of \(count): \(words)",
                seconds: 60
            )
        }
        return children
    }

    /// What a node says of the ring; nil while it does not answer.
    func ring(_ node: Int) -> RingStatus? {
        guard case .success(let body) = ask(node, .get, "/v1/ring") else { return nil }
        return try? JSONDecoder().decode(RingStatus.self, from: Data(body))
    }

    /// Asks a node once, over a connection of its own.
    func ask(
        _ node: Int,
        _ method: LocalSocketClient.Method,
        _ path: String,
        _ body: [UInt8] = []
    ) -> Result<[UInt8], BenchError> {
        let client = LocalSocketClient(path: self.path(node))
        let text: String
        do throws(LocalSocketError) {
            let answer = try client.request(
                method: method,
                path: path,
                body: body,
                deadlineMilliseconds: 15_000
            )
            if answer.status == 200 { return .success(answer.body) }
            text = "\(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
        } catch {
            text = "\(error)"
        }
        return .failure(
            .failed(command: "\(method.rawValue) \(path)", reason: "on node \(node)", output: text)
        )
    }
}

/// Debian's etcd: every change is synced before it is acknowledged, and its peers speak TLS as ours
/// do and as Kubernetes has it, unless they are not to.
struct EtcdRegisters: RegisterSystem {
    let name = "etcd"
    let program: String
    let underlay: Underlay
    let directory: String
    let usesGateway: Bool
    let hasPeerTLS: Bool

    private static let port = 2_380

    /// etcd makes its socket in its working directory, named like a host with a port.
    func path(_ node: Int) -> String { "\(directory)/etcd\(node)/clients:1" }

    func makeDialect() -> any RegisterDialect {
        usesGateway ? EtcdGatewayDialect() : EtcdDialect()
    }

    func start(nodes: ClosedRange<Int>) throws(BenchError) -> [Child] {
        func peerURL(_ node: Int) -> String {
            "\(hasPeerTLS ? "https" : "http")://\(underlay.address(node)):\(Self.port)"
        }
        let cluster = nodes.map { "node\($0)=\(peerURL($0))" }.joined(separator: ",")
        var children: [Child] = []
        for node in nodes {
            let home = "\(directory)/etcd\(node)"
            try Command.run("mkdir", ["-p", home])
            let arguments = [
                "--name", "node\(node)", "--data-dir", "\(home)/data",
                "--listen-client-urls", "unix://clients:1",
                "--advertise-client-urls", "http://\(underlay.address(node)):2379",
                "--listen-peer-urls", peerURL(node),
                "--initial-advertise-peer-urls", peerURL(node),
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
                "--log-level", "error",
            ]
            // Certificates of its own making, with keys on P-256.
            let security = hasPeerTLS ? ["--peer-auto-tls"] : []
            let command =
                ["sh", "-c", #"cd "$0" && exec "$@""#, home, program] + arguments + security
            children.append(try underlay.start(command, on: node))
        }
        for node in nodes { try waitUntilServing(node, children) }
        return children
    }

    private func waitUntilServing(_ node: Int, _ children: [Child]) throws(BenchError) {
        let isServing = Monotonic.wait(.seconds(30)) {
            guard let connection = try? RegisterConnection(path: path(node), dialect: makeDialect())
            else { return false }
            var poll = ConnectionPoll([connection])
            try? connection.ask(.read(key: "bench/none"))
            let answers = try? poll.receive(within: .seconds(1))
            return answers?.contains { $0.answer == .holds(version: 0) } ?? false
        }
        guard isServing else {
            let words = children.map { $0.lines().last?.text ?? "" }
            throw .timedOut(waitingFor: "etcd on node \(node) to answer: \(words)", seconds: 30)
        }
    }
}
