/// All VPCs with their groups.
package struct VPCList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The VPCs, by name.
    package var vpcs: [Item]

    /// Makes a list.
    package init(vpcs: [Item]) {
        self.vpcs = vpcs
    }

    /// One VPC.
    package struct Item: Codable, Hashable, Sendable {
        /// The name.
        package var name: String
        /// The number on the wire.
        package var vni: UInt32
        /// Whether the nodes are in it; absent for no.
        package var isOpen: Bool?
        /// The groups, by name.
        package var groups: [GroupItem]

        /// Makes an item.
        package init(name: String, vni: UInt32, isOpen: Bool? = nil, groups: [GroupItem]) {
            self.name = name
            self.vni = vni
            self.isOpen = isOpen
            self.groups = groups
        }
    }

    /// One pod group.
    package struct GroupItem: Codable, Hashable, Sendable {
        /// The VPC's name.
        package var vpc: String
        /// The group's name.
        package var name: String
        /// Its subnet.
        package var subnet: String
        /// The address its pods send through.
        package var gateway: String
        /// The subnet of the other family.
        package var secondSubnet: String?
        /// The address its pods send through in that family.
        package var secondGateway: String?
        /// Ranges of addresses that no pod gets.
        package var exclusions: [String]?

        /// Makes an item.
        package init(
            vpc: String,
            name: String,
            subnet: String,
            gateway: String,
            secondSubnet: String? = nil,
            secondGateway: String? = nil,
            exclusions: [String]? = nil
        ) {
            self.vpc = vpc
            self.name = name
            self.subnet = subnet
            self.gateway = gateway
            self.secondSubnet = secondSubnet
            self.secondGateway = secondGateway
            self.exclusions = exclusions
        }
    }
}

/// Asks for a new VPC.
package struct CreateVPC: Codable, Hashable, Sendable {
    /// The name.
    package var name: String
    /// The wanted number; absent for any free one.
    package var vni: UInt32?
    /// Whether the nodes are to be in it; absent for no.
    package var isOpen: Bool?

    /// Makes a request.
    package init(name: String, vni: UInt32?, isOpen: Bool? = nil) {
        self.name = name
        self.vni = vni
        self.isOpen = isOpen
    }
}

/// Asks for a new pod group.
package struct CreateGroup: Codable, Hashable, Sendable {
    /// The full name, VPC/GROUP.
    package var name: String
    /// The subnet in CIDR form.
    package var subnet: String
    /// The subnet of the other family.
    package var secondSubnet: String?
    /// Ranges of addresses that no pod is to get: FIRST-LAST, an address or a CIDR block.
    package var exclusions: [String]?

    /// Makes a request.
    package init(
        name: String,
        subnet: String,
        secondSubnet: String? = nil,
        exclusions: [String]? = nil
    ) {
        self.name = name
        self.subnet = subnet
        self.secondSubnet = secondSubnet
        self.exclusions = exclusions
    }
}

/// Endpoints, as the ring holds them.
package struct EndpointList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The endpoints, by group and address.
    package var endpoints: [Item]

    /// Makes a list.
    package init(endpoints: [Item]) {
        self.endpoints = endpoints
    }

    /// One endpoint.
    package struct Item: Codable, Hashable, Sendable {
        /// The VPC's name.
        package var vpc: String
        /// The group's name.
        package var group: String
        /// The VPC's number.
        package var vni: UInt32
        /// The address.
        package var address: String
        /// The Ethernet address.
        package var mac: String
        /// The node's name.
        package var node: String
        /// The node's underlay address.
        package var vtep: String
        /// The container.
        package var containerID: String
        /// The interface in the pod.
        package var interface: String
        /// The pod, as namespace/name; empty outside Kubernetes.
        package var pod: String
        /// The fence of its address block.
        package var fence: UInt64
        /// Whether the node's dataplane is thought to be there.
        package var isReachable: Bool

        /// Makes an item.
        package init(
            vpc: String,
            group: String,
            vni: UInt32,
            address: String,
            mac: String,
            node: String,
            vtep: String,
            containerID: String,
            interface: String,
            pod: String,
            fence: UInt64,
            isReachable: Bool
        ) {
            self.vpc = vpc
            self.group = group
            self.vni = vni
            self.address = address
            self.mac = mac
            self.node = node
            self.vtep = vtep
            self.containerID = containerID
            self.interface = interface
            self.pod = pod
            self.fence = fence
            self.isReachable = isReachable
        }
    }
}
