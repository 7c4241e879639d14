package import Addressing
package import PeerTransport
import RingMembership
import RingPeer
import RingPlacement
package import SQLiteRows

/// How a peer is to run; checked by whoever made it.
package struct PeerSettings: Sendable {
    /// Where the ring port is bound; peers are told the same address.
    package let listen: SocketAddress
    /// Peers to join through; empty for the founder.
    package let seeds: [SocketAddress]
    /// Whether to found a ring where the database holds none.
    package let isFounder: Bool
    /// The slots of a ring that is founded: a power of two, for the ring's life.
    package let slotCount: Int
    /// The cluster's secret.
    package let secret: ClusterSecret
    /// The node's name for people.
    package let nodeName: String
    /// The node's failure domain.
    package let zone: String
    /// What the node's operator says of it; at most ``metadataBytesMax`` bytes.
    package let metadata: String

    /// The most bytes of metadata.
    package static let metadataBytesMax = MemberFact.metadataLengthMax

    /// The slots of a ring about which nothing was said.
    package static let slotCountDefault = RingConfiguration.slotCountDefault

    /// Whether a ring may have so many slots.
    package static func isSlotCount(_ count: Int) -> Bool { RingConfiguration.isSlotCount(count) }

    /// Peers with another label are strangers, whatever their secret.
    package static let clusterLabel = "genie-ring"

    /// Makes settings.
    package init(
        listen: SocketAddress,
        seeds: [SocketAddress],
        isFounder: Bool,
        slotCount: Int = Self.slotCountDefault,
        secret: ClusterSecret,
        nodeName: String,
        zone: String,
        metadata: String
    ) {
        self.listen = listen
        self.seeds = seeds
        self.isFounder = isFounder
        self.slotCount = slotCount
        self.secret = secret
        self.nodeName = nodeName
        self.zone = zone
        self.metadata = metadata
    }
}

/// Why a peer cannot start or go on.
package enum PeerServiceError: Error, Sendable, CustomStringConvertible {
    /// The database holds no ring, and neither `--join` nor `--bootstrap` was given.
    case noRing
    /// The seeds belong to another ring.
    case wrongRing(reason: String)
    /// The seeds, or members that they know, speak none of this release's versions.
    case otherVersions(reason: String)
    /// Another process uses this node's identity, or the database is an old copy.
    case identityTaken(path: String)
    /// Another process runs with this very start of this node's database.
    case twin(path: String)
    /// `--bootstrap` and `--join` were both given to a node without a ring.
    case bootstrapAndJoin
    /// A row of the database cannot be read.
    case unreadableRow(path: String, field: String)
    /// The database can no longer be written: nothing may be acknowledged any more.
    case storageFailed(RowStoreError)

    package var description: String {
        switch self {
        case .noRing:
            "this node belongs to no ring yet: start it with --join HOST:PORT of a member, or found "
                + "a ring with --bootstrap"
        case .wrongRing(let reason):
            "cannot join: \(reason); name a member of the right ring with --join, or move this "
                + "node's data directory away to join as a new node"
        case .otherVersions(let reason): "cannot join: \(reason)"
        case .identityTaken(let path):
            "the ring knows of a later life of this node than database \(path) does: it is an old copy "
                + "or in use elsewhere; move it away to join as a new node"
        case .twin(let path):
            "another process speaks for this start of this node: if database \(path) was copied, move the "
                + "copy away; starting again is safe, and the later start wins"
        case .bootstrapAndJoin:
            "--bootstrap founds a ring and --join enters one: give one of them"
        case .unreadableRow(let path, let field):
            "database \(path) holds a row that cannot be read (\(field)): start the release that wrote "
                + "it, or move it away to start as a new node"
        case .storageFailed(let error): error.description
        }
    }
}

/// Why a register could not be read or changed.
package enum RegisterFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// No majority of the stewards answered; nothing changed.
    case unavailable
    /// The change may or may not have taken effect; read the register before trying again.
    case indeterminate
    /// The request can never succeed.
    case refused(String)

    package var description: String {
        switch self {
        case .unavailable:
            "the ring's stewards do not answer, or too many change the same at once: try again; "
                + "'genie-ring ring' says who they are and 'genie-ring members' who is alive; where "
                + "most of them are lost for good, 'genie-ring ring recover --help' says what to do"
        case .indeterminate:
            "the ring's stewards stopped answering midway, or too many changed the same at once, and "
                + "the change may have taken effect: list what is there before trying again"
        case .refused(let reason): "the register refuses: \(reason)"
        }
    }
}

extension PeerServiceError {
    /// What a refusal means for a peer that wants to take part.
    init(_ refusal: PeerFrame.Refusal, _ reason: String) {
        switch refusal {
        case .ring: self = .wrongRing(reason: reason)
        case .versions: self = .otherVersions(reason: reason)
        }
    }
}
