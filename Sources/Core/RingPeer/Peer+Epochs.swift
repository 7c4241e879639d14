package import Addressing
package import Determinism
import RingMembership
import RingPlacement

/// The newest epoch that one process of a member told of over a stream.
struct HeardEpoch: Sendable {
    let boot: UInt64
    let epoch: UInt64
}

/// Who has which configuration, and how two peers find out that theirs differ.
///
/// Each datagram names the sender's epoch, so peers that hear one another are even within moments.
/// Peers whose gossip keys have parted do not: neither opens what the other seals. Streams need no
/// gossip key, and the probes that follow unanswered datagrams over them name the epoch too. Where
/// each thinks the other dead already, it is asked over a stream, a few members every two seconds
/// by each peer: whichever side is behind then pulls the configuration, and with it the keys, and
/// whoever is called dead hears of it and refutes.
extension Peer {
    /// Gone members that are asked at once.
    private static let goneContactsMax = 3
    /// Missing members that are greeted at once.
    private static let missingContactsMax = 3
    /// Members of the configuration that are looked at for missing ones at once.
    private static let missingLookedAt = 64

    /// The newest epoch that `member` was heard to have; 0 while none was.
    package func heardEpoch(of member: NodeID) -> UInt64 {
        guard let known = membership.member(member) else { return 0 }
        // A later process starts from what its disk holds, which may be less than was heard before.
        guard let heard = heardEpochs[member], heard.boot == known.fact.boot else {
            return known.epoch
        }
        return max(known.epoch, heard.epoch)
    }

    /// Asks members over streams for their epochs; ``heardEpoch(of:)`` tells once they answered.
    package mutating func askEpochs(of members: [NodeID]) {
        for member in members { send(.configurationRequest(epoch: .max), to: member) }
    }

    /// A datagram came from `address` under a key that this peer does not have.
    ///
    /// Anybody can make one up, so it leads to one small frame to a member, at most twice a second.
    package mutating func unknownKey(from address: SocketAddress, now: Instant) {
        guard now >= nextKeyContactAt,
            let node = membership.members.first(where: { $0.fact.address == address })?.fact.id
                ?? configuration.members.first(where: { $0.address == address })?.id
        else { return }
        nextKeyContactAt = now.advanced(by: .milliseconds(500))
        send(.configurationRequest(epoch: configuration.epoch), to: node)
    }

    /// Notes what a member said over a stream.
    mutating func noteEpoch(_ epoch: UInt64, of member: NodeID) {
        guard epoch <= RingConfiguration.epochMax, let boot = membership.member(member)?.fact.boot
        else { return }
        let known = heardEpochs[member].flatMap { $0.boot == boot ? $0.epoch : nil } ?? 0
        // What datagrams tell is kept with the member itself.
        guard epoch > membership.member(member)?.epoch ?? 0 else { return }
        heardEpochs[member] = HeardEpoch(boot: boot, epoch: max(known, epoch))
    }

    /// Answers a peer that told its epoch.
    mutating func compareEpochs(_ epoch: UInt64, with peer: NodeID, now: Instant) {
        noteEpoch(epoch, of: peer)
        if epoch < configuration.epoch {
            tellConfiguration(to: peer, behind: epoch)
        } else if epoch > configuration.epoch {
            send(.configurationRequest(epoch: configuration.epoch), to: peer)
        }
        // After the configuration: the refutation will be sealed with a key that opens here.
        if let fact = membership.member(peer)?.fact, fact.status.isGone {
            send(.membership(.facts([fact], wanted: [])), to: peer)
        }
    }

    mutating func contactGoneMembers() {
        let membership = membership
        heardEpochs.removeAll { id, heard in
            guard let member = membership.member(id) else { return true }
            return member.fact.boot == heard.boot && member.epoch >= heard.epoch
        }
        let gone = membership.goneMembers.map(\.fact.id)
        for member in gone.shuffled(using: &generator).prefix(Self.goneContactsMax) {
            send(.configurationRequest(epoch: configuration.epoch), to: member)
        }
    }

    /// Members of the configuration that membership has never heard of are greeted again and again:
    /// after a restart that is everyone, and whoever answers tells of the rest.
    ///
    /// Only a few at once, of a stretch of the list that moves on: what a peer sends does not grow
    /// with the ring, nor does the work.
    mutating func contactMissingMembers() {
        let members = configuration.members
        guard !members.isEmpty else { return }
        var missing: [RingMember] = []
        for _ in 0..<min(Self.missingLookedAt, members.count) {
            nextMissing = (nextMissing + 1) % members.count
            let member = members[nextMissing]
            guard member.id != identity.node, membership.member(member.id) == nil else { continue }
            missing.append(member)
        }
        let hello = PeerFrame.hello(ring: configuration.ringID, sender: membership.own)
        for member in missing.shuffled(using: &generator).prefix(Self.missingContactsMax) {
            effects.append(.frame(hello.encoded, to: member.id, at: member.address))
        }
    }
}
