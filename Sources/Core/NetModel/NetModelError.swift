package import Addressing

/// Why a VPC or pod group cannot be as asked.
package enum NetModelError: Error, Hashable, Sendable {
    /// The name is not a DNS label.
    case badName(kind: String, name: String)
    /// `GROUP` is not of the form `VPC/GROUP`.
    case badGroupReference(String)
    /// The text is not a network in CIDR form.
    case badSubnet(String)
    /// The subnet is too small or too large.
    case subnetSize(Prefix)
    /// The subnet lies where addresses have another meaning.
    case reservedSubnet(Prefix)
    /// Two subnets of one group are of one family.
    case sameFamily(Prefix, Prefix)
    /// Excluded addresses lie outside of the group's subnets.
    case strayExclusion(AddressRange, subnet: Prefix)
    /// Nothing of the subnet is left to give out.
    case nothingLeft(Prefix)
    /// The text is not a range of addresses.
    case badExclusion(String)
    /// A group excludes as many ranges as it may.
    case tooManyExclusions(max: Int)
    /// The subnet overlaps one that the VPC has.
    case overlap(Prefix, with: Prefix, group: String)
    /// The VPC has a group of this name already.
    case groupExists(vpc: String, group: String)
    /// The VPC has no such group.
    case unknownGroup(vpc: String, group: String, known: [String])
    /// The VPC still has groups.
    case vpcInUse(vpc: String, groups: [String])
    /// The VPC holds as many groups as it may.
    case tooManyGroups(vpc: String, max: Int)
    /// The number is no VNI.
    case badVNI(Int)
}

extension NetModelError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badName(let kind, let name):
            "\(kind) name '\(name)' is not valid: use 1 to 63 lower-case letters, digits or '-', "
                + "beginning and ending with a letter or digit"
        case .badGroupReference(let text):
            "'\(text)' does not name a pod group: write VPC/GROUP, for example red/web"
        case .badSubnet(let text):
            "'\(text)' is not a network in CIDR form: write its first address and its length, "
                + "for example 10.1.0.0/16"
        case .subnetSize(let prefix):
            "subnet \(prefix) has a length that cannot be used: choose one from "
                + (prefix.isV4 ? "/8 to /32" : "/16 to /128")
        case .reservedSubnet(let prefix):
            "subnet \(prefix) is reserved (this network, loopback, link-local, multicast): choose one "
                + "of unicast addresses, such as 10.1.0.0/16"
        case .sameFamily(let first, let second):
            "subnets \(first) and \(second) are of one family: give one of IPv4 and one of IPv6"
        case .strayExclusion(let range, let subnet):
            "excluded addresses \(range) lie outside of \(subnet): name addresses of the group's "
                + "subnets"
        case .nothingLeft(let subnet):
            "all addresses of \(subnet) are excluded: exclude less, or choose a wider subnet"
        case .badExclusion(let text):
            "'\(text)' is no range of addresses: write FIRST-LAST, an address or a CIDR block, "
                + "for example 10.1.0.2-10.1.0.20"
        case .tooManyExclusions(let max):
            "a group excludes at most \(max) ranges of addresses: join some, or use another subnet"
        case .overlap(let prefix, let other, let group):
            "subnet \(prefix) overlaps \(other) of group \(group) in the same VPC: choose another "
                + "subnet, or another VPC (VPCs may overlap)"
        case .groupExists(let vpc, let group):
            "group \(vpc)/\(group) exists already: delete it first or choose another name"
        case .unknownGroup(let vpc, let group, let known):
            "VPC \(vpc) has no group \(group): "
                + (known.isEmpty ? "it has none" : "it has \(known.joined(separator: ", "))")
                + "; make it with 'genie-ring groups create \(vpc)/\(group) --subnet CIDR'"
        case .vpcInUse(let vpc, let groups):
            "VPC \(vpc) still has groups (\(groups.joined(separator: ", "))): delete them first"
        case .tooManyGroups(let vpc, let max):
            "VPC \(vpc) holds \(max) groups, the most it may: use another VPC"
        case .badVNI(let number):
            "VNI \(number) is out of range: choose one from 1 to \(VNI.max)"
        }
    }
}
