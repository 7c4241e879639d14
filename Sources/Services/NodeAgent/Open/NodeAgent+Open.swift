import Addressing
import BPFObjects
import Determinism
import Logging
import NetModel
import Netlink
import PeerService
import RingPlacement

/// The node itself in the VPC that is open to nodes: an endpoint like any pod's, whose device stays
/// on the node.
///
/// So remote pods answer the node as they answer a pod, through the tunnel and by the same tables,
/// and no other VPC has a way to the node.
extension NodeAgent {
    /// The node's device; what leads to pods goes out by it.
    static let nodeDevice = "genie-node"

    /// Brings the node into the open VPC, or out of it; again is harmless.
    func reconcileOpen() async {
        guard !isOpening, dataplane != nil, await peer.isJoined else { return }
        isOpening = true
        defer { isOpening = false }
        do throws(AgentError) {
            // Not told yet is no reason to change anything.
            guard let named = await peer.followed(register: NetworkCatalog.openRegister) else {
                return
            }
            guard let name = NetworkCatalog.openName(in: named) else { return try await leave() }
            let register = NetworkCatalog.register(of: name)
            guard let value = await peer.followed(register: register) else { return }
            guard let vpc = try catalog.vpc(in: value), vpc.isOpen else {
                return try await leave()
            }
            try await enter(vpc)
            toldOpenFailure = nil
        } catch {
            // Every five seconds the same is no news.
            guard toldOpenFailure != "\(error)" else { return }
            toldOpenFailure = "\(error)"
            logger.error(
                "the node has no place in the open VPC, or not all of it",
                metadata: ["reason": "\(error)"]
            )
        }
    }

    /// The name of the open VPC, as far as it is known.
    func openName() async -> String? {
        await peer.followed(register: NetworkCatalog.openRegister)
            .flatMap(NetworkCatalog.openName(in:))
    }

    private func enter(_ vpc: VPC) async throws(AgentError) {
        if let own = journal.attachments[.node] {
            let isRight =
                own.state == .attached && own.vni == vpc.vni.number
                && vpc.groups.contains { $0.id == own.pool }
            let isThere = (try? Links.info(Self.nodeDevice)) != nil
            if !isRight || !isThere { try await leave() }
        }
        if journal.attachments[.node] == nil {
            guard let group = Self.roomiest(vpc.groups) else { return }
            let reference: GroupReference
            do { reference = try GroupReference(vpc: vpc.name, group: group.name) } catch {
                throw .model(error)
            }
            let request = AttachRequest(
                key: .node,
                netns: Netns.currentPath,
                group: reference,
                podNamespace: "",
                podName: "",
                network: ""
            )
            _ = try await attach(request)
            logger.notice("the node is in the open VPC", metadata: ["group": "\(reference)"])
        }
        try await connect(vpc)
    }

    /// Every node takes an address, and with it a block: the group that has the most of them.
    private static func roomiest(_ groups: [PodGroup]) -> PodGroup? {
        groups.max { one, other in
            (one.subnet.hostBits, other.name) < (other.subnet.hostBits, one.name)
        }
    }

    private func leave() async throws(AgentError) {
        let wasIn = journal.attachments[.node] != nil
        // Once in each run also where it is out: a process may have ended between the two steps.
        guard wasIn || !isMasqueradeRemoved else { return }
        if wasIn { try await detach(.node) }
        do { _ = try await blocking { try NodeMasquerade.remove() } } catch {
            throw Self.translate(error)
        }
        masquerade = nil
        isMasqueradeRemoved = true
        if wasIn { logger.notice("the node has left the open VPC") }
    }

