import Addressing
import CNIProtocol
import Determinism
import Logging
import NetModel
import NetSelection
import Netlink
import PluginProcess

extension NodeAgent {
    /// Attaches a pod to the networks that it asks for; on failure to none.
    ///
    /// The plan is on the disk before the first network is made. The cluster-wide network comes
    /// first and alone (NPWG 1.3: where it fails the others are not attempted), the others side by
    /// side; the result has them in their order all the same.
    /// - Returns: one result of all.
    func attachPod(
        _ call: CNICall,
        _ configuration: NetworkConfiguration,
        _ arguments: CNIArguments
    ) async throws(AgentError) -> CNIResult {
        let key = AttachmentKey(containerID: call.containerID, interface: call.ifname)
        try beginPod(key)
        defer { busyPods.remove(key) }
        let isDeleteDue = consumeSpooledDelete(key)
        if let old = journal.pods[key] {
            guard old.state != .attached || isDeleteDue else {
                throw .alreadyAttached(containerID: key.containerID, interface: key.interface)
            }
            do throws(AgentError) { try await undoPod(old) } catch { throw .earlierAttempt(error) }
        }
        guard journal.attachments[key]?.state != .attached || isDeleteDue,
            !occupiedInterfaces(besides: key).contains(key.interface)
        else {
            throw .alreadyAttached(containerID: key.containerID, interface: key.interface)
        }
        guard !call.netns.isEmpty else { throw .namespaceMissing(containerID: key.containerID) }
        var record = try await plan(call, configuration, arguments)
        // In one turn with the row: of two calls at the same time one is the first.
        record.isGuest = hasNetwork(besides: record)
        // The same file says the same for each pod.
        for warning in record.warnings where toldWarnings.insert(warning).inserted {
            logger.warning("\(warning)")
        }
        try journal.record(record)
        do throws(AgentError) {
            return try await make(record)
        } catch {
            logger.warning(
                "attaching a pod failed",
                metadata: ["container_id": "\(key.containerID)", "reason": "\(error)"]
            )
            // What cannot be undone now stays written down, and is tried again.
            try? await undoPod(journal.pods[key] ?? record)
            throw error
        }
    }

    /// Marks a pod as being worked on.
    func beginPod(_ key: AttachmentKey) throws(AgentError) {
        guard busyPods.insert(key).inserted else {
            throw .attachmentBusy(containerID: key.containerID, interface: key.interface)
        }
    }

    /// What a pod is to get, and why.
    func plan(
        _ call: CNICall,
        _ configuration: NetworkConfiguration,
        _ arguments: CNIArguments
    ) async throws(AgentError) -> PodRecord {
        let previous = configuration.prevResult?.result
        let taken = (previous?.interfaces ?? []).filter { $0.sandbox?.isEmpty == false }.map(\.name)
        let selection: Selection
        do throws(PodError) {
            var request = try await selectionRequest(call, arguments, taken: taken)
            request.occupied = occupiedInterfaces(
                besides: AttachmentKey(containerID: call.containerID, interface: call.ifname)
            )
            selection = try await explained(request, configuration)
        } catch {
            throw .pod(error)
        }
        var record = PodRecord(
            containerID: call.containerID,
            interface: call.ifname,
            network: configuration.name,
            netns: call.netns,
            netnsInode: try? Netns.inode(call.netns),
            path: call.path,
            arguments: call.args,
            podNamespace: arguments.podNamespace ?? "",
            podName: arguments.podName ?? "",
            state: .adding,
            parts: selection.networks.map(PodRecord.Part.init),
            warnings: selection.warnings
        )
        if let previous { record.previous = try Self.value(previous, .latest).text }
        return record
    }

    /// The interfaces that other calls made for the same container; a failure of this one must not
    /// undo them.
    private func occupiedInterfaces(besides key: AttachmentKey) -> [String] {
        let own = journal.pods[key]?.parts.map(\.interface) ?? []
        let attached = journal.attachments.keys.filter { $0.containerID == key.containerID }
            .map(\.interface).filter { $0 != key.interface && !own.contains($0) }
        let planned = journal.pods.values.filter {
            $0.containerID == key.containerID && $0.key != key
        }.flatMap { $0.parts.map(\.interface) }
        return attached + planned
    }

