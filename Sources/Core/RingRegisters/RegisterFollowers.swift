package import Determinism

/// Who follows which registers of a steward: each change that the steward takes is told to them.
///
/// Memory of the process alone: a steward that was started anew has no followers, who ask again
/// when they see that it was. What it tells is what it took and not what was chosen; a follower
/// compares what several stewards tell.
package struct RegisterFollowers: Sendable {
    /// A follower that does not ask again is forgotten after this long: 3 min.
    package static let expiry = Span.seconds(180)
    /// The most followers: the members of the largest ring.
    static let followersMax = 8_192

    private struct Follower: Sendable {
        var keys: [String]
        var round: UInt64
        var expiresAt: Instant
    }

    private var followers = SortedMap<NodeID, Follower>()
    private var byKey = SortedMap<String, SortedSet<NodeID>>()
    private var sweptAt = Instant.zero

    /// Makes an empty list.
    package init() {}

    /// The followers there are.
    package var count: Int { followers.count }

    /// Takes in what a node wants to follow from now on, instead of what it did before.
    package mutating func follow(
        _ keys: [String],
        by node: NodeID,
        round: UInt64,
        now: Instant
    ) {
        sweep(now: now)
        forget(node)
        guard !keys.isEmpty, followers.count < Self.followersMax else { return }
        let expiresAt = now.advanced(by: Self.expiry)
        followers[node] = Follower(keys: keys, round: round, expiresAt: expiresAt)
        for key in keys { byKey[key, default: SortedSet()].insert(node) }
    }

    /// Whom to tell of a change of a register, and under which number of theirs.
    package func followers(of key: String, now: Instant) -> [(node: NodeID, round: UInt64)] {
        (byKey[key]?.elements ?? []).compactMap { node in
            guard let follower = followers[node], now < follower.expiresAt else { return nil }
            return (node, follower.round)
        }
    }

    private mutating func forget(_ node: NodeID) {
        guard let follower = followers.remove(node) else { return }
        for key in follower.keys {
            byKey[key]?.remove(node)
            if byKey[key]?.isEmpty ?? false { byKey[key] = nil }
        }
    }

    private mutating func sweep(now: Instant) {
        guard now.since(sweptAt) >= .seconds(60) else { return }
        sweptAt = now
        for (node, follower) in followers where now >= follower.expiresAt { forget(node) }
    }
}
