import Addressing
import BPFObjects
import CNIProtocol
import Determinism
import NetModel
import Netlink
import PeerService
import RingIPAM
import RingPeer

extension NodeAgent {
    /// Finds the attachment's addresses, one of each subnet; the outcomes that are none are errors.
    private func takeAddresses(
        _ attachment: inout Attachment,
        _ group: PodGroup,
        wanted: IPAddress?
    ) async throws(AgentError) {
        let holder = AddressHolder(
            containerID: attachment.containerID,
            interfaceName: attachment.interface
        )
        let plans = group.subnets.map {
            BlockPlan(pool: group.id, subnet: $0, exclusions: group.exclusions)
        }
        switch await peer.allocate(plans, holder, wanted: wanted) {
        case .assigned(let assignment):
            attachment.take(assignment, plans[0])
        case .assignedPair(let first, let second):
            attachment.take(first, plans[0])
            attachment.takeSecond(second, plans[1])
        case .exhausted:
            // Of two subnets it is the narrower one that is full.
            let plan = plans.min { $0.countClamped < $1.countClamped } ?? plans[0]
            throw .addressesExhausted(
                group: "\(attachment.vpc)/\(attachment.group)",
                subnet: plan.subnet,
                use: await peer.addressUse(plan)
            )
        case .addressTaken(let address, let owner):
            throw .addressTaken(address, by: await memberName(owner))
        case .addressUnusable(let address):
            let subnet = group.subnets.first { $0.isV4 == address.isV4 } ?? group.subnet
            throw .addressUnusable(address, subnet: subnet)
        case .blocksInDoubt(let nodes):
            guard let snapshot = await peer.snapshot() else { throw .notJoined }
            throw .blocksInDoubt(nodes.map { Self.label($0, snapshot.configuration) })
        case .registersUnavailable, .released: throw .registers(.unavailable)
        }
        // Not written down yet: they are durable with their holder, which is how they are freed.
    }

    /// Finds addresses, makes the interface and writes its rows.
    ///
    /// - Returns: the routes through it; what others of the container are like later is no matter.
    func wire(
        _ attachment: inout Attachment,
        _ group: PodGroup,
        wanted: IPAddress?
    ) async throws(AgentError) -> [Route] {
        try await takeAddresses(&attachment, group, wanted: wanted)
        guard let dataplane, let podMTU else { throw .noDataplane }
        let overhead = Int(NodeConfiguration.tunnelOverhead(over: settings.vtep))
        let mtu = UInt32(podMTU)
        let cutsUDP = uplinks.contains(where: \.isVeth)
        // The kernel would refuse the address without saying why (RFC 8200 section 5).
        guard mtu >= 1_280 || attachment.held.allSatisfy(\.address.isV4) else {
            throw .mtuTooSmall(pod: Int(mtu), overhead: overhead)
        }
        let planned = attachment
        // Those of the node lead to all groups of the VPC and change with them.
        let routes = attachment.key == .node ? [] : routes(attachment, group)
        do {
            attachment.hostIndex = try await blocking {
                try Self.makeLink(planned, mtu: mtu, routes: routes, cutsUDP: cutsUDP)
            }
        } catch {
            throw Self.translate(error)
        }
        try journal.record(attachment)
        interfacesChanged = .now
        do throws(BPFError) { try program(attachment, dataplane, isQuick: true) } catch {
            throw .dataplane(error)
        }
        // Only now: what comes in by it without its program would reach the node.
        let name = attachment.hostInterface
        do { try await blocking { try Links.setUp(name) } } catch { throw Self.translate(error) }
        attachment.state = .attached
        try journal.record(attachment)
        return routes
    }

