package import Addressing

/// This node's own facts, read by every program.
package struct NodeConfiguration: Hashable, Sendable {
    /// The own tunnel address; all nodes of a ring have one of the same family.
    package let vtep: IPAddress
    /// The interface by which encapsulated packets leave, the first of several.
    package let uplinkIfindex: UInt32
    /// Whether the routing table says by which uplink a packet leaves, since there are several.
    package let isRouted: Bool
    /// The largest packet a pod may send to another node, in bytes.
    package let podMTU: UInt32
    /// The node's own place in the VPC that is open to it; nil where none is.
    package let open: OpenPort?

    /// Where the node itself is in a VPC.
    package struct OpenPort: Hashable, Sendable {
        /// The VPC.
        package let vni: VNI
        /// The port: the end of the node's pair of veths that packets to the node go in by.
        package let ifindex: UInt32
        /// The address of the other end, the node's device.
        package let mac: MACAddress

        /// Makes a place.
        package init(vni: VNI, ifindex: UInt32, mac: MACAddress) {
            precondition(ifindex != 0, "index zero is no interface")
            self.vni = vni
            self.ifindex = ifindex
            self.mac = mac
        }
    }

    /// Bytes that the tunnel adds over an underlay of the family of `vtep`.
    package static func tunnelOverhead(over vtep: IPAddress) -> UInt32 { vtep.isV4 ? 50 : 70 }

    /// Makes a configuration.
    ///
    /// - Parameters:
    ///   - vtep: the own tunnel address.
    ///   - uplinkIfindex: the interface by which encapsulated packets leave, the first of several.
    ///   - uplinkMTU: the least MTU of uplinks in bytes; pods get that less
    ///     ``tunnelOverhead(over:)``.
    ///   - isRouted: whether the routing table says by which uplink a packet leaves.
    ///   - open: the node's own place in the VPC that is open to it.
    package init(
        vtep: IPAddress,
        uplinkIfindex: UInt32,
        uplinkMTU: UInt32,
        isRouted: Bool = false,
        open: OpenPort? = nil
    ) {
        let overhead = Self.tunnelOverhead(over: vtep)
        precondition(uplinkMTU > overhead, "the uplink has no room for the tunnel")
        self.vtep = vtep
        self.uplinkIfindex = uplinkIfindex
        podMTU = uplinkMTU - overhead
        self.isRouted = isRouted
        self.open = open
    }

    init(
        vtep: IPAddress,
        uplinkIfindex: UInt32,
        podMTU: UInt32,
        isRouted: Bool,
        open: OpenPort?
    ) {
        self.vtep = vtep
        self.uplinkIfindex = uplinkIfindex
        self.podMTU = podMTU
        self.isRouted = isRouted
        self.open = open
    }
}

/// An address of a pod, and the gateway that the dataplane itself answers for in its family.
package struct PodAddress: Hashable, Sendable {
    /// The only source address of its family that the pod may use.
    package let address: IPAddress
    /// The address that the dataplane itself answers for.
    package let gateway: IPAddress

    /// Makes a pair; both are of one family.
    package init(address: IPAddress, gateway: IPAddress) {
        precondition(address.isV4 == gateway.isV4, "a gateway is of its address's family")
        self.address = address
        self.gateway = gateway
    }
}

/// One pod interface of this node.
package struct PortRow: Hashable, Sendable {
    /// The host-side veth.
    package let ifindex: UInt32
    /// The VPC that the interface is in.
    package let vni: VNI
    /// Its addresses: one, or one of each family, IPv4 first.
    package let addresses: [PodAddress]
    /// The only source MAC that the pod may use.
    package let mac: MACAddress
    /// The MAC that the pod sees for every other address.
    package let gatewayMAC: MACAddress
    /// The agent's number for this attachment.
    package let generation: UInt32

    /// Makes a row; the addresses may come in any order.
    package init(
        ifindex: UInt32,
        vni: VNI,
        addresses: [PodAddress],
        mac: MACAddress,
        gatewayMAC: MACAddress,
        generation: UInt32
    ) {
        precondition(ifindex != 0, "index zero is no interface")
        let ipv4 = addresses.filter(\.address.isV4)
        let ipv6 = addresses.filter { !$0.address.isV4 }
        precondition(ipv4.count <= 1 && ipv6.count <= 1, "a pod has one address of a family")
        self.ifindex = ifindex
        self.vni = vni
        self.addresses = ipv4 + ipv6
        self.mac = mac
        self.gatewayMAC = gatewayMAC
        self.generation = generation
    }
}

/// One endpoint of a VPC, on any node.
package struct EndpointRow: Hashable, Sendable {
    /// Where an endpoint is.
    package enum Place: Hashable, Sendable {
        /// On this node, behind this host-side veth.
        case local(ifindex: UInt32)
        /// On the node with this tunnel address.
        case remote(vtep: IPAddress)
    }

    /// The VPC.
    package let vni: VNI
    /// The address in it.
    package let address: IPAddress
    /// The pod's MAC, also when it is on another node: that node checks it.
    package let mac: MACAddress
    /// Where it is.
    package let place: Place
    /// The fence of the address block.
    package let fence: UInt64
    /// The agent's number for its pod group, of meaning within the VPC.
    package let group: UInt32

    /// Makes a row.
    package init(
        vni: VNI,
        address: IPAddress,
        mac: MACAddress,
        place: Place,
        fence: UInt64,
        group: UInt32 = 0
    ) {
        switch place {
        case .local(let ifindex): precondition(ifindex != 0, "index zero is no interface")
        case .remote(let vtep): precondition(vtep != .unspecified, "a VTEP is never ::")
        }
        self.vni = vni
        self.address = address
        self.mac = mac
        self.place = place
        self.fence = fence
        self.group = group
    }
}

/// A pod group of a VPC, as endpoints' rows name it.
package struct GroupKey: Hashable, Sendable {
    /// The VPC.
    package let vni: VNI
    /// The agent's number.
    package let group: UInt32

    /// Makes a key.
    package init(vni: VNI, group: UInt32) {
        self.vni = vni
        self.group = group
    }
}

/// One VPC that has an endpoint on this node.
package struct VNIRow: Hashable, Sendable {
    /// The VPC.
    package let vni: VNI
    /// The source MAC of what is delivered to its pods.
    package let gatewayMAC: MACAddress

    /// Makes a row.
    package init(vni: VNI, gatewayMAC: MACAddress) {
        self.vni = vni
        self.gatewayMAC = gatewayMAC
    }
}

extension IPAddress {
    static let unspecified = IPAddress(high: 0, low: 0)
}
