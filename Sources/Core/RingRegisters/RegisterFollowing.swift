package import Determinism

/// Follows registers: each steward is told once which ones, and from then on tells each change of
/// them by itself, so that nobody has to ask again and again.
///
/// Rules:
/// - F1 a value is told to the caller once a majority of the stewards has told of it under one
///   ballot of their epoch: it is chosen then (rule D5 of the proposer);
/// - F2 where fewer tell of a later version, it may never be chosen, or the others' word was lost:
///   after a pause the register is read, which settles it. The pause is drawn from a time that
///   grows with the ring, so that thousands of followers do not read at once;
/// - F3 every steward is asked anew when it was started anew, when it is back, when the group
///   changes and every minute; it is told which versions are known and answers with later ones
///   only, so whatever was lost on the way is made up then;
/// - F4 the versions that are told of a register only grow.
package struct RegisterFollowing: Sendable {
    /// What the caller must carry out.
    package enum Effect: Hashable, Sendable {
        /// Send a request to a steward.
        case send(RegisterMessage, to: NodeID)
        /// Read a register and tell ``RegisterFollowing/noteRead(_:_:now:)`` what it holds.
        case read(String)
        /// A register holds this.
        case told(String, RegisterValue)
    }

    /// The most registers that one node follows.
    package static let keysMax = 1_024
    /// A steward is asked again after this long: 60 s, and up to a quarter less.
    package static let renewal = Span.seconds(60)
    /// A steward that does not answer is asked again after this long: 1 s, and up to twice that.
    static let retry = Span.seconds(1)
    /// One that is away: 5 s, and up to twice that.
    static let awayRetry = Span.seconds(5)
    /// The shortest pause before doubts are settled by reading: 50 ms.
    static let pause = Span.milliseconds(50)
    /// It is longer by up to so much for each member of the ring: 2 ms.
    static let pausePerMember = Span.milliseconds(2)

    private struct Follow: Sendable {
        var known: UInt64
        /// What each steward has told that is later than what is known.
        var told = SortedMap<NodeID, AcceptedValue>()
        var readAt: Instant?
        var isReading = false
    }

    private struct Asked: Sendable {
        var round: UInt64 = 0
        var nextAt: Instant
        var boot: UInt64 = 0
        var isAway = false
    }

    private var follows = SortedMap<String, Follow>()
    private var stewards = SortedMap<NodeID, Asked>()
    /// Drawn at the start: an answer to an earlier process of this node finds no round.
    private var nextRound: UInt64
    private var generator: SeededGenerator
    /// The stewards that are asked.
    package private(set) var group: StewardSet
    /// The members of the ring: pauses grow with them.
    package var memberCount = 1
    /// What the caller has to carry out, oldest first.
    package var effects: [Effect] = []

    /// Makes one that follows nothing.
    package init(group: StewardSet, seed: UInt64) {
        self.group = group
        generator = SeededGenerator(seed: seed)
        nextRound = generator.next() >> 1
    }

    /// The registers that are followed.
    package var keys: [String] { follows.keys }

    /// Follows a register of which a version is known; later ones are told of from now on.
    ///
    /// - Returns: false where ``keysMax`` are followed already.
    package mutating func follow(_ key: String, known version: UInt64, now: Instant) -> Bool {
        if let follow = follows[key] {
            follows[key]?.known = max(version, follow.known)
            return true
        }
        guard follows.count < Self.keysMax else { return false }
        follows[key] = Follow(known: version)
        askAll(now: now)
        return true
    }

    /// Follows a register no longer.
    package mutating func unfollow(_ key: String, now: Instant) {
        guard follows.remove(key) != nil else { return }
        askAll(now: now)
    }

    /// Other stewards hold the registers from now on.
    package mutating func adopt(_ group: StewardSet, now: Instant) {
        guard group.epoch > self.group.epoch else { return }
        self.group = group
        stewards = SortedMap()
        for key in follows.keys { follows[key]?.told = SortedMap() }
        askAll(now: now)
    }

    /// A member fares differently, by membership's word; used to choose when to ask.
    package mutating func note(_ node: NodeID, boot: UInt64, isAway: Bool, now: Instant) {
        guard var asked = stewards[node] else { return }
        let isBack = (asked.isAway && !isAway) || boot > asked.boot
        asked.isAway = isAway
        asked.boot = max(boot, asked.boot)
        if isBack {
            // Not all at once.
            asked.nextAt = min(asked.nextAt, now.advanced(by: draw(.zero, Self.pausePerMember)))
            forget(node)
        }
        stewards[node] = asked
    }

    /// What a read has found; nil where nobody could say.
    package mutating func noteRead(_ key: String, _ value: RegisterValue?, now: Instant) {
        guard var follow = follows[key] else { return }
        follow.isReading = false
        follows[key] = follow
        guard let value else {
            let readAt = now.advanced(by: draw(Self.retry, Self.pausePerMember))
            follows[key]?.readAt = readAt
            return
        }
        settle(key, value)
        // Told while it was read, and later than what was found.
        if !(follows[key]?.told.isEmpty ?? true) {
            let readAt = now.advanced(by: draw(Self.pause, Self.pausePerMember))
            follows[key]?.readAt = readAt
        }
    }

    /// Takes in what a steward tells of registers.
    package mutating func receive(_ message: RegisterMessage, from steward: NodeID, now: Instant) {
        guard stewards[steward] != nil, group.steward(on: steward) != nil else { return }
        switch message {
        case .news(let round, let entries, let isLast):
            for entry in entries { note(entry, from: steward, now: now) }
            guard stewards[steward]?.round == round else { return }
            let wait =
                isLast
                ? Span(microseconds: Int64.random(in: 45_000_000...60_000_000, using: &generator))
                : .zero
            // More would not have fitted; what came is known now.
            stewards[steward]?.nextAt = now.advanced(by: wait)
        default: break
        }
    }

    private mutating func note(_ entry: RegisterEntry, from steward: NodeID, now: Instant) {
        guard var follow = follows[entry.key],
            entry.accepted.value.version > follow.known,
            entry.accepted.ballot >= follow.told[steward]?.ballot ?? .zero
        else { return }
        follow.told[steward] = entry.accepted
        let ballot = entry.accepted.ballot
        let count = follow.told.values.count { $0.ballot == ballot }
        let isChosen = ballot.epoch == group.epoch && count >= group.quorum
        if !isChosen, follow.readAt == nil, !follow.isReading {
            follow.readAt = now.advanced(by: draw(Self.pause, Self.pausePerMember))
        }
        follows[entry.key] = follow
        if isChosen { settle(entry.key, entry.accepted.value) }
    }

    private mutating func settle(_ key: String, _ value: RegisterValue) {
        guard var follow = follows[key], value.version > follow.known else { return }
        follow.known = value.version
        follow.told.removeAll { $1.value.version <= value.version }
        if follow.told.isEmpty { follow.readAt = nil }
        follows[key] = follow
        effects.append(.told(key, value))
    }

    private mutating func forget(_ steward: NodeID) {
        for key in follows.keys { follows[key]?.told[steward] = nil }
    }

    /// A time between `least` and so much more for each member.
    private mutating func draw(_ least: Span, _ perMember: Span) -> Span {
        let most = Int64(max(1, memberCount)) * perMember.microseconds
        return Span(
            microseconds: least.microseconds + Int64.random(in: 0...most, using: &generator)
        )
    }

    private mutating func askAll(now: Instant) {
        for steward in group.members.map(\.node) {
            stewards[steward, default: Asked(nextAt: now)].nextAt = now
        }
        tick(now: now)
    }

    /// When ``tick(now:)`` wants to be called next; nil while nothing is followed.
    package var deadline: Instant? {
        guard !follows.isEmpty else { return nil }
        var earliest = stewards.values.map(\.nextAt).min()
        for (_, follow) in follows where !follow.isReading {
            guard let readAt = follow.readAt else { continue }
            earliest = earliest.map { min($0, readAt) } ?? readAt
        }
        return earliest
    }

    /// Does what is due.
    package mutating func tick(now: Instant) {
        for (steward, asked) in stewards where now >= asked.nextAt {
            ask(steward, asked, now: now)
        }
        for (key, follow) in follows where !follow.isReading {
            guard let readAt = follow.readAt, now >= readAt else { continue }
            follows[key]?.isReading = true
            follows[key]?.readAt = nil
            // What is later and was never chosen is no reason to read again; what a steward tells
            // from now on may be.
            follows[key]?.told = SortedMap()
            effects.append(.read(key))
        }
    }

    private mutating func ask(_ steward: NodeID, _ asked: Asked, now: Instant) {
        let longest = asked.isAway ? 2 * Self.awayRetry.microseconds : 2 * Self.retry.microseconds
        let wait = Int64.random(in: longest / 2...longest, using: &generator)
        let round = nextRound
        nextRound += 1
        stewards[steward]?.round = round
        stewards[steward]?.nextAt = now.advanced(by: Span(microseconds: wait))
        let wanted = follows.map { key, follow in
            FollowedVersion(
                key: key,
                version: max(follow.known, follow.told[steward]?.value.version ?? 0)
            )
        }
        let question = RegisterMessage.follow(round: round, epoch: group.epoch, wanted)
        effects.append(.send(question, to: steward))
        // Nothing is followed any more: the steward knows it now, or forgets by itself.
        if follows.isEmpty { stewards[steward] = nil }
    }
}

/// A register that is followed, and the latest version that the follower knows.
package struct FollowedVersion: Hashable, Sendable {
    /// The register's name.
    package let key: String
    /// The version.
    package let version: UInt64

    /// Makes a pair.
    package init(key: String, version: UInt64) {
        self.key = key
        self.version = version
    }
}