    /// A configuration that names a place in the ring is one network; any other is a choice.
    private func explained(
        _ request: SelectionRequest,
        _ configuration: NetworkConfiguration
    ) async throws(PodError) -> Selection {
        do throws(SelectionError) {
            guard let vpc = configuration.vpc, let group = configuration.group else {
                return try Selection.make(request)
            }
            return try Selection.one(vpc: vpc, group: group, request)
        } catch {
            throw .selection(error)
        }
    }

    private func make(_ record: PodRecord) async throws(AgentError) -> CNIResult {
        var record = record
        let lock = try await record.hasPlugins ? podLock(record.key) : nil
        if let first = record.parts.firstIndex(where: \.isDefault) {
            record.parts[first].result = try await makeFirst(record, first, lock).text
            if record.parts.count > 1, record.parts[first].hasDefaultRoute {
                // Many plugins fail on a default route that is there already.
                try await removeDefaults(of: record)
            }
        }
        let rest = record.parts.indices.filter { record.parts[$0].result == nil }
        for outcome in await makeParts(record, rest, lock) {
            record.parts[outcome.index].result = try outcome.result.get().text
        }
        if record.isGuest == true, record.parts.contains(where: \.hasDefaultRoute) {
            try await removeDefaults(of: record)
        }
        let results = try chooseRoutes(&record)
        let ways = ways(record, results)
        for rule in ways.count > 1 ? ways.flatMap(\.rules) : [] {
            record.rules[rule.source.description] = rule.table
        }
        if results.count > 1 || record.parts.contains(where: { !$0.gateways.isEmpty }) {
            try journal.record(record)
            let netns = record.netns
            try await changeRoutes { () throws(NetlinkError) in
                try PodRoutes.apply(ways, netnsPath: netns)
            }
        }
        record.state = .attached
        try journal.record(record)
        let gateways = record.parts.first { !$0.gateways.isEmpty }?.gateways ?? []
        return CNIResult.merged(results, defaultGateways: gateways.compactMap { IPAddress($0) })
    }

    /// Whether another call has begun with a network for the container, whose default routes stay.
    private func hasNetwork(besides record: PodRecord) -> Bool {
        record.previous != nil || !occupiedInterfaces(besides: record.key).isEmpty
    }

    /// Takes the default routes away that a plan's networks brought.
    private func removeDefaults(of record: PodRecord) async throws(AgentError) {
        let netns = record.netns
        let interfaces = record.isGuest == true ? record.parts.map(\.interface) : nil
        try await changeRoutes { () throws(NetlinkError) in
            try PodRoutes.removeDefaults(through: interfaces, netnsPath: netns)
        }
    }

    /// Makes the network that comes before the others.
    ///
    /// Where it fails the others were not begun, and are struck from the plan: a plugin of theirs
    /// that undoes badly what was never done keeps the pod from nothing.
    private func makeFirst(
        _ record: PodRecord,
        _ index: Int,
        _ lock: PluginLock?
    ) async throws(AgentError) -> JSONValue {
        do throws(AgentError) { return try await makePart(record, index, lock) } catch {
            var begun = record
            begun.parts = [record.parts[index]]
            try journal.record(begun)
            throw error
        }
    }

    private func podLock(_ key: AttachmentKey) async throws(AgentError) -> PluginLock {
        do throws(PodError) { return try await pluginLock(key) } catch { throw .pod(error) }
    }

    func changeRoutes(
        _ body: @escaping @Sendable () throws(NetlinkError) -> Void
    ) async throws(AgentError) {
        do {
            try await blocking { try body() }
        } catch let error as NetlinkError {
            throw .pod(.routes(error))
        } catch {
            throw .unexpected("\(error)")
        }
    }

