package import Addressing
package import Determinism
package import Wire

/// A node as an entry of the ring configuration.
///
/// Only ``id`` identifies it: a node that lost its disk returns under the same name with a new id.
package struct RingMember: Hashable, Sendable {
    /// The identity that preference lists are made of.
    package let id: NodeID
    /// The node's name, for people.
    package let name: String
    /// The failure domain: owners of one slot are put in distinct zones.
    ///
    /// Empty is a zone as well.
    package let zone: String
    /// The share of slots relative to other members; 0 owns nothing.
    package let weight: Int
    /// Where the peer's control traffic goes.
    package let address: SocketAddress

    /// The weight of a member about which nothing was said.
    package static let weightDefault = 100

    /// The largest weight: a hundred times the default.
    package static let weightMax = 10_000

    /// The longest name in UTF-8 bytes: that of a DNS name (RFC 1123 section 2.1).
    package static let nameLengthMax = 253

    /// The longest zone in UTF-8 bytes: twice a Kubernetes label value, for region and zone.
    package static let zoneLengthMax = 127

    /// Makes a member; callers hold names from outside against the bounds first.
    package init(
        id: NodeID,
        name: String,
        zone: String,
        weight: Int = Self.weightDefault,
        address: SocketAddress
    ) {
        precondition(name.utf8.count <= Self.nameLengthMax)
        precondition(zone.utf8.count <= Self.zoneLengthMax)
        precondition((0...Self.weightMax).contains(weight))
        self.id = id
        self.name = name
        self.zone = zone
        self.weight = weight
        self.address = address
    }

    /// Appends the member: id 16, name, zone, weight 2, address 16, port 2.
    package func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(name)
        writer.write(zone)
        writer.write(UInt16(weight))
        writer.write(address)
    }

    /// Reads a member that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        let id = try reader.readNodeID("member id")
        let name = try reader.readText("member name", max: Self.nameLengthMax)
        let zone = try reader.readText("member zone", max: Self.zoneLengthMax)
        let weight = Int(try reader.readInteger("member weight", as: UInt16.self))
        guard weight <= Self.weightMax else { throw .malformed(field: "member weight") }
        let address = try reader.readSocketAddress("member address")
        self.init(id: id, name: name, zone: zone, weight: weight, address: address)
    }
}
