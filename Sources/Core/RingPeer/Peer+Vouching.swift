import Determinism
import RingRegisters

/// Asks the other stewards, after a start, whether they know of a later life of this database.
///
/// All that can be reached are waited for; after a while a majority is enough, since one steward
/// may be away for good. One failure at a time is survived: an old copy of a disk, or a steward
/// that is away.
struct Vouching: Sendable {
    let round: UInt64
    let life: UInt64
    let others: [NodeID]
    var answered = SortedSet<NodeID>()
    var nextAskAt: Instant
    let patientUntil: Instant

    static let resendInterval = Span.milliseconds(300)
    static let patience = Span.seconds(2)

    /// Whether enough have answered.
    func isEnough(of groupCount: Int, now: Instant) -> Bool {
        answered.count == others.count
            || (now >= patientUntil && answered.count + 1 >= groupCount / 2 + 1)
    }
}

extension Peer {
    mutating func beginVouching(now: Instant) {
        guard !acceptor.isTrusted, let group = acceptor.group else { return }
        vouching = Vouching(
            round: makeNumber(),
            life: generator.next(),
            others: group.members.map(\.node).filter { $0 != identity.node },
            nextAskAt: now,
            patientUntil: now.advanced(by: Vouching.patience)
        )
    }

    mutating func tickVouching(now: Instant) {
        guard var vouching, now >= vouching.nextAskAt else { return }
        vouching.nextAskAt = now.advanced(by: Vouching.resendInterval)
        self.vouching = vouching
        let question = RegisterMessage.vouch(
            round: vouching.round,
            storage: identity.storage,
            boot: identity.boot,
            life: vouching.life
        )
        for node in vouching.others where !vouching.answered.contains(node) {
            send(.register(question.encoded), to: node)
        }
        considerVouching(now: now)
    }

    mutating func takeVouched(_ message: RegisterMessage, from peer: NodeID, now: Instant) {
        guard case .vouched(let round, let knowsLaterLife) = message, var vouching,
            vouching.round == round, vouching.others.contains(peer)
        else { return }
        guard !knowsLaterLife else {
            effects.append(.event(.identityTaken))
            return
        }
        vouching.answered.insert(peer)
        self.vouching = vouching
        considerVouching(now: now)
    }

    private mutating func considerVouching(now: Instant) {
        guard let vouching, let group = acceptor.group,
            vouching.isEnough(of: group.members.count, now: now)
        else { return }
        acceptor.trust()
        self.vouching = nil
    }
}
