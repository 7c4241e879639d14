import Determinism
import RingRegisters
import Testing

/// Two leaders of one change copy from different majorities, and so hand out different values.
///
/// No majority had taken either; neither may be told before the new group has taken it itself.
@Suite("Registers: what no majority has taken is not told")
struct InheritedValueTests {
    private let client = NodeID(high: 2, low: 1)
    private let old = RegisterNet.group(1, 0..<3)
    private let new = RegisterNet.group(2, 3..<6)

    private func value(_ number: UInt64) -> AcceptedValue {
        let operation = OperationID(node: client, boot: number, number: 1)
        let ballot = Ballot(epoch: 1, counter: number, proposer: client, boot: number)
        return AcceptedValue(
            ballot: ballot,
            value: RegisterValue(version: 1, operation: operation, payload: [UInt8(number)])
        )
    }

    /// The new group's acceptors: the first was handed the younger value, the others the older one.
    private func inherited(_ flaws: [RegisterFlaw]) throws -> [Acceptor] {
        try (3..<6).map { index in
            var acceptor = try Acceptor(
                storage: RegisterNet.steward(index),
                founding: nil,
                rows: [],
                flaws: flaws
            )
            let entry = RegisterEntry(key: "k", accepted: value(index == 3 ? 2 : 1))
            _ = acceptor.receive(
                .install(round: 1, new, part: 0, [entry], isLast: true),
                from: client
            )
            // The others have heard of no other life of its database.
            acceptor.trust()
            return acceptor
        }
    }

    /// Reads with only some of the acceptors within reach.
    private func read(
        _ acceptors: inout [Acceptor],
        reaching reachable: Set<Int>,
        boot: UInt64,
        flaws: [RegisterFlaw]
    ) -> UInt8? {
        var parameters = Proposer.Parameters()
        parameters.flaws = flaws
        var proposer = Proposer(
            own: client,
            boot: boot,
            group: new,
            parameters: parameters,
            seed: 1
        )
        proposer.start(.read(key: "k"), token: 1, now: .zero)
        var now = Instant.zero
        // Long enough for a command that was handed on in vain.
        for _ in 0..<150 {
            now = now.advanced(by: .milliseconds(20))
            proposer.tick(now: now)
            let effects = proposer.effects
            proposer.effects = []
            for effect in effects {
                switch effect {
                case .finished(_, .value(let value)): return value.payload?.first
                case .finished, .adopted: return nil
                case .send(let message, let steward):
                    let index = Int(steward.low) - 3
                    guard reachable.contains(index),
                        let step = acceptors[index].receive(message, from: client)
                    else { continue }
                    proposer.receive(step.answer, from: steward, now: now)
                }
            }
        }
        return nil
    }

    @Test(
        "two reads over different majorities agree",
        arguments: [[], [.inheritedCountsAsChosen]] as [[RegisterFlaw]]
    )
    func reads(flaws: [RegisterFlaw]) throws {
        var acceptors = try inherited(flaws)
        let first = read(&acceptors, reaching: [1, 2], boot: 11, flaws: flaws)
        let second = read(&acceptors, reaching: [0, 1], boot: 12, flaws: flaws)
        #expect(first == 1)
        // The planted mistake takes back what it told.
        #expect(second == (flaws.isEmpty ? 1 : 2))
    }

    @Test(
        "what one steward alone has taken is not told before a majority has",
        arguments: [[], [.readFromDisagreement]] as [[RegisterFlaw]]
    )
    func minority(flaws: [RegisterFlaw]) throws {
        var acceptors = try (3..<6).map { index in
            var acceptor = try Acceptor(
                storage: RegisterNet.steward(index),
                founding: new,
                rows: []
            )
            acceptor.trust()
            return acceptor
        }
        let ballot = Ballot(epoch: 2, counter: 1, proposer: client, boot: 1)
        _ = acceptors[0].receive(
            .accept(
                round: 1,
                epoch: 2,
                key: "k",
                AcceptedValue(ballot: ballot, value: value(7).value),
                next: ballot
            ),
            from: client
        )
        let first = read(&acceptors, reaching: [0, 1], boot: 11, flaws: flaws)
        let second = read(&acceptors, reaching: [1, 2], boot: 12, flaws: flaws)
        #expect(first == 7)
        // The planted mistake takes back what it told.
        #expect(second == (flaws.isEmpty ? 7 : nil))
    }
}
