import Addressing
import BPFObjects
import CNIProtocol
import Determinism
import Foundation
import Logging
import NetModel
import NetSelection
import PeerService
import PluginProcess
import RingIPAM

extension NodeAgent {
    /// Removes whatever the journal has of a network and the runtime does not list.
    ///
    /// Every removal is attempted. Of the plugins of others those are told that speak 1.1.0, each
    /// with what is left of its own network.
    /// - Throws: the first failure.
    /// - Source: CNI specification 1.1.0, section 2 "GC".
    func collect(_ configuration: NetworkConfiguration, path: String) async throws(AgentError) {
        guard let listed = configuration.validAttachments else {
            throw .badRequest("GC came without cni.dev/valid-attachments")
        }
        let valid = Set(
            listed.map { AttachmentKey(containerID: $0.containerID, interface: $0.ifname) }
        )
        var failure: AgentError?
        let stalePods = journal.pods.values.filter {
            $0.network == configuration.name && !valid.contains($0.key)
        }
        let staleOwn = journal.all.filter {
            $0.network == configuration.name && !valid.contains($0.key)
        }
        for key in (stalePods.map(\.key) + staleOwn.map(\.key)).sorted() {
            do throws(AgentError) {
                try await detachPod(key)
                logger.notice(
                    "removed what the runtime does not know",
                    metadata: ["container_id": "\(key.containerID)"]
                )
            } catch {
                failure = failure ?? error
            }
        }
        failure = await collectThroughPlugins(configuration.name, path) ?? failure
        if let failure { throw failure }
    }

    private func collectThroughPlugins(_ network: String, _ path: String) async -> AgentError? {
        let left = journal.pods.values.filter { $0.network == network }
            .sorted { $0.key < $1.key }
        var lists: [String: NetworkList] = [:]
        var valid: [String: [JSONValue]] = [:]
        for record in left {
            for part in record.parts {
                guard let list = part.network, list.cniVersion >= .v110, !list.isCollectDisabled
                else { continue }
                lists[list.name] = list
                valid[list.name, default: []].append(
                    .members(
                        ("containerID", .string(record.containerID)),
                        ("ifname", .string(part.interface))
                    )
                )
            }
        }
        var failure: AgentError?
        for (name, list) in lists.sorted(by: { $0.key < $1.key }) {
            var list = list
            for index in list.plugins.indices {
                list.plugins[index].object["cni.dev/valid-attachments"] = .array(valid[name] ?? [])
            }
            failure = await callAll(.collect, list, path) ?? failure
        }
        return failure
    }

    /// Calls a verb that names no attachment at every plugin of a network.
    private func callAll(_ verb: CNIVerb, _ list: NetworkList, _ path: String) async -> AgentError?
    {
        var failure: AgentError?
        let call = PluginCall(
            verb: verb,
            record: PodRecord(network: list.name, path: path),
            part: PodRecord.Part(network: list.name),
            list: list,
            netns: nil
        )
        do throws(PodError) {
            let lock = try await pluginLock(AttachmentKey(containerID: "", interface: list.name))
            for index in list.plugins.indices where !list.plugins[index].isOwn {
                do throws(PodError) {
                    _ = try await callPlugin(call, index, previous: nil, lock)
                } catch {
                    failure = failure ?? .pod(error)
                }
            }
        } catch {
            failure = failure ?? .pod(error)
        }
        return failure
    }

    /// Whether an ADD with this configuration could be served now.
    ///
    /// - Throws: code 50, or 51 where pods that are here may not be reached either.
    func status(_ call: CNICall, _ configuration: NetworkConfiguration) async throws(CNIError) {
        func refusal(_ code: CNIErrorCode, _ text: String) -> CNIError {
            CNIError(code, text, cniVersion: configuration.cniVersion)
        }
        guard let dataplane else { throw refusal(.notAvailable, "\(AgentError.noDataplane)") }
        if let lost = Self.lostPod(of: journal.all, dataplane) {
            throw refusal(
                .limitedConnectivity,
                "no program is attached to \(lost): packets of its pod are not carried; restart "
                    + "genied"
            )
        }
        guard await peer.snapshot() != nil else {
            throw refusal(.notAvailable, "\(AgentError.notJoined)")
        }
        if let full = await fullGroup(configuration) { throw refusal(.notAvailable, full) }
        guard configuration.vpc == nil, let failure = await unavailablePlugin(call) else { return }
        throw refusal(.notAvailable, failure)
    }

    private static func lostPod(of attachments: [Attachment], _ dataplane: Dataplane) -> String? {
        guard let programs = try? dataplane.attachments() else { return nil }
        return attachments.first { attachment in
            attachment.state == .attached
                && !programs.contains { $0.role == .pod(key: attachment.hostInterface) }
        }?.hostInterface
    }

    /// A group all of whose blocks are this node's, without a free address.
    private func fullGroup(_ configuration: NetworkConfiguration) async -> String? {
        guard let vpc = configuration.vpc, let name = configuration.group,
            let found = try? await catalog.vpc(vpc), let group = try? found.group(name)
        else { return nil }
        let plan = BlockPlan(pool: group.id, subnet: group.subnet, exclusions: group.exclusions)
        let view = await peer.poolView(group.id)
        let blocks = view.blocks.map(\.prefix).filter { $0.isV4 == group.subnet.isV4 }
        guard UInt64(blocks.count) == plan.countClamped else { return nil }
        let room = blocks.reduce(0) { $0 + plan.assignable(in: $1).count }
        let taken = view.held.count + view.resting.count
        guard taken >= room else { return nil }
        return
            "group \(vpc)/\(name) has no free address left in \(group.subnet): delete pods, or use a "
            + "group with a wider subnet"
    }

    /// The plugins of the network of pods that ask for nothing, as far as they can be asked.
    private func unavailablePlugin(_ call: CNICall) async -> String? {
        guard let arguments = try? CNIArguments("") else { return nil }
        var request: SelectionRequest
        do throws(PodError) {
            request = try await selectionRequest(call, arguments, taken: [])
        } catch {
            return "\(error)"
        }
        request.interface = "eth0"
        let networks: [SelectedNetwork]
        do throws(SelectionError) { networks = try Selection.make(request).networks } catch {
            return "\(error)"
        }
        for network in networks {
            if let missing = Self.missingPlugin(of: network, path: call.path) { return missing }
            guard network.list.cniVersion >= .v110 else { continue }
            if let failure = await callAll(.status, network.list, call.path) {
                return "\(failure)"
            }
        }
        return nil
    }

    /// A plugin of others that is not installed, for people.
    static func missingPlugin(of network: SelectedNetwork, path: String) -> String? {
        let types = network.list.plugins.filter { !$0.isOwn }.map(\.type)
        guard let missing = types.first(where: { PluginProcess.find($0, in: path) == nil }) else {
            return nil
        }
        let place = PodError.Place(
            network: network.name,
            type: missing,
            interface: network.interface,
            reason: network.reason
        )
        return "\(PodError.pluginMissing(place, path: path))"
    }
}

extension PodRecord {
    /// Stands in for a pod where a plugin is asked about a network as a whole.
    fileprivate init(network: String, path: String) {
        self.init(
            containerID: "",
            interface: "",
            network: network,
            netns: "",
            netnsInode: nil,
            path: path,
            arguments: "",
            podNamespace: "",
            podName: "",
            state: .attached,
            parts: [],
            warnings: []
        )
    }
}

extension PodRecord.Part {
    fileprivate init(network: String) {
        name = network
        interface = ""
        list = ""
        wishes = ""
        gateways = []
        isDefault = false
        reason = ""
    }
}
