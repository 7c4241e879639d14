import Determinism
import RingRegisters
import Testing

@Suite("Following registers: told by the stewards, chosen values only, nothing missed for long")
struct FollowingTests {
    private let stewards = (1...3).map { NodeID(high: 1, low: $0) }
    private let writer = NodeID(high: 2, low: 1)

    private func group(_ epoch: UInt64) -> StewardSet {
        StewardSet(epoch: epoch, members: stewards.map { Steward(node: $0, storage: $0) })
    }

    private func entry(
        _ version: UInt64,
        counter: UInt64,
        epoch: UInt64 = 1,
        key: String = "k"
    ) -> RegisterEntry {
        let ballot = Ballot(epoch: epoch, counter: counter, proposer: writer, boot: 1)
        let operation = OperationID(node: writer, boot: 1, number: counter)
        let value = RegisterValue(version: version, operation: operation, payload: [UInt8(counter)])
        return RegisterEntry(key: key, accepted: AcceptedValue(ballot: ballot, value: value))
    }

    private func news(_ entry: RegisterEntry) -> RegisterMessage {
        .news(round: 0, [entry], isLast: true)
    }

    private func told(_ following: inout RegisterFollowing) -> [UInt64] {
        defer { following.effects = [] }
        return following.effects.compactMap {
            if case .told("k", let value) = $0 { value.version } else { nil }
        }
    }

    /// The rounds of the questions that are out, by steward, answered.
    private func answerAll(_ following: inout RegisterFollowing, now: Instant) {
        for effect in following.effects {
            guard case .send(let message, let steward) = effect else { continue }
            let answer = RegisterMessage.news(round: message.round, [], isLast: true)
            following.receive(answer, from: steward, now: now)
        }
        following.effects = []
    }

    private func following(known: UInt64 = 0) -> RegisterFollowing {
        var following = RegisterFollowing(group: group(1), seed: 1)
        let isFollowed = following.follow("k", known: known, now: .zero)
        #expect(isFollowed)
        #expect(following.effects.count == 3)
        answerAll(&following, now: .zero)
        return following
    }

    @Test("what a majority tells under one ballot is told at once, once, and never goes back")
    func majority_isTold() {
        var following = following()
        following.receive(news(entry(4, counter: 7)), from: stewards[0], now: .zero)
        #expect(told(&following).isEmpty)
        following.receive(news(entry(4, counter: 7)), from: stewards[1], now: .zero)
        #expect(told(&following) == [4])
        following.receive(news(entry(4, counter: 7)), from: stewards[2], now: .zero)
        for steward in stewards {
            following.receive(news(entry(3, counter: 9)), from: steward, now: .zero)
            following.receive(news(entry(5, counter: 10)), from: writer, now: .zero)
        }
        #expect(following.effects.isEmpty)
        // Nothing is doubtful, so nothing is read, and the next question is one of the renewal.
        #expect(following.deadline.map { $0.since(.zero) >= .seconds(45) } == true)
    }

    @Test("one steward's word alone leads to one read, whatever comes of the value")
    func minority_isReadOnce() throws {
        var following = following(known: 4)
        following.receive(news(entry(5, counter: 7)), from: stewards[0], now: .zero)
        let readAt = try #require(following.deadline)
        #expect(readAt.since(.zero) <= .milliseconds(52))
        following.tick(now: readAt)
        #expect(following.effects == [.read("k")])
        following.effects = []
        // It was never chosen.
        let old = entry(4, counter: 1).accepted.value
        following.noteRead("k", old, now: readAt)
        #expect(following.deadline.map { $0.since(readAt) >= .seconds(40) } == true)
        #expect(following.effects.isEmpty)
    }

    @Test("what is told while it is read is looked into after that")
    func toldDuringRead_isReadAgain() throws {
        var following = following(known: 4)
        following.receive(news(entry(5, counter: 7)), from: stewards[0], now: .zero)
        let readAt = try #require(following.deadline)
        following.tick(now: readAt)
        following.receive(news(entry(6, counter: 8)), from: stewards[0], now: readAt)
        following.effects = []
        following.noteRead("k", entry(5, counter: 7).accepted.value, now: readAt)
        #expect(told(&following) == [5])
        let againAt = try #require(following.deadline)
        #expect(againAt.since(readAt) <= .milliseconds(52))
        following.tick(now: againAt)
        #expect(following.effects == [.read("k")])
        // Nobody could say: asked again soon, until somebody can.
        following.effects = []
        following.noteRead("k", nil, now: againAt)
        let thirdAt = try #require(following.deadline)
        following.tick(now: thirdAt)
        #expect(following.effects == [.read("k")])
    }

    @Test("a value under a ballot of an earlier group, or under two ballots, is not believed")
    func unlikeBallots_areRead() throws {
        for other in [entry(5, counter: 8), entry(5, counter: 7, epoch: 0)] {
            var following = following()
            let first = other.accepted.ballot.epoch == 0 ? other : entry(5, counter: 7)
            following.receive(news(first), from: stewards[0], now: .zero)
            following.receive(news(other), from: stewards[1], now: .zero)
            #expect(told(&following).isEmpty)
            let readAt = try #require(following.deadline)
            following.tick(now: readAt)
            #expect(following.effects == [.read("k")])
        }
    }

