import Determinism
import LocalAPI
import PeerService

extension NodeAgent {
    /// The longest that a question for events is held, in milliseconds.
    private static let waitMillisecondsMax = 60_000

    /// What happened to members after a revision; waits for it when nothing has yet.
    ///
    /// Without a revision, and after a gap, the answer says how all members fare.
    func memberEvents(
        after revision: UInt64?,
        waitMilliseconds: Int
    ) async throws(AgentError) -> MemberEvents {
        guard let revision else { return try await memberState(isGap: false) }
        let wait = min(max(0, waitMilliseconds), Self.waitMillisecondsMax)
        await peer.waitForMemberEvents(after: revision, limit: .milliseconds(wait))
        guard let events = await peer.memberEvents(after: revision) else {
            return try await memberState(isGap: true)
        }
        return MemberEvents(
            revision: events.last?.revision ?? revision,
            members: nil,
            isGap: false,
            events: events.map { event in
                MemberEvents.Item(
                    revision: event.revision,
                    timeMilliseconds: event.timeMilliseconds,
                    id: event.id.description,
                    name: event.name,
                    boot: event.boot,
                    change: event.change.rawValue
                )
            }
        )
    }

    private func memberState(isGap: Bool) async throws(AgentError) -> MemberEvents {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        return MemberEvents(
            revision: snapshot.memberRevision,
            members: memberList(snapshot).members,
            isGap: isGap,
            events: []
        )
    }
}
