import Addressing
import CNIProtocol
import Determinism
import Foundation
import LocalSocket
import NetSelection

extension NodeAgent {
    /// What selection needs to know of the call, the pod and the node.
    func selectionRequest(
        _ call: CNICall,
        _ arguments: CNIArguments,
        taken: [String]
    ) async throws(PodError) -> SelectionRequest {
        let whole = (try? JSONValue(parsing: call.config)) ?? .object([])
        let settings: SelectionSettings
        do { settings = try SelectionSettings(whole) } catch { throw .selection(error) }
        var pod = try await podFacts.facts(
            namespace: arguments.podNamespace ?? "",
            name: arguments.podName ?? ""
        )
        // What the runtime passes on is for where nobody else knows.
        if pod.annotations.isEmpty { pod.annotations = arguments.podAnnotations }
        var node = nodeFacts(directory: settings.directory, pluginPath: call.path)
        if let server = settings.loadServer, pod.mayAskForLeastLoaded {
            await askLoads(server, &node)
        }
        return SelectionRequest(
            settings: settings,
            pod: pod,
            node: node,
            interface: call.ifname,
            taken: taken,
            wishes: AttachmentWishes(asked: whole)
        )
    }

    private func nodeFacts(directory: String, pluginPath: String) -> NodeFacts {
        var facts = NodeFacts()
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        facts.files = names.filter(ConfigurationFile.isConfiguration).sorted().compactMap { name in
            FileManager.default.contents(atPath: "\(directory)/\(name)").map {
                ConfigurationFile(name: name, text: String(decoding: $0, as: UTF8.self))
            }
        }
        facts.uplink = settings.uplinks[0]
        if !pluginPath.isEmpty {
            let folders = pluginPath.split(separator: ":").filter { $0.first == "/" }
            facts.plugins = SortedSet(
                folders.flatMap { folder in
                    (try? FileManager.default.contentsOfDirectory(atPath: String(folder))) ?? []
                }
            )
        }
        facts.loads = loads.rates(InterfaceCounters.read())
        return facts
    }

    /// Has a cAdvisor tell the loads; where it does not, the node's own counters stay.
    private func askLoads(_ server: SocketAddress, _ facts: inout NodeFacts) async {
        do {
            facts.loads = try await loadAnswer(of: server).value
        } catch {
            // A few texts and no more: each is told once, and the server is a stranger.
            let reason =
                switch error {
                case LocalSocketError.notRunning: "nothing listens there"
                case LocalSocketError.timedOut: "no answer within a second"
                case LocalSocketError.failed(_, .connect, _): "it cannot be reached"
                case let error as LoadsRefused: "\(error)"
                case let error as ContainerLoads.Flaw: "\(error)"
                default: "its answer cannot be read"
                }
            facts.loadWarning =
                "cAdvisor_address http://\(server) tells no loads (\(reason)): the node's own "
                + "counters do"
        }
    }

    /// What a cAdvisor answers; pods that come within a second share one question.
    private func loadAnswer(
        of server: SocketAddress
    ) -> Task<SortedMap<String, UInt64>, any Error> {
        if let last = loadQuestion, last.server == server,
            last.since.duration(to: .now) < .seconds(1)
        {
            return last.answer
        }
        let gate = loadGate
        let answer = Task {
            try await gate.run {
                let answer = try LocalSocketClient(server: server, bodyBytesMax: 1 << 20).request(
                    method: .post,
                    path: ContainerLoads.path,
                    body: Array(ContainerLoads.question.utf8),
                    deadlineMilliseconds: 1_000
                )
                guard answer.status == 200 else { throw LoadsRefused() }
                let text = String(decoding: answer.body, as: UTF8.self)
                return try ContainerLoads.read(JSONValue(parsing: text))
            }
        }
        loadQuestion = LoadQuestion(server: server, since: .now, answer: answer)
        return answer
    }

    /// Remembers what the interfaces have carried until now, for the next pod that asks for the
    /// least loaded network.
    func sampleLoads() {
        loads.sample(InterfaceCounters.read())
    }
}

/// What a cAdvisor was asked last.
struct LoadQuestion: Sendable {
    let server: SocketAddress
    let since: ContinuousClock.Instant
    let answer: Task<SortedMap<String, UInt64>, any Error>
}

/// A cAdvisor that answers with an error.
private struct LoadsRefused: Error, CustomStringConvertible {
    var description: String { "it answers with an error" }
}

extension AttachmentWishes {
    /// What the runtime asks for through capabilities, in a whole configuration.
    init(asked configuration: JSONValue) {
        let asked = configuration["runtimeConfig"]?.members ?? []
        self.init(runtimeConfig: asked.filter { !$0.value.isEmpty })
    }
}

extension JSONValue {
    /// Whether a runtime asks for nothing with it.
    fileprivate var isEmpty: Bool {
        isNull || array?.isEmpty == true || members?.isEmpty == true || string?.isEmpty == true
    }
}

/// What each of the node's interfaces has carried since it was made, both ways, in bytes.
struct InterfaceCounters: Sendable {
    let bytes: SortedMap<String, UInt64>
    let time: ContinuousClock.Instant

    /// Reads the kernel's table.
    static func read() -> InterfaceCounters {
        let text =
            FileManager.default.contents(atPath: "/proc/thread-self/net/dev")
            .map { String(decoding: $0, as: UTF8.self) } ?? ""
        return InterfaceCounters(bytes: parse(text), time: .now)
    }

    /// Takes `/proc/net/dev` apart, see proc(5): the first and ninth number are bytes.
    static func parse(_ text: String) -> SortedMap<String, UInt64> {
        var bytes = SortedMap<String, UInt64>()
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].trimmingCharacters(in: .whitespaces)
            let numbers = line[line.index(after: colon)...].split(separator: " ")
                .compactMap { UInt64($0) }
            if numbers.count >= 9 { bytes[name] = numbers[0] &+ numbers[8] }
        }
        return bytes
    }
}

/// The load of the node's interfaces, between the last sample and now.
struct InterfaceLoads: Sendable {
    private var last: InterfaceCounters?

    mutating func sample(_ counters: InterfaceCounters) {
        last = counters
    }

    /// Bytes a second; an interface that was not there before carried all it has since then.
    func rates(_ now: InterfaceCounters) -> SortedMap<String, UInt64> {
        var rates = SortedMap<String, UInt64>()
        guard let last else { return rates }
        let elapsed = (now.time - last.time) / .milliseconds(1)
        guard elapsed >= 1 else { return rates }
        for (name, bytes) in now.bytes {
            let before = last.bytes[name] ?? 0
            // A counter that went back is of an interface that was made anew.
            let carried = bytes >= before ? bytes - before : bytes
            rates[name] = UInt64(Double(carried) * 1_000 / elapsed)
        }
        return rates
    }
}
