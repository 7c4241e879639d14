import Addressing
import Determinism
import Testing

@testable import PeerService
@testable import RingMembership

@Suite("MemberLog: what happened to members, numbered without gaps")
struct MemberLogTests {
    private func member(
        _ number: UInt64,
        _ status: MemberFact.Status = .alive,
        boot: UInt64 = 1,
        isHeld: Bool = false
    ) -> Membership.Member {
        var member = Membership.Member(fact: fact(number, status, boot: boot), since: .zero)
        member.heldUntil = isHeld ? .zero : nil
        return member
    }

    private func fact(_ number: UInt64, _ status: MemberFact.Status, boot: UInt64) -> MemberFact {
        MemberFact(
            id: NodeID(high: 0, low: number),
            boot: boot,
            status: status,
            name: "node\(number)",
            address: SocketAddress(address: IPAddress(v4: UInt32(number)), port: 1)
        )
    }

    @Test("each change is one event, and what is no change is none")
    func note_changes_areEvents() throws {
        var log = MemberLog(process: 3)
        let start = log.revision
        for status in [.alive, .alive, .suspect, .dead, .dead, .alive, .left]
            as [MemberFact.Status]
        {
            log.note(member(1, status), at: 5)
        }
        log.note(member(1, boot: 2), at: 6)
        log.note(member(1, .suspect, boot: 3), at: 7)
        log.note(member(1, boot: 3, isHeld: true), at: 7)
        log.note(member(1, boot: 3), at: 7)
        log.note(NodeID(high: 0, low: 1), name: "node1", isWithdrawn: true, at: 8)
        log.note(NodeID(high: 0, low: 1), name: "node1", isWithdrawn: false, at: 9)
        let events = try #require(log.events(after: start))
        #expect(
            events.map(\.change) == [
                .new, .suspect, .dead, .alive, .left, .restarted, .restarted, .suspect,
                .alive, .heldBack, .released, .dataplaneWithdrawn, .dataplaneBack,
            ]
        )
        #expect(events.map(\.revision) == (1...13).map { start + $0 })
        #expect(events.map(\.boot) == [1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3])
        #expect(events.map(\.timeMilliseconds) == [5, 5, 5, 5, 5, 6, 7, 7, 7, 7, 7, 8, 9])
        #expect(log.events(after: start + 11)?.map(\.revision) == [start + 12, start + 13])
        #expect(log.events(after: log.revision) == [])
    }

    @Test("who fell behind, or asks after another process's revision, is told so")
    func events_afterAGap_areNil() throws {
        var log = MemberLog(process: 3)
        let start = log.revision
        let earlier = MemberLog(process: 2)
        for round in 0..<MemberLog.eventsMax {
            log.note(member(1, round % 2 == 0 ? .alive : .suspect), at: 0)
        }
        #expect(log.events(after: start)?.count == MemberLog.eventsMax)
        log.note(member(2), at: 0)
        #expect(log.events(after: start) == nil)
        #expect(log.events(after: start + 1)?.count == MemberLog.eventsMax)
        #expect(log.events(after: log.revision + 1) == nil)
        #expect(log.events(after: earlier.revision) == nil)
        #expect(log.events(after: 0) == nil)
        #expect(MemberLog(process: 4).events(after: log.revision) == nil)
    }
}
