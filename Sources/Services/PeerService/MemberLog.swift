package import Determinism
import RingMembership

/// Something that happened to a member, as this node saw it.
package struct MemberEvent: Hashable, Sendable {
    /// What happened.
    package enum Change: String, Hashable, Sendable {
        /// It was not known before.
        case new
        /// It answers again.
        case alive
        /// Somebody could not reach it.
        case suspect
        /// It did not refute in time.
        case dead
        /// It said good-bye.
        case left
        /// Its process was started anew.
        case restarted
        /// It is back after it came and went, and is not used for a while.
        case heldBack = "held_back"
        /// It is used again.
        case released
        /// Its endpoints were taken out of service: process and programs are gone.
        case dataplaneWithdrawn = "dataplane_withdrawn"
        /// Its endpoints are in service again.
        case dataplaneBack = "dataplane_back"
    }

    /// Its number: one more than that of the event before.
    package let revision: UInt64
    /// When it was seen, in milliseconds since 1970 (UTC).
    package let timeMilliseconds: Int64
    /// The member.
    package let id: NodeID
    /// Its name.
    package let name: String
    /// The count of starts of its process; 0 where none was heard of.
    package let boot: UInt64
    /// What happened to it.
    package let change: Change
}

/// The newest ``eventsMax`` events, numbered without gaps.
///
/// Numbers begin at one that is drawn for the process, times 2^32: what another process gave, of
/// this node or of another, is never taken for one of ours.
struct MemberLog {
    /// The most events that are kept: what a ring of 500 says when each member restarts once.
    static let eventsMax = 1_024

    private struct State {
        var status: MemberFact.Status
        var boot: UInt64
        var isHeld: Bool
    }

    private var known = SortedMap<NodeID, State>()
    private var events: [MemberEvent] = []

    /// The number of the newest event.
    private(set) var revision: UInt64

    init(process: UInt64) {
        revision = process << 32
    }

    /// The events after a revision, oldest first; nil when some of them are no longer here, or the
    /// revision is not one of this log.
    func events(after asked: UInt64) -> [MemberEvent]? {
        let oldest = revision - UInt64(events.count)
        guard (oldest...revision).contains(asked) else { return nil }
        return Array(events.suffix(Int(revision - asked)))
    }

    /// Notes how a member fares now; nothing where that is no news.
    mutating func note(_ member: Membership.Member, at time: Int64) {
        let fact = member.fact
        let before = known[fact.id]
        let isHeld = member.heldUntil != nil
        known[fact.id] = State(status: fact.status, boot: fact.boot, isHeld: isHeld)
        forget()
        guard let before else { return add(.new, fact, time) }
        defer {
            if isHeld != before.isHeld, !fact.status.isGone {
                add(isHeld ? .heldBack : .released, fact, time)
            }
        }
        if before.boot != fact.boot {
            add(.restarted, fact, time)
            // A restart says that it is alive; anything else is news of its own.
            if fact.status == .alive { return }
        } else if before.status == fact.status {
            return
        }
        switch fact.status {
        case .alive: add(.alive, fact, time)
        case .suspect: add(.suspect, fact, time)
        case .dead: add(.dead, fact, time)
        case .left: add(.left, fact, time)
        }
    }

    /// Notes that a node's endpoints went out of service, or are back in it.
    mutating func note(_ id: NodeID, name: String, isWithdrawn: Bool, at time: Int64) {
        append(
            id,
            name,
            boot: known[id]?.boot ?? 0,
            isWithdrawn ? .dataplaneWithdrawn : .dataplaneBack,
            time
        )
    }

    private mutating func add(_ change: MemberEvent.Change, _ fact: MemberFact, _ time: Int64) {
        append(fact.id, fact.name, boot: fact.boot, change, time)
    }

    private mutating func append(
        _ id: NodeID,
        _ name: String,
        boot: UInt64,
        _ change: MemberEvent.Change,
        _ time: Int64
    ) {
        revision += 1
        events.append(
            MemberEvent(
                revision: revision,
                timeMilliseconds: time,
                id: id,
                name: name,
                boot: boot,
                change: change
            )
        )
        if events.count > Self.eventsMax { events.removeFirst() }
    }

    /// Membership forgets the gone without a word; here they make room once there are many.
    private mutating func forget() {
        guard known.count > 2 * MembershipParameters.membersMax else { return }
        known.removeAll { $1.status.isGone }
    }
}
