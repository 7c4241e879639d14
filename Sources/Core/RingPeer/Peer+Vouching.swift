import Determinism
import RingPlacement
import RingRegisters

/// Asks the other stewards, after a start or the first group, whether they know of a life that this
/// database does not remember.
///
/// All that can be reached are waited for; after a while a majority is enough, since one steward
/// may be away for good. One failure at a time is survived: an old copy of a disk, or a steward
/// that is away.
struct Vouching: Sendable {
    let round: UInt64
    let question: LifeQuestion
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
    /// The stewards whose word is needed; nil where nobody's is.
    ///
    /// The ring's word counts where the database knows of no group at all: either the group is
    /// still to be handed over, or this is a copy from before it was, which nobody hands it again.
    private var groupToAsk: StewardSet? {
        if let group = acceptor.group { return acceptor.isTrusted ? nil : group }
        guard !isVouchedForWithoutGroup else { return nil }
        let own = Steward(node: identity.node, storage: acceptor.storage)
        let group = configuration.stewards
        let isAsked =
            group.members.count > 1 && !parameters.registers.flaws.contains(.oldCopyServes)
        return isAsked && group.members.contains(own) ? group : nil
    }

    mutating func beginVouching(now: Instant) {
        guard vouching == nil, let group = groupToAsk else { return }
        let (question, row) = acceptor.beginLife(drawn: generator.next())
        if let row {
            let kept = PeerRow(space: .acceptor, key: row.key, value: row.value)
            effects.append(.persist([kept], then: []))
        }
        vouching = Vouching(
            round: makeNumber(),
            question: question,
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
            storage: acceptor.storage,
            vouching.question
        )
        let questions = vouching.others.filter { !vouching.answered.contains($0) }
            .compactMap { frameEffect(registerFrame(question), to: $0) }
        // Behind the write of the life: nobody may know of one that this disk does not.
        if !questions.isEmpty { effects.append(.persist([], then: questions)) }
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
        guard let vouching else { return }
        guard let group = groupToAsk else {
            self.vouching = nil
            return
        }
        guard vouching.isEnough(of: group.members.count, now: now) else { return }
        self.vouching = nil
        isVouchedForWithoutGroup = acceptor.group == nil
        guard let row = acceptor.trust() else { return }
        let kept = PeerRow(space: .acceptor, key: row.key, value: row.value)
        effects.append(.persist([kept], then: []))
    }
}
