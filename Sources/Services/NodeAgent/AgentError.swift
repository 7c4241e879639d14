import Addressing
import BPFObjects
import NetModel
import Netlink
import PeerService
import RingPlacement
import SQLiteRows

/// Why the agent could not do what it was asked; translated once into HTTP and CNI codes.
enum AgentError: Error, Sendable {
    /// No VPC of this name.
    case unknownVPC(name: String, known: [String])
    /// A VPC of this name exists.
    case vpcExists(name: String)
    /// The number belongs to another VPC.
    case vniTaken(number: UInt32, owner: String)
    /// Another VPC is the open one.
    case openTaken(owner: String)
    /// What was asked for cannot be.
    case model(NetModelError)
    /// The registers did not do it.
    case registers(RegisterFailure)
    /// The group still has endpoints.
    case groupInUse(group: String, endpoints: Int)
    /// Nobody could say whether the group still has endpoints.
    case endpointsUnknown(group: String)
    /// Others kept changing the same register.
    case contended(name: String)
    /// A subnet of the open VPC has a node's own address in it.
    case subnetOverNode(Prefix, node: String, address: IPAddress)
    /// Every address of the group is in use.
    case addressesExhausted(group: String, subnet: Prefix, use: AddressUse)
    /// The address that a pod asks for is another's.
    case addressTaken(IPAddress, by: String)
    /// The address that a pod asks for is none that pods of the group may have.
    case addressUnusable(IPAddress, subnet: Prefix)
    /// The uplink leaves pods less than IPv6 needs.
    case mtuTooSmall(pod: Int, overhead: Int)
    /// No member has this name or identity.
    case unknownNode(String, known: [String])
    /// Several members have this name.
    case nodeNameTwice(String, ids: [String])
    /// The node that is to be removed answers, or its dataplane does.
    case nodeAlive(String, what: String)
    /// The node that is to be removed holds registers, and others have still to take its place.
    case nodeIsSteward(String)
    /// No steward has this name or identity.
    case unknownSteward(String, known: [String])
    /// The registers were not founded anew.
    case recovery(RecoveryFailure)
    /// No block can be claimed: these nodes may have any.
    case blocksInDoubt([String])
    /// Another call for the same interface is under way.
    case attachmentBusy(containerID: String, interface: String)
    /// The interface is attached already.
    case alreadyAttached(containerID: String, interface: String)
    /// The call needs a network namespace.
    case namespaceMissing(containerID: String)
    /// Nothing is recorded of the interface.
    case notAttached(containerID: String, interface: String)
    /// Something is not as it was set up.
    case checkFailed(String)
    /// The node belongs to no ring yet.
    case notJoined
    /// The dataplane is not there yet.
    case noDataplane
    /// The node runs as many pods of one group as it may.
    case groupFullOnNode(group: String, max: Int)
    /// A name that came with a call is longer than it may be.
    case nameTooLong(what: String, max: Int)
    /// The networks of a pod.
    case pod(PodError)
    /// One of a pod's networks, which it has for this reason.
    indirect case network(String, reason: String, AgentError)
    /// An earlier attempt at the same, which has to be undone first and cannot.
    indirect case earlierAttempt(AgentError)
    /// Something that has no error of its own.
    case unexpected(String)
    /// The kernel's interfaces.
    case netlink(NetlinkError)
    /// The dataplane.
    case dataplane(BPFError)
    /// The journal.
    case storage(RowStoreError)
    /// A group could not be watched, or not be read as was asked.
    case watch(WatchError)
    /// The gossip keys were not changed.
    case keys(KeyChangeFailure)
    /// What is to be installed is no gossip key.
    case badKey
    /// The name of a gossip key has another form.
    case badKeyID(String)
    /// Genie Ring keeps the register for itself.
    case reservedRegister(String)
    /// The request itself is malformed.
    case badRequest(String)
    /// No pod of this node, or none that this node knows, is called so.
    case unknownPod(String)
    /// The pod is not one that could not be taken off its networks.
    case podInUse(String)
    /// Several pod interfaces are called so.
    case ambiguousPod(String, [String])
    /// A packet that cannot be traced.
    case traceRefused(String)
    /// There is no such path in the API.
    case noSuchPath(String)

