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
    /// Whether the nodes are in it: they and its pods reach each other, and its pods reach through
    /// their node whatever that routes.
    package let isOpen: Bool
    /// The groups, by name.
    package private(set) var groups: [PodGroup]

    /// What a later release says beyond this, kept and passed on.
    private var unknownFields = TaggedFields()

    /// The most groups in one VPC: the register's value stays below 64 KiB.
    package static let groupsMax = 512

    /// Makes a VPC without groups.
    package init(
        name: String,
        vni: VNI,
        id: UInt64 = 0,
        isOpen: Bool = false
    ) throws(NetModelError) {
        try DNSLabel.check(name, kind: "VPC")
        self.name = name
        self.vni = vni
        self.id = id
        self.isOpen = isOpen
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
            for subnet in group.subnets {
                guard let taken = other.subnets.first(where: { $0.overlaps(subnet) }) else {
                    continue
                }
                throw .overlap(subnet, with: taken, group: other.name)
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
        static let groupFields: UInt16 = 5
        static let isOpen: UInt16 = 6
    }

    /// The register's value: tagged fields name 1, VNI 2, groups 3, id 4, and where a group has
    /// more than one subnet to say, 5: the tagged fields of such groups, by id; 6 where it is open.
    ///
    /// What a later release says beside these is kept and written back.
    package var encoded: [UInt8] {
        var fields = unknownFields
        fields.set(Field.name, text: name)
        fields.set(Field.vni, integer: vni.number)
        fields.set(Field.id, integer: id)
        if isOpen { fields.set(Field.isOpen, integer: UInt8(1)) }
        var writer = ByteWriter()
        writer.write(list: groups) { writer, group in
            writer.write(group.id)
            writer.write(group.name)
            writer.write(group.subnet.first)
            writer.write(UInt8(group.subnet.length))
        }
        fields[Field.groups] = writer.bytes
        let more = groups.filter { !$0.fields.encoded.isEmpty }
        guard !more.isEmpty else { return fields.encoded }
        var tagged = ByteWriter()
        tagged.write(list: more) { writer, group in
            writer.write(group.id)
            writer.write(counted: group.fields.encoded)
        }
        fields[Field.groupFields] = tagged.bytes
        return fields.encoded
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        var fields = try TaggedFields(encoded[...], lengthMax: 1 << 18)
        name = try fields.text(Field.name, "VPC name")
        guard let vni = VNI(try fields.integer(Field.vni, "VNI")) else {
            throw .malformed(field: "VNI")
        }
        self.vni = vni
        id = try fields.integer(Field.id, "VPC id", default: UInt64(0))
        isOpen = try fields.integer(Field.isOpen, "openness", default: UInt8(0)) == 1
        let more = try Self.groupFields(fields[Field.groupFields])
        var reader = ByteReader(fields[Field.groups] ?? [])
        groups = try reader.readList("groups", max: Self.groupsMax) { reader throws(WireError) in
            let id = try reader.readInteger("group id", as: UInt64.self)
            let name = try reader.readText("group name", max: 63)
            let first = try reader.readIPAddress("subnet")
            let length = Int(try reader.readInteger("subnet length", as: UInt8.self))
            guard let subnet = Prefix(first: first, length: length) else {
                throw .malformed(field: "subnet")
            }
            let tagged = more.first { $0.id == id }?.fields ?? TaggedFields()
            return try PodGroup(id: id, name: name, subnet: subnet, fields: tagged)
        }
        try reader.finish()
        for number in Field.name...Field.isOpen { fields[number] = nil }
        unknownFields = fields
    }

    private static func groupFields(
        _ bytes: [UInt8]?
    ) throws(WireError) -> [(id: UInt64, fields: TaggedFields)] {
        guard let bytes else { return [] }
        var reader = ByteReader(bytes)
        let groups = try reader.readList("group fields", max: Self.groupsMax) {
            reader throws(WireError) -> (id: UInt64, fields: TaggedFields) in
            let id = try reader.readInteger("group id", as: UInt64.self)
            let content = try reader.readCounted("group fields", max: 1 << 14)
            return (id, try TaggedFields(content, lengthMax: 1 << 14))
        }
        try reader.finish()
        return groups
    }
}
