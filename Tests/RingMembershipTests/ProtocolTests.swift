import Addressing
import Determinism
import RingMembership
import Testing

@Suite("Membership: the protocol, step by step")
struct ProtocolTests {
    @Test(
        "Suspect_Dogpile: each further accuser shortens the countdown, to the millisecond",
        arguments: [(0, 2_000), (1, 1_500), (2, 1_000), (5, 1_000)]
    )
    func dogpile(confirmations: Int, milliseconds: Int64) {
        var parameters = MembershipParameters()
        // No probes of its own take part.
        parameters.probeInterval = .seconds(100)
        parameters.inquirersWanted = 0
        var peer = OnePeer(knowing: 8, parameters: parameters)
        peer.hear(OnePeer.fact(8, .suspect), from: 1)
        for accuser in 0..<confirmations { peer.hear(OnePeer.fact(8, .suspect), from: 2 + accuser) }
        // Said twice is said once.
        peer.hear(OnePeer.fact(8, .suspect), from: 1)
        peer.wait(.milliseconds(milliseconds - 1))
        #expect(peer.status(8) == .suspect)
        peer.wait(.milliseconds(2))
        #expect(peer.status(8) == .dead)
    }

    @Test("Awareness_MissedNack: silent helpers speak against this peer, nacks speak for it")
    func missedNack() throws {
        for isNacking in [true, false] {
            var peer = OnePeer(knowing: 4)
            peer.wait(.milliseconds(201))
            let ping = try #require(peer.takePings().first)
            peer.wait(.milliseconds(120))
            let helpers = peer.takeSent().filter {
                if case .pingRequest(ping.sequence, _, _) = $0.datagram.kind { true } else { false }
            }
            #expect(helpers.count == 3)
            for helper in (1...4) where isNacking && OnePeer.id(helper) != ping.target {
                peer.hear(.nack(sequence: ping.sequence), from: helper)
            }
            peer.wait(.milliseconds(140))
            #expect(peer.membership.member(ping.target)?.fact.status == .suspect)
            #expect(peer.membership.localHealth == (isNacking ? 0 : 3))
        }
    }

    @Test("DeadNode_AliveReplay: an alive that is as old as the death changes nothing")
    func aliveReplay() {
        var peer = OnePeer(knowing: 3)
        peer.hear(OnePeer.fact(2, .dead, incarnation: 4), from: 1)
        for incarnation in [0, 3, 4] as [UInt64] {
            peer.hear(OnePeer.fact(2, .alive, incarnation: incarnation), from: 3)
            #expect(peer.status(2) == .dead)
        }
    }

    @Test("GossipToDead: somebody declared dead is told so, and comes back by refuting")
    func gossipToDead() {
        var accused = OnePeer(knowing: 3)
        accused.hear(
            from: 1,
            rumors: [Rumor(fact: OnePeer.fact(0, .dead), accuser: OnePeer.id(1))]
        )
        #expect(accused.membership.own.incarnation == 1)
        #expect(accused.membership.own.status == .alive)
        let answer = accused.takeSent().first { $0.to == OnePeer.address(1) }
        #expect(answer?.datagram.rumors.first?.fact == accused.membership.own)
    }

    @Test("FallbackTCP_on: who answers over a stream is not accused, and the block is reported")
    func fallbackOn() {
        var net = MembershipNet(count: 3, seed: 4)
        net.run(for: .seconds(2))
        net.changes = []
        net.areDatagramsBlocked = true
        net.run(for: .seconds(20))
        #expect(net.changes.isEmpty)
        #expect(Set(net.blocked.map(\.observer)) == [0, 1, 2])
    }

    @Test("FallbackTCP_off: without streams, blocked datagrams are a death")
    func fallbackOff() {
        var net = MembershipNet(count: 3, seed: 4)
        net.run(for: .seconds(2))
        net.areDatagramsBlocked = true
        net.areStreamsOpen = false
        net.run(for: .seconds(20))
        #expect(net.peers.allSatisfy { peer in peer.members.allSatisfy(\.fact.status.isGone) })
    }

    @Test(
        "FallbackTCP_old: a member that knows no probe over streams is found by its datagrams alone"
    )
    func fallbackOld() {
        var net = MembershipNet(count: 4, seed: 4)
        net.areStreamsOpen = false
        net.lossPercent = 5
        net.run(for: .seconds(30))
        #expect(net.changes.allSatisfy { !$0.member.status.isGone })
        net.isRunning[3] = false
        net.run(for: .seconds(5))
        let dead = net.changes.filter { $0.member.status == .dead }
        #expect(dead.map(\.observer).sorted() == [0, 1, 2])
    }

    @Test("an ack that came by a helper keeps the member alive and gives no round trip")
    func indirectAck() throws {
        var peer = OnePeer(knowing: 4)
        peer.wait(.milliseconds(201))
        let ping = try #require(peer.takePings().first)
        let helper = try #require((1...4).first { OnePeer.id($0) != ping.target })
        peer.hear(.ack(sequence: ping.sequence), from: helper)
        peer.wait(.milliseconds(260))
        #expect(peer.membership.member(ping.target)?.fact.status == .alive)
        #expect(peer.membership.member(ping.target)?.roundTrip == nil)
    }