    /// A stable code for programs.
    var code: String {
        switch self {
        case .unknownVPC: "vpc.unknown"
        case .vpcExists: "vpc.exists"
        case .vniTaken: "vpc.vni_taken"
        case .openTaken: "vpc.open_taken"
        case .model(let error): error.code
        case .registers(let failure): failure.code
        case .groupInUse: "group.in_use"
        case .endpointsUnknown: "group.endpoints_unknown"
        case .contended: "ring.contended"
        case .subnetOverNode: "subnet.over_node"
        case .addressesExhausted: "ipam.exhausted"
        case .addressTaken: "ipam.address_taken"
        case .addressUnusable: "ipam.address_unusable"
        case .mtuTooSmall: "dataplane.mtu"
        case .unknownNode: "node.unknown"
        case .nodeNameTwice: "node.ambiguous"
        case .nodeAlive: "node.alive"
        case .nodeIsSteward: "node.steward"
        case .unknownSteward: "steward.unknown"
        case .recovery(let failure): failure.code
        case .blocksInDoubt: "ipam.blocks_in_doubt"
        case .attachmentBusy: "attachment.busy"
        case .alreadyAttached: "attachment.exists"
        case .namespaceMissing: "attachment.namespace_missing"
        case .notAttached: "attachment.unknown"
        case .checkFailed: "attachment.differs"
        case .notJoined: "ring.not_joined"
        case .noDataplane: "node.dataplane_missing"
        case .groupFullOnNode: "group.full_on_node"
        case .nameTooLong: "name.too_long"
        case .pod(let error): error.code
        case .network(_, _, let error), .earlierAttempt(let error): error.code
        case .unexpected: "node.unexpected"
        case .netlink: "node.netlink"
        case .dataplane: "node.dataplane"
        case .storage: "node.storage"
        case .watch(let error): error.code
        case .keys(let failure): failure.code
        case .badKey, .badKeyID: "key.malformed"
        case .reservedRegister: "register.reserved"
        case .badRequest: "request.malformed"
        case .unknownPod: "pod.unknown"
        case .podInUse: "pod.in_use"
        case .ambiguousPod: "pod.ambiguous"
        case .traceRefused: "trace.refused"
        case .noSuchPath: "request.unknown_path"
        }
    }

    /// The HTTP status.
    var status: Int {
        switch self {
        case .unknownVPC, .notAttached, .noSuchPath, .unknownNode, .unknownSteward: 404
        case .model(.unknownGroup): 404
        case .watch(let error): error.status
        case .keys(let failure): failure.status
        case .subnetOverNode, .badRequest, .unknownPod, .ambiguousPod, .traceRefused, .model,
            .nameTooLong,
            .badKey, .badKeyID,
            .addressUnusable:
            400
        case .vpcExists, .vniTaken, .openTaken, .groupInUse, .alreadyAttached, .attachmentBusy,
            .groupFullOnNode, .addressTaken, .nodeNameTwice, .nodeAlive, .nodeIsSteward,
            .reservedRegister, .recovery, .podInUse:
            409
        case .registers, .contended, .notJoined, .noDataplane, .endpointsUnknown,
            .addressesExhausted, .blocksInDoubt:
            503
        case .namespaceMissing, .checkFailed, .mtuTooSmall, .pod: 422
        case .network(_, _, let error), .earlierAttempt(let error): error.status
        case .netlink, .dataplane, .storage, .unexpected: 500
        }
    }
}

