package import Addressing
package import Wire

/// A name that people give: a DNS label (RFC 1123 section 2.1).
package enum DNSLabel {
    /// Checks a name of a `kind` such as "VPC".
    package static func check(_ name: String, kind: String) throws(NetModelError) {
        let bytes = Array(name.utf8)
        let isEdge = { (byte: UInt8) in
            (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte)
        }
        guard (1...63).contains(bytes.count), isEdge(bytes[0]), isEdge(bytes[bytes.count - 1]),
            bytes.allSatisfy({ isEdge($0) || $0 == 0x2d })
        else { throw .badName(kind: kind, name: String(name.prefix(80))) }
    }
}

/// The full name of a pod group: its VPC and its own name, written `red/web`.
package struct GroupReference: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The VPC's name.
    package let vpc: String
    /// The group's name inside the VPC.
    package let group: String

    /// Makes a reference out of two names.
    package init(vpc: String, group: String) throws(NetModelError) {
        try DNSLabel.check(vpc, kind: "VPC")
        try DNSLabel.check(group, kind: "group")
        self.vpc = vpc
        self.group = group
    }

    /// Reads `VPC/GROUP`.
    package init(_ text: String) throws(NetModelError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw .badGroupReference(String(text.prefix(140))) }
        try self.init(vpc: String(parts[0]), group: String(parts[1]))
    }

    package var description: String { "\(vpc)/\(group)" }

    package static func < (lhs: GroupReference, rhs: GroupReference) -> Bool {
        (lhs.vpc, lhs.group) < (rhs.vpc, rhs.group)
    }
}

/// A named set of pods with a subnet of its own inside one VPC.
package struct PodGroup: Hashable, Sendable {
    /// A number that no other group ever had; address blocks are kept under it.
    package let id: UInt64
    /// The name, unique in the VPC.
    package let name: String
    /// Where its pods get their addresses from.
    package let subnet: Prefix

    /// Addresses that no pod can have (RFC 6890).
    private static let reserved = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"]
        .compactMap { Prefix($0) }

    /// Makes a group whose subnet is of a size that can be used.
    package init(id: UInt64, name: String, subnet: Prefix) throws(NetModelError) {
        try DNSLabel.check(name, kind: "group")
        guard subnet.isV4 else { throw .unsupportedFamily(subnet) }
        guard (8...30).contains(subnet.length) else { throw .subnetSize(subnet) }
        guard !Self.reserved.contains(where: { $0.overlaps(subnet) }) else {
            throw .reservedSubnet(subnet)
        }
        self.id = id
        self.name = name
        self.subnet = subnet
    }

    /// The address that the group's pods send through: the first after the network's own.
    package var gateway: IPAddress {
        subnet.first.advanced(by: 1) ?? subnet.first
    }
}

/// An isolated address space: one VNI, and the pod groups inside.
///
/// A VPC with all its groups is one register, so that a subnet which overlaps another can never be
/// chosen, whoever creates groups at the same time.
package struct VPC: Hashable, Sendable {
    /// The name, unique in the ring.
    package let name: String
    /// The number that its packets carry, unique in the ring.
    package let vni: VNI
    /// A number that no other VPC ever had, not even one of the same name.
    package let id: UInt64
    /// The groups, by name.
    package private(set) var groups: [PodGroup]

    /// The most groups in one VPC: the register's value stays below 64 KiB.
    package static let groupsMax = 512

    /// Makes a VPC without groups.
    package init(name: String, vni: VNI, id: UInt64 = 0) throws(NetModelError) {
        try DNSLabel.check(name, kind: "VPC")
        self.name = name
        self.vni = vni
        self.id = id
        groups = []
    }

    /// The group of that name.
    package func group(_ name: String) throws(NetModelError) -> PodGroup {
        guard let group = groups.first(where: { $0.name == name }) else {
            throw .unknownGroup(vpc: self.name, group: name, known: groups.map(\.name))
        }
        return group
    }

    /// Adds a group whose name is free and whose subnet overlaps no other.
    package mutating func add(_ group: PodGroup) throws(NetModelError) {
        guard groups.count < Self.groupsMax else {
            throw .tooManyGroups(vpc: name, max: Self.groupsMax)
        }
        for other in groups {
            if other.name == group.name { throw .groupExists(vpc: name, group: group.name) }
            if other.subnet.overlaps(group.subnet) {
                throw .overlap(group.subnet, with: other.subnet, group: other.name)
            }
        }
        groups.append(group)
        groups.sort { $0.name < $1.name }
    }

    /// Takes a group out.
    package mutating func remove(_ name: String) throws(NetModelError) {
        let group = try group(name)
        groups.removeAll { $0.id == group.id }
    }

    /// The VPC with only those groups for which `isKept` holds.
    package func keeping(_ isKept: (PodGroup) -> Bool) -> VPC {
        var copy = self
        copy.groups = groups.filter(isKept)
        return copy
    }

    /// Checks that the VPC may go.
    package func checkUnused() throws(NetModelError) {
        guard groups.isEmpty else {
            throw .vpcInUse(vpc: name, groups: groups.map(\.name))
        }
    }
}

extension VPC {
    private enum Field {
        static let name: UInt16 = 1
        static let vni: UInt16 = 2
        static let groups: UInt16 = 3
        static let id: UInt16 = 4
    }

    /// The register's value: tagged fields name 1, VNI 2, groups 3, id 4.
    package var encoded: [UInt8] {
        var fields = TaggedFields()
        fields.set(Field.name, text: name)
        fields.set(Field.vni, integer: vni.number)
        fields.set(Field.id, integer: id)
        var writer = ByteWriter()
        writer.write(list: groups) { writer, group in
            writer.write(group.id)
            writer.write(group.name)
            writer.write(group.subnet.first)
            writer.write(UInt8(group.subnet.length))
        }
        fields[Field.groups] = writer.bytes
        return fields.encoded
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        let fields = try TaggedFields(encoded[...], lengthMax: 1 << 16)
        name = try fields.text(Field.name, "VPC name")
        guard let vni = VNI(try fields.integer(Field.vni, "VNI")) else {
            throw .malformed(field: "VNI")
        }
        self.vni = vni
        id = try fields.integer(Field.id, "VPC id", default: UInt64(0))
        var reader = ByteReader(fields[Field.groups] ?? [])
        groups = try reader.readList("groups", max: Self.groupsMax) { reader throws(WireError) in
            let id = try reader.readInteger("group id", as: UInt64.self)
            let name = try reader.readText("group name", max: 63)
            let first = try reader.readIPAddress("subnet")
            let length = Int(try reader.readInteger("subnet length", as: UInt8.self))
            guard let subnet = Prefix(first: first, length: length),
                let group = try? PodGroup(id: id, name: name, subnet: subnet)
            else { throw .malformed(field: "subnet") }
            return group
        }
        try reader.finish()
    }
}
