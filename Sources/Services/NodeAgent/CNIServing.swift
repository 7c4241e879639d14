import Addressing
import CNIProtocol
import Determinism
import Foundation
import Logging
import NetModel
import Netlink
import PeerService

extension NodeAgent {
    /// Serves one call of the plugin: the bytes for its standard output, or the error to print.
    func serve(_ call: CNICall) async -> Result<[UInt8], CNIError> {
        let start = ContinuousClock.now
        callsUnderWay += 1
        defer { callsUnderWay -= 1 }
        let answer = await answer(call)
        let code = if case .failure(let error) = answer { error.code } else { nil as CNIErrorCode? }
        callCounters.note(call.verb, code: code, span: ContinuousClock.now - start)
        return answer
    }

    /// Refuses further pods, and waits a while for the calls that are under way: a plugin of others
    /// may take its time, and its work would have been in vain.
    ///
    /// What is not done by then is undone at the next start.
    func leave(within limit: Duration) async {
        isLeaving = true
        guard callsUnderWay > 0 else { return }
        logger.info("finishing calls of runtimes", metadata: ["calls": "\(callsUnderWay)"])
        let start = ContinuousClock.now
        while callsUnderWay > 0, start.duration(to: .now) < limit {
            try? await Task.sleep(for: .milliseconds(10))
        }
        // The last answer has still to be written.
        try? await Task.sleep(for: .milliseconds(50))
    }

    private func answer(_ call: CNICall) async -> Result<[UInt8], CNIError> {
        if isLeaving, call.verb == .add { return .failure(CNIError(.tryAgainLater, Self.leaving)) }
        let configuration: NetworkConfiguration
        do throws(AgentError) { configuration = try Self.configuration(of: call) } catch {
            return .failure(CNIError(.decodingFailure, "\(error)"))
        }
        if let refusal = configuration.refusal(of: call.verb) { return .failure(refusal) }
        do throws(CNIError) {
            return .success(try await serve(call, configuration))
        } catch {
            // A passing condition is tried again, and says nothing of the call.
            if call.verb == .add, error.code != .tryAgainLater { keepFailed(call, error) }
            return .failure(error)
        }
    }

    private static let leaving = "genied is being stopped: try again once it runs"

    /// Reads what the runtime gave to the plugin.
    static func configuration(of call: CNICall) throws(AgentError) -> NetworkConfiguration {
        do {
            return try decode(NetworkConfiguration.self, Array(call.config.utf8))
        } catch {
            throw .badRequest("the network configuration: \(error)")
        }
    }

    /// Reads a value of ours.
    ///
    /// - Throws: what is wrong with it, and in which field.
    static func decode<Value: Decodable>(
        _ type: Value.Type,
        _ text: [UInt8]
    ) throws(Flaw) -> Value {
        let reason: any Error
        do { return try JSONDecoder().decode(type, from: Data(text)) } catch { reason = error }
        // The library says of much that it is no JSON, and not where.
        do { _ = try JSONValue(parsing: text) } catch {
            throw Flaw(description: "it is not JSON from byte \(error.offset) on")
        }
        throw Flaw(description: (reason as? DecodingError)?.flaw() ?? "\(reason)")
    }

    /// What is wrong with an input.
    struct Flaw: Error, CustomStringConvertible {
        let description: String
    }

    private func serve(
        _ call: CNICall,
        _ configuration: NetworkConfiguration
    ) async throws(CNIError) -> [UInt8] {
        if call.verb == .status {
            try await status(call, configuration)
            return []
        }
        let key = AttachmentKey(containerID: call.containerID, interface: call.ifname)
        do throws(AgentError) {
            try Self.checkLength(call.containerID, "the container id", max: 128)
            try Self.checkLength(call.netns, "CNI_NETNS", max: 4_096)
            switch call.verb {
            case .add:
                let result = try await add(call, configuration)
                let version = configuration.version ?? .latest
                return try Self.encode(VersionedCNIResult(version: version, result: result))
            case .delete:
                try await detachPod(key)
                return []
            case .check:
                let routes = Self.promised(configuration.prevResult?.result)
                if let pod = journal.pods[key] {
                    try await checkPod(pod, routes: routes)
                } else {
                    try await check(key, netns: call.netns, routes: routes)
                }
                return []
            case .collect:
                try await collect(configuration, path: call.path)
                return []
            case .status, .version: return []
            }
        } catch {
            throw CNIError(error, cniVersion: configuration.cniVersion)
        }
    }