    /// Routes to the VPC's groups, forwarding, and the masquerade of what pods send beyond.
    private func connect(_ vpc: VPC) async throws(AgentError) {
        guard let own = journal.attachments[.node] else { return }
        let nodes = await nodeAddresses()
        let subnets = vpc.groups.flatMap(\.subnets)
        for subnet in subnets where nodes.contains(where: { subnet.contains($0.address) }) {
            // It would cut the node off from the ring, and the ring could not mend that.
            guard toldOverlaps.insert(subnet).inserted else { continue }
            logger.error(
                "a group of the open VPC has addresses of nodes: none of its pods is reached from here",
                metadata: ["vpc": "\(vpc.name)", "subnet": "\(subnet)"]
            )
        }
        let routes = subnets.compactMap { subnet -> Route? in
            guard !nodes.contains(where: { subnet.contains($0.address) }) else { return nil }
            return own.held.first { $0.address.isV4 == subnet.isV4 }
                .flatMap { Route(destination: subnet, gateway: $0.gateway) }
        }
        let wanted = NodeMasquerade(
            device: Self.nodeDevice,
            addresses: own.held.map(\.address)
        )
        // Somebody may have flushed all tables: they are put in place again each minute.
        let isNew = masquerade != wanted || masqueradeSet.duration(to: .now) > .seconds(60)
        let families = wanted.addresses.map(\.isV4)
        do {
            try await blocking {
                try PodRoutes.replace(routes, through: Self.nodeDevice)
                guard isNew else { return }
                if families.contains(true) { try NodeForwarding.allowIPv4() }
                if families.contains(false) { try NodeForwarding.allowIPv6() }
                try wanted.apply()
            }
        } catch {
            throw Self.translate(error)
        }
        if isNew { masqueradeSet = .now }
        masquerade = wanted
        isMasqueradeRemoved = false
    }

    /// By which addresses the ring knows its nodes.
    private func nodeAddresses() async -> [(name: String, address: IPAddress)] {
        let members = await peer.snapshot()?.configuration.members ?? []
        return members.map { ($0.name, $0.address.address) } + [(settings.nodeName, settings.vtep)]
    }

    /// - Throws: `.subnetOverNode` where nodes would be led to a group of the open VPC instead of
    ///   to each other.
    func refuse(_ subnets: [Prefix], in reference: GroupReference) async throws(AgentError) {
        guard let vpc = try? await catalog.vpc(reference.vpc), vpc.isOpen else { return }
        for (name, address) in await nodeAddresses() {
            guard let subnet = subnets.first(where: { $0.contains(address) }) else { continue }
            throw .subnetOverNode(subnet, node: name, address: address)
        }
    }

    /// This node's facts with its place in the open VPC, where it has one.
    ///
    /// The interface has to be there: after a restart of the machine its number may be a pod's.
    /// Of the uplinks, at least one, it takes their numbers and MTUs in bytes.
    func nodeConfiguration(_ uplinks: [(index: UInt32, mtu: Int)]) -> NodeConfiguration {
        NodeConfiguration(
            vtep: settings.vtep,
            uplinkIfindex: uplinks[0].index,
            uplinkMTU: UInt32(uplinks.map(\.mtu).min() ?? 0),
            isRouted: uplinks.count > 1,
            open: journal.attachments[.node].flatMap { own in
                guard own.state != .removing, own.hostIndex != 0, let vni = VNI(own.vni),
                    let mac = MACAddress(own.mac),
                    (try? Links.index(of: own.hostInterface)) == own.hostIndex
                else { return nil }
                return .init(vni: vni, ifindex: own.hostIndex, mac: mac)
            }
        )
    }
}

/// The switches that let the node pass on what is not its own.
private enum NodeForwarding {
    static func allowIPv4() throws(NetlinkError) {
        // Written only where it is off: writing it resets other settings of every interface.
        guard try Sysctl.read("ipv4/ip_forward") == "0" else { return }
        try Sysctl.write("1", to: "ipv4/ip_forward")
    }

    /// A router takes no router advertisements unless told to (accept_ra 2): the node's own default
    /// route may come from one.
    static func allowIPv6() throws(NetlinkError) {
        guard try Sysctl.read("ipv6/conf/all/forwarding") == "0" else { return }
        for link in try Links.list() {
            // Some interfaces know nothing of IPv6.
            guard (try? Sysctl.read("ipv6/conf/\(link.name)/accept_ra")) == "1" else { continue }
            try Sysctl.write("2", to: "accept_ra", of: .ipv6, on: link.name)
        }
        try Sysctl.write("1", to: "ipv6/conf/all/forwarding")
    }
}
