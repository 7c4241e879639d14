import Determinism
import RingMembership
import RingPlacement
import RingRegisters
import Wire

/// What a node asks of the stewards: an entry in the configuration, or another one.
struct Admission: Sendable {
    let member: RingMember
    let expiresAt: Instant

    /// A request is forgotten after this long; whoever is still without a place asks again.
    static let age = Span.seconds(10)
    /// Those who come within this time come in together: 100 ms.
    static let window = Span.milliseconds(100)
    /// How long a node waits before it asks the next steward.
    static let patience = Span.milliseconds(1_500)
    /// So many requests without an effect, and the node writes its entry itself.
    static let attemptsMax = 4

    /// How long two epochs that admit nodes are apart at the least: an epoch costs each member a
    /// look at all others.
    static func spacing(memberCount: Int) -> Span {
        .milliseconds(100 + Int64(memberCount) / 4)
    }
}

/// Nodes come into the configuration by way of one steward, which lets in together all that ask
/// within a while: a thousand joins are a few epochs and not a thousand.
///
/// The request decides nothing: the entry is there once the register holds it, and where no
/// steward lets a node in, the node writes its entry itself.
extension Peer {
    /// Whether this peer is one of those that look after the configuration.
    var keepsConfiguration: Bool {
        proposer.group.steward(on: identity.node) != nil || acceptor.group != nil
    }

    /// Whether the configuration in force has this node as it is.
    var isSettled: Bool { configuration.member(identity.node) == identity.ringMember }

    /// Asks the first steward that can be reached, or the next one where that did not help; false
    /// where it is time to do it without.
    mutating func askAdmission(now: Instant) -> Bool {
        let attempt = configurationJob.attempts
        configurationJob.attempts += 1
        guard attempt % (Admission.attemptsMax + 1) < Admission.attemptsMax else { return false }
        let stewards = proposer.group.members.map(\.node)
        let present = stewards.filter { membership.isReachable($0) }
        let candidates = present.isEmpty ? stewards : present
        guard !candidates.isEmpty else { return false }
        let wait = Int64.random(in: 0...Admission.patience.milliseconds / 3, using: &generator)
        configurationJob.nextAt = now.advanced(by: Admission.patience + .milliseconds(wait))
        send(
            .admission(epoch: configuration.epoch, identity.ringMember),
            to: candidates[attempt % candidates.count]
        )
        return true
    }

    /// A node asks for its entry.
    mutating func takeAdmission(
        _ member: RingMember,
        epoch: UInt64,
        from peer: NodeID,
        now: Instant
    ) throws(WireError) {
        guard member.id == peer else { throw .malformed(field: "member id") }
        compareEpochs(epoch, with: peer, now: now)
        guard keepsConfiguration, configuration.member(peer) != member,
            configurationJob.admissions.count < RingConfiguration.memberCountMax
        else { return }
        configurationJob.admissions[peer] = Admission(
            member: member,
            expiresAt: now.advanced(by: Admission.age)
        )
        bringForward(now: now)
    }

    /// Has the job look in time for those that wait.
    mutating func bringForward(now: Instant) {
        guard !configurationJob.admissions.isEmpty else { return }
        let spacing = Admission.spacing(memberCount: configuration.members.count)
        let earliest = (configurationJob.writtenAt ?? .zero).advanced(by: spacing)
        let due = max(now.advanced(by: Admission.window), earliest)
        configurationJob.nextAt = min(configurationJob.nextAt, due)
    }

    /// Those that ask to be let in now.
    mutating func admissible(now: Instant) -> [RingMember] {
        let configuration = configuration
        configurationJob.admissions.removeAll { id, admission in
            now >= admission.expiresAt || configuration.member(id) == admission.member
        }
        return configurationJob.admissions.values.map(\.member)
    }
}
