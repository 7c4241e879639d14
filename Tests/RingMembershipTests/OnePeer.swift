import Addressing
import Determinism
import RingMembership

/// One membership value, spoken to by hand: member `n` is `OnePeer.id(n)`, and 0 is the peer itself.
struct OnePeer {
    var membership: Membership
    var now = Instant.zero

    init(knowing count: Int, parameters: MembershipParameters = MembershipParameters()) {
        membership = Membership(
            own: Self.fact(0),
            ring: MembershipNet.ring,
            parameters: parameters,
            knowing: count > 0 ? (1...count).map { Self.fact($0) } : [],
            seed: 1,
            now: .zero
        )
    }

    static func id(_ number: Int) -> NodeID { NodeID(high: UInt64(number), low: 7) }

    static func address(_ number: Int) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x0a00_0000 + UInt32(number)), port: 7_940)
    }

    static func fact(
        _ number: Int,
        _ status: MemberFact.Status = .alive,
        boot: UInt64 = 1,
        incarnation: UInt64 = 0
    ) -> MemberFact {
        MemberFact(
            id: id(number),
            boot: boot,
            incarnation: incarnation,
            status: status,
            name: "n\(number)",
            address: address(number)
        )
    }

    /// Gives it a datagram from `sender`, whose claim is `claim`, or alive at boot 1.
    mutating func hear(
        _ kind: MembershipDatagram.Kind = .gossip,
        from sender: Int,
        claim: MemberClaim? = nil,
        epoch: UInt64 = 0,
        rumors: [Rumor] = []
    ) {
        let datagram = MembershipDatagram(
            kind: kind,
            ring: MembershipNet.ring,
            sender: claim ?? Self.fact(sender).claim,
            digest: membership.digest,
            epoch: epoch,
            rumors: rumors
        )
        membership.receive(datagram, from: Self.address(sender), now: now)
    }

    /// Lets it hear of a fact; of a death after the suspicion that it needs here.
    mutating func hear(_ fact: MemberFact, from accuser: Int) {
        if fact.status == .dead {
            var suspect = fact
            suspect.status = .suspect
            hear(from: accuser, rumors: [Rumor(fact: suspect, accuser: Self.id(accuser))])
            now = now.advanced(by: .milliseconds(200))
        }
        hear(from: accuser, rumors: [Rumor(fact: fact, accuser: Self.id(accuser))])
    }

    /// Lets time pass, ticking whenever it wants to be ticked.
    mutating func wait(_ span: Span) {
        let end = now.advanced(by: span)
        while membership.deadline < end {
            now = max(now, membership.deadline)
            membership.tick(now: now)
        }
        now = end
    }

    /// Takes what it sent so far.
    mutating func takeSent() -> [(datagram: MembershipDatagram, to: SocketAddress)] {
        defer { membership.effects = [] }
        return membership.effects.compactMap { effect in
            if case .send(let datagram, let address) = effect { (datagram, address) } else { nil }
        }
    }

    /// Its own pings among what it sent, answered or not: sequence and target.
    mutating func takePings() -> [(sequence: UInt32, target: NodeID)] {
        takeSent().compactMap { sent in
            if case .ping(let sequence, let target) = sent.datagram.kind {
                (sequence, target)
            } else {
                nil
            }
        }
    }

    func status(_ number: Int) -> MemberFact.Status? {
        membership.member(Self.id(number))?.fact.status
    }
}
