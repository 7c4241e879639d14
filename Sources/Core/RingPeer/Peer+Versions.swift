import Addressing
package import Determinism
import RingMembership
import RingPlacement

/// Rings of mixed releases: who speaks which versions, and what becomes of those who cannot talk.
extension Peer {
    /// The version that this peer uses with a member; nil where they have none in common, and for
    /// strangers.
    package func version(with member: NodeID) -> UInt8? {
        if member == identity.node { return identity.versions.highest }
        return membership.member(member)?.fact.versions.common(with: identity.versions)
    }

    /// Why a peer that greets cannot take part; nil where it can.
    ///
    /// It must have a version in common with every member that is present, not with this one only.
    func versionRefusal(of greeting: Greeting) -> String? {
        let theirs = greeting.versions
        guard theirs.common(with: identity.versions) != nil else {
            return Self.clash(greeting.name, theirs, identity.name, identity.versions)
        }
        let others = membership.members.map(\.fact).filter {
            !$0.status.isGone && $0.address != greeting.address
        }
        guard let other = others.first(where: { theirs.common(with: $0.versions) == nil }) else {
            return nil
        }
        return Self.clash(greeting.name, theirs, other.name, other.versions)
    }

    private static func clash(
        _ name: String,
        _ versions: ProtocolRange,
        _ other: String,
        _ otherVersions: ProtocolRange
    ) -> String {
        "\(name) speaks versions \(versions) of the ring's protocol, and \(other) speaks "
            + "\(otherVersions): upgrade one release at a time"
    }

    /// Refuses a hello for its versions; both ends are told, each with both ranges.
    ///
    /// - Returns: whether it was refused.
    mutating func refuse(_ greeting: Greeting, from peer: NodeID) -> Bool {
        guard let reason = versionRefusal(of: greeting) else { return false }
        let refusal = PeerFrame.refusal(
            .versions,
            ring: configuration.ringID,
            reason: reason
        )
        effects.append(.frame(refusal.encoded, to: peer, at: greeting.address))
        effects.append(.event(.refusedFrame(from: peer, reason: reason)))
        return true
    }
}