    /// What is reached through the interface, by family.
    ///
    /// The first interface of a family leads to everywhere, a further one to its group's subnet,
    /// unless it was said which one has the default route.
    private func routes(_ attachment: Attachment, _ group: PodGroup) -> [Route] {
        attachment.held.compactMap { held in
            let isDefault =
                attachment.isDefaultRoute
                ?? !journal.attachments.values.contains { other in
                    other.containerID == attachment.containerID && other.isDefaultRoute != false
                        && other.interface != attachment.interface && other.state == .attached
                        && other.held.contains { $0.address.isV4 == held.address.isV4 }
                }
            let subnet = group.subnets.first { $0.isV4 == held.address.isV4 }
            guard !isDefault || isLedElsewhere(attachment.key), let subnet else {
                return .byDefault(via: held.gateway)
            }
            return Route(destination: subnet, gateway: held.gateway)
        } + ownSubnets(attachment, group)
    }

    /// The default interface's own subnets, where the pod has others beside it: theirs may be the
    /// same, and this one comes first.
    private func ownSubnets(_ attachment: Attachment, _ group: PodGroup) -> [Route] {
        guard attachment.isDefaultRoute == true,
            (journal.pods.values.first { record in
                record.containerID == attachment.containerID
                    && record.parts.contains { $0.interface == attachment.interface }
            }?.parts.count ?? 0) > 1
        else { return [] }
        return attachment.held.compactMap { held in
            group.subnets.first { $0.isV4 == held.address.isV4 }
                .flatMap { Route(destination: $0, gateway: held.gateway) }
        }
    }

    /// Makes the veth with one end in the pod, and configures it; the node's end stays down.
    private static func makeLink(
        _ attachment: Attachment,
        mtu: UInt32,
        routes: [Route],
        cutsUDP: Bool
    ) throws -> UInt32 {
        let held = attachment.held
        guard let mac = MACAddress(attachment.mac), !held.isEmpty else {
            preconditionFailure("an attachment is wired after its addresses are known")
        }
        let pair = VethPair(
            hostName: attachment.hostInterface,
            hostMAC: hostMAC,
            podName: attachment.interface,
            podMAC: mac,
            mtu: mtu
        )
        let ends = try PodLink.create(
            pair,
            netnsPath: attachment.netns,
            isHostUp: false,
            isOfNode: attachment.key == .node
        )
        do {
            try PodLink.configure(
                attachment.interface,
                netnsPath: attachment.netns,
                settings: PodLink.Settings(
                    addresses: held.map { InterfaceAddress(alone: $0.address) },
                    gateways: held.map(\.gateway),
                    gatewayMAC: gatewayMAC,
                    isDefaultRoute: false,
                    routes: routes,
                    metric: attachment.metric ?? 0,
                    cutsUDP: cutsUDP
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

    /// What the runtime is told.
    func result(
        _ attachment: Attachment,
        _ request: AttachRequest,
        _ routes: [Route]
    ) -> CNIResult {
        let mtu = podMTU ?? 0
        return CNIResult(
            interfaces: [
                .init(
                    name: attachment.hostInterface,
                    mac: Self.hostMAC.description,
                    mtu: mtu
                ),
                .init(
                    name: attachment.interface,
                    mac: attachment.mac,
                    mtu: mtu,
                    sandbox: request.netns
                ),
            ],
            ips: attachment.held.compactMap { held in
                CNIProtocol.InterfaceAddress(
                    address: held.address,
                    length: held.address.isV4 ? 32 : 128
                ).map { .init(address: $0, gateway: held.gateway, interface: 1) }
            },
            routes: routes.map { .init(dst: $0.destination, gw: $0.gateway) }
        )
    }
}

extension Attachment {
    /// Writes down the address of the group's first subnet.
    fileprivate mutating func take(_ assignment: AddressPool.Assignment, _ plan: BlockPlan) {
        address = assignment.address.description
        fence = assignment.fence
        block = plan.block(containing: assignment.address)?.description
    }

    /// Writes down the address of the group's second subnet.
    fileprivate mutating func takeSecond(_ assignment: AddressPool.Assignment, _ plan: BlockPlan) {
        second = SecondAddress(
            address: assignment.address.description,
            gateway: plan.subnet.gateway.description,
            fence: assignment.fence,
            block: plan.block(containing: assignment.address)?.description
        )
    }
}
