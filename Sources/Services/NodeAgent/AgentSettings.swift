package import Addressing
import RingRecords

/// How the node's agent is to run; checked by whoever made it.
package struct AgentSettings: Sendable {
    /// How the uplink receives encapsulated packets.
    package enum UplinkChoice: String, CaseIterable, Sendable {
        /// Native XDP where the driver can, else tc.
        case auto
        /// Native XDP, or an error.
        case xdp
        /// tc only.
        case tc
    }

    /// The tc hook that programs are attached to.
    package enum HookChoice: String, CaseIterable, Sendable {
        /// tcx where the kernel has it, else clsact.
        case auto
        /// tcx, or an error.
        case tcx
        /// clsact.
        case clsact
    }

    /// How many owners of a group have to hold a pod's endpoint before its ADD is answered.
    package enum PublishLevel: String, CaseIterable, Sendable {
        /// Any one.
        case one
        /// So many that a read at a quorum cannot miss it: 2 of 3.
        case quorum
        /// Every one.
        case all

        var level: Records.Level {
            switch self {
            case .one: .one
            case .quorum: .quorum
            case .all: .all
            }
        }
    }

    /// The node's name for people.
    package let nodeName: String
    /// The underlay's interfaces, at least one; the routing table says by which of several a
    /// packet leaves, and tunnels are received from all.
    package let uplinks: [String]
    /// How they receive.
    package let uplinkChoice: UplinkChoice
    /// The tc hook for pods and uplink.
    package let hookChoice: HookChoice
    /// The node's address on the underlay: where its ring port and its tunnels end.
    package let vtep: IPAddress
    /// Whether that is whatever address the first uplink has, since nobody named one.
    package let isAddressOfUplink: Bool
    /// The unix socket of the node API.
    package let socketPath: String
    /// The group that may use the socket beside root; nil for none.
    package let socketGroupID: UInt32?
    /// The directory in a BPF file system that everything is pinned in.
    package let pinDirectory: String
    /// Where the plugin leaves DEL calls while no daemon runs.
    package let spoolDirectory: String
    /// The file that plugins of others hold locks on while they live.
    package let pluginLockPath: String
    /// Where calls that failed are kept for whoever is asked for help.
    package let failedCallsDirectory: String
    /// The file with what is known of pods; nil for none.
    package let podFactsPath: String?
    /// How many owners have to hold an endpoint before its ADD is answered.
    package let publishLevel: PublishLevel
    /// Where metrics are served; nil for nowhere.
    package let metricsAddress: SocketAddress?
    /// Whether metrics tell of every pod interface, and not only of VPCs.
    package let hasEndpointMetrics: Bool

    /// Makes settings.
    package init(
        nodeName: String,
        uplinks: [String],
        uplinkChoice: UplinkChoice,
        hookChoice: HookChoice = .auto,
        vtep: IPAddress,
        isAddressOfUplink: Bool = false,
        socketPath: String,
        socketGroupID: UInt32?,
        pinDirectory: String,
        spoolDirectory: String,
        pluginLockPath: String,
        failedCallsDirectory: String,
        podFactsPath: String? = nil,
        publishLevel: PublishLevel = .quorum,
        metricsAddress: SocketAddress? = nil,
        hasEndpointMetrics: Bool = false
    ) {
        self.hasEndpointMetrics = hasEndpointMetrics
        self.metricsAddress = metricsAddress
        self.publishLevel = publishLevel
        self.nodeName = nodeName
        precondition(!uplinks.isEmpty, "a node has an underlay")
        self.uplinks = uplinks
        self.uplinkChoice = uplinkChoice
        self.hookChoice = hookChoice
        self.vtep = vtep
        self.isAddressOfUplink = isAddressOfUplink
        self.socketPath = socketPath
        self.socketGroupID = socketGroupID
        self.pinDirectory = pinDirectory
        self.spoolDirectory = spoolDirectory
        self.pluginLockPath = pluginLockPath
        self.failedCallsDirectory = failedCallsDirectory
        self.podFactsPath = podFactsPath
    }
}
