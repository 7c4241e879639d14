import Addressing
import BPFObjects
import CNIProtocol
import Determinism
import Logging
import NetModel
import Netlink
import PeerService
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRecords

extension NodeAgent {
    /// What an ADD asks for, already checked.
    struct AttachRequest: Sendable {
        let key: AttachmentKey
        let netns: String
        let group: GroupReference
        let podNamespace: String
        let podName: String
        /// The address that the pod asks for; nil for any.
        var wanted: IPAddress?
        /// The hardware address that the pod asks for; nil for one of ours.
        var mac: MACAddress?
        /// The name in the plugin's configuration; empty for a part of a pod's plan.
        var network: String
        /// Whether the pod's default routes lead through it; nil where its first interface decides.
        var isDefaultRoute: Bool?
        /// The metric of its routes, unless another interface of the container has it.
        var metric: UInt32 = 0
    }

    /// Attaches one interface: journal, address, veth, maps, record; undoes all of it on failure.
    ///
    /// It returns when the pod can be reached: its rows are in this node's maps, and enough owners
    /// hold its record, or after a bounded wait, when a minority goes on alone and says so.
    func attach(_ request: AttachRequest) async throws(AgentError) -> CNIResult {
        try begin(request.key)
        defer { busy.remove(request.key) }
        let isDeleteDue = consumeSpooledDelete(request.key)
        if let old = journal.attachments[request.key] {
            guard old.state != .attached || isDeleteDue else {
                throw .alreadyAttached(
                    containerID: request.key.containerID,
                    interface: request.key.interface
                )
            }
            do throws(AgentError) { try await undo(old) } catch { throw .earlierAttempt(error) }
        }
        guard !request.netns.isEmpty else {
            throw .namespaceMissing(containerID: request.key.containerID)
        }
        let (vpc, version, group) = try await lookUp(request.group)
        // A record an address.
        let count = journal.attachments.values.count { $0.pool == group.id } + 1
        guard count * group.subnets.count <= OriginSet.recordsMax else {
            throw .groupFullOnNode(group: request.group.description, max: OriginSet.recordsMax)
        }
        var attachment = makeAttachment(request, vpc, group)
        try journal.record(attachment)
        let routes: [Route]
        do throws(AgentError) {
            routes = try await wire(&attachment, group, wanted: request.wanted)
            try await routeBySource(attachment)
            await activate(vpc, version: version)
            await publish(request.group)
            // The endpoint is told of; only now is it certain that the group was not deleted
            // meanwhile.
            // Where no steward answers, nobody can have deleted it, either.
            if version != 0, try await lookUp(request.group).group.id != group.id {
                throw .model(.unknownGroup(vpc: vpc.name, group: group.name, known: []))
            }
        } catch {
            logger.warning(
                "attach failed",
                metadata: [
                    "container_id": "\(request.key.containerID)", "reason": "\(error)",
                ]
            )
            try? await undo(journal.attachments[request.key] ?? attachment)
            await publish(request.group)
            throw error
        }
        await waitUntilSynced(vpc)
        await reconcile()
        if let error = incomplete[vpc.vni] {
            // It would come up and not reach some of its peers: a hole that nobody sees.
            try? await undo(attachment)
            await publish(request.group)
            throw .dataplane(error)
        }
        return result(attachment, request, routes)
    }

    /// The VPC and the group; while no steward answers, only a group that is in use here.
    private func lookUp(
        _ reference: GroupReference
    ) async throws(AgentError) -> (vpc: VPC, version: UInt64, group: PodGroup) {
        let pools = SortedSet(
            // The node itself holds no group back.
            journal.attachments.values.filter { $0.state == .attached && $0.key != .node }
                .map(\.pool)
        )
        let (vpc, version) = try await catalog.versioned(reference.vpc) { pools.contains($0.id) }
        do { return (vpc, version, try vpc.group(reference.group)) } catch { throw .model(error) }
    }

    /// Marks an interface as being worked on.
    func begin(_ key: AttachmentKey) throws(AgentError) {
        guard busy.insert(key).inserted else {
            throw .attachmentBusy(containerID: key.containerID, interface: key.interface)
        }
    }

    private func makeAttachment(
        _ request: AttachRequest,
        _ vpc: VPC,
        _ group: PodGroup
    ) -> Attachment {
        var hash = StableHash(seed: 3)
        hash.combine(request.key.containerID.utf8)
        hash.combine(request.key.interface.utf8)
        let digits = String(hash.value, radix: 16)
        // Interfaces of one pod may lead into one group.
        let others = Set(
            journal.attachments.values.filter { other in
                other.containerID == request.key.containerID && other.key != request.key
            }.map { $0.metric ?? 0 }
        )
        let metric = (request.metric...).first { !others.contains($0) }
        return Attachment(
            containerID: request.key.containerID,
            interface: request.key.interface,
            netns: request.netns,
            state: .adding,
            vpc: vpc.name,
            group: group.name,
            pool: group.id,
            vni: vpc.vni.number,
            gateway: group.gateway.description,
            // 15 bytes at most: "gr" and eleven digits of the hash.
            hostInterface: "gr" + digits.prefix(11),
            mac: (request.mac ?? MACAddress(locallyAdministered: hash.value)).description,
            podNamespace: request.podNamespace,
            podName: request.podName,
            network: request.network,
            isDefaultRoute: request.isDefaultRoute,
            metric: metric
        )
    }

    /// The name of a member of the ring for people.
    func memberName(_ id: NodeID?) async -> String {
        guard let id else { return "another node" }
        guard let snapshot = await peer.snapshot() else { return "node \(id.short)" }
        if id == snapshot.own.id { return "this node" }
        return snapshot.configuration.member(id).map { "node \($0.name)" } ?? "node \(id.short)"
    }

    static func translate(_ error: any Error) -> AgentError {
        if let error = error as? AgentError { return error }
        if let error = error as? NetlinkError { return .netlink(error) }
        return .unexpected("\(error)")
    }

    private func waitUntilSynced(_ vpc: VPC) async {
        for _ in 0..<100 {
            var isSynced = true
            for (topic, vni) in watchedTopics where vni == vpc.vni {
                if await !peer.watched(topic).isSynced { isSynced = false }
            }
            if isSynced { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
        logger.warning(
            "endpoints of other nodes are not known yet",
            metadata: ["vpc": "\(vpc.name)"]
        )
    }
}