    /// A place in the ring is attached to at once; what has to be chosen, called or put behind
    /// another plugin's result takes a plan.
    private func add(
        _ call: CNICall,
        _ configuration: NetworkConfiguration
    ) async throws(AgentError) -> CNIResult {
        let arguments = try CNIArguments(checking: call.args)
        try Self.checkLength(arguments.podNamespace ?? "", "the pod's namespace", max: 63)
        try Self.checkLength(arguments.podName ?? "", "the pod's name", max: 253)
        let whole = (try? JSONValue(parsing: call.config)) ?? .object([])
        guard configuration.vpc != nil, configuration.prevResult == nil else {
            return try await attachPod(call, configuration, arguments)
        }
        let wishes = try OwnWishes(
            AttachmentWishes(asked: whole),
            servedElsewhere: [],
            config: whole,
            arguments: arguments
        )
        return try await attach(
            AttachRequest(
                key: AttachmentKey(containerID: call.containerID, interface: call.ifname),
                netns: call.netns,
                group: try Self.group(configuration),
                podNamespace: arguments.podNamespace ?? "",
                podName: arguments.podName ?? "",
                wanted: wishes.address,
                mac: wishes.mac,
                network: configuration.name
            )
        )
    }

    /// What is written down must be readable again, here and by every peer.
    private static func checkLength(
        _ text: String,
        _ what: String,
        max: Int
    ) throws(AgentError) {
        guard text.utf8.count <= max else { throw .nameTooLong(what: what, max: max) }
    }

    private static func group(
        _ configuration: NetworkConfiguration
    ) throws(AgentError) -> GroupReference {
        do {
            return try GroupReference(
                vpc: configuration.vpc ?? "",
                group: configuration.group ?? ""
            )
        } catch {
            throw .model(error)
        }
    }

    static func encode(_ value: some Encodable) throws(AgentError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return Array(try encoder.encode(value)) } catch { throw .badRequest("\(error)") }
    }
}

extension CNIArguments {
    init(checking text: String) throws(AgentError) {
        do { try self.init(text) } catch { throw .badRequest(error.msg) }
    }
}

extension CNIError {
    /// The one place where the agent's errors get the plugin's numbers.
    fileprivate init(_ error: AgentError, cniVersion: String) {
        self.init(Self.code(of: error), error.description, cniVersion: cniVersion)
    }

    private static func code(of error: AgentError) -> CNIErrorCode {
        switch error {
        case .unknownVPC, .model(.unknownGroup): .unknownGroup
        case .model, .addressUnusable, .mtuTooSmall, .subnetOverNode: .invalidConfiguration
        case .registers, .contended, .notJoined, .noDataplane, .attachmentBusy,
            .endpointsUnknown, .addressesExhausted, .addressTaken, .blocksInDoubt:
            .tryAgainLater
        case .alreadyAttached, .netlink(.nameTaken(_, _)): .interfaceExists
        case .namespaceMissing: .invalidEnvironment
        case .notAttached, .checkFailed: .attachmentDamaged
        case .netlink, .dataplane, .storage, .unexpected: .inputOutputFailure
        case .nameTooLong: .invalidEnvironment
        case .pod(let error): error.cniCode
        case .network(_, _, let error), .earlierAttempt(let error): code(of: error)
        case .groupFullOnNode: .addressSpaceFull
        case .badRequest: .decodingFailure
        case .unknownNode, .nodeNameTwice, .nodeAlive, .nodeIsSteward, .vpcExists, .vniTaken,
            .openTaken, .groupInUse, .noSuchPath, .keys, .badKey, .badKeyID, .reservedRegister,
            .watch, .unknownSteward, .recovery, .unknownPod, .podInUse, .ambiguousPod,
            .traceRefused:
            .invalidConfiguration
        }
    }
}
