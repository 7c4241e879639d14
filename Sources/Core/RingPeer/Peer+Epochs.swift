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
        heardEpochs[member] = HeardEpoch(boot: boot, epoch: max(known, epoch))
    }

    /// Answers a peer that told its epoch.
    mutating func compareEpochs(_ epoch: UInt64, with peer: NodeID) {
        noteEpoch(epoch, of: peer)
        if epoch < configuration.epoch {
            send(.configuration(configuration), to: peer)
        } else if epoch > configuration.epoch {
            send(.configurationRequest(epoch: configuration.epoch), to: peer)
        }
        // After the configuration: the refutation will be sealed with a key that opens here.
        if let fact = membership.member(peer)?.fact, fact.status.isGone {
            send(.membership(.facts([fact], wanted: [])), to: peer)
        }
    }

    mutating func contactGoneMembers() {
        heardEpochs.removeAll { id, _ in membership.member(id) == nil }
        let gone = membership.members.filter { $0.fact.status.isGone }.map(\.fact.id)
        for member in gone.shuffled(using: &generator).prefix(Self.goneContactsMax) {
            send(.configurationRequest(epoch: configuration.epoch), to: member)
        }
    }
}
