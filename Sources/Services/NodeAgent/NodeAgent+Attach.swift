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
            try await undo(old)
        }
        guard !request.netns.isEmpty else {
            throw .namespaceMissing(containerID: request.key.containerID)
        }
        let (vpc, version, group) = try await lookUp(request.group)
        let count = journal.attachments.values.count { $0.pool == group.id }
        guard count < OriginSet.recordsMax else {
            throw .groupFullOnNode(group: request.group.description, max: OriginSet.recordsMax)
        }
        var attachment = makeAttachment(request, vpc, group)
        try journal.record(attachment)
        do throws(AgentError) {
            try await wire(&attachment, group, wanted: request.wanted)
            await activate(vpc, version: version)
            await publish(request.group)
            // The endpoint is told of; only now is it certain that the group was not deleted
            // meanwhile.
            guard try await lookUp(request.group).group.id == group.id else {
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
        return result(attachment, request, group)
    }

    /// The VPC and the group; while no steward answers, only a group that is in use here.
    private func lookUp(
        _ reference: GroupReference
    ) async throws(AgentError) -> (vpc: VPC, version: UInt64, group: PodGroup) {
        let pools = SortedSet(
            journal.attachments.values.filter { $0.state == .attached }.map(\.pool)
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
            isDefaultRoute: request.isDefaultRoute
        )
    }

    /// Finds the attachment's address; the outcomes that are no address are errors.
    private func takeAddress(
        _ attachment: inout Attachment,
        _ group: PodGroup,
        wanted: IPAddress?
    ) async throws(AgentError) {
        let holder = AddressHolder(
            containerID: attachment.containerID,
            interfaceName: attachment.interface
        )
        let plan = BlockPlan(
            pool: group.id,
            subnet: group.subnet,
            exclusions: group.exclusions
        )
        switch await peer.allocate(plan, holder, wanted: wanted) {
        case .assigned(let assignment):
            attachment.address = assignment.address.description
            attachment.fence = assignment.fence
            attachment.block = plan.block(containing: assignment.address)?.description
        case .exhausted:
            throw .addressesExhausted(
                group: "\(attachment.vpc)/\(attachment.group)",
                subnet: group.subnet,
                use: await peer.addressUse(plan)
            )
        case .addressTaken(let address, let owner):
            throw .addressTaken(address, by: await memberName(owner))
        case .addressUnusable(let address): throw .addressUnusable(address, subnet: group.subnet)
        case .blocksInDoubt(let nodes):
            guard let snapshot = await peer.snapshot() else { throw .notJoined }
            throw .blocksInDoubt(nodes.map { Self.label($0, snapshot.configuration) })
        case .registersUnavailable, .released, .assignedPair: throw .registers(.unavailable)
        }
        try journal.record(attachment)
    }

    /// The name of a member of the ring for people.
    private func memberName(_ id: NodeID?) async -> String {
        guard let id else { return "another node" }
        guard let snapshot = await peer.snapshot() else { return "node \(id.short)" }
        if id == snapshot.own.id { return "this node" }
        return snapshot.configuration.member(id).map { "node \($0.name)" } ?? "node \(id.short)"
    }

    private func wire(
        _ attachment: inout Attachment,
        _ group: PodGroup,
        wanted: IPAddress?
    ) async throws(AgentError) {
        try await takeAddress(&attachment, group, wanted: wanted)
        guard let dataplane, let uplink else { throw .noDataplane }
        let mtu = UInt32(uplink.mtu) - NodeConfiguration.tunnelOverhead
        let planned = attachment
        let isDefault = isDefaultRoute(attachment)
        let subnet = group.subnet
        // Interfaces of one pod may lead into one group.
        let metric = UInt32(
            journal.attachments.values.count { other in
                other.containerID == planned.containerID && other.interface < planned.interface
            }
        )
        do {
            attachment.hostIndex = try await blocking {
                try Self.makeLink(
                    planned,
                    mtu: mtu,
                    subnet: isDefault ? nil : subnet,
                    metric: metric
                )
            }
        } catch {
            throw Self.translate(error)
        }
        try journal.record(attachment)
        do throws(BPFError) { try program(attachment, dataplane) } catch {
            throw .dataplane(error)
        }
        attachment.state = .attached
        try journal.record(attachment)
    }

    /// A pod's first interface leads to everywhere, a further one to its group's subnet.
    private func isDefaultRoute(_ attachment: Attachment) -> Bool {
        if let isChosen = attachment.isDefaultRoute { return isChosen }
        return !journal.attachments.values.contains {
            $0.containerID == attachment.containerID && $0.interface != attachment.interface
                && $0.state == .attached
        }
    }

    /// Makes the veth with one end in the pod, and configures it; with a subnet only that is
    /// reached through it, else everything.
    private static func makeLink(
        _ attachment: Attachment,
        mtu: UInt32,
        subnet: Prefix?,
        metric: UInt32
    ) throws -> UInt32 {
        guard let mac = MACAddress(attachment.mac), let gateway = IPAddress(attachment.gateway),
            let address = attachment.address.flatMap({ IPAddress($0) })
        else { preconditionFailure("an attachment is wired after its addresses are known") }
        let pair = VethPair(
            hostName: attachment.hostInterface,
            hostMAC: gatewayMAC,
            podName: attachment.interface,
            podMAC: mac,
            mtu: mtu
        )
        let ends = try PodLink.create(pair, netnsPath: attachment.netns)
        do {
            try PodLink.configure(
                attachment.interface,
                netnsPath: attachment.netns,
                settings: PodLink.Settings(
                    addresses: [InterfaceAddress(alone: address)],
                    gateways: [gateway],
                    gatewayMAC: gatewayMAC,
                    isDefaultRoute: subnet == nil,
                    routes: subnet.flatMap { Route(destination: $0, gateway: gateway) }.map { [$0] }
                        ?? [],
                    metric: metric
                )
            )
            try Offload.gro.set(true, on: attachment.hostInterface)
            // The node's own router and neighbour messages have no business in a pod; a kernel
            // without IPv6 has nothing to switch off.
            try? Sysctl.write("1", to: "disable_ipv6", of: .ipv6, on: attachment.hostInterface)
        } catch {
            _ = try? Links.delete(attachment.hostInterface)
            throw error
        }
        return ends.hostIndex
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

    private func result(
        _ attachment: Attachment,
        _ request: AttachRequest,
        _ group: PodGroup
    ) -> CNIResult {
        let everywhere = Prefix("0.0.0.0/0")
        let reached = isDefaultRoute(attachment) ? everywhere : group.subnet
        let address = attachment.address.flatMap { IPAddress($0) }
        let gateway = IPAddress(attachment.gateway)
        let mtu = (uplink?.mtu ?? 0) - Int(NodeConfiguration.tunnelOverhead)
        return CNIResult(
            interfaces: [
                .init(
                    name: attachment.hostInterface,
                    mac: Self.gatewayMAC.description,
                    mtu: mtu
                ),
                .init(
                    name: attachment.interface,
                    mac: attachment.mac,
                    mtu: mtu,
                    sandbox: request.netns
                ),
            ],
            ips: address.flatMap { CNIProtocol.InterfaceAddress(address: $0, length: 32) }.map {
                [.init(address: $0, gateway: gateway, interface: 1)]
            } ?? [],
            routes: reached.map { [.init(dst: $0, gw: gateway)] } ?? []
        )
    }
}
