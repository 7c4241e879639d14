import CNIProtocol
import Foundation
import NetModel
import Netlink

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
            switch call.verb {
            case .add:
                let arguments = try CNIArguments(checking: call.args)
                let result = try await attach(
                    AttachRequest(
                        key: key,
                        netns: call.netns,
                        group: try Self.group(configuration),
                        podNamespace: arguments.podNamespace ?? "",
                        podName: arguments.podName ?? ""
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
            case .status, .collect, .version:
                throw .badRequest("\(call.verb.rawValue) is not served for networks of type genie")
            }
        } catch {
            throw CNIError(error, cniVersion: configuration.cniVersion)
        }
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
            case .model: .invalidConfiguration
            case .registers, .contended, .notJoined, .attachmentBusy, .endpointsUnknown,
                .addressesExhausted:
                .tryAgainLater
            case .alreadyAttached, .netlink(.nameTaken(_, _)): .interfaceExists
            case .namespaceMissing: .invalidEnvironment
            case .notAttached, .checkFailed: .attachmentDamaged
            case .netlink, .dataplane, .storage: .inputOutputFailure
            case .badRequest: .decodingFailure
            case .vpcExists, .vniTaken, .groupInUse, .noSuchPath: .invalidConfiguration
            }
        self.init(code, error.description, cniVersion: cniVersion)
    }
}