extension AgentError: CustomStringConvertible {
    var description: String {
        switch self {
        case .unknownVPC(let name, let known):
            "there is no VPC '\(name)' ("
                + (known.isEmpty ? "there are none yet" : "known: \(known.joined(separator: ", "))")
                + "): mend the name, or make it with 'genie-ring vpcs create \(name)'"
        case .vpcExists(let name):
            "VPC \(name) exists already: use it, or choose another name"
        case .vniTaken(let number, let owner):
            "VNI \(number) belongs to VPC \(owner): choose another, or leave --vni out for a free one"
        case .openTaken(let owner):
            "VPC \(owner) is the one that is open to the nodes: make this one --closed, or delete "
                + "that one first"
        case .model(let error): error.description
        case .registers(let error): error.description
        case .groupInUse(let group, let count):
            "group \(group) still has \(count) endpoints: delete their pods first (see 'genie-ring "
                + "endpoints --group \(group)')"
        case .endpointsUnknown(let group):
            "the endpoints of group \(group) cannot be read, since this node is just joining the "
                + "ring or asked for too much at once: look at 'genie-ring ring' and try again"
        case .contended(let name):
            "others keep changing \(name) at the same time: try again"
        case .subnetOverNode(let subnet, let node, let address):
            "\(subnet) holds \(address), by which the ring knows node \(node): in the VPC that is open to "
                + "the nodes it would lead them away from each other; use another range"
        case .addressesExhausted(let group, let subnet, let use):
            "group \(group) has no free address left in \(subnet): this node has \(use.blocks) of "
                + "its \(use.blocksOfSubnet) blocks, with \(use.used) addresses in use and "
                + "\(use.resting) resting, and the others are other nodes' or excluded; delete pods (a freed "
                + "address rests 60 s), or use a group with a wider subnet (see 'genie-ring ipam "
                + "--group \(group)')"
        case .addressTaken(let address, let owner):
            "address \(address) is in use or resting on \(owner), or lies in a block of it: free it "
                + "there first (a freed address rests 60 s), or ask for another"
        case .addressUnusable(let address, let subnet):
            "address \(address) is none that a pod may have in \(subnet): ask for one that lies in "
                + "it, is not excluded and not the gateway"
        case .mtuTooSmall(let pod, let overhead):
            "pods of this node would have an MTU of \(pod) and IPv6 needs 1280: give the uplink an "
                + "MTU of at least \(1280 + overhead), or use a group with IPv4 alone"
        case .unknownNode(let name, let known):
            "no member of the ring is called \(name) (known: \(known.joined(separator: ", "))): mend "
                + "the name, or give the id that 'genie-ring ring -o json' shows"
        case .nodeNameTwice(let name, let ids):
            "several members are called \(name): name one by its id, of "
                + ids.joined(separator: ", ")
        case .nodeAlive(let name, let what):
            "node \(name) \(what): stop genied and the pods there first, or insist with 'genie-ring "
                + "node remove \(name) --force' where you know that the machine is gone for good"
        case .nodeIsSteward(let name):
            "node \(name) holds registers, and no other node has taken its place yet: it is marked as "
                + "leaving, so see 'genie-ring ring' for the change, and run 'genie-ring node remove "
                + "\(name)' again"
        case .unknownSteward(let name, let known):
            "no steward is called \(name) (there are \(known.joined(separator: ", "))): see 'genie-ring "
                + "ring recover'"
        case .recovery(let failure): failure.text
        case .blocksInDoubt(let nodes):
            "no address block can be claimed since the registers were recovered: it is not known which "
                + "\(nodes.joined(separator: ", ")) had; start it, or say that it is gone for good with "
                + "'genie-ring node remove'"
        case .attachmentBusy(let container, let interface):
            "interface \(interface) of container \(container) is being worked on: try again"
        case .alreadyAttached(let container, let interface):
            "container \(container) has interface \(interface) already: call DEL first, or name "
                + "another interface"
        case .namespaceMissing(let container):
            "container \(container) came without a network namespace: set CNI_NETNS"
        case .notAttached(let container, let interface):
            "nothing is recorded of interface \(interface) of container \(container): call ADD first"
        case .checkFailed(let what): what
        case .notJoined:
            "this node belongs to no ring yet: see the log of genied for what keeps it from joining"
        case .noDataplane: "the dataplane of this node is not ready yet: try again"
        case .groupFullOnNode(let group, let max):
            "this node runs \(max) pods of group \(group), the most it may: put the pod on another "
                + "node, or into another group"
        case .nameTooLong(let what, let max):
            "\(what) is longer than \(max) bytes: use a shorter one"
        case .pod(let error): error.description
        case .network(let name, let reason, let error): "network \(name) (\(reason)): \(error)"
        case .earlierAttempt(let error):
            "an earlier ADD for the same interface has to be undone first, and that failed: \(error)"
        case .unexpected(let detail): "the node could not do it: \(detail)"
        case .netlink(let error): error.description
        case .dataplane(let error): error.description
        case .storage(let error): error.description
        case .watch(let error): error.description
        case .keys(let failure): failure.text
        case .badKey:
            "this is no gossip key: 64 hexadecimal digits are wanted, as 'openssl rand -hex 32' "
                + "prints them"
        case .badKeyID(let name):
            "'\(name)' is not the name of a gossip key: it has eight hexadecimal digits, see "
                + "'genie-ring keys'"
        case .reservedRegister(let key):
            "register \(key) is Genie Ring's own, and other registers depend on it: use another "
                + "name, or insist with --force"
        case .badRequest(let what): "the request cannot be read: \(what)"
        case .unknownPod(let name):
            "no pod is called '\(name)' here: name one by its address, its namespace/name or its "
                + "container id ('genie-ring pods' lists this node's, 'genie-ring dataplane' "
                + "their interfaces in networks of ours)"
        case .podInUse(let name):
            "pod \(name) has its networks: only one whose removal failed can be forgotten; delete "
                + "the pod, so that its runtime calls DEL"
        case .ambiguousPod(let name, let found):
            "'\(name)' may be \(found.prefix(8).joined(separator: ", ")): say CONTAINER:INTERFACE"
        case .traceRefused(let why): why
        case .noSuchPath(let path):
            "the node API has no \(path): genie-ring and genied may be of different releases"
        }
    }
}

