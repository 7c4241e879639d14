import Determinism
import RingRegisters
import Testing

@Suite("Acceptors under a recovery: what is left is sealed for good, told, and given up")
struct RecoveryRuleTests {
    private let peer = NodeID(high: 1, low: 9)

    private func steward(_ number: UInt64) -> Steward {
        Steward(node: NodeID(high: 1, low: number), storage: NodeID(high: 3, low: number))
    }

    private func group(_ epoch: UInt64, _ numbers: UInt64...) -> StewardSet {
        StewardSet(epoch: epoch, members: numbers.map(steward))
    }

    private func entry(_ key: String, _ counter: UInt64) -> RegisterEntry {
        let ballot = Ballot(epoch: 1, counter: counter, proposer: peer, boot: 1)
        let value = RegisterValue(
            version: counter,
            operation: OperationID(node: peer, boot: 1, number: counter),
            payload: [UInt8(counter)]
        )
        return RegisterEntry(key: key, accepted: AcceptedValue(ballot: ballot, value: value))
    }

    /// A steward of group 5 of three, with two registers; nobody vouched for its disk yet.
    private func untrusted() throws -> Acceptor {
        var acceptor = try Acceptor(storage: steward(1).storage, founding: nil, rows: [])
        let install = RegisterMessage.install(
            round: 1,
            group(5, 1, 2, 3),
            part: 0,
            [entry("a", 1), entry("b", 2)],
            isLast: true
        )
        let rows = acceptor.receive(install, from: peer)?.rows ?? []
        let restarted = try Acceptor(storage: steward(1).storage, founding: nil, rows: rows)
        #expect(!restarted.isTrusted)
        return restarted
    }

    private func answer(
        _ message: RegisterMessage,
        by acceptor: inout Acceptor
    ) -> RegisterMessage? {
        acceptor.receive(message, from: peer)?.answer
    }

    private let founded = RegistryEra.length

    @Test("eras begin at their thousand millions, and the last one has none after it")
    func eras() {
        #expect(RegistryEra.begin(after: 0) == 1_000_000_000)
        #expect(RegistryEra.begin(after: 17) == 1_000_000_000)
        #expect(RegistryEra.begin(after: 1_000_000_000) == 2_000_000_000)
        #expect(RegistryEra.begin(after: StewardSet.epochMax) == nil)
        #expect(RegistryEra.number(of: 2_000_000_017) == 2)
    }

