import Addressing
import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import LocalSocket
import NetModel
import NetSelection
import PluginProcess

extension NodeAgent {
    /// The pods of this node, those with one network of ours included.
    func podList() -> PodList {
        var parts: Set<AttachmentKey> = []
        var items = journal.pods.values.sorted { $0.key < $1.key }.map { record in
            for part in record.parts {
                parts.insert(
                    AttachmentKey(containerID: record.containerID, interface: part.interface)
                )
            }
            return item(record)
        }
        items += journal.all.filter { !parts.contains($0.key) && $0.key != .node }
            .map(Self.item)
        return PodList(pods: items.sorted { $0.containerID < $1.containerID })
    }

    private static func podName(_ namespace: String, _ name: String) -> String {
        name.isEmpty || namespace.isEmpty ? name : "\(namespace)/\(name)"
    }

    private func item(_ record: PodRecord) -> PodList.Item {
        let results = record.parts.compactMap { part in
            part.attachmentResult.map {
                PodStatus.Attachment(network: part.name, result: $0, isDefault: part.isDefault)
            }
        }
        let texts = [
            (PodStatus.networkStatusKey, PodStatus.networkStatus(results)),
            (PodStatus.addressPreferencesKey, PodStatus.addressPreferences(results)),
        ]
        let lost = record.parts.filter { isLost($0, of: record) }.map(\.interface)
        let annotations = texts.compactMap { key, value in
            record.state == .attached && lost.isEmpty
                ? value.map { PodList.Annotation(key: key, value: $0) } : nil
        }
        var warnings = record.warnings
        if !lost.isEmpty {
            warnings.append(
                "interface \(lost.joined(separator: ", ")) was taken off this node: delete the pod, so "
                    + "that another gets its networks anew"
            )
        }
        if let retry = podRetries[record.key] {
            warnings.append(
                "cannot be taken off its networks (\(retry.attempts) attempts; the last: "
                    + "\(retry.reason))"
            )
        }
        return PodList.Item(
            pod: Self.podName(record.podNamespace, record.podName),
            containerID: record.containerID,
            state: lost.isEmpty ? record.state.rawValue : "damaged",
            netns: record.netns,
            interfaces: record.parts.map { part in
                PodList.Interface(
                    interface: part.interface,
                    network: part.name,
                    plugins: part.network?.plugins.map(\.type) ?? [],
                    addresses: part.attachmentResult?.podAddresses.map { "\($0.address)" } ?? [],
                    isDefault: part.isDefault,
                    reason: part.reason
                )
            },
            warnings: warnings,
            annotations: annotations
        )
    }

    /// Whether a place in the ring went away under its pod, as an uninstall takes it away.
    private func isLost(_ part: PodRecord.Part, of record: PodRecord) -> Bool {
        let key = AttachmentKey(containerID: record.containerID, interface: part.interface)
        return record.state == .attached && part.network?.plugins.first?.isOwn == true
            && journal.attachments[key]?.state != .attached
    }

    private static func item(_ attachment: Attachment) -> PodList.Item {
        PodList.Item(
            pod: podName(attachment.podNamespace, attachment.podName),
            containerID: attachment.containerID,
            state: attachment.state.rawValue,
            netns: attachment.netns,
            interfaces: [
                PodList.Interface(
                    interface: attachment.interface,
                    network: "\(attachment.vpc)/\(attachment.group)",
                    plugins: [NetworkConfiguration.ownType],
                    addresses: attachment.held.map {
                        "\($0.address)/\($0.address.isV4 ? 32 : 128)"
                    },
                    isDefault: attachment.interface == "eth0",
                    reason: oneNetworkReason
                )
            ]
        )
    }