    @Test("short round trips shorten the wait for an ack, long ones lengthen it, within bounds")
    func adaptiveTimeout() throws {
        for (roundTrip, indirect) in [(1, 30), (20, 80), (400, 200)] as [(Int64, Int64)] {
            var parameters = MembershipParameters()
            parameters.probeInterval = .seconds(2)
            var peer = OnePeer(knowing: 6, parameters: parameters)
            for _ in 0..<30 {
                var ping = peer.takePings().first
                while ping == nil {
                    peer.wait(.milliseconds(1))
                    ping = peer.takePings().first
                }
                let number = try #require((1...6).first { OnePeer.id($0) == ping?.target })
                peer.wait(.milliseconds(roundTrip))
                peer.hear(.ack(sequence: try #require(ping).sequence), from: number)
                let known = peer.membership.member(OnePeer.id(number))?.fact.incarnation ?? 0
                peer.hear(OnePeer.fact(number, incarnation: known + 1), from: number)
            }
            _ = peer.takeSent()
            while peer.takePings().isEmpty { peer.wait(.milliseconds(1)) }
            let sentAt = peer.now
            var isAsked = false
            while !isAsked {
                peer.wait(.milliseconds(1))
                isAsked = peer.takeSent().contains {
                    if case .pingRequest = $0.datagram.kind { true } else { false }
                }
            }
            let waited = peer.now.since(sentAt).milliseconds
            #expect(abs(waited - indirect) <= 4, "\(roundTrip) ms gave \(waited) ms")
        }
    }

    @Test("a forged closed port accuses nobody who answers")
    func closedPortForged() throws {
        var peer = OnePeer(knowing: 4)
        let fact = try #require(peer.membership.member(OnePeer.id(3))?.fact)
        peer.membership.portClosed(fact, now: peer.now)
        let ping = try #require(peer.takePings().first { $0.target == OnePeer.id(3) })
        peer.hear(.ack(sequence: ping.sequence), from: 3)
        peer.wait(.milliseconds(150))
        #expect(peer.status(3) == .alive)
    }

    @Test("a closed port and silence is a short suspicion, of which the member is told")
    func closedPortTrue() throws {
        var peer = OnePeer(knowing: 4)
        let fact = try #require(peer.membership.member(OnePeer.id(3))?.fact)
        peer.membership.portClosed(fact, now: peer.now)
        peer.wait(.milliseconds(101))
        #expect(peer.status(3) == .suspect)
        let told = peer.takeSent().filter { $0.to == OnePeer.address(3) }
        #expect(told.last?.datagram.rumors.contains { $0.fact.status == .suspect } == true)
        peer.wait(.milliseconds(200))
        #expect(peer.status(3) == .dead)
    }

    @Test(
        "a member that dies twice within ten minutes is held back a minute, a restarted one is not"
    )
    func flapDamping() {
        var peer = OnePeer(knowing: 4)
        peer.hear(OnePeer.fact(2, .dead), from: 1)
        peer.hear(OnePeer.fact(2, incarnation: 1), from: 2)
        #expect(peer.membership.isReachable(OnePeer.id(2)))
        peer.hear(OnePeer.fact(2, .dead, incarnation: 1), from: 1)
        peer.membership.effects = []
        peer.hear(OnePeer.fact(2, incarnation: 2), from: 2)
        #expect(peer.status(2) == .alive)
        #expect(!peer.membership.isReachable(OnePeer.id(2)))
        let until = peer.membership.member(OnePeer.id(2))?.heldUntil
        #expect(until == peer.now.advanced(by: .seconds(60)))
        peer.membership.effects = []
        peer.now = Instant.zero.advanced(by: .seconds(61))
        peer.membership.tick(now: peer.now)
        #expect(peer.membership.isReachable(OnePeer.id(2)))
        peer.hear(OnePeer.fact(2, .dead, incarnation: 2), from: 1)
        peer.hear(OnePeer.fact(2, boot: 2), from: 2)
        #expect(peer.membership.isReachable(OnePeer.id(2)))
    }

    @Test(
        "a full table forgets the member gone longest for a new one, and nobody for another gone one"
    )
    func fullTable() {
        var peer = OnePeer(knowing: 0)
        for number in 1...MembershipParameters.membersMax {
            peer.hear(
                from: 1,
                rumors: [Rumor(fact: OnePeer.fact(number, .left), accuser: OnePeer.id(number))]
            )
            peer.now = peer.now.advanced(by: .milliseconds(1))
        }
        peer.hear(OnePeer.fact(9_001, .left), from: 1)
        #expect(peer.status(9_001) == nil)
        peer.hear(OnePeer.fact(9_002), from: 1)
        #expect(peer.status(9_002) == .alive)
        #expect(peer.status(1) == nil)
        #expect(peer.status(2) == .left)
    }

    @Test("who misses more than half of the ring at once holds nobody back when it is over")
    func cutOffHoldsNobody() {
        var peer = OnePeer(knowing: 3)
        for incarnation in UInt64(0)..<3 {
            for number in 1...3 {
                peer.hear(OnePeer.fact(number, .dead, incarnation: incarnation), from: number)
            }
            for number in 1...3 {
                peer.hear(OnePeer.fact(number, incarnation: incarnation + 1), from: number)
                #expect(peer.membership.isReachable(OnePeer.id(number)))
            }
            peer.now = peer.now.advanced(by: .seconds(20))
        }
    }

    @Test("a twin at another address, a later boot, an incarnation never issued: each is reported")
    func twins() {
        var clone = OnePeer.fact(0)
        clone.address = OnePeer.address(50)
        for (twin, effect) in [
            (clone, Membership.Effect.twin(boot: 1)),
            (OnePeer.fact(0, incarnation: 3), .twin(boot: 1)),
            (OnePeer.fact(0, boot: 5), .identityTaken(boot: 5)),
        ] {
            var peer = OnePeer(knowing: 2)
            peer.hear(twin, from: 1)
            #expect(peer.membership.effects.contains(effect))
        }
    }

    @Test("an unknown sender is asked over a stream who it is, ten times a second at the most")
    func strangerAsked() {
        var peer = OnePeer(knowing: 2)
        for _ in 0..<100 { peer.hear(from: 9) }
        let asked = peer.membership.effects.filter { effect in
            if case .sync(.summary, OnePeer.id(9), OnePeer.address(9)) = effect {
                true
            } else {
                false
            }
        }
        #expect(asked.count == 1)
        #expect(peer.membership.member(OnePeer.id(9)) == nil)
    }

    @Test(
        "tables that differ in one member of a thousand are mended by a few facts",
        arguments: 0..<5
    )
    func syncIsSmall(seed: Int) throws {
        let facts = (1...1_000).map { OnePeer.fact($0) }
        var first = OnePeer(knowing: 1_000)
        var second = OnePeer(knowing: 0)
        second.membership = Membership(
            own: facts[0],
            ring: MembershipNet.ring,
            knowing: [OnePeer.fact(0)] + facts.filter { $0.id != OnePeer.id(500 + seed) },
            seed: 3,
            now: .zero
        )
        #expect(first.membership.digest != second.membership.digest)
        let own = OnePeer.id(0)
        let summary = first.membership.summary
        let isSummaryTaken = second.membership.receive(summary, from: own, now: .zero)
        #expect(isSummaryTaken)
        guard case .sync(let answer, own, _) = try #require(second.membership.effects.last),
            case .facts(let told, wanted: let wanted) = answer
        else { Issue.record("no answer"); return }
        #expect(told.count < 20)
        #expect(wanted.count == 1)
        let isAnswerTaken = first.membership.receive(answer, from: OnePeer.id(1), now: .zero)
        #expect(isAnswerTaken)
        guard case .sync(let last, _, _) = try #require(first.membership.effects.last) else {
            Issue.record("no second answer")
            return
        }
        let isLastTaken = second.membership.receive(last, from: own, now: .zero)
        #expect(isLastTaken)
        #expect(first.membership.digest == second.membership.digest)
    }

    @Test("a death that was not preceded by a suspicion here is one, for half a second")
    func hearsay() {
        var peer = OnePeer(knowing: 8)
        peer.hear(from: 1, rumors: [Rumor(fact: OnePeer.fact(2, .dead), accuser: OnePeer.id(1))])
        #expect(peer.status(2) == .suspect)
        peer.wait(.milliseconds(499))
        #expect(peer.status(2) == .suspect)
        peer.wait(.milliseconds(2))
        #expect(peer.status(2) == .dead)
    }

    @Test("a death read in another's table is a suspicion here; of strangers it is no news")
    func deathInTable() {
        var peer = OnePeer(knowing: 3)
        peer.membership.merge(
            [OnePeer.fact(2, .dead), OnePeer.fact(9, .dead)],
            from: OnePeer.id(1),
            now: .zero
        )
        #expect(peer.status(2) == .suspect)
        #expect(peer.status(9) == nil)
    }

    @Test("a whole table is not gossiped on, news of a few are, and so is who is accused in it")
    func tableIsNoNews() {
        var peer = OnePeer(knowing: 0)
        peer.membership.merge((1...200).map { OnePeer.fact($0) }, from: OnePeer.id(1), now: .zero)
        #expect(peer.membership.presentCount == 201)
        // Itself.
        #expect(peer.membership.queueLengths.rumors == 1)
        peer.membership.merge([OnePeer.fact(201)], from: OnePeer.id(1), now: .zero)
        #expect(peer.membership.queueLengths.rumors == 2)
        let table = (1...200).map { OnePeer.fact($0, $0 == 7 ? .suspect : .alive) }
        peer.membership.merge(table, from: OnePeer.id(1), now: .zero)
        #expect(peer.membership.queueLengths.rumors == 3)
    }
}
