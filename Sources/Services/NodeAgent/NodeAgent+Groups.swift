import Addressing
import Determinism
import LocalAPI
import NetModel
import PeerService
import RingPlacement
import RingRecords

extension NodeAgent {
    /// The longest that a question for a group's events is held, in milliseconds.
    private static let groupWaitMillisecondsMax = 60_000

    /// What happened to a group's endpoints after a revision; waits for it when nothing has yet.
    ///
    /// Without a revision, and after a gap, the answer has all endpoints. The group is followed as
    /// long as somebody asks, whether this node runs pods of it or not.
    func groupEvents(
        _ name: String,
        after revision: UInt64?,
        waitMilliseconds: Int
    ) async throws(AgentError) -> GroupEvents {
        let reference: GroupReference
        do { reference = try GroupReference(name) } catch { throw .model(error) }
        guard await peer.snapshot() != nil else { throw .notJoined }
        let topic = Topic(reference.description)
        // A watch that goes on needs no steward: these may be away.
        var isGoingOn = false
        if let revision { isGoingOn = await peer.isTopicFollowed(topic, after: revision) }
        if !isGoingOn {
            try await checkThere(reference)
            // Should the group be deleted, the watch is to hear of it.
            await followVPCs(and: reference.vpc)
        }
        let wait = min(max(0, waitMilliseconds), Self.groupWaitMillisecondsMax)
        let news = await peer.topicNews(topic, after: revision, limit: .milliseconds(wait))
        guard let news else {
            // The group was deleted while somebody waited, or there are too many.
            try await checkThere(reference)
            throw .watch(.tooManyGroups(max: PeerService.topicsFollowedMax))
        }
        return GroupEvents(
            group: reference.description,
            revision: news.revision,
            endpoints: news.contents.map { $0.flatMap(\.records).compactMap(Self.endpoint) },
            isGap: news.isGap,
            isComplete: news.isComplete,
            events: news.events.compactMap(Self.item)
        )
    }

    private func checkThere(_ reference: GroupReference) async throws(AgentError) {
        let vpc = try await catalog.vpc(reference.vpc)
        do { _ = try vpc.group(reference.group) } catch { throw .model(error) }
    }

    /// Nil where a later release tells of what this one cannot read.
    private static func item(_ event: TopicLog.Event) -> GroupEvents.Item? {
        let (change, record): (GroupEvents.Item.Change, OriginSet.Record?) =
            switch event.change {
            case .added(_, let record): (.added, record)
            case .changed(_, let record): (.changed, record)
            case .removed(_, let record): (.removed, record)
            case .complete: (.complete, nil)
            }
        let endpoint = record.flatMap(endpoint)
        guard endpoint != nil || record == nil else { return nil }
        return GroupEvents.Item(
            revision: event.revision,
            timeMilliseconds: event.time,
            change: change,
            endpoint: endpoint
        )
    }

    private static func endpoint(_ record: OriginSet.Record) -> GroupEvents.Endpoint? {
        guard let endpoint = try? Endpoint(encoded: record.content) else { return nil }
        return GroupEvents.Endpoint(
            address: endpoint.address.description,
            mac: endpoint.mac.description,
            node: endpoint.nodeName,
            vtep: endpoint.vtep.description,
            containerID: endpoint.containerID,
            interface: endpoint.interfaceName,
            pod: endpoint.podName.isEmpty ? "" : "\(endpoint.podNamespace)/\(endpoint.podName)",
            fence: endpoint.fence
        )
    }
}

extension NodeAgent {
    /// The sets of a group's endpoints, read with the help of so many of its owners.
    func sets(
        _ reference: GroupReference,
        _ consistency: ReadConsistency
    ) async throws(AgentError) -> [OriginSet] {
        let topic = Topic(reference.description)
        let level: Records.Level
        switch consistency {
        case .local:
            guard let sets = await peer.held(topic) else {
                throw .watch(.notHeldHere(group: reference.description))
            }
            return sets
        case .one: level = .one
        case .quorum: level = .quorum
        case .all: level = .all
        }
        switch await peer.contents(topic, level: level) {
        case .contents(let sets): return sets
        case .incomplete(_, let shortfall):
            throw .watch(
                .levelMissed(
                    group: reference.description,
                    consistency,
                    answered: shortfall.answered,
                    wanted: shortfall.wanted,
                    missing: await names(shortfall)
                )
            )
        case .stored, .tooFewOwners, .refused, .unanswered:
            throw .endpointsUnknown(group: reference.description)
        }
    }

    /// The names of the owners that did not answer.
    func names(_ shortfall: Records.Shortfall) async -> [String] {
        let configuration = await peer.snapshot()?.configuration
        return shortfall.missing.map { configuration?.member($0)?.name ?? $0.short }.sorted()
    }
}

/// Why a group could not be watched, or its endpoints not be read as was asked.
enum WatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Too few owners took part.
    case levelMissed(
        group: String,
        ReadConsistency,
        answered: Int,
        wanted: Int,
        missing: [String]
    )
    /// This node holds nothing of the group.
    case notHeldHere(group: String)
    /// So many groups are watched here already.
    case tooManyGroups(max: Int)
    /// So many registers are watched here already.
    case tooManyRegisters(max: Int)

    var code: String {
        switch self {
        case .levelMissed: "ring.level_missed"
        case .notHeldHere: "ring.not_held_here"
        case .tooManyGroups, .tooManyRegisters: "watch.too_many"
        }
    }

    var status: Int {
        switch self {
        case .levelMissed, .tooManyGroups, .tooManyRegisters: 503
        case .notHeldHere: 409
        }
    }

    var description: String {
        switch self {
        case .levelMissed(let group, let level, let answered, let wanted, let missing):
            "group \(group) cannot be read at level \(level.rawValue): "
                + (answered < wanted
                    ? "\(answered) of its owners answered and \(wanted) are wanted (missing: "
                    : "what \(answered) of its owners showed is not on enough of them, or of those "
                        + "before the last change of the ring; it may be soon (missing: ")
                + (missing.isEmpty ? "none by name" : missing.joined(separator: ", "))
                + "); see 'genie-ring members' for who is away, take out who is gone for good with "
                + "'genie-ring node remove'; 'genie-ring endpoints --group \(group) --consistency one' "
                + "(or local) asks for less, and may show what is no longer so"
        case .notHeldHere(let group):
            "this node neither owns nor follows group \(group), so it holds none of its endpoints: "
                + "'genie-ring endpoints --consistency one' asks an owner, quorum asks several"
        case .tooManyRegisters(let max):
            "\(max) registers are watched on this node already, the most it does: end some of the "
                + "watches, or watch on another node"
        case .tooManyGroups(let max):
            "\(max) groups are watched on this node already, the most it does: end some of the "
                + "watches, or watch on another node"
        }
    }
}
