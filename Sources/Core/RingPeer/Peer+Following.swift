package import Determinism
import RingMembership
import RingPlacement
import RingRegisters

/// Registers that this peer follows, and those of its own that others do.
///
/// Stewards tell their followers of each change they take; nobody polls them. A notice that rode on
/// gossip would cost the stewards nothing, but takes seconds in a large ring and can only say that
/// something changed, so that everybody would come and read.
extension Peer {
    /// Follows a register of which a version is known; each later one is told by
    /// ``PeerEvent/register(_:_:)``.
    ///
    /// - Returns: false where ``RegisterFollowing/keysMax`` registers are followed already.
    package mutating func follow(register key: String, known version: UInt64, now: Instant) -> Bool
    {
        let isFollowed = following.follow(key, known: version, now: now)
        carryFollowing(now: now)
        return isFollowed
    }

    /// Follows a register no longer.
    package mutating func unfollow(register key: String, now: Instant) {
        following.unfollow(key, now: now)
        carryFollowing(now: now)
    }

    /// The nodes that follow registers of this steward.
    package var followerCount: Int { followers.count }

    /// A member fares differently: a steward that is back, or was started anew, is asked again.
    mutating func noteForFollowing(_ member: Membership.Member, now: Instant) {
        following.note(
            member.fact.id,
            boot: member.fact.boot,
            isAway: member.fact.status.isGone,
            now: now
        )
        carryFollowing(now: now)
    }

    mutating func tickFollowing(now: Instant) {
        guard let deadline = following.deadline, now >= deadline else { return }
        following.memberCount = configuration.members.count
        following.tick(now: now)
        carryFollowing(now: now)
    }

    mutating func takeNews(_ message: RegisterMessage, from peer: NodeID, now: Instant) {
        guard case .news = message else { return }
        following.memberCount = configuration.members.count
        following.receive(message, from: peer, now: now)
        carryFollowing(now: now)
    }

    /// What others are to hear of a request that was just served: a new follower is noted, and of a
    /// change its followers are told once it is durable.
    mutating func news(
        of message: RegisterMessage,
        answeredBy answer: RegisterMessage,
        from peer: NodeID,
        now: Instant
    ) -> [PeerEffect] {
        switch (message, answer) {
        case (.follow(let round, _, let wanted), .news):
            followers.follow(wanted.map(\.key), by: peer, round: round, now: now)
            return []
        case (.accept(_, _, let key, let accepted, _), .accepted):
            let entry = RegisterEntry(key: key, accepted: accepted)
            return followers.followers(of: key, now: now).compactMap { node, round in
                let news = RegisterMessage.news(round: round, [entry], isLast: true)
                return frameEffect(registerFrame(news), to: node)
            }
        default: return []
        }
    }

    mutating func carryFollowing(now: Instant) {
        while !following.effects.isEmpty {
            let pending = following.effects
            following.effects = []
            for effect in pending {
                switch effect {
                case .send(let message, let steward):
                    send(registerFrame(message), to: steward)
                case .told(let key, let value): effects.append(.event(.register(key, value)))
                case .read(let key):
                    let number = makeNumber()
                    followingReads[number] = key
                    start(.read(key: key), number: number, now: now)
                }
            }
        }
    }

    /// Whether an outcome was of a read that following asked for; if so it was acted upon.
    mutating func takeForFollowing(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        guard let key = followingReads.remove(number) else { return false }
        if case .value(let value) = outcome {
            following.noteRead(key, value, now: now)
        } else {
            following.noteRead(key, nil, now: now)
        }
        carryFollowing(now: now)
        return true
    }
}
