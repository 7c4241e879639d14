import Addressing
import Determinism
import LocalAPI
import NetModel
import PeerService
import RingIPAM
import RingMembership
import RingPlacement
import RingRecords
import RingRegisters

extension NodeAgent {
    /// What registers and records say of one subnet.
    private struct SubnetFacts {
        let group: GroupReference
        var audit: AddressAudit
        let resting: Int
    }

    /// The subnets of one group or of all, with their blocks.
    func ipamStatus(group: String?) async throws(AgentError) -> IPAMStatus {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        let all = try await subnetFacts(group: group, snapshot)
        return IPAMStatus(subnets: all.map { Self.subnet($0, snapshot.configuration) })
    }

    /// What is wrong with the addresses of one group or of all.
    func ipamFindings(group: String?) async throws(AgentError) -> IPAMFindings {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        let all = try await subnetFacts(group: group, snapshot)
        let findings = all.flatMap { facts in
            facts.audit.findings.map { finding in
                IPAMFindings.Finding(
                    kind: finding.kind.rawValue,
                    group: facts.group.description,
                    subject: finding.subject,
                    node: finding.node.map { Self.name($0, snapshot.configuration) } ?? "",
                    detail: finding.detail
                )
            }
        }
        return IPAMFindings(
            subnets: all.count,
            endpoints: all.reduce(0) { $0 + $1.audit.told.count },
            findings: findings
        )
    }

    private func subnetFacts(
        group: String?,
        _ snapshot: PeerSnapshot
    ) async throws(AgentError) -> [SubnetFacts] {
        let retired = SortedSet(
            try await listed(NodeRetirement.registerPrefix)
                .compactMap { NodeRetirement.node(ofKey: $0) }
        )
        var all: [SubnetFacts] = []
        for (reference, group) in try await groups(group) {
            let told = try await told(reference)
            for subnet in group.subnets {
                let plan = BlockPlan(
                    pool: group.id,
                    subnet: subnet,
                    exclusions: group.exclusions
                )
                var audit = AddressAudit(plan: plan, own: snapshot.own.id)
                audit.told = told.filter { $0.address.isV4 == subnet.isV4 }
                audit.members = SortedSet(snapshot.configuration.members.map(\.id))
                audit.retired = retired
                audit.owners = try await owners(plan)
                let view = await peer.poolView(group.id)
                audit.blocks = view.blocks.filter { $0.prefix.isV4 == subnet.isV4 }
                audit.held = view.held.filter { $0.address.isV4 == subnet.isV4 }
                audit.attached = SortedSet(
                    journal.attachments.keys.map {
                        AddressHolder(containerID: $0.containerID, interfaceName: $0.interface)
                    }
                )
                let resting = view.resting.count { $0.address.isV4 == subnet.isV4 }
                all.append(SubnetFacts(group: reference, audit: audit, resting: resting))
            }
        }
        return all
    }

    func groups(
        _ name: String?
    ) async throws(AgentError) -> [(GroupReference, PodGroup)] {
        if let name {
            let reference: GroupReference
            do { reference = try GroupReference(name) } catch { throw .model(error) }
            let vpc = try await catalog.vpc(reference.vpc)
            do { return [(reference, try vpc.group(reference.group))] } catch {
                throw .model(error)
            }
        }
        return try await catalog.vpcs().flatMap { vpc in
            vpc.groups.compactMap { group in
                (try? GroupReference(vpc: vpc.name, group: group.name)).map { ($0, group) }
            }
        }
    }

    func told(_ group: GroupReference) async throws(AgentError) -> [AddressAudit.Told] {
        try await sets(group, .quorum).flatMap { set in
            set.records.compactMap { record in
                (try? Endpoint(encoded: record.content)).map { endpoint in
                    AddressAudit.Told(
                        address: endpoint.address,
                        node: set.origin,
                        fence: endpoint.fence,
                        holder: AddressHolder(
                            containerID: endpoint.containerID,
                            interfaceName: endpoint.interfaceName
                        )
                    )
                }
            }
        }
    }

    private func owners(
        _ plan: BlockPlan
    ) async throws(AgentError) -> SortedMap<Prefix, BlockOwner> {
        var owners = SortedMap<Prefix, BlockOwner>()
        for key in try await listed(plan.registerPrefix) {
            guard let block = plan.block(ofKey: key) else { continue }
            do throws(RegisterFailure) {
                owners[block] = try await peer.read(key).payload
                    .flatMap { try? BlockOwner(encoded: $0) }
            } catch {
                throw .registers(error)
            }
        }
        return owners
    }

    func listed(_ prefix: String) async throws(AgentError) -> [String] {
        do throws(RegisterFailure) { return try await peer.list(prefix) } catch {
            throw .registers(error)
        }
    }

