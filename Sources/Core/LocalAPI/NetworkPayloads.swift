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
        /// The groups, by name.
        package var groups: [GroupItem]

        /// Makes an item.
        package init(name: String, vni: UInt32, groups: [GroupItem]) {
            self.name = name
            self.vni = vni
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

    /// Makes a request.
    package init(name: String, vni: UInt32?) {
        self.name = name
        self.vni = vni
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

/// The node's dataplane: what is attached, what the maps hold, what was dropped.
package struct DataplaneStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The uplink's interface.
    package var uplink: String
    /// How the uplink receives: xdp or tc.
    package var mode: String
    /// Why it receives that way.
    package var modeReason: String
    /// The node's underlay address.
    package var vtep: String
    /// The MTU that pods get.
    package var podMTU: Int
    /// The programs' attachments.
    package var attachments: [Attachment]
    /// The maps.
    package var maps: [Map]
    /// Packets dropped, by VPC and reason.
    package var drops: [Drop]
    /// Packets handled, by kind.
    package var counts: [Count]

    /// Makes a status.
    package init(
        uplink: String,
        mode: String,
        modeReason: String,
        vtep: String,
        podMTU: Int,
        attachments: [Attachment],
        maps: [Map],
        drops: [Drop],
        counts: [Count]
    ) {
        self.uplink = uplink
        self.mode = mode
        self.modeReason = modeReason
        self.vtep = vtep
        self.podMTU = podMTU
        self.attachments = attachments
        self.maps = maps
        self.drops = drops
        self.counts = counts
    }

    /// One attached program.
    package struct Attachment: Codable, Hashable, Sendable {
        /// The interface.
        package var interface: String
        /// The hook.
        package var hook: String
        /// The program.
        package var program: String

        /// Makes an attachment.
        package init(interface: String, hook: String, program: String) {
            self.interface = interface
            self.hook = hook
            self.program = program
        }
    }

    /// One map.
    package struct Map: Codable, Hashable, Sendable {
        /// The name.
        package var name: String
        /// The entries it holds.
        package var entries: Int
        /// The entries it can hold.
        package var entriesMax: Int

        /// Makes a map.
        package init(name: String, entries: Int, entriesMax: Int) {
            self.name = name
            self.entries = entries
            self.entriesMax = entriesMax
        }
    }

    /// Drops of one reason in one VPC.
    package struct Drop: Codable, Hashable, Sendable {
        /// The VPC's number; zero where none is known.
        package var vni: UInt32
        /// The reason.
        package var reason: String
        /// Packets.
        package var packets: UInt64

        /// Makes a drop count.
        package init(vni: UInt32, reason: String, packets: UInt64) {
            self.vni = vni
            self.reason = reason
            self.packets = packets
        }
    }

    /// Packets of one kind.
    package struct Count: Codable, Hashable, Sendable {
        /// The kind.
        package var name: String
        /// Packets.
        package var packets: UInt64

        /// Makes a count.
        package init(name: String, packets: UInt64) {
            self.name = name
            self.packets = packets
        }
    }
}
