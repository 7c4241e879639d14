package import Determinism
package import RingMembership

extension MembershipProcess {
    package static func word(of datagram: MembershipDatagram) -> UInt64 {
        var word = datagram.digest &+ datagram.sender.incarnation &* 31
        word ^= UInt64(datagram.kind.number) << 56 ^ datagram.sender.id.high
        for rumor in datagram.rumors {
            word = word &* 31 &+ rumor.fact.id.high &+ rumor.fact.boot &* 7
            word = word &* 31 &+ rumor.fact.incarnation &* 4 &+ UInt64(rumor.fact.status.rawValue)
        }
        return word
    }

    package static func word(of frame: Frame) -> UInt64 {
        switch frame {
        case .hello(let fact): fact.id.high &+ fact.boot
        case .welcome(let facts): UInt64(facts.count) &* 3
        case .sync(.summary(let sums, _)): sums.reduce(0, &+)
        case .sync(.facts(let facts, let wanted)):
            UInt64(facts.count) &* 5 &+ UInt64(wanted.count) << 32
        case .probe(let sequence): UInt64(sequence) &* 7
        case .probeAnswer(let sequence, let fact): UInt64(sequence) &* 11 &+ fact.incarnation
        }
    }

    package static func describe(_ datagram: MembershipDatagram) -> String {
        var words = [datagram.kind.name, "from \(datagram.sender.short)"]
        words += datagram.rumors.map { rumor in
            let isAccusation = rumor.accuser != rumor.fact.id
            return "{\(rumor.fact.short)\(isAccusation ? " by \(rumor.accuser.short)" : "")}"
        }
        return words.joined(separator: " ")
    }

    package static func describe(_ frame: Frame) -> String {
        switch frame {
        case .hello(let fact): "hello \(fact.short)"
        case .welcome(let facts): "welcome, \(facts.count) facts"
        case .sync(.summary(_, let sender)): "summary of \(sender.short)"
        case .sync(.facts(let facts, let wanted)):
            "\(facts.count) facts, \(wanted.count) buckets wanted: "
                + facts.prefix(6).map { "{\($0.short)}" }.joined(separator: " ")
        case .probe(let sequence): "probe \(sequence)"
        case .probeAnswer(let sequence, let fact): "probe answer \(sequence) of \(fact.short)"
        }
    }

    package static func meetDamaged(
        _ datagram: MembershipDatagram,
        using generator: inout SeededGenerator
    ) {}
}

extension MemberFact {
    var short: String { "\(name) \(boot).\(incarnation) \(status)" }
}

extension MemberClaim {
    var short: String { "\(boot).\(incarnation) \(status)" }
}

extension MembershipDatagram.Kind {
    var number: UInt8 {
        switch self {
        case .ping: 1
        case .ack: 2
        case .pingRequest: 3
        case .nack: 4
        case .gossip: 5
        }
    }

    var name: String {
        switch self {
        case .ping(let sequence, let target): "ping \(sequence) of \(target.short)"
        case .ack(let sequence): "ack \(sequence)"
        case .pingRequest(let sequence, let target, _):
            "ping-request \(sequence) of \(target.short)"
        case .nack(let sequence): "nack \(sequence)"
        case .gossip: "gossip"
        }
    }
}