    private static func subnet(
        _ facts: SubnetFacts,
        _ configuration: RingConfiguration
    ) -> IPAMStatus.Subnet {
        let audit = facts.audit
        let blocks = audit.owners.map { prefix, owner in
            let local = audit.blocks.first { $0.prefix == prefix }
            let used = audit.told.count { prefix.contains($0.address) }
            return IPAMStatus.Block(
                block: prefix.description,
                owner: owner.node.map { name($0, configuration) } ?? "",
                fence: owner.fence,
                state: "\(owner.state)",
                local: local.map { "\($0.state)" } ?? "",
                used: used,
                free: owner.state == .owned
                    ? max(0, audit.plan.assignable(in: prefix).count - used) : 0
            )
        }
        return IPAMStatus.Subnet(
            group: facts.group.description,
            subnet: audit.plan.subnet.description,
            blocksOfSubnet: audit.plan.countClamped,
            used: blocks.reduce(0) { $0 + $1.used },
            free: blocks.reduce(0) { $0 + $1.free },
            resting: facts.resting,
            blocks: blocks
        )
    }

    static func name(_ id: NodeID, _ configuration: RingConfiguration) -> String {
        configuration.member(id)?.name ?? id.description
    }
}

extension NodeAgent {
    /// Takes a node out of the ring for good.
    ///
    /// A node that answers is refused unless `isForced`. One that holds registers is replaced among
    /// the stewards first; where that takes longer than people wait, it stays marked as leaving.
    func removeNode(_ name: String, isForced: Bool) async throws(AgentError) -> NodeRemoval {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        let member = try Self.member(name, snapshot.configuration)
        if member.id == snapshot.own.id { throw .nodeAlive(member.name, what: "is this one") }
        let isHeard = snapshot.members.contains {
            $0.fact.id == member.id && !$0.fact.status.isGone
        }
        if !isForced {
            guard !isHeard else { throw .nodeAlive(member.name, what: "answers") }
            // The programs that answer where a new node lives are the new node's.
            let hasHeir = ([snapshot.own] + snapshot.members.map(\.fact)).contains {
                $0.address == member.address && $0.id != member.id && !$0.status.isGone
            }
            guard hasHeir || liveness.state(of: member.id) != .alive else {
                throw .nodeAlive(member.name, what: "has no genied, but its pods still answer")
            }
        }
        let (blocks, endpoints) = try await belongings(of: member.id)
        do throws(NodeRemovalFailure) {
            guard try await peer.replaceSteward(member.id) else {
                throw NodeRemovalFailure.refused(.isSteward(member.id))
            }
            try await peer.remove(member.id)
        } catch {
            throw Self.translate(error, member.name)
        }
        await reconcile()
        return NodeRemoval(
            name: member.name,
            id: member.id.description,
            blocks: blocks,
            drainSeconds: IPAMParameters().reclaimDrain.milliseconds / 1_000,
            endpoints: endpoints
        )
    }

    /// A member's name, or its identity where another has the same name.
    static func label(_ id: NodeID, _ configuration: RingConfiguration) -> String {
        let name = name(id, configuration)
        return configuration.members.count { $0.name == name } > 1 ? id.description : name
    }

    /// So much of an identity is shown in tables.
    private static let identityPrefixLength = 8

    private static func member(
        _ name: String,
        _ configuration: RingConfiguration
    ) throws(AgentError) -> RingMember {
        var found = configuration.members.filter { $0.name == name }
        if found.isEmpty, name.utf8.count >= identityPrefixLength {
            found = configuration.members.filter {
                $0.id.description.hasPrefix(name.lowercased())
            }
        }
        guard let member = found.first else {
            throw .unknownNode(
                String(name.prefix(80)),
                known: configuration.members.map(\.name).sorted()
            )
        }
        guard found.count == 1 else {
            throw .nodeNameTwice(name, ids: found.map(\.id.description))
        }
        return member
    }

    /// The blocks that a node has, and its endpoints as far as the owners that answer know: a node
    /// must be removable also when it was itself one of too many owners that are gone.
    private func belongings(of node: NodeID) async throws(AgentError) -> (Int, Int) {
        var blocks = 0
        var endpoints = 0
        for (reference, group) in try await groups(nil) {
            switch await peer.contents(Topic(reference.description)) {
            case .contents(let sets), .incomplete(let sets, _):
                endpoints += sets.first { $0.origin == node }?.records.count ?? 0
            case .stored, .tooFewOwners, .refused, .unanswered: break
            }
            for subnet in group.subnets {
                let owners = try await owners(BlockPlan(pool: group.id, subnet: subnet))
                blocks += owners.values.count { $0.node == node }
            }
        }
        return (blocks, endpoints)
    }

    private static func translate(_ failure: NodeRemovalFailure, _ name: String) -> AgentError {
        switch failure {
        case .notJoined: .notJoined
        case .registers(let failure): .registers(failure)
        case .contended(let key): .contended(name: "register \(key)")
        case .unreadable(let key):
            .registers(.refused("\(key) holds what this release cannot read"))
        case .refused(.isSteward): .nodeIsSteward(name)
        case .refused(let refusal): .registers(.refused(refusal.description))
        }
    }
}