extension RegisterFailure {
    fileprivate var code: String {
        switch self {
        case .unavailable: "ring.unavailable"
        case .indeterminate: "ring.indeterminate"
        case .refused: "ring.refused"
        }
    }
}

extension KeyChangeFailure {
    fileprivate var code: String {
        switch self {
        case .notJoined: "ring.not_joined"
        case .registers(let failure): failure.code
        case .unreadable: "ring.unreadable"
        case .contended: "ring.contended"
        case .refused(let refusal):
            switch refusal {
            case .unknownKey: "key.unknown"
            case .keyInUse: "key.in_use"
            case .keyClash: "key.clash"
            case .keysFull: "key.full"
            case .otherKeys: "key.others"
            case .epochsExhausted, .alreadyMember, .notMember, .full, .isSteward, .stewardEpoch:
                "ring.refused"
            }
        case .lacking: "key.members_lack"
        case .sealing: "key.members_seal"
        }
    }

    fileprivate var status: Int {
        switch self {
        case .notJoined, .registers, .contended: 503
        case .unreadable: 500
        case .refused(.unknownKey): 404
        case .refused, .lacking, .sealing: 409
        }
    }

    fileprivate var text: String {
        switch self {
        case .notJoined: AgentError.notJoined.description
        case .registers(let failure): failure.description
        case .unreadable:
            "the ring's configuration was written by a later release: run that one on this node"
        case .contended: AgentError.contended(name: "the ring's configuration").description
        case .refused(let refusal): refusal.description + " (see 'genie-ring keys')"
        case .lacking(let id, let members):
            "cannot seal with gossip key \(id) yet: \(members.joined(separator: ", ")) answer and "
                + "are not known to have it, and would be lost for seconds; try again, or insist "
                + "with 'genie-ring keys use \(id) --force'"
        case .sealing(let id, let members):
            "cannot remove gossip key \(id) yet: \(members.joined(separator: ", ")) answer and may "
                + "still seal with it, and would be lost for seconds; try again, or insist with "
                + "'genie-ring keys remove \(id) --force'"
        }
    }
}

extension NetModelError {
    fileprivate var code: String {
        switch self {
        case .badName, .badGroupReference: "name.malformed"
        case .badSubnet: "subnet.malformed"
        case .subnetSize, .reservedSubnet: "subnet.unsupported"
        case .overlap: "subnet.overlap"
        case .sameFamily: "subnet.same_family"
        case .strayExclusion, .badExclusion, .tooManyExclusions, .nothingLeft:
            "group.exclusion_malformed"
        case .groupExists: "group.exists"
        case .unknownGroup: "group.unknown"
        case .vpcInUse: "vpc.in_use"
        case .tooManyGroups: "vpc.full"
        case .badVNI: "vpc.vni_malformed"
        }
    }
}
