import Addressing
import Determinism
import RingMembership
import RingPlacement

/// Laws: what decodes encodes to the same bytes; a member table that hears it stays within its
/// bounds; whatever it says because of it can be read by others.
enum MembershipFuzz {
    static func run(_ input: [UInt8], isDeep: Bool) throws(FuzzFinding) {
        guard let datagram = try? MembershipDatagram(input) else { return }
        try law(datagram.encoded == input, "a datagram has one encoding: \(datagram)")
        guard isDeep else { return }
        var table = template
        var now = start
        for _ in 0..<2 {
            _ = table.receive(datagram, from: FuzzWorld.address(2), now: now)
            try check(&table)
            // Past a probe's and a relay's deadline, and then past any suspicion's.
            for step in [Span.milliseconds(450), .seconds(2), .seconds(6)] {
                now = now.advanced(by: step)
                table.tick(now: now)
                try check(&table)
            }
        }
    }

    static let start = Instant(microseconds: 60_000_000)

    /// Four members, one of which is suspected and one of which has died; probes are under way.
    static let template: Membership = {
        var table = Membership(
            own: FuzzWorld.fact(1),
            ring: FuzzWorld.ring.bits,
            seed: 7,
            now: .zero
        )
        let facts = [FuzzWorld.fact(2), FuzzWorld.fact(3), FuzzWorld.fact(4), FuzzWorld.fact(5)]
        table.merge(facts, from: FuzzWorld.node(2), now: .zero)
        for fact in [FuzzWorld.fact(4, .suspect), FuzzWorld.fact(5, .dead)] {
            _ = table.receive(
                gossip(rumors: [Rumor(fact: fact, accuser: FuzzWorld.node(3))]),
                from: FuzzWorld.address(3),
                now: start
            )
        }
        table.tick(now: start)
        table.effects = []
        return table
    }()

    private static func check(_ table: inout Membership) throws(FuzzFinding) {
        try law(table.members.count <= 64 + 6, "a datagram adds at most its rumors")
        try law(table.effects.count <= 256, "\(table.effects.count) effects of one datagram")
        for effect in table.effects {
            guard case .send(let datagram, _) = effect else { continue }
            let bytes = datagram.encoded
            try law(bytes.count <= 1_400, "a datagram of \(bytes.count) bytes cannot be sealed")
            try law((try? MembershipDatagram(bytes)) == datagram, "said and not read: \(datagram)")
        }
        table.effects = []
    }

    private static func gossip(
        _ kind: MembershipDatagram.Kind = .gossip,
        sender: MemberFact = FuzzWorld.fact(3),
        epoch: UInt64 = 1,
        rumors: [Rumor] = []
    ) -> MembershipDatagram {
        MembershipDatagram(
            kind: kind,
            ring: FuzzWorld.ring.bits,
            sender: sender,
            digest: 42,
            epoch: epoch,
            rumors: rumors
        )
    }

    static var seeds: [FuzzSeed] {
        var accused = FuzzWorld.fact(1, .suspect)
        accused.incarnation = .max - 1
        var reborn = FuzzWorld.fact(2)
        reborn.boot += 1
        let other = FuzzWorld.node(3)
        let datagrams: [(String, MembershipDatagram)] = [
            ("ping", gossip(.ping(sequence: 1, target: FuzzWorld.node(1)))),
            ("ping-for-another", gossip(.ping(sequence: 1, target: other))),
            ("ack", gossip(.ack(sequence: 1))),
            ("nack", gossip(.nack(sequence: 1))),
            (
                "ping-request",
                gossip(
                    .pingRequest(sequence: 9, target: other, address: FuzzWorld.address(3))
                )
            ),
            ("newer-epoch", gossip(epoch: 2)),
            ("accuses-this-peer", gossip(rumors: [Rumor(fact: accused, accuser: other)])),
            (
                "rumors-of-every-status",
                gossip(
                    rumors: MemberFact.Status.allCases.map {
                        Rumor(fact: FuzzWorld.fact(4, $0), accuser: other)
                    }
                )
            ),
            ("reborn-sender", gossip(sender: reborn)),
            ("sender-with-own-identity", gossip(sender: FuzzWorld.fact(1))),
            ("sender-leaves", gossip(sender: FuzzWorld.fact(2, .left))),
        ]
        return datagrams.map { FuzzSeed($0.0, $0.1.encoded) }
    }
}
