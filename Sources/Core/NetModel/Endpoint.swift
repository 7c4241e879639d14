package import Addressing
package import Wire

/// One interface of one pod in one pod group, as its node tells the others.
package struct Endpoint: Hashable, Sendable {
    /// The VPC and group.
    package var group: GroupReference
    /// The VPC's number.
    package var vni: VNI
    /// The pod interface's address.
    package var address: IPAddress
    /// The pod interface's Ethernet address.
    package var mac: MACAddress
    /// The underlay address of the pod's node.
    package var vtep: IPAddress
    /// The fence of the address block, which grows each time the block changes hands.
    package var fence: UInt64
    /// The address block, to which the fence belongs; nil where an older release says none.
    package var block: Prefix?
    /// The container, as the runtime calls it.
    package var containerID: String
    /// The interface's name in the pod.
    package var interfaceName: String
    /// The pod's namespace; empty outside Kubernetes.
    package var podNamespace: String
    /// The pod's name; empty outside Kubernetes.
    package var podName: String
    /// The node's name.
    package var nodeName: String

    /// Makes an endpoint.
    package init(
        group: GroupReference,
        vni: VNI,
        address: IPAddress,
        mac: MACAddress,
        vtep: IPAddress,
        fence: UInt64,
        block: Prefix? = nil,
        containerID: String,
        interfaceName: String,
        podNamespace: String = "",
        podName: String = "",
        nodeName: String
    ) {
        self.group = group
        self.vni = vni
        self.address = address
        self.mac = mac
        self.vtep = vtep
        self.fence = fence
        self.block = block
        self.containerID = containerID
        self.interfaceName = interfaceName
        self.podNamespace = podNamespace
        self.podName = podName
        self.nodeName = nodeName
    }

    /// What tells the endpoint from the others of its node and group.
    package var key: String { address.description }
}

extension Endpoint {
    private enum Field: UInt16 {
        case vpc = 1
        case group
        case vni
        case address
        case mac
        case vtep
        case fence
        case containerID
        case interfaceName
        case podNamespace
        case podName
        case nodeName
        case block
    }

    /// The record's content: tagged fields 1 to 12 in the order of the properties but the block,
    /// which is 13: address 16, length 1.
    package var encoded: [UInt8] {
        var fields = TaggedFields()
        fields.set(Field.vpc.rawValue, text: group.vpc)
        fields.set(Field.group.rawValue, text: group.group)
        fields.set(Field.vni.rawValue, integer: vni.number)
        fields[Field.address.rawValue] = address.bytes
        fields[Field.mac.rawValue] = mac.bytes
        fields[Field.vtep.rawValue] = vtep.bytes
        fields.set(Field.fence.rawValue, integer: fence)
        fields.set(Field.containerID.rawValue, text: containerID)
        fields.set(Field.interfaceName.rawValue, text: interfaceName)
        fields.set(Field.podNamespace.rawValue, text: podNamespace)
        fields.set(Field.podName.rawValue, text: podName)
        fields.set(Field.nodeName.rawValue, text: nodeName)
        if let block { fields[Field.block.rawValue] = block.first.bytes + [UInt8(block.length)] }
        return fields.encoded
    }

    /// Reads a record's content.
    package init(encoded: [UInt8]) throws(WireError) {
        let fields = try TaggedFields(encoded[...], lengthMax: 512)
        let vpc = try fields.text(Field.vpc.rawValue, "VPC")
        let name = try fields.text(Field.group.rawValue, "group")
        guard let group = try? GroupReference(vpc: vpc, group: name) else {
            throw .malformed(field: "group")
        }
        guard let vni = VNI(try fields.integer(Field.vni.rawValue, "VNI")) else {
            throw .malformed(field: "VNI")
        }
        guard let address = IPAddress(bytes: fields[Field.address.rawValue] ?? []) else {
            throw .malformed(field: "address")
        }
        guard let mac = MACAddress(bytes: fields[Field.mac.rawValue] ?? []) else {
            throw .malformed(field: "MAC address")
        }
        guard let vtep = IPAddress(bytes: fields[Field.vtep.rawValue] ?? []) else {
            throw .malformed(field: "VTEP")
        }
        let block = try Self.block(fields[Field.block.rawValue])
        guard block?.contains(address) ?? true else { throw .malformed(field: "block") }
        self.init(
            group: group,
            vni: vni,
            address: address,
            mac: mac,
            vtep: vtep,
            fence: try fields.integer(Field.fence.rawValue, "fence"),
            block: block,
            containerID: try fields.text(Field.containerID.rawValue, "container id"),
            interfaceName: try fields.text(Field.interfaceName.rawValue, "interface"),
            podNamespace: try fields.text(Field.podNamespace.rawValue, "namespace", default: ""),
            podName: try fields.text(Field.podName.rawValue, "pod", default: ""),
            nodeName: try fields.text(Field.nodeName.rawValue, "node", default: "")
        )
    }

    private static func block(_ bytes: [UInt8]?) throws(WireError) -> Prefix? {
        guard let bytes else { return nil }
        var reader = ByteReader(bytes)
        let first = try reader.readIPAddress("block")
        let length = Int(try reader.readInteger("block length", as: UInt8.self))
        try reader.finish()
        guard let block = Prefix(first: first, length: length) else {
            throw .malformed(field: "block")
        }
        return block
    }
}
