import Addressing
import BPFObjects
import Determinism
import Logging
import PeerService
import RingMembership
import RingPlacement

/// Asks the nodes' programs whether they are there.
struct DataplaneEcho: Sendable {
    let socket: TunnelEchoSocket

    init(bind address: IPAddress) throws(BPFError) {
        socket = try TunnelEchoSocket(bind: address)
    }
}

extension NodeAgent {
    /// How often questions go out; a lost node is known after five rounds.
    private static let roundMilliseconds = 250
    /// Healthy members are asked in every so many rounds; the others in each.
    private static let healthyEveryRounds = 4
    /// Healthy members asked at once, in turn.
    private static let healthyPerRoundMax = 16

    /// Asks in rounds until the task is cancelled, and reconciles when a node is withdrawn or back.
    func watchDataplanes() async {
        var turn = 0
        var round = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(Self.roundMilliseconds))
            guard let snapshot = await peer.snapshot(), let echo else { continue }
            collectAnswers(snapshot, echo)
            let others = snapshot.configuration.members.filter { $0.id != snapshot.own.id }
            let gone = SortedSet(
                snapshot.members.filter { $0.fact.status.isGone }.map(\.fact.id)
            )
            let before = others.map { liveness.isWithdrawn($0.id) }
            let living = SortedSet(
                [snapshot.own.address]
                    + snapshot.members.filter { !$0.fact.status.isGone }.map(\.fact.address)
            )
            // A machine whose disk was lost is back as another node: what it ran before is no more.
            let replaced = SortedSet(
                others.filter { gone.contains($0.id) && living.contains($0.address) }.map(\.id)
            )
            liveness.noteGone(gone, replaced: replaced)
            let isHealthyRound = round % Self.healthyEveryRounds == 0
            ask(others, gone, turn: isHealthyRound ? turn : nil, echo)
            if isHealthyRound { turn &+= Self.healthyPerRoundMax }
            round &+= 1
            let after = others.map { liveness.isWithdrawn($0.id) }
            guard before != after else { continue }
            for (member, (was, isWithdrawn)) in zip(others, zip(before, after))
            where was != isWithdrawn {
                logger.notice(
                    isWithdrawn ? "endpoints withdrawn" : "endpoints back in service",
                    metadata: ["node": "\(member.name)"]
                )
                await peer.noteDataplane(
                    of: member.id,
                    name: member.name,
                    isWithdrawn: isWithdrawn
                )
            }
            await reconcile()
        }
    }

    private func collectAnswers(_ snapshot: PeerSnapshot, _ echo: DataplaneEcho) {
        let answered = SortedSet(echo.socket.takeAnswers())
        for member in snapshot.configuration.members
        where answered.contains(member.address.address) {
            liveness.noteAnswered(member.id)
        }
    }

    private func ask(
        _ others: [RingMember],
        _ gone: SortedSet<NodeID>,
        turn: Int?,
        _ echo: DataplaneEcho
    ) {
        let healthy = others.filter { !gone.contains($0.id) }
        var asked = others.filter { gone.contains($0.id) }
        if let turn {
            for offset in 0..<min(Self.healthyPerRoundMax, healthy.count) {
                asked.append(healthy[(turn + offset) % healthy.count])
            }
        }
        for member in asked {
            echo.socket.ask(member.address.address)
            liveness.noteAsked(member.id)
        }
    }
}
