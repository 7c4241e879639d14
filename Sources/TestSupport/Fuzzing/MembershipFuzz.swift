import Addressing
import Determinism
import RingMembership
import RingPlacement
import Wire

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
    static var template: Membership { world.table }

    /// The number of a probe that is under way.
    static var sequence: UInt32 { world.sequence }

    private static let world: (table: Membership, sequence: UInt32) = {
        var table = Membership(
            own: FuzzWorld.fact(1),
            ring: FuzzWorld.ring.bits,
            seed: 7,
            now: .zero
        )
        let facts = [FuzzWorld.fact(2), FuzzWorld.fact(3), FuzzWorld.fact(4), FuzzWorld.fact(5)]
        table.merge(facts, from: FuzzWorld.node(2), now: .zero)
        for fact in [FuzzWorld.fact(4, .suspect), FuzzWorld.fact(5, .dead)] {
            let news = datagram(rumors: [Rumor(fact: fact, accuser: FuzzWorld.node(3))])
            _ = table.receive(news, from: FuzzWorld.address(3), now: start)
        }
        table.tick(now: start)
        var sequence: UInt32 = 0
        for effect in table.effects {
            guard case .send(let datagram, _) = effect else { continue }
            if case .ping(let number, _) = datagram.kind { sequence = number }
        }
        table.effects = []
        return (table, sequence)
    }()

    private static func check(_ table: inout Membership) throws(FuzzFinding) {
        try law(table.members.count <= 64 + 6, "a datagram adds at most its rumors")
        let lengths = table.queueLengths
        try law(lengths.relays <= 4 && lengths.probes <= 128, "\(lengths)")
        try law(table.effects.count <= 512, "\(table.effects.count) effects of one datagram")
        for effect in table.effects {
            switch effect {
            case .send(let datagram, _):
                let bytes = datagram.encoded
                try law(bytes.count == datagram.encodedLength, "a length is told: \(datagram)")
                try law(bytes.count <= 1_400, "\(bytes.count) bytes cannot be sealed")
                try law((try? MembershipDatagram(bytes)) == datagram, "not read: \(datagram)")
            case .sync(let message, _, _):
                var writer = ByteWriter()
                message.write(to: &writer)
                var reader = ByteReader(writer.bytes)
                try law((try? MembershipSync(from: &reader)) == message, "not read: \(message)")
            case .probeOverStream, .changed, .datagramsBlocked, .newerEpoch, .identityTaken, .twin:
                break
            }
        }
        table.effects = []
    }

    private static func datagram(
        _ kind: MembershipDatagram.Kind = .gossip,
        sender: MemberFact = FuzzWorld.fact(3),
        epoch: UInt64 = 1,
        rumors: [Rumor] = []
    ) -> MembershipDatagram {
        MembershipDatagram(
            kind: kind,
            ring: FuzzWorld.ring.bits,
            sender: sender.claim,
            digest: 42,
            epoch: epoch,
            rumors: rumors
        )
    }

    static var seeds: [FuzzSeed] {
        var accused = FuzzWorld.fact(1, .suspect)
        accused.incarnation = MemberFact.incarnationMax - 1
        var reborn = FuzzWorld.fact(2)
        reborn.boot += 1
        let other = FuzzWorld.node(3)
        let datagrams: [(String, MembershipDatagram)] = [
            ("ping", datagram(.ping(sequence: 1, target: FuzzWorld.node(1)))),
            ("ping-for-another", datagram(.ping(sequence: 1, target: other))),
            ("ack", datagram(.ack(sequence: sequence))),
            ("nack", datagram(.nack(sequence: sequence))),
            (
                "ping-request",
                datagram(
                    .pingRequest(sequence: 9, target: other, address: FuzzWorld.address(3))
                )
            ),
            ("newer-epoch", datagram(epoch: 2)),
            ("accuses-this-peer", datagram(rumors: [Rumor(fact: accused, accuser: other)])),
            (
                "rumors-of-every-status",
                datagram(
                    rumors: MemberFact.Status.allCases.map {
                        Rumor(fact: FuzzWorld.fact(4, $0), accuser: other)
                    }
                )
            ),
            ("reborn-sender", datagram(sender: reborn)),
            ("sender-with-own-identity", datagram(sender: FuzzWorld.fact(1))),
            ("sender-leaves", datagram(sender: FuzzWorld.fact(2, .left))),
        ]
        return datagrams.map { FuzzSeed($0.0, $0.1.encoded) }
    }
}
