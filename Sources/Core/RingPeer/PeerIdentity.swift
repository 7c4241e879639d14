package import Addressing
package import Determinism
package import RingMembership

/// Who this peer is: what it says of itself when it joins.
package struct PeerIdentity: Hashable, Sendable {
    /// The node, born with its database.
    package let node: NodeID
    /// The database as an acceptor: another one after the disk was lost.
    package let storage: NodeID
    /// The count of starts, already raised and durable for this one.
    package let boot: UInt64
    /// The name for people.
    package let name: String
    /// The failure domain.
    package let zone: String
    /// What its operator says of it; at most ``RingMembership/MemberFact/metadataLengthMax`` bytes.
    package let metadata: String
    /// The share of slots relative to other members.
    package let weight: Int
    /// Where the ring port listens, as others reach it.
    package let address: SocketAddress
    /// The versions of the protocol that it speaks.
    package let versions: ProtocolRange

    /// Makes an identity.
    package init(
        node: NodeID,
        storage: NodeID,
        boot: UInt64,
        name: String,
        zone: String,
        metadata: String = "",
        weight: Int,
        address: SocketAddress,
        versions: ProtocolRange = .spoken
    ) {
        self.node = node
        self.storage = storage
        self.boot = boot
        self.name = name
        self.zone = zone
        self.metadata = metadata
        self.weight = weight
        self.address = address
        self.versions = versions
    }
}
