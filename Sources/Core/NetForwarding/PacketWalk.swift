package import Addressing

/// What becomes of a packet that a pod sends, by the same rows that the programs read.
///
/// The order of the checks is that of `pod_egress`; nothing is sent.
package struct PacketWalk: Hashable, Sendable {
    /// The rows that the sender's node has.
    package struct Tables: Sendable {
        /// The pod's port, if there is one.
        package let port: Port?
        /// Whether the program is attached to the pod's interface.
        package let isAttached: Bool
        /// The node's own facts; nil until they are set.
        package let node: Node?
        /// The row of the target in the VPC of the port.
        package let target: ForwardingEntry?

        /// Makes tables.
        package init(port: Port?, isAttached: Bool, node: Node?, target: ForwardingEntry?) {
            self.port = port
            self.isAttached = isAttached
            self.node = node
            self.target = target
        }
    }

    /// The row of a pod's interface.
    package struct Port: Hashable, Sendable {
        package let vni: VNI
        package let addresses: [IPAddress]
        package let gateways: [IPAddress]

        /// Makes a port.
        package init(vni: VNI, addresses: [IPAddress], gateways: [IPAddress]) {
            self.vni = vni
            self.addresses = addresses
            self.gateways = gateways
        }
    }

    /// The node's own row.
    package struct Node: Hashable, Sendable {
        package let vtep: IPAddress
        /// The largest packet a pod may send to another node, in bytes.
        package let podMTU: UInt32
        /// Whether the port's VPC is open to the node.
        package let isOpen: Bool
        /// What routers said that the path to the target's node carries; nil where none did.
        package let pathMTU: UInt32?

        /// Makes a node's facts.
        package init(
            vtep: IPAddress,
            podMTU: UInt32,
            isOpen: Bool = false,
            pathMTU: UInt32? = nil
        ) {
            self.pathMTU = pathMTU
            self.vtep = vtep
            self.podMTU = podMTU
            self.isOpen = isOpen
        }
    }

    /// The end of the walk.
    package enum Verdict: Hashable, Sendable {
        /// The dataplane answers for the gateway.
        case answered
        /// Handed to the pod behind this interface of the same node.
        case delivered(interface: UInt32)
        /// Encapsulated towards the node with this address.
        case sent(vtep: IPAddress)
        /// Handed to the node's own stack, which routes it on or takes it itself.
        case handed
        /// Dropped; the reason is the label of the drop counters.
        case dropped(reason: String)
    }

    /// What was looked at, in order: the map or hook, and what it says.
    package private(set) var steps: [Step] = []
    /// The end.
    package private(set) var verdict = Verdict.dropped(reason: "no_port")

    /// One step.
    package struct Step: Hashable, Sendable {
        /// The map or the hook.
        package let at: String
        /// What was found there.
        package let found: String
    }

    /// Walks.
    ///
    /// - Parameters:
    ///   - packet: what the pod sends.
    ///   - tables: the rows of its node.
    package init(_ packet: ProbePacket, _ tables: Tables) {
        verdict = walk(packet, tables)
    }

    /// Packets to it never leave under the node's address (RFC 8926 section 3.3).
    private static let tunnelPort: UInt16 = 6_081

    private mutating func see(_ at: String, _ found: String) {
        steps.append(Step(at: at, found: found))
    }

    private mutating func walk(_ packet: ProbePacket, _ tables: Tables) -> Verdict {
        guard tables.isAttached else {
            see("hook", "pod_egress is not attached to the pod's interface: nothing forwards")
            return .dropped(reason: "not_attached")
        }
        see("hook", "pod_egress takes every frame of the pod")
        guard let port = tables.port else {
            see("gr_port", "no row for the pod's interface")
            return .dropped(reason: "no_port")
        }
        see("gr_port", "the interface belongs to VPC \(port.vni.number)")
        guard port.addresses.contains(packet.source) else {
            see("gr_port", "\(packet.source) is not the pod's address")
            return .dropped(reason: "spoofed_address")
        }
        see("gr_port", "source \(packet.source) is the pod's own")
        if port.gateways.contains(packet.target) {
            guard packet.transport == .icmp else {
                see("gr_port", "the gateway answers echo requests and nothing else")
                return .dropped(reason: "gateway_not_echo")
            }
            see("gr_port", "target is the gateway, whose echo the program answers itself")
            return .answered
        }
        return route(packet, tables, port)
    }

    private mutating func route(
        _ packet: ProbePacket,
        _ tables: Tables,
        _ port: Port
    ) -> Verdict {
        guard let target = tables.target else {
            see("gr_endpoint", "VPC \(port.vni.number) has no endpoint \(packet.target) known here")
            if tables.node?.isOpen == true, !packet.target.isOnLink,
                packet.transport != .udp(port: Self.tunnelPort)
            {
                see("gr_node", "the VPC is open: the node's own stack takes what is nobody's in it")
                return .handed
            }
            return .dropped(reason: "no_endpoint")
        }
        switch target.place {
        case .local(let interface):
            see("gr_endpoint", "\(packet.target) is on this node, MAC \(target.mac)")
            see("hook", "bpf_redirect_peer into the pod behind interface \(interface)")
            return .delivered(interface: interface)
        case .remote(let vtep):
            see("gr_endpoint", "\(packet.target) is behind VTEP \(vtep), MAC \(target.mac)")
            guard let node = tables.node else {
                see("gr_node", "this node's tunnel address and uplink are not set")
                return .dropped(reason: "not_configured")
            }
            guard vtep.isV4 == node.vtep.isV4 else {
                see("gr_node", "\(vtep) is of another family than this node's \(node.vtep)")
                return .dropped(reason: "vtep_family")
            }
            if let path = node.pathMTU, path < node.podMTU, packet.size > Int(path) {
                see("gr_path", "\(packet.size) bytes are more than the path's \(path)")
                return .dropped(reason: "too_big")
            }
            guard packet.size <= Int(node.podMTU) else {
                see("gr_node", "\(packet.size) bytes are more than the pod MTU of \(node.podMTU)")
                return .dropped(reason: "too_big")
            }
            see("gr_node", "\(packet.size) bytes fit the pod MTU of \(node.podMTU)")
            let vni = port.vni.number
            see("hook", "Geneve with VNI \(vni) from \(node.vtep) to \(vtep) by the uplink")
            return .sent(vtep: vtep)
        }
    }
}

extension IPAddress {
    /// Whether nobody routes it: an address of the link alone (RFC 4291 section 2.5.6, RFC 3927), a
    /// loopback, or many.
    fileprivate var isOnLink: Bool {
        guard isV4 else {
            // ::/96 holds nobody and the loopback.
            return high >> 54 == 0xfe80 >> 6 || high >> 56 == 0xff
                || (high == 0 && low >> 32 == 0)
        }
        let host = UInt32(truncatingIfNeeded: low)
        return [0, 127].contains(host >> 24) || host >> 16 == 0xa9fe || host >= 0xe000_0000
    }
}
