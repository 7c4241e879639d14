import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import LocalSocket
import Logging

/// When a pod that could not be taken off its networks is tried again.
struct PodRetry: Sendable {
    private static let firstSeconds = 5
    private static let mostSeconds = 300

    /// What the last attempt failed with.
    let reason: String
    /// How many have failed.
    let attempts: Int
    /// Not before.
    let dueAt: ContinuousClock.Instant

    /// The wait doubles with each failure, from 5 s to 5 min.
    init(after earlier: PodRetry?, reason: String, now: ContinuousClock.Instant) {
        self.reason = reason
        attempts = (earlier?.attempts ?? 0) + 1
        let seconds = Self.firstSeconds << min(attempts - 1, 6)
        dueAt = now + .seconds(min(seconds, Self.mostSeconds))
    }
}

extension NodeAgent {
    private static let repairInterval = Duration.seconds(5)

    /// Finishes what a dead daemon or a failure left half done, and DEL calls that came while no
    /// daemon ran, until the task is cancelled.
    ///
    /// Each pod has a task of its own: plugins of others may take a minute, and neither the ring
    /// nor another pod waits for them.
    func repairPods() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                // Not only at the start: a DEL may be spooled while the socket is coming up.
                for (name, call) in spooledDeletes() {
                    group.addTask { await self.replaySpooled(name, call) }
                }
                for key in interruptedPods() { group.addTask { await self.finishPod(key) } }
                try? await Task.sleep(for: Self.repairInterval)
            }
        }
    }

    /// Pods of which something is left half done, whose turn it is.
    private func interruptedPods() -> [AttachmentKey] {
        let now = ContinuousClock.now
        return journal.pods.values.filter { $0.state != .attached }.map(\.key).sorted()
            .filter { key in
                !busyPods.contains(key) && podRetries[key].map { now >= $0.dueAt } ?? true
            }
    }

    /// Undoes an addition or finishes a removal.
    private func finishPod(_ key: AttachmentKey) async {
        guard (try? beginPod(key)) != nil else { return }
        defer { busyPods.remove(key) }
        guard let record = journal.pods[key], record.state != .attached else { return }
        do throws(AgentError) {
            try await undoPod(record)
            logger.notice(
                "undid an interrupted pod",
                metadata: ["container_id": "\(key.containerID)"]
            )
        } catch {
            let retry = podRetries[key]
            logger.error(
                "cannot undo an interrupted pod; it is tried again",
                metadata: [
                    "container_id": "\(key.containerID)", "attempts": "\(retry?.attempts ?? 1)",
                    "reason": "\(error)",
                ]
            )
        }
    }

    /// Gives up what plugins of others will not undo; our own part of it is undone first.
    ///
    /// - Parameter name: a container's id, or a pod as NAMESPACE/NAME.
    /// - Returns: the networks that may have left something on the node.
    /// - Throws: `.unknownPod`, `.podInUse`, `.attachmentBusy`; what keeps our own part from being
    ///   undone, and the pod is kept then.
    func forget(pod name: String) async throws(AgentError) -> ForgottenPod {
        let named = journal.pods.values.filter {
            $0.containerID == name || "\($0.podNamespace)/\($0.podName)" == name
        }
        // The pod may have another container by now.
        let records = named.filter { $0.state == .removing }
        let isAlone = journal.all.contains {
            $0.containerID == name || "\($0.podNamespace)/\($0.podName)" == name
        }
        guard !records.isEmpty else {
            throw isAlone || !named.isEmpty ? .podInUse(name) : .unknownPod(name)
        }
        var left: [ForgottenPod.Network] = []
        for record in records {
            try beginPod(record.key)
            defer { busyPods.remove(record.key) }
            let failure: AgentError
            do throws(AgentError) {
                try await undoPod(record)
                continue
            } catch {
                failure = error
            }
            for part in record.parts where part.network?.plugins[0].isOwn == true {
                try await detach(
                    AttachmentKey(containerID: record.containerID, interface: part.interface)
                )
            }
            try journal.erasePod(record.key)
            podRetries[record.key] = nil
            left += record.parts.filter { $0.network?.plugins.allSatisfy(\.isOwn) != true }.map {
                ForgottenPod.Network(
                    interface: $0.interface,
                    network: $0.name,
                    plugins: $0.network?.plugins.filter { !$0.isOwn }.map(\.type) ?? []
                )
            }
            logger.warning(
                "a pod was forgotten: its plugins may have left something on this node",
                metadata: ["container_id": "\(record.containerID)", "reason": "\(failure)"]
            )
        }
        return ForgottenPod(pod: name, left: left)
    }

    /// Whether somebody is at work on the plan that an interface is part of.
    func isPlanBusy(of key: AttachmentKey) -> Bool {
        busyPods.contains { plan in
            plan.containerID == key.containerID
                && journal.pods[plan]?.parts.contains { $0.interface == key.interface } == true
        }
    }

    /// The DEL calls that came while no daemon ran, by the names of their files; what cannot be
    /// read is told of and removed.
    private func spooledDeletes() -> [(name: String, call: CNICall)] {
        let spool = SpoolDirectory(path: settings.spoolDirectory)
        var calls: [(name: String, call: CNICall)] = []
        for name in (try? spool.names()) ?? [] {
            guard let bytes = try? spool.read(name: name),
                let call = try? JSONDecoder().decode(CNICall.self, from: Data(bytes))
            else {
                logger.error("cannot read a spooled removal", metadata: ["file": "\(name)"])
                try? spool.remove(name: name)
                continue
            }
            calls.append((name, call))
        }
        return calls
    }

    private func replaySpooled(_ name: String, _ call: CNICall) async {
        let key = AttachmentKey(containerID: call.containerID, interface: call.ifname)
        // A call for the same pod takes the spooled one with it, or it is tried again.
        guard !busyPods.contains(key), !busy.contains(key),
            podRetries[key].map({ ContinuousClock.now >= $0.dueAt }) ?? true
        else { return }
        do throws(AgentError) {
            try await detachPod(key)
            try? SpoolDirectory(path: settings.spoolDirectory).remove(name: name)
            logger.notice(
                "replayed a removal",
                metadata: ["container_id": "\(call.containerID)"]
            )
        } catch {
            logger.error(
                "cannot replay a removal; it is tried again",
                metadata: ["container_id": "\(call.containerID)", "reason": "\(error)"]
            )
        }
    }
}
