import Addressing
import Determinism
import RingMembership
import Testing
import Wire

/// What went wrong in other failure detectors, each named after where it was seen.
@Suite("Membership: the known defects of others")
struct KnownDefectTests {
    @Test("memberlist 311: a death that nobody here knew of is passed on to whom it concerns")
    func unknownAccusationForwarded() {
        var peer = OnePeer(knowing: 3)
        peer.hear(OnePeer.fact(9, .dead, incarnation: 100), from: 1)
        peer.wait(.milliseconds(200))
        let told = peer.takeSent().flatMap(\.datagram.rumors)
        #expect(told.contains { $0.fact == OnePeer.fact(9, .dead, incarnation: 100) })
    }

    @Test("memberlist 311: a restarted member that is alive@1 is told that it is dead@100, at once")
    func staleAliveAnswered() throws {
        var peer = OnePeer(knowing: 3)
        peer.hear(OnePeer.fact(2, .dead, incarnation: 100), from: 1)
        _ = peer.takeSent()
        peer.hear(from: 2, claim: OnePeer.fact(2, incarnation: 1).claim)
        let answer = try #require(peer.takeSent().first { $0.to == OnePeer.address(2) })
        #expect(
            answer.datagram.rumors.map(\.fact).contains(OnePeer.fact(2, .dead, incarnation: 100))
        )
    }

    @Test("memberlist 311: a higher boot supersedes dead@100 of the life before it")
    func bootSupersedes() {
        var peer = OnePeer(knowing: 3)
        peer.hear(OnePeer.fact(2, .dead, incarnation: 100), from: 1)
        peer.hear(OnePeer.fact(2, boot: 2), from: 2)
        #expect(peer.status(2) == .alive)
    }

    @Test(
        "al8n 197: a death at a higher incarnation raises the stored one, so no late alive resurrects"
    )
    func incarnationMonotone() {
        var peer = OnePeer(knowing: 3)
        peer.hear(OnePeer.fact(2, .dead, incarnation: 3), from: 1)
        peer.hear(OnePeer.fact(2, .dead, incarnation: 5), from: 3)
        peer.hear(OnePeer.fact(2, .alive, incarnation: 4), from: 1)
        #expect(peer.status(2) == .dead)
        #expect(peer.membership.member(OnePeer.id(2))?.fact.incarnation == 5)
        peer.hear(OnePeer.fact(2, .alive, incarnation: 6), from: 1)
        #expect(peer.status(2) == .alive)
    }

    @Test("memberlist 350: in a ring of three the one helper there is is always asked")
    func helperNeverMissed() {
        var peer = OnePeer(knowing: 2)
        var asked = 0
        for _ in 0..<200 {
            peer.wait(.seconds(1))
            let sent = peer.takeSent()
            for (datagram, address) in sent {
                guard case .pingRequest(_, let target, _) = datagram.kind else { continue }
                #expect(address == OnePeer.address(target == OnePeer.id(1) ? 2 : 1))
                asked += 1
            }
            // Both are heard of again, so that they stay alive and are probed again.
            for number in [1, 2] {
                let known = peer.membership.member(OnePeer.id(number))?.fact.incarnation ?? 0
                peer.hear(OnePeer.fact(number, incarnation: known + 1), from: number)
            }
        }
        // Fewer than the seconds: a peer that nobody answers takes its time.
        #expect(asked >= 40)
    }

    @Test("metallb 589: the gone are probed all day and told of it, and forgotten only after that")
    func goneProbed() {
        var peer = OnePeer(knowing: 2)
        peer.hear(OnePeer.fact(2, .dead), from: 1)
        _ = peer.takeSent()
        for hour in [1, 12, 23] {
            peer.now = Instant(microseconds: Int64(hour) * 3_600_000_000)
            peer.wait(.seconds(11))
            let told = peer.takeSent().filter { $0.to == OnePeer.address(2) }
            #expect(
                told.contains { $0.datagram.rumors.map(\.fact).contains(OnePeer.fact(2, .dead)) }
            )
        }
        peer.now = Instant(microseconds: 25 * 3_600_000_000)
        peer.wait(.seconds(6))
        #expect(peer.membership.member(OnePeer.id(2)) == nil)
    }

    @Test("cortex 2130: the same member at a new address is taken at once")
    func newAddress() {
        var peer = OnePeer(knowing: 2)
        var moved = OnePeer.fact(2, boot: 2)
        moved.address = OnePeer.address(77)
        peer.hear(moved, from: 2)
        #expect(peer.membership.member(OnePeer.id(2))?.fact.address == OnePeer.address(77))
        #expect(peer.membership.isReachable(OnePeer.id(2)))
    }

    @Test("memberlist 299: however many rumors wait, each datagram carries the ring epoch")
    func epochNeverStarved() {
        var peer = OnePeer(knowing: 0)
        peer.membership.epoch = 41
        for number in 1...500 { peer.hear(OnePeer.fact(number), from: 1) }
        peer.wait(.seconds(1))
        let sent = peer.takeSent()
        #expect(sent.contains { $0.datagram.rumors.count > 8 })
        #expect(sent.allSatisfy { $0.datagram.epoch == 41 })
        #expect(sent.allSatisfy { $0.datagram.encoded.count <= 1_200 })
    }

    @Test("memberlist 243: a quiet datagram is as long among 5,000 members as among five")
    func lengthFlat() throws {
        var lengths: [Int] = []
        for count in [5, 5_000] {
            var peer = OnePeer(knowing: count)
            peer.wait(.milliseconds(300))
            lengths.append(try #require(peer.takeSent().first).datagram.encoded.count)
        }
        #expect(lengths[0] == lengths[1])
        #expect(lengths[0] <= 128)
    }

    @Test("memberlist 243: metadata beyond 64 bytes is refused, and the field named")
    func metadataBounded() throws {
        var fact = OnePeer.fact(1)
        fact.metadata = String(repeating: "x", count: MemberFact.metadataLengthMax)
        var writer = ByteWriter()
        fact.write(to: &writer)
        #expect(writer.bytes.count == fact.encodedLength)
        var reader = ByteReader(writer.bytes)
        #expect(try MemberFact(from: &reader) == fact)
        fact.metadata += "x"
        writer = ByteWriter()
        fact.write(to: &writer)
        #expect(throws: WireError.self) {
            var reader = ByteReader(writer.bytes)
            _ = try MemberFact(from: &reader)
        }
    }

    @Test("consul 9927: ten thousand rumors about one member leave one in the queue")
    func oneRumorPerSubject() {
        var peer = OnePeer(knowing: 3)
        for incarnation in 1...10_000 {
            peer.hear(OnePeer.fact(2, incarnation: UInt64(incarnation)), from: 1)
        }
        #expect(peer.membership.queueLengths.rumors == 1)
    }

    @Test("consul 9927: a stranger's flood of new members ends at the bound of the table")
    func tableBounded() {
        var peer = OnePeer(knowing: 0)
        for number in 1...(MembershipParameters.membersMax + 500) {
            peer.hear(OnePeer.fact(number), from: 1)
        }
        #expect(peer.membership.members.count == MembershipParameters.membersMax)
        #expect(peer.membership.queueLengths.rumors <= MembershipParameters.membersMax + 1)
    }

    @Test("consul 916: a peer that was stopped for two seconds accuses nobody when it goes on")
    func pauseDetected() {
        var peer = OnePeer(knowing: 4)
        peer.wait(.milliseconds(150))
        peer.now = peer.now.advanced(by: .seconds(2))
        peer.membership.tick(now: peer.now)
        #expect((1...4).allSatisfy { peer.status($0) == .alive })
        #expect(peer.membership.queueLengths.probes <= 1)
    }

    @Test("consul 916: a suspect gets its whole time again after the peer was stopped")
    func pauseProlongsSuspicion() {
        var peer = OnePeer(knowing: 4)
        peer.hear(OnePeer.fact(2, .suspect), from: 1)
        peer.now = peer.now.advanced(by: .seconds(30))
        peer.membership.tick(now: peer.now)
        #expect(peer.status(2) == .suspect)
        peer.wait(.milliseconds(900))
        #expect(peer.status(2) == .suspect)
    }

    @Test("serf 160k intents: probes for others are bounded")
    func relaysBounded() {
        var peer = OnePeer(knowing: 3)
        for sequence in 0..<5_000 {
            peer.hear(
                .pingRequest(
                    sequence: UInt32(sequence),
                    target: OnePeer.id(2),
                    address: OnePeer.address(2)
                ),
                from: 1
            )
        }
        #expect(peer.membership.queueLengths.relays == MembershipParameters.relaysMax)
    }
}
