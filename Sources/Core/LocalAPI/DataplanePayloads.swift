/// The node's dataplane: what is attached, what the maps hold, what was carried and dropped.
package struct DataplaneStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The uplinks that are there, at least one.
    package var uplinks: [Uplink]
    /// The tc hook that programs are attached to: tcx or clsact.
    package var hook: String
    /// Why that one.
    package var hookReason: String
    /// How received packets are merged before pods get them.
    package var merging: String
    /// The node's underlay address.
    package var vtep: String
    /// The MTU that pods get.
    package var podMTU: Int
    /// The programs that this `genied` has loaded.
    package var programs: [Program]
    /// The programs' attachments.
    package var attachments: [Attachment]
    /// The maps.
    package var maps: [Map]
    /// Packets and bytes by pod interface.
    package var endpoints: [EndpointTraffic]
    /// Packets and bytes by VPC, pods that are gone included.
    package var vpcs: [VPCTraffic]
    /// Packets dropped, by VPC and reason.
    package var drops: [Drop]
    /// Packets handled, by kind.
    package var counts: [Count]

    /// Makes a status.
    package init(
        uplinks: [Uplink],
        hook: String,
        hookReason: String,
        merging: String,
        vtep: String,
        podMTU: Int,
        programs: [Program],
        attachments: [Attachment],
        maps: [Map],
        endpoints: [EndpointTraffic],
        vpcs: [VPCTraffic],
        drops: [Drop],
        counts: [Count]
    ) {
        self.uplinks = uplinks
        self.hook = hook
        self.hookReason = hookReason
        self.merging = merging
        self.vtep = vtep
        self.podMTU = podMTU
        self.programs = programs
        self.attachments = attachments
        self.maps = maps
        self.endpoints = endpoints
        self.vpcs = vpcs
        self.drops = drops
        self.counts = counts
    }

    /// One interface of the underlay.
    package struct Uplink: Codable, Hashable, Sendable {
        /// The interface.
        package var interface: String
        /// How it receives: xdp or tc.
        package var mode: String
        /// Why it receives that way.
        package var modeReason: String
        /// Its MTU in bytes.
        package var mtu: Int

        /// Makes an uplink.
        package init(interface: String, mode: String, modeReason: String, mtu: Int) {
            self.interface = interface
            self.mode = mode
            self.modeReason = modeReason
            self.mtu = mtu
        }
    }

    /// One loaded program.
    package struct Program: Codable, Hashable, Sendable {
        /// The name.
        package var name: String
        /// The kernel's id of it.
        package var id: UInt32
        /// The kernel's hash of its instructions.
        package var tag: String
        /// Bytes of machine code.
        package var machineCodeBytes: Int

        /// Makes a program.
        package init(name: String, id: UInt32, tag: String, machineCodeBytes: Int) {
            self.name = name
            self.id = id
            self.tag = tag
            self.machineCodeBytes = machineCodeBytes
        }
    }

    /// One attached program.
    package struct Attachment: Codable, Hashable, Sendable {
        /// The interface.
        package var interface: String
        /// The hook.
        package var hook: String
        /// The program.
        package var program: String
        /// The kernel's id of the program that is attached there.
        package var programID: UInt32

        /// Makes an attachment.
        package init(interface: String, hook: String, program: String, programID: UInt32) {
            self.interface = interface
            self.hook = hook
            self.program = program
            self.programID = programID
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
        /// The kernel memory it takes, in bytes; absent where the kernel does not say.
        package var memoryBytes: Int?

        /// Makes a map.
        package init(name: String, entries: Int, entriesMax: Int, memoryBytes: Int?) {
            self.name = name
            self.entries = entries
            self.entriesMax = entriesMax
            self.memoryBytes = memoryBytes
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

/// Frames and bytes, with Ethernet headers and without the tunnel's.
package struct TrafficTotals: Codable, Hashable, Sendable {
    /// Frames sent by pods, dropped ones included.
    package var sentPackets: UInt64 = 0
    /// Their bytes.
    package var sentBytes: UInt64 = 0
    /// Frames that pods were given.
    package var receivedPackets: UInt64 = 0
    /// Their bytes.
    package var receivedBytes: UInt64 = 0

    /// Makes totals of nothing.
    package init() {}

    /// Makes totals.
    package init(
        sentPackets: UInt64,
        sentBytes: UInt64,
        receivedPackets: UInt64,
        receivedBytes: UInt64
    ) {
        self.sentPackets = sentPackets
        self.sentBytes = sentBytes
        self.receivedPackets = receivedPackets
        self.receivedBytes = receivedBytes
    }

    /// The sum of two.
    package static func + (lhs: TrafficTotals, rhs: TrafficTotals) -> TrafficTotals {
        TrafficTotals(
            sentPackets: lhs.sentPackets &+ rhs.sentPackets,
            sentBytes: lhs.sentBytes &+ rhs.sentBytes,
            receivedPackets: lhs.receivedPackets &+ rhs.receivedPackets,
            receivedBytes: lhs.receivedBytes &+ rhs.receivedBytes
        )
    }
}

/// What one pod interface of the node sent, got and lost.
package struct EndpointTraffic: Codable, Hashable, Sendable {
    /// The host-side interface.
    package var hostInterface: String
    /// The container.
    package var containerID: String
    /// The interface in the pod.
    package var interface: String
    /// The pod, as namespace/name; empty outside Kubernetes.
    package var pod: String
    /// The path of its network namespace.
    package var netns: String
    /// The VPC.
    package var vpc: String
    /// Its number.
    package var vni: UInt32
    /// The group in it.
    package var group: String
    /// Its addresses, of one family or of both.
    package var addresses: [String]
    /// The Ethernet address.
    package var mac: String
    /// What went through.
    package var totals: TrafficTotals
    /// What was dropped that it sent, or should have got, by reason.
    package var drops: [Drop]

    /// Makes an endpoint without drops.
    package init(
        hostInterface: String,
        containerID: String,
        interface: String,
        pod: String,
        netns: String,
        vpc: String,
        vni: UInt32,
        group: String,
        addresses: [String],
        mac: String,
        totals: TrafficTotals
    ) {
        self.hostInterface = hostInterface
        self.containerID = containerID
        self.interface = interface
        self.pod = pod
        self.netns = netns
        self.vpc = vpc
        self.vni = vni
        self.group = group
        self.addresses = addresses
        self.mac = mac
        self.totals = totals
        drops = []
    }

    /// Drops of one reason.
    package struct Drop: Codable, Hashable, Sendable {
        /// The reason.
        package var reason: String
        /// Packets.
        package var packets: UInt64

        /// Makes a drop count.
        package init(reason: String, packets: UInt64) {
            self.reason = reason
            self.packets = packets
        }
    }

    /// What people call it: the pod, or the container where there is none, and the interface.
    package var name: String { (pod.isEmpty ? containerID : pod) + ":" + interface }
}

/// What all pods of one VPC on the node sent and got.
package struct VPCTraffic: Codable, Hashable, Sendable {
    /// The VPC; empty where its pods are gone.
    package var vpc: String
    /// Its number.
    package var vni: UInt32
    /// What went through.
    package var totals: TrafficTotals

    /// Makes a VPC's totals.
    package init(vpc: String, vni: UInt32, totals: TrafficTotals) {
        self.vpc = vpc
        self.vni = vni
        self.totals = totals
    }
}
