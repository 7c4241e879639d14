package import Addressing
package import Determinism
import RingMembership
import RingPlacement

/// The newest epoch that one process of a member was heard to have.
struct HeardEpoch: Sendable {
    let boot: UInt64
    let epoch: UInt64
}

/// Who has which configuration, and how two peers find out that theirs differ.
///
/// Each datagram names the sender's epoch, so peers that hear one another are even within moments.
/// Peers whose gossip keys have parted do not: neither opens what the other seals, and each thinks
/// the other dead. Streams need no gossip key, so members that are gone are asked over them for
/// their epoch, a few every two seconds by each peer: whichever side is behind then pulls the
/// configuration, and with it the keys, and whoever is called dead hears of it and refutes.
extension Peer {
    /// Gone members that are asked at once.
    private static let goneContactsMax = 3

    /// The newest epoch that `member` was heard to have; 0 while none was.
    package func heardEpoch(of member: NodeID) -> UInt64 {
        guard let known = membership.member(member), let heard = heardEpochs[member],
            heard.boot == known.fact.boot
        else { return 0 }
        return heard.epoch
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

    mutating func noteEpoch(_ datagram: MembershipDatagram) {
        note(HeardEpoch(boot: datagram.sender.boot, epoch: datagram.epoch), of: datagram.sender.id)
    }

    /// Notes what a member said over a stream, which carries no boot.
    mutating func noteEpoch(_ epoch: UInt64, of member: NodeID) {
        guard epoch <= RingConfiguration.epochMax, let known = membership.member(member) else {
            return
        }
        note(HeardEpoch(boot: known.fact.boot, epoch: epoch), of: member)
    }

    /// A later process starts from what its disk holds, which may be less than was heard before.
    private mutating func note(_ heard: HeardEpoch, of member: NodeID) {
        if let known = heardEpochs[member] {
            guard (heard.boot, heard.epoch) > (known.boot, known.epoch) else { return }
        }
        heardEpochs[member] = heard
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
            send(.table([fact], isAnswer: true), to: peer)
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
