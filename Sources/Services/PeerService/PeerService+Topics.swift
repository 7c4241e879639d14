import Determinism
import RingPeer
package import RingRecords

/// What somebody is told who follows a topic through the node API.
package struct TopicNews: Sendable {
    /// The revision to ask after next.
    package let revision: UInt64
    /// Everything under the topic, where the asker begins or has fallen behind; else nil.
    package let contents: [OriginSet]?
    /// Whether changes were missed, and the contents stand in for them.
    package let isGap: Bool
    /// Whether nothing is missing of what an owner had when following began.
    package let isComplete: Bool
    /// What happened after the revision that was asked for, oldest first.
    package let events: [TopicLog.Event]
}

/// A topic that somebody follows through the node API: its log, and who waits for more.
///
/// An object, so that a change copies none of the log.
final class FollowedTopic {
    var log: TopicLog
    var waiters: [Int: AsyncStream<Void>.Continuation] = [:]
    var keptUntil = ContinuousClock.now + PeerService.topicKept

    init(_ log: TopicLog) { self.log = log }
}

extension PeerService {
    /// The most topics that are followed through the node API at once.
    package static let topicsFollowedMax = 256
    /// How long a topic is followed on without a question.
    static let topicKept = Duration.seconds(30)
    /// The longest wait for all of a topic to arrive before the first answer.
    private static let contentsWait = Duration.seconds(3)

    /// What is new under a topic, which is followed from the first question on.
    ///
    /// Without a revision, and with one that the log does not reach back to, the answer has the
    /// contents, once they have arrived or a few seconds have passed. Else it has what happened
    /// after the revision, which it waits for, for `limit` at the most; it ends early as well when
    /// the task is cancelled, when the topic is ended and when the peer stops.
    /// - Returns: nil where ``topicsFollowedMax`` topics are followed already, and where the topic
    ///   was ended meanwhile.
    package func topicNews(
        _ topic: Topic,
        after revision: UInt64?,
        limit: Duration
    ) async -> TopicNews? {
        guard follow(topic) else { return nil }
        if let revision, topics[topic]?.log.events(after: revision) != nil {
            await wait(topic, limit) { $0.revision != revision }
            keep(topic)
            guard let log = topics[topic]?.log, let events = log.events(after: revision) else {
                return contents(topic, isGap: true)
            }
            return TopicNews(
                revision: log.revision,
                contents: nil,
                isGap: false,
                isComplete: log.isComplete,
                events: events
            )
        }
        await wait(topic, min(limit, Self.contentsWait)) { $0.isComplete }
        keep(topic)
        return contents(topic, isGap: revision != nil)
    }

    /// Whether a topic is followed and its log holds all that came after a revision.
    package func isTopicFollowed(_ topic: Topic, after revision: UInt64) -> Bool {
        topics[topic]?.log.events(after: revision) != nil
    }

    /// The topics that are followed through the node API.
    package func topicsFollowed() -> [Topic] { topics.keys }

    /// Follows a topic no longer; who waits is answered, and has to begin anew.
    package func endTopic(_ topic: Topic) {
        guard let followed = topics.remove(topic) else { return }
        for waiter in followed.waiters.values { waiter.finish() }
        guard !agentTopics.contains(topic) else { return }
        change { $0.unwatch(topic, now: now) }
    }

    private func contents(_ topic: Topic, isGap: Bool) -> TopicNews? {
        guard let log = topics[topic]?.log else { return nil }
        if isGap { topicResyncs += 1 }
        return TopicNews(
            revision: log.revision,
            contents: log.contents,
            isGap: isGap,
            isComplete: log.isComplete,
            events: []
        )
    }

    /// Begins a log, unless there is one; false where there are too many.
    private func follow(_ topic: Topic) -> Bool {
        if topics[topic] != nil {
            keep(topic)
            return true
        }
        guard topics.count < Self.topicsFollowedMax, !isStopped else { return false }
        // Drawn: a number of another node, or of an earlier process, is none of this one's.
        if topicCounter == 0 { topicCounter = UInt64.random(in: 1..<1 << 31) << 32 }
        // One more: a log that was ended may have given the last number, and missed what followed.
        topicCounter += 1
        topics[topic] = FollowedTopic(TopicLog(after: topicCounter))
        let now = now
        // Where the agent watches it too, everything is told again, and only the log is new to it.
        change { $0.watch(topic, now: now) }
        Task { [weak self] in await self?.expire(topic) }
        return true
    }

    private func keep(_ topic: Topic) {
        topics[topic]?.keptUntil = .now + Self.topicKept
    }

    private func expire(_ topic: Topic) async {
        while let followed = topics[topic], !isStopped {
            let left = ContinuousClock.now.duration(to: followed.keptUntil)
            if left <= .zero, followed.waiters.isEmpty { return endTopic(topic) }
            try? await Task.sleep(for: max(left, .seconds(1)))
        }
    }

    private func wait(
        _ topic: Topic,
        _ limit: Duration,
        _ isEnough: (TopicLog) -> Bool
    ) async {
        let deadline = ContinuousClock.now + limit
        let number = nextWatcher
        nextWatcher += 1
        while let log = topics[topic]?.log, !isEnough(log), !isStopped, !Task.isCancelled {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { break }
            let (stream, continuation) = AsyncStream<Void>.makeStream(
                bufferingPolicy: .bufferingNewest(1)
            )
            topics[topic]?.waiters[number] = continuation
            await first(of: stream, or: left)
            topics[topic]?.waiters[number] = nil
        }
    }

    /// Waits until the stream says anything or ends, for so long at the most.
    func first(of stream: AsyncStream<Void>, or limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in stream { return } }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: What the peer tells

    func noteTopic(_ set: OriginSet) {
        // Retired meanwhile: its last words were on their way to the disk.
        guard peer?.records.store.set(set.topic, set.origin) != nil else { return }
        noteTopic(set.topic) { $0.note(set, at: Self.wallClock, counter: &$1) }
    }

    func noteTopicRetired(_ topic: Topic, _ origin: NodeID) {
        noteTopic(topic) { $0.noteRetired(origin, at: Self.wallClock, counter: &$1) }
    }

    func noteTopicComplete(_ topic: Topic) {
        noteTopic(topic) { $0.noteComplete(at: Self.wallClock, counter: &$1) }
    }

    private func noteTopic(_ topic: Topic, _ body: (inout TopicLog, inout UInt64) -> Void) {
        guard let followed = topics[topic] else { return }
        let before = followed.log.revision
        body(&followed.log, &topicCounter)
        guard followed.log.revision != before else { return }
        for waiter in followed.waiters.values { waiter.yield() }
    }
}