    /// Why a pod has its networks; of one that is not here, what it would get.
    func explain(pod name: String) async throws(AgentError) -> PodPlan {
        if let record = journal.pods.values.filter({
            Self.podName($0.podNamespace, $0.podName) == name
        }).max(by: { $0.key < $1.key }) {
            return Self.plan(record, isAttached: record.state == .attached)
        }
        let alone = journal.all.filter {
            $0.key != .node && Self.podName($0.podNamespace, $0.podName) == name
        }
        guard alone.isEmpty else { return Self.plan(alone, of: name) }
        let halves = name.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ !$0.isEmpty }) else {
            throw .badRequest("'\(name.prefix(80))' is no pod: write NAMESPACE/NAME")
        }
        var plan = try await replay(
            CNICall(
                verb: .add,
                containerID: "explain",
                ifname: "eth0",
                args: "K8S_POD_NAMESPACE=\(halves[0]);K8S_POD_NAME=\(halves[1])",
                config: Self.ownConfiguration() ?? #"{"name":"explain","type":"genie"}"#
            )
        )
        let facts = try? await podFacts.facts(
            namespace: String(halves[0]),
            name: String(halves[1])
        )
        if facts?.isKnown != true {
            plan.warnings.append(
                "pod \(name) is not attached to this node and nothing is known of its "
                    + "annotations: this is what a pod without any would get here"
            )
        }
        return plan
    }

    /// The configuration that runtimes give the plugin: the first one of ours that chooses.
    private static func ownConfiguration() -> String? {
        let directory = SelectionSettings().directory
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let texts = names.filter(ConfigurationFile.isConfiguration).sorted().compactMap {
            FileManager.default.contents(atPath: "\(directory)/\($0)")
                .map { String(decoding: $0, as: UTF8.self) }
        }
        for text in texts {
            guard let list = try? NetworkList(parsing: text),
                let index = list.plugins.firstIndex(where: \.isSelection)
            else { continue }
            return list.input(of: index).text
        }
        return nil
    }

    /// What a recorded call would do now; nothing is done.
    func replay(_ call: CNICall) async throws(AgentError) -> PodPlan {
        let configuration = try Self.configuration(of: call)
        if let refusal = configuration.refusal(of: call.verb) { throw .badRequest("\(refusal)") }
        let key = AttachmentKey(containerID: call.containerID, interface: call.ifname)
        if call.verb != .add, let record = journal.pods[key] {
            return Self.plan(record, isAttached: record.state == .attached)
        }
        let record = try await plan(call, configuration, try CNIArguments(checking: call.args))
        var plan = Self.plan(record, isAttached: false)
        for part in record.parts { plan.warnings += await obstacles(part, of: record) }
        return plan
    }

    /// What would keep a pod from a network, as far as it can be told without attaching it.
    private func obstacles(_ part: PodRecord.Part, of record: PodRecord) async -> [String] {
        guard let list = part.network else { return [] }
        var found: [String] = []
        if list.plugins[0].isOwn {
            let own = list.plugins[0].object
            do throws(AgentError) {
                _ = try ownRequest(record, part, list)
                let vpc = try await catalog.vpc(own["vpc"]?.string ?? "")
                do { _ = try vpc.group(own["group"]?.string ?? "") } catch { throw .model(error) }
            } catch {
                found.append("\(AgentError.network(part.name, reason: part.reason, error))")
            }
        }
        // Where the call does not say where plugins are, nobody can tell.
        let path = record.path
        let types = path.isEmpty ? [] : list.plugins.filter { !$0.isOwn }.map(\.type)
        for type in types where PluginProcess.find(type, in: path) == nil {
            let place = PodError.Place(
                network: part.name,
                type: type,
                interface: part.interface,
                reason: part.reason
            )
            found.append("\(PodError.pluginMissing(place, path: path))")
        }
        return found
    }

    /// The plan of a pod whose configurations named a VPC and a group each.
    private static func plan(_ attachments: [Attachment], of pod: String) -> PodPlan {
        PodPlan(
            pod: pod,
            isAttached: attachments.allSatisfy { $0.state == .attached },
            networks: attachments.map { attachment in
                PodPlan.Network(
                    interface: attachment.interface,
                    network: "\(attachment.vpc)/\(attachment.group)",
                    plugins: [NetworkConfiguration.ownType],
                    isDefault: attachment.interface == "eth0",
                    reason: oneNetworkReason,
                    inputs: []
                )
            },
            warnings: []
        )
    }

    /// Why a pod has a network that nobody chose.
    private static let oneNetworkReason = "vpc and group of the plugin's configuration"

    private static func plan(_ record: PodRecord, isAttached: Bool) -> PodPlan {
        PodPlan(
            pod: podName(record.podNamespace, record.podName),
            isAttached: isAttached,
            networks: record.parts.map { part in
                let list = part.network
                return PodPlan.Network(
                    interface: part.interface,
                    network: part.name,
                    plugins: list?.plugins.map(\.type) ?? [],
                    isDefault: part.isDefault,
                    reason: part.reason,
                    inputs: list.map { list in
                        list.plugins.indices.map { list.input(of: $0, wishes: part.asked).text }
                    } ?? []
                )
            },
            warnings: record.warnings
                + (record.state == .removing
                    ? ["it is being taken off these networks: another ADD may give it others"] : [])
        )
    }

    /// Keeps a call that failed for whoever is asked for help, with when and why; only the latest
    /// ones.
    func keepFailed(_ call: CNICall, _ error: CNIError) {
        let directory = SpoolDirectory(path: settings.failedCallsDirectory)
        guard var kept = try? JSONValue(parsing: call.jsonText) else { return }
        kept["failedAt"] = .string(Date().ISO8601Format())
        kept["error"] = .members(
            ("code", .integer(error.code.rawValue)),
            ("msg", .string(error.msg))
        )
        try? directory.write(name: call.spoolName, Array(kept.text.utf8))
        guard let names = try? directory.names(), names.count > Self.failedCallsMax else { return }
        let oldest = names.min { left, right in
            Self.modified("\(directory.path)/\(left)") < Self.modified("\(directory.path)/\(right)")
        }
        if let oldest { try? directory.remove(name: oldest) }
    }

    private static let failedCallsMax = 32

    private static func modified(_ path: String) -> Date {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.modificationDate] as? Date ?? .distantPast
    }
}