    /// Makes several networks side by side and waits for all: what was begun has to end before
    /// anything can be undone.
    private func makeParts(
        _ record: PodRecord,
        _ indices: [Int],
        _ lock: PluginLock?
    ) async -> [PartOutcome] {
        await withTaskGroup(of: PartOutcome.self) { group in
            for index in indices {
                group.addTask { await self.tryPart(record, index, lock) }
            }
            var outcomes: [PartOutcome] = []
            for await outcome in group { outcomes.append(outcome) }
            return outcomes.sorted { $0.index < $1.index }
        }
    }

    /// What came of one of several networks.
    private struct PartOutcome: Sendable {
        let index: Int
        let result: Result<JSONValue, AgentError>
    }

    private func tryPart(
        _ record: PodRecord,
        _ index: Int,
        _ lock: PluginLock?
    ) async -> PartOutcome {
        do throws(AgentError) {
            let value = try await makePart(record, index, lock)
            return PartOutcome(index: index, result: .success(value))
        } catch {
            return PartOutcome(index: index, result: .failure(error))
        }
    }

    /// Makes one network: a place in the ring by ourselves, everything else by its plugins.
    private func makePart(
        _ record: PodRecord,
        _ index: Int,
        _ lock: PluginLock?
    ) async throws(AgentError) -> JSONValue {
        let part = record.parts[index]
        guard let list = part.network else {
            throw .unexpected("network \(part.name) cannot be read back")
        }
        var previous: JSONValue?
        if list.plugins[0].isOwn {
            do throws(AgentError) {
                let result = try await attach(try ownRequest(record, part, list))
                previous = try Self.value(result, list.cniVersion)
            } catch {
                throw .network(part.name, reason: part.reason, error)
            }
        }
        guard let lock else { return previous ?? .object([]) }
        let call = PluginCall(
            verb: .add,
            record: record,
            part: part,
            list: list,
            netns: record.netns
        )
        let start = list.plugins[0].isOwn ? 1 : 0
        do throws(PodError) {
            return try await addThroughPlugins(call, from: start, previous: previous, lock)
        } catch {
            throw .pod(error)
        }
    }

    func ownRequest(
        _ record: PodRecord,
        _ part: PodRecord.Part,
        _ list: NetworkList
    ) throws(AgentError) -> AttachRequest {
        let plugin = list.plugins[0].object
        let reference: GroupReference
        do {
            reference = try GroupReference(
                vpc: plugin["vpc"]?.string ?? "",
                group: plugin["group"]?.string ?? ""
            )
        } catch {
            throw .model(error)
        }
        // What follows in the list serves the rest.
        let chained = NetworkList.capabilities(of: list.plugins.dropFirst())
        let arguments = try CNIArguments(checking: part.isDefault ? record.arguments : "")
        let wishes = try OwnWishes(
            part.asked,
            servedElsewhere: chained,
            config: plugin,
            arguments: arguments
        )
        let isRoutedElsewhere = record.parts.contains { !$0.gateways.isEmpty }
        return AttachRequest(
            key: AttachmentKey(containerID: record.containerID, interface: part.interface),
            netns: record.netns,
            group: reference,
            podNamespace: record.podNamespace,
            podName: record.podName,
            wanted: wishes.address,
            mac: wishes.mac,
            network: "",
            isDefaultRoute: part.isDefault && !isRoutedElsewhere && record.isGuest != true,
            metric: UInt32(record.parts.firstIndex { $0.interface == part.interface } ?? 0)
        )
    }
}

extension PodRecord.Part {
    /// Whether the network brought default routes of its own.
    var hasDefaultRoute: Bool { attachmentResult?.defaultGateways.isEmpty == false }

    /// What came of it.
    var attachmentResult: AttachmentResult? {
        resultValue.flatMap { try? NodeAgent.result($0) }.map {
            AttachmentResult(interface: interface, result: $0, isDefault: isRouteDefault)
        }
    }
}