    @Test("a steward that is back or was started anew is asked again, and so is each new group")
    func back_isAsked() throws {
        var following = following()
        following.note(stewards[0], boot: 5, isAway: false, now: .zero)
        following.tick(now: .zero.advanced(by: .milliseconds(2)))
        answerAll(&following, now: .zero)
        let later = Instant.zero.advanced(by: .seconds(1))
        following.note(stewards[0], boot: 5, isAway: true, now: later)
        following.tick(now: later.advanced(by: .seconds(1)))
        #expect(following.effects.isEmpty)
        following.note(stewards[0], boot: 6, isAway: false, now: later)
        following.tick(now: later.advanced(by: .milliseconds(2)))
        #expect(following.effects.count == 1)
        following.effects = []
        following.adopt(group(2), now: later)
        let epochs = following.effects.compactMap { effect -> UInt64? in
            if case .send(.follow(_, let epoch, _), _) = effect { epoch } else { nil }
        }
        #expect(epochs == [2, 2, 2])
    }

    @Test("a steward answers with what is later, refuses another epoch, and tells of each change")
    func steward_tells() throws {
        var acceptor = try Acceptor(storage: stewards[0], founding: group(1), rows: [])
        acceptor.trust()
        let held = entry(3, counter: 1)
        let next = Ballot(epoch: 1, counter: 2, proposer: writer, boot: 1)
        _ = acceptor.receive(
            .accept(round: 1, epoch: 1, key: "k", held.accepted, next: next),
            from: writer
        )
        for (version, expected) in [(0, [held]), (2, [held]), (3, []), (9, [])]
            as [(UInt64, [RegisterEntry])]
        {
            let wanted = [
                FollowedVersion(key: "k", version: version), FollowedVersion(key: "j", version: 0),
            ]
            let step = acceptor.receive(.follow(round: 7, epoch: 1, wanted), from: writer)
            #expect(step?.answer == .news(round: 7, expected, isLast: true))
            #expect(step?.rows.isEmpty == true)
        }
        let early = acceptor.receive(.follow(round: 8, epoch: 2, []), from: writer)
        #expect(early?.answer == .notReady(round: 8))
    }

    @Test("what would not fit into one answer comes in several")
    func answer_isBounded() throws {
        var acceptor = try Acceptor(storage: stewards[0], founding: group(1), rows: [])
        acceptor.trust()
        let next = Ballot(epoch: 1, counter: 2, proposer: writer, boot: 1)
        let operation = OperationID(node: writer, boot: 1, number: 1)
        let keys = (0..<5).map { "k\($0)" }
        for key in keys {
            let value = RegisterValue(
                version: 1,
                operation: operation,
                payload: [UInt8](repeating: 1, count: 300_000)
            )
            let ballot = Ballot(epoch: 1, counter: 1, proposer: writer, boot: 1)
            _ = acceptor.receive(
                .accept(
                    round: 1,
                    epoch: 1,
                    key: key,
                    AcceptedValue(ballot: ballot, value: value),
                    next: next
                ),
                from: writer
            )
        }
        var known: [String: UInt64] = [:]
        for round in 1...5 {
            let wanted = keys.map { FollowedVersion(key: $0, version: known[$0] ?? 0) }
            let step = acceptor.receive(.follow(round: 1, epoch: 1, wanted), from: writer)
            guard case .news(_, let entries, let isLast) = step?.answer else {
                Issue.record("no answer")
                return
            }
            #expect(entries.count == 1)
            #expect(isLast == (round == 5))
            for entry in entries { known[entry.key] = entry.accepted.value.version }
        }
        #expect(known.count == 5)
    }

    @Test("followers are told of their registers alone, and forgotten when they stay silent")
    func followers_expire() {
        var followers = RegisterFollowers()
        followers.follow(["a", "b"], by: stewards[0], round: 1, now: .zero)
        followers.follow(["b"], by: stewards[1], round: 2, now: .zero)
        #expect(followers.followers(of: "b", now: .zero).map(\.round) == [1, 2])
        #expect(followers.followers(of: "a", now: .zero).map(\.node) == [stewards[0]])
        #expect(followers.followers(of: "c", now: .zero).isEmpty)
        followers.follow(["b"], by: stewards[0], round: 3, now: .zero)
        #expect(followers.followers(of: "a", now: .zero).isEmpty)
        followers.follow([], by: stewards[1], round: 4, now: .zero)
        #expect(followers.count == 1)
        let late = Instant.zero.advanced(by: RegisterFollowers.expiry)
        #expect(followers.followers(of: "b", now: late).isEmpty)
        followers.follow(["z"], by: stewards[2], round: 5, now: late)
        #expect(followers.count == 1)
    }

    @Test("no more than so many registers are followed")
    func keys_areBounded() {
        var following = RegisterFollowing(group: group(1), seed: 1)
        for number in 0..<RegisterFollowing.keysMax {
            let isFollowed = following.follow("k\(number)", known: 0, now: .zero)
            #expect(isFollowed)
            following.effects = []
        }
        let isFollowed = following.follow("one more", known: 0, now: .zero)
        #expect(!isFollowed)
        #expect(following.keys.count == RegisterFollowing.keysMax)
    }
}
