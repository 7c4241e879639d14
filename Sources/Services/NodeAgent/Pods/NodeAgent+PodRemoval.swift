import Addressing
import CNIProtocol
import Foundation
import Logging
import NetSelection
import Netlink
import PluginProcess

extension NodeAgent {
    /// Takes a pod off its networks, from what was recorded alone; nothing recorded is success.
    func detachPod(_ key: AttachmentKey) async throws(AgentError) {
        try beginPod(key)
        defer { busyPods.remove(key) }
        guard let record = journal.pods[key] else { return try await detach(key) }
        try await undoPod(record)
    }

    /// Undoes every network of a plan, the last first; what fails keeps the rest from nothing.
    ///
    /// - Throws: the first failure; the plan is kept then, and undone again later.
    func undoPod(_ record: PodRecord) async throws(AgentError) {
        do throws(AgentError) {
            try await undoParts(record)
            podRetries[record.key] = nil
        } catch {
            podRetries[record.key] = PodRetry(
                after: podRetries[record.key],
                reason: "\(error)",
                now: .now
            )
            throw error
        }
    }

    private func undoParts(_ record: PodRecord) async throws(AgentError) {
        var record = record
        record.state = .removing
        try journal.record(record)
        var failure: AgentError?
        do throws(AgentError) {
            try await removeRules(record)
        } catch {
            failure = error
        }
        if record.hasPlugins {
            do throws(PodError) {
                let lock = try await pluginLock(record.key)
                for part in record.parts.reversed() {
                    failure = await undoPart(record, part, lock) ?? failure
                }
            } catch {
                throw .pod(error)
            }
        } else {
            for part in record.parts.reversed() {
                failure = await undoPart(record, part, nil) ?? failure
            }
        }
        if let failure { throw failure }
        try journal.erasePod(record.key)
    }

    private func removeRules(_ record: PodRecord) async throws(AgentError) {
        guard !record.rules.isEmpty, let netns = record.presentNetns else { return }
        let rules = record.sourceRules
        do {
            try await blocking { try PodRoutes.remove(rules, netnsPath: netns) }
        } catch let error as NetlinkError {
            throw .pod(.routes(error))
        } catch {
            throw .unexpected("\(error)")
        }
    }

    private func undoPart(
        _ record: PodRecord,
        _ part: PodRecord.Part,
        _ lock: PluginLock?
    ) async -> AgentError? {
        guard let list = part.network else {
            return .unexpected("network \(part.name) cannot be read back")
        }
        var failure: AgentError?
        let call = PluginCall(
            verb: .delete,
            record: record,
            part: part,
            list: list,
            netns: record.presentNetns
        )
        for index in list.plugins.indices.reversed() {
            do throws(AgentError) {
                if list.plugins[index].isOwn {
                    try await detach(
                        AttachmentKey(containerID: record.containerID, interface: part.interface)
                    )
                } else if let lock {
                    try await deleteThroughPlugin(call, index, lock)
                }
            } catch {
                logger.error(
                    "cannot take a pod off a network",
                    metadata: [
                        "container_id": "\(record.containerID)", "network": "\(part.name)",
                        "reason": "\(error)",
                    ]
                )
                failure = failure ?? error
            }
        }
        return failure
    }

    private func deleteThroughPlugin(
        _ call: PluginCall,
        _ index: Int,
        _ lock: PluginLock
    ) async throws(AgentError) {
        let previous = call.list.cniVersion >= .v040 ? call.part.resultValue : nil
        do throws(PodError) {
            _ = try await callPlugin(call, index, previous: previous, lock)
        } catch .refused(_, let error) where error.code == .unknownContainer {
            // The plugin knows of nothing that would have to be removed.
        } catch .pluginMissing(let place, _) where call.part.result == nil {
            // The pod never got this network, and whoever is not there has not begun with it.
            logger.warning(
                "nothing to take away: the plugin is not installed, and the ADD failed",
                metadata: [
                    "container_id": "\(call.record.containerID)", "network": "\(call.part.name)",
                    "plugin": "\(place.type)",
                ]
            )
        } catch {
            throw .pod(error)
        }
    }

    /// Compares every network of a pod with what was set up.
    ///
    /// - Parameters:
    ///   - record: what was set up.
    ///   - routes: those of the runtime's result; plugins behind this one may have taken some away.
    /// - Throws: `.notAttached`, `.checkFailed` with what is not as it was set up, `.pod` with what
    ///   a plugin of others says.
    func checkPod(_ record: PodRecord, routes: [Route]) async throws(AgentError) {
        guard record.state == .attached else {
            throw .notAttached(containerID: record.containerID, interface: record.interface)
        }
        guard let netns = record.presentNetns else {
            throw .checkFailed("the pod's namespace \(record.netns) is not the one of its ADD")
        }
        for part in record.parts where part.network?.plugins[0].isOwn == true {
            let made = Self.promised(part.attachmentResult?.result)
            try await check(
                AttachmentKey(containerID: record.containerID, interface: part.interface),
                netns: netns,
                routes: made.filter { route in routes.contains(where: route.isLike) }
            )
        }
        let copies = sourceTables(of: record.containerID)
        for part in record.parts where !part.gateways.isEmpty {
            let key = AttachmentKey(containerID: record.containerID, interface: part.interface)
            if isLedElsewhere(key) { continue }
            let wanted = part.gateways.compactMap { IPAddress($0) }.map { Route.byDefault(via: $0) }
                .filter { route in routes.contains(where: route.isLike) }
            let found = try await inspect(part.interface, netns).routes
                .filter { !copies.contains($0.table) }
            if let lost = wanted.first(where: { !found.contains(where: $0.isLike) }) {
                throw Self.lost(lost, part.interface)
            }
        }
        // Ours first: plugins of others may fail for reasons of their own.
        do throws(PodError) {
            let lock = try await pluginLock(record.key)
            for part in record.parts {
                guard let list = part.network else { continue }
                let call = PluginCall(
                    verb: .check,
                    record: record,
                    part: part,
                    list: list,
                    netns: netns
                )
                for index in list.plugins.indices where !list.plugins[index].isOwn {
                    guard list.cniVersion >= .v040, !list.isCheckDisabled else { continue }
                    _ = try await callPlugin(call, index, previous: part.resultValue, lock)
                }
            }
        } catch {
            throw .pod(error)
        }
    }
}
