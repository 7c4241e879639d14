import Addressing
import CNIProtocol
import Foundation
import NetModel
import Netlink
import PeerService

extension NodeAgent {
    /// Serves one call of the plugin: the bytes for its standard output, or the error to print.
    func serve(_ call: CNICall) async -> Result<[UInt8], CNIError> {
        let configuration: NetworkConfiguration
        do {
            configuration = try JSONDecoder().decode(
                NetworkConfiguration.self,
                from: Data(call.config.utf8)
            )
        } catch {
            return .failure(
                CNIError(.decodingFailure, "the network configuration is not valid: \(error)")
            )
        }
        if let refusal = configuration.refusal(of: call.verb) { return .failure(refusal) }
        do throws(CNIError) {
            return .success(try await serve(call, configuration))
        } catch {
            return .failure(error)
        }
    }

    private func serve(
        _ call: CNICall,
        _ configuration: NetworkConfiguration
    ) async throws(CNIError) -> [UInt8] {
        let key = AttachmentKey(containerID: call.containerID, interface: call.ifname)
        do throws(AgentError) {
            try Self.checkLength(call.containerID, "the container id", max: 128)
            try Self.checkLength(call.netns, "CNI_NETNS", max: 4_096)
            switch call.verb {
            case .add:
                let arguments = try CNIArguments(checking: call.args)
                try Self.checkLength(arguments.podNamespace ?? "", "the pod's namespace", max: 63)
                try Self.checkLength(arguments.podName ?? "", "the pod's name", max: 253)
                let result = try await attach(
                    AttachRequest(
                        key: key,
                        netns: call.netns,
                        group: try Self.group(configuration),
                        podNamespace: arguments.podNamespace ?? "",
                        podName: arguments.podName ?? "",
                        wanted: try Self.wanted(arguments)
                    )
                )
                let version = configuration.version ?? .latest
                return try Self.encode(VersionedCNIResult(version: version, result: result))
            case .delete:
                try await detach(key)
                return []
            case .check:
                try await check(key, netns: call.netns)
                return []
            case .status:
                // An ADD needs the maps and a ring; whether addresses are left only an ADD can
                // tell.
                guard dataplane != nil else { throw .noDataplane }
                guard await peer.snapshot() != nil else { throw .notJoined }
                return []
            case .collect, .version:
                throw .unsupportedVerb(call.verb.rawValue)
            }
        } catch {
            guard call.verb == .status else {
                throw CNIError(error, cniVersion: configuration.cniVersion)
            }
            throw CNIError(
                .notAvailable,
                error.description,
                cniVersion: configuration.cniVersion
            )
        }
    }

    /// What is written down must be readable again, here and by every peer.
    private static func checkLength(
        _ text: String,
        _ what: String,
        max: Int
    ) throws(AgentError) {
        guard text.utf8.count <= max else { throw .nameTooLong(what: what, max: max) }
    }

    /// The address that a pod asks for with `IP` in `CNI_ARGS`, as host-local reads it too.
    private static func wanted(_ arguments: CNIArguments) throws(AgentError) -> IPAddress? {
        guard let text = arguments.ip, !text.isEmpty else { return nil }
        guard let address = IPAddress(text) else {
            throw .badRequest("IP=\(text.prefix(50)) in CNI_ARGS is no IP address")
        }
        return address
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

    private static func encode(_ value: some Encodable) throws(AgentError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return Array(try encoder.encode(value)) } catch { throw .badRequest("\(error)") }
    }
}

extension CNIArguments {
    fileprivate init(checking text: String) throws(AgentError) {
        do { try self.init(text) } catch { throw .badRequest(error.msg) }
    }
}

extension CNIError {
    /// The one place where the agent's errors get the plugin's numbers.
    fileprivate init(_ error: AgentError, cniVersion: String) {
        let code: CNIErrorCode =
            switch error {
            case .unknownVPC, .model(.unknownGroup): .unknownGroup
            case .model, .addressUnusable, .mtuTooSmall: .invalidConfiguration
            case .registers, .contended, .notJoined, .noDataplane, .attachmentBusy,
                .endpointsUnknown, .addressesExhausted, .addressTaken, .blocksInDoubt:
                .tryAgainLater
            case .alreadyAttached, .netlink(.nameTaken(_, _)): .interfaceExists
            case .namespaceMissing: .invalidEnvironment
            case .notAttached, .checkFailed: .attachmentDamaged
            case .netlink, .dataplane, .storage, .unexpected: .inputOutputFailure
            case .nameTooLong, .unsupportedVerb: .invalidEnvironment
            case .groupFullOnNode: .addressSpaceFull
            case .badRequest: .decodingFailure
            case .unknownNode, .nodeNameTwice, .nodeAlive, .nodeIsSteward, .vpcExists, .vniTaken,
                .groupInUse, .noSuchPath, .keys, .badKey, .badKeyID, .reservedRegister, .watch,
                .unknownSteward, .recovery, .unknownPod, .ambiguousPod, .traceRefused:
                .invalidConfiguration
            }
        self.init(code, error.description, cniVersion: cniVersion)
    }
}