    @Test(
        "a steward that nobody can vouch for is sealed and read by a recovery, and by nothing else"
    )
    func untrustedIsRead() throws {
        var acceptor = try untrusted()
        let next = group(founded, 9)
        #expect(answer(.look(round: 1, epoch: 5, key: "a"), by: &acceptor) == .notReady(round: 1))
        #expect(
            answer(.seal(round: 2, epoch: 5, next: group(6, 1, 2, 4)), by: &acceptor)
                == .notReady(round: 2)
        )
        #expect(
            answer(.fetch(round: 3, epoch: 5, after: nil), by: &acceptor) == .notReady(round: 3)
        )
        #expect(
            answer(.seal(round: 4, epoch: 5, next: next), by: &acceptor) == .sealed(round: 4)
        )
        #expect(
            answer(.fetch(round: 5, epoch: 5, after: nil), by: &acceptor)
                == .entries(round: 5, [entry("a", 1), entry("b", 2)], isLast: true)
        )
    }

    @Test(
        "a recovery seals what was sealed for another group, a change does not seal for a recovery"
    )
    func overrides() throws {
        var acceptor = try untrusted()
        acceptor.trust()
        let change = group(6, 1, 2, 4)
        #expect(answer(.seal(round: 1, epoch: 5, next: change), by: &acceptor) == .sealed(round: 1))
        let first = group(founded, 9)
        #expect(answer(.seal(round: 2, epoch: 5, next: first), by: &acceptor) == .sealed(round: 2))
        #expect(acceptor.successor == first)
        // One that came to nothing is followed by a later one, never by an earlier or equal one.
        let rival = group(founded, 8)
        #expect(
            answer(.seal(round: 3, epoch: 5, next: rival), by: &acceptor) == .notReady(round: 3)
        )
        #expect(
            answer(.seal(round: 4, epoch: 5, next: change), by: &acceptor) == .notReady(round: 4)
        )
        let second = group(2 * founded, 8)
        #expect(answer(.seal(round: 5, epoch: 5, next: second), by: &acceptor) == .sealed(round: 5))
        // Nobody is sent to a group that may never be founded.
        #expect(answer(.look(round: 6, epoch: 5, key: "a"), by: &acceptor) == .notReady(round: 6))
    }

    @Test("the newest value of each register is copied, of all that are left")
    func newest() {
        var copy = StewardCopy(
            of: group(5, 1, 2, 3),
            to: group(founded, 9),
            nodes: [steward(1).node, steward(3).node],
            wanted: 2,
            round: 7
        )
        #expect(copy.requests.map(\.steward) == [steward(1).node, steward(3).node])
        for node in [steward(1).node, steward(3).node] {
            copy.receive(.sealed(round: 7), from: node)
        }
        copy.receive(
            .entries(round: 7, [entry("a", 3), entry("b", 1)], isLast: true),
            from: steward(1).node
        )
        #expect(!copy.isComplete && copy.readNodes == [steward(1).node])
        // Of another round, and from somebody who was not asked.
        copy.receive(.entries(round: 8, [entry("a", 9)], isLast: true), from: steward(3).node)
        copy.receive(.entries(round: 7, [entry("a", 9)], isLast: true), from: steward(2).node)
        copy.receive(
            .entries(round: 7, [entry("a", 2), entry("b", 4), entry("c", 1)], isLast: true),
            from: steward(3).node
        )
        #expect(copy.isComplete)
        #expect(copy.newest == [entry("a", 3), entry("b", 4), entry("c", 1)])
    }

    @Test("a founder serves alone at once, and all of it is there after a restart")
    func founder() throws {
        var acceptor = try untrusted()
        let group = StewardSet(
            epoch: founded,
            members: [Steward(node: steward(1).node, storage: acceptor.storage)]
        )
        _ = acceptor.found(group, [entry("a", 3)])
        #expect(acceptor.isTrusted && acceptor.group == group && acceptor.successor == nil)
        var again = try Acceptor(storage: acceptor.storage, founding: nil, rows: acceptor.rows)
        #expect(again.isTrusted)
        #expect(
            answer(.look(round: 1, epoch: founded, key: "a"), by: &again)
                == .seen(round: 1, entry("a", 3).accepted)
        )
        #expect(
            answer(.look(round: 2, epoch: founded, key: "b"), by: &again) == .seen(round: 2, nil)
        )
    }

    @Test(
        "an acceptor whose registers were given up has none and is another one, also after a restart"
    )
    func retired() throws {
        var acceptor = try untrusted()
        var disk = acceptor.rows.reduce(into: [[UInt8]: [UInt8]]()) { $0[$1.key] = $1.value }
        let storage = NodeID(high: 4, low: 4)
        for row in acceptor.retire(becoming: storage) { disk[row.key] = row.value }
        let rows = disk.map { AcceptorRow(key: $0.key, value: $0.value) }
        var again = try Acceptor(storage: steward(1).storage, founding: nil, rows: rows)
        #expect(again.storage == storage && acceptor.storage == storage)
        #expect(again.group == nil && again.isTrusted)
        #expect(rows.count == 1)
        #expect(
            answer(.identify(round: 1), by: &again) == .identity(round: 1, storage: storage)
        )
        #expect(answer(.look(round: 2, epoch: 5, key: "a"), by: &again) == .notReady(round: 2))
    }
}
