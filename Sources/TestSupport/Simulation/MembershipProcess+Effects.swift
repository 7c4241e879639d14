import Determinism
import RingMembership

extension MembershipProcess {
    package static func carry(
        _ effect: Effect,
        from node: Int,
        in world: inout World<Self>
    ) {
        switch effect {
        case .membership(let effect): carry(effect, from: node, in: &world)
        case .frame(let frame, let id, let address):
            if world.settings.countsBytes { world.countSent(frame.roughLength) }
            world.send(frame: frame, from: node, to: id, at: address)
        case .keepContacts(let bytes):
            world.persist([DiskRow(key: contactsKey, value: bytes)], then: [], on: node)
        case .violation(let text): world.report(.violation(text), from: node)
        }
    }

    private static func carry(
        _ effect: Membership.Effect,
        from node: Int,
        in world: inout World<Self>
    ) {
        switch effect {
        case .send(let datagram, let address):
            if world.settings.countsBytes {
                world.countSent(datagram.encodedLength + PeerProcess.datagramOverhead)
            }
            world.send(datagram: datagram, from: node, to: address)
        case .sync(let message, let id, let address):
            let frame = Frame.sync(message)
            if world.settings.countsBytes { world.countSent(frame.roughLength) }
            world.send(frame: frame, from: node, to: id, at: address)
        case .probeOverStream(let sequence, let target):
            if world.settings.countsBytes { world.countSent(Frame.roughShort) }
            world.send(
                frame: .probe(sequence: sequence),
                from: node,
                to: target.id,
                at: target.address
            )
        case .datagramsBlocked(let member):
            world.report(.datagramsBlocked(member.fact.id), from: node)
        case .changed(let member): world.report(.changed(member), from: node)
        case .newerEpoch: break
        case .identityTaken, .twin:
            world.report(.identityTaken, from: node)
            world.stopForGood(node)
        }
    }
}

extension MembershipProcess.Frame {
    /// About what a frame of one fact takes, with the headers of TLS, TCP and IP.
    static let roughShort = 160

    /// About what the frame takes on the wire.
    var roughLength: Int {
        switch self {
        case .welcome(let facts), .sync(.facts(let facts, _)): 100 + 63 * facts.count
        case .sync(.summary(let sums, _)): Self.roughShort + 8 * sums.count
        case .hello, .probe, .probeAnswer: Self.roughShort
        }
    }
}

extension World<MembershipProcess> {
    func isValid(_ contact: MembershipProcess.Contact) -> Bool {
        guard let id = contact.id, let node = number(of: id) else { return false }
        return isRunning(node) && identity(node)?.node == id && address(node) == contact.address
    }

    /// Up to three other nodes' addresses, those that run before those that do not.
    mutating func drawContacts(for node: Int) -> [MembershipProcess.Contact] {
        let others = (0..<count).filter { $0 != node }
        let running = settings.seedNode.map { [$0] } ?? others.filter { isRunning($0) }
        // Nobody else was ever started: whoever comes next greets this one.
        guard !running.isEmpty else {
            return others.filter { identity($0) != nil }.prefix(3)
                .map { MembershipProcess.Contact(id: nil, address: address($0)) }
        }
        return running.shuffled(using: &generator).prefix(3)
            .map { MembershipProcess.Contact(id: nil, address: address($0)) }
    }
}
