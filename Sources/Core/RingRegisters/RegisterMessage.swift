package import Determinism

/// What proposers, coordinators of a steward change, and acceptors say to each other; carried in
/// stream frames.
///
/// `round` is the asker's own number for one phase of one attempt: an answer to an abandoned phase
/// is told by it. Requests carry the epoch of the steward group.
package enum RegisterMessage: Hashable, Sendable {
    /// "Promise to take nothing older, and tell what was taken": phase one.
    case prepare(round: UInt64, epoch: UInt64, key: String, ballot: Ballot)
    /// "Take this value, and promise this later ballot of mine as well": phase two.
    case accept(round: UInt64, epoch: UInt64, key: String, AcceptedValue, next: Ballot)
    /// "Tell what was taken", without any promise.
    case look(round: UInt64, epoch: UInt64, key: String)
    /// "Name the registers that begin so and hold content."
    case list(round: UInt64, epoch: UInt64, prefix: String)
    /// "Answer for this epoch no more; that group follows."
    case seal(round: UInt64, epoch: UInt64, next: StewardSet)
    /// "Tell what was taken, from behind this name on", of a sealed epoch.
    case fetch(round: UInt64, epoch: UInt64, after: String?)
    /// "Begin as a steward of this group with these values"; parts count from zero.
    case install(round: UInt64, StewardSet, part: UInt32, [RegisterEntry], isLast: Bool)
    /// "Which storage are you?", asked of a node that might become a steward.
    case identify(round: UInt64)
    /// "Do you know of a life of my database that it does not remember?"
    case vouch(round: UInt64, storage: NodeID, LifeQuestion)
    /// "Carry this out for me": a read or a change, of a proposer that lost a race.
    case perform(round: UInt64, RegisterCommand)
    /// "Tell of these registers whenever they hold later versions", instead of what was followed
    /// before.
    case follow(round: UInt64, epoch: UInt64, [FollowedVersion])

    /// Promised; this was taken before.
    case promise(round: UInt64, AcceptedValue?)
    /// Taken, durably.
    case accepted(round: UInt64)
    /// This was taken.
    case seen(round: UInt64, AcceptedValue?)
    /// Refused: this ballot was promised.
    case rejected(round: UInt64, promised: Ballot)
    /// Refused: that group follows, or is in force.
    case wrongEpoch(round: UInt64, StewardSet)
    /// Refused: not a steward of that epoch, or not yet.
    case notReady(round: UInt64)
    /// The names that were asked for.
    case keys(round: UInt64, [String])
    /// Sealed, durably.
    case sealed(round: UInt64)
    /// What was taken, in the order of names.
    case entries(round: UInt64, [RegisterEntry], isLast: Bool)
    /// The part is there; with the last one, a steward of the new group, durably.
    case installed(round: UInt64, part: UInt32)
    /// The identity of the database that the acceptor keeps its rows in.
    case identity(round: UInt64, storage: NodeID)
    /// Whether a life is known that the database does not remember.
    case vouched(round: UInt64, knowsLaterLife: Bool)
    /// How it ended that was to be carried out.
    case performed(round: UInt64, RegisterOutcome)
    /// What was taken of registers that are followed: at once where it is later than what the
    /// follower knew, and again with each change; not last where more would not fit.
    case news(round: UInt64, [RegisterEntry], isLast: Bool)

    /// The most names in one answer.
    static let keysMax = 65_536
    /// The most bytes of names in one answer: with their lengths well within a frame.
    static let keyBytesMax = 3 << 20
    /// The most registers that a group holds: forty times what 5,000 nodes need.
    static let registersMax = 1 << 20
    /// The most entries in one message.
    static let entriesMax = 4_096
    /// The most bytes of content in one message beyond the first entry: half a MiB.
    static let entryBytesMax = 1 << 19

    /// The asker's number, which the answer repeats.
    package var round: UInt64 {
        switch self {
        case .prepare(let round, _, _, _), .accept(let round, _, _, _, _), .look(let round, _, _),
            .list(let round, _, _), .seal(let round, _, _), .fetch(let round, _, _),
            .install(let round, _, _, _, _), .identify(let round), .vouch(let round, _, _),
            .promise(let round, _), .accepted(let round), .seen(let round, _),
            .rejected(let round, _), .wrongEpoch(let round, _), .notReady(let round),
            .keys(let round, _), .sealed(let round), .entries(let round, _, _),
            .installed(let round, _), .identity(let round, _), .vouched(let round, _),
            .perform(let round, _), .performed(let round, _),
            .follow(let round, _, _), .news(let round, _, _):
            round
        }
    }

    /// Whether the message is an answer and not a request.
    package var isAnswer: Bool {
        switch self {
        case .prepare, .accept, .look, .list, .seal, .fetch, .install, .identify,
            .vouch, .perform, .follow:
            false
        case .promise, .accepted, .seen, .rejected, .wrongEpoch, .notReady, .keys, .sealed,
            .entries, .installed, .identity, .vouched, .performed, .news:
            true
        }
    }
}

/// A life of a steward's database: from one vouching to the next, over any number of starts.
package struct StorageLife: Hashable, Sendable {
    /// Which of the database's lives it is, counted from 1 by the database itself.
    ///
    /// No boot: several lives may begin in one, and an old copy reaches any by starting again.
    package let count: UInt64
    /// Drawn for the life, and durable before anybody hears of it.
    package let number: UInt64

    /// Makes a life.
    package init(count: UInt64, number: UInt64) {
        self.count = count
        self.number = number
    }
}

/// What a steward's database remembers of its lives.
package struct LifeQuestion: Hashable, Sendable {
    /// The one that begins.
    package let life: StorageLife
    /// The last one that others vouched for.
    package let last: StorageLife?
    /// The numbers of starts that asked for one of the two and were not vouched for.
    package let attempts: [UInt64]

    /// Makes a question.
    package init(life: StorageLife, last: StorageLife?, attempts: [UInt64]) {
        self.life = life
        self.last = last
        self.attempts = attempts
    }
}

/// A register with the value that an acceptor took last.
package struct RegisterEntry: Hashable, Sendable {
    /// The register's name.
    package let key: String
    /// What was taken.
    package let accepted: AcceptedValue

    /// Makes an entry.
    package init(key: String, accepted: AcceptedValue) {
        self.key = key
        self.accepted = accepted
    }

    /// About the bytes that the entry takes in a message.
    var weight: Int { key.utf8.count + (accepted.value.payload?.count ?? 0) + 128 }
}
