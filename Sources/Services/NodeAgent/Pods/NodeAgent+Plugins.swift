import Addressing
import CNIProtocol
import Determinism
import Foundation
import NetSelection
import Netlink
import PluginProcess

/// How one network of a pod is called for.
struct PluginCall: Sendable {
    let verb: CNIVerb
    let record: PodRecord
    let part: PodRecord.Part
    let list: NetworkList
    /// The pod's namespace; nil where it is gone.
    let netns: String?

    /// What the pod asks for with `CNI_ARGS` is for its cluster-wide network, and annotations are
    /// for us.
    private var arguments: String {
        CNIArguments.pairs(record.arguments).filter { pair in
            let key = pair.prefix { $0 != "=" }
            return key != "K8S_ANNOT" && (part.isDefault || (key != "IP" && key != "MAC"))
        }.joined(separator: ";")
    }

    func environment(searchPath: String) -> [String] {
        var all = [
            "CNI_COMMAND=\(verb.rawValue)", "CNI_CONTAINERID=\(record.containerID)",
            "CNI_IFNAME=\(part.interface)", "CNI_PATH=\(record.path)", "CNI_ARGS=\(arguments)",
            "PATH=\(searchPath)",
        ]
        if let netns { all.append("CNI_NETNS=\(netns)") }
        return all
    }

    func place(_ index: Int) -> PodError.Place {
        PodError.Place(
            network: part.name,
            type: list.plugins[index].type,
            interface: part.interface,
            reason: part.reason
        )
    }
}

extension NodeAgent {
    /// How long one plugin may take: the plugin that waits for us gives up after 90 s.
    private static let pluginMilliseconds = 60_000

    /// How long plugins that a dead daemon left running are waited for.
    private static let lockMilliseconds = 20_000

    /// Keeps others off a pod for as long as plugins that are called now live.
    func pluginLock(_ key: AttachmentKey) async throws(PodError) -> PluginLock {
        let path = settings.pluginLockPath
        var hash = StableHash(seed: 9)
        hash.combine(key.bytes)
        let value = hash.value
        do {
            return try await pluginGate.run {
                try PluginLock(path: path, key: value, waitMilliseconds: Self.lockMilliseconds)
            }
        } catch let error as PluginProcessError {
            throw .process(error)
        } catch {
            throw .process(.notLocked(path: path, errno: EIO))
        }
    }

    /// Calls one plugin of a network.
    ///
    /// - Returns: its standard output.
    func callPlugin(
        _ call: PluginCall,
        _ index: Int,
        previous: JSONValue?,
        _ lock: PluginLock
    ) async throws(PodError) -> [UInt8] {
        let type = call.list.plugins[index].type
        guard let program = PluginProcess.find(type, in: call.record.path) else {
            throw .pluginMissing(call.place(index), path: call.record.path)
        }
        let searchPath =
            ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        let process = PluginProcess.Call(
            path: program,
            environment: call.environment(searchPath: searchPath),
            input: Array(
                call.list.input(of: index, wishes: call.part.asked, previous: previous).text.utf8
            ),
            deadlineMilliseconds: Self.pluginMilliseconds
        )
        let outcome: PluginProcess.Outcome
        do {
            outcome = try await pluginGate.run { try PluginProcess.run(process, holding: lock) }
        } catch let error as PluginProcessError {
            throw .process(error)
        } catch {
            throw .failed(call.place(index), status: -1, said: "\(error)")
        }
        if outcome.status == 0 { return outcome.output }
        guard
            let answer = try? JSONDecoder().decode(CNIError.self, from: Data(outcome.output))
        else {
            let said = outcome.errors.trimmingCharacters(in: .whitespacesAndNewlines)
            throw .failed(call.place(index), status: outcome.status, said: String(said.prefix(300)))
        }
        throw .refused(call.place(index), answer)
    }

    /// Calls the plugins of a network in their order, each with the result of the one before.
    ///
    /// - Returns: the last result.
    func addThroughPlugins(
        _ call: PluginCall,
        from start: Int,
        previous: JSONValue?,
        _ lock: PluginLock
    ) async throws(PodError) -> JSONValue {
        var previous = previous
        for index in call.list.plugins.indices.dropFirst(start) {
            let output = try await callPlugin(call, index, previous: previous, lock)
            do {
                let result = try JSONValue(parsing: output)
                _ = try Self.result(result)
                previous = result
            } catch {
                throw .badResult(call.place(index), detail: "\(error)")
            }
        }
        return previous ?? .object([])
    }

    /// The result in the one form that all versions are made from.
    static func result(_ value: JSONValue) throws -> CNIResult {
        try JSONDecoder().decode(VersionedCNIResult.self, from: Data(value.text.utf8)).result
    }

    /// A result in the form of a version.
    static func value(_ result: CNIResult, _ version: CNIVersion) throws(AgentError) -> JSONValue {
        let bytes = try encode(VersionedCNIResult(version: version, result: result))
        do { return try JSONValue(parsing: bytes) } catch {
            preconditionFailure("what an encoder writes is JSON")
        }
    }
}
