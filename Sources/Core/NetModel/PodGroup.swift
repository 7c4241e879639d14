package import Addressing
import Wire

/// A named set of pods with subnets of its own inside one VPC.
package struct PodGroup: Hashable, Sendable {
    /// A number that no other group ever had; address blocks are kept under it.
    package let id: UInt64
    /// The name, unique in the VPC.
    package let name: String
    /// Where its pods get their addresses from.
    package let subnet: Prefix
    /// The subnet of the other family, of which its pods get an address as well.
    package let secondSubnet: Prefix?
    /// Addresses of the subnets that no pod gets, ascending.
    package let exclusions: [AddressRange]
    /// What a later release says beyond this, kept and passed on.
    private let unknownFields: TaggedFields

    /// The most ranges of excluded addresses.
    package static let exclusionsMax = 32

    /// Addresses that no pod can have (RFC 6890).
    private static let reserved = [
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/8", "fe80::/10",
        "fec0::/10", "ff00::/8",
    ].compactMap { Prefix($0) }

    /// Makes a group whose subnets are of sizes that can be used.
    ///
    /// - Throws: where a subnet is too large or too small, reserved or beside another of its
    ///   family, or an exclusion lies outside of the subnets or leaves nothing.
    package init(
        id: UInt64,
        name: String,
        subnet: Prefix,
        secondSubnet: Prefix? = nil,
        exclusions: [AddressRange] = []
    ) throws(NetModelError) {
        try self.init(
            id: id,
            name: name,
            subnet: subnet,
            secondSubnet: secondSubnet,
            exclusions: exclusions,
            unknownFields: TaggedFields()
        )
    }

    private init(
        id: UInt64,
        name: String,
        subnet: Prefix,
        secondSubnet: Prefix?,
        exclusions: [AddressRange],
        unknownFields: TaggedFields
    ) throws(NetModelError) {
        try DNSLabel.check(name, kind: "group")
        for subnet in [subnet] + (secondSubnet.map { [$0] } ?? []) {
            guard (subnet.isV4 ? 8...32 : 16...128).contains(subnet.length) else {
                throw .subnetSize(subnet)
            }
            guard !Self.reserved.contains(where: { $0.overlaps(subnet) }) else {
                throw .reservedSubnet(subnet)
            }
        }
        if let secondSubnet, secondSubnet.isV4 == subnet.isV4 {
            throw .sameFamily(subnet, secondSubnet)
        }
        guard exclusions.count <= Self.exclusionsMax else {
            throw .tooManyExclusions(max: Self.exclusionsMax)
        }
        for range in exclusions {
            let isInside = [subnet, secondSubnet].compactMap(\.self).contains {
                $0.contains(range.first) && $0.contains(range.last)
            }
            guard isInside else { throw .strayExclusion(range, subnet: subnet) }
        }
        self.id = id
        self.name = name
        self.subnet = subnet
        self.secondSubnet = secondSubnet
        self.exclusions = exclusions.sorted()
        self.unknownFields = unknownFields
    }

    /// The subnets, of which its pods get an address each.
    package var subnets: [Prefix] { [subnet] + (secondSubnet.map { [$0] } ?? []) }

    /// The address that the group's pods send through, in the family of the first subnet.
    package var gateway: IPAddress { subnet.gateway }
}

extension PodGroup {
    private enum Field {
        static let secondSubnet: UInt16 = 1
        static let exclusions: UInt16 = 2
    }

    /// What the group has beside its first subnet: tagged fields second subnet 1 (address 16,
    /// length 1), exclusions 2 (first 16 and last 16 of each).
    var fields: TaggedFields {
        var fields = unknownFields
        if let secondSubnet {
            fields[Field.secondSubnet] = secondSubnet.first.bytes + [UInt8(secondSubnet.length)]
        }
        guard !exclusions.isEmpty else { return fields }
        var writer = ByteWriter()
        writer.write(list: exclusions) {
            $0.write($1.first)
            $0.write($1.last)
        }
        fields[Field.exclusions] = writer.bytes
        return fields
    }

    /// Reads a group out of its part of the VPC's register.
    init(id: UInt64, name: String, subnet: Prefix, fields: TaggedFields) throws(WireError) {
        var fields = fields
        var secondSubnet: Prefix?
        if let bytes = fields[Field.secondSubnet] {
            var reader = ByteReader(bytes)
            let first = try reader.readIPAddress("second subnet")
            let length = Int(try reader.readInteger("second subnet length", as: UInt8.self))
            try reader.finish()
            guard let prefix = Prefix(first: first, length: length) else {
                throw .malformed(field: "second subnet")
            }
            secondSubnet = prefix
        }
        var exclusions: [AddressRange] = []
        if let bytes = fields[Field.exclusions] {
            var reader = ByteReader(bytes)
            exclusions = try reader.readList("exclusions", max: Self.exclusionsMax) {
                reader throws(WireError) in
                let first = try reader.readIPAddress("exclusion")
                let last = try reader.readIPAddress("exclusion")
                guard let range = AddressRange(first: first, last: last) else {
                    throw .malformed(field: "exclusion")
                }
                return range
            }
            try reader.finish()
        }
        fields[Field.secondSubnet] = nil
        fields[Field.exclusions] = nil
        do throws(NetModelError) {
            try self.init(
                id: id,
                name: name,
                subnet: subnet,
                secondSubnet: secondSubnet,
                exclusions: exclusions,
                unknownFields: fields
            )
        } catch {
            throw .malformed(field: "subnet")
        }
    }
}
