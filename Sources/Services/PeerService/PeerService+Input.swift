import Addressing
import Determinism
import Logging
import PeerTransport
import RingMembership
import RingPeer
import RingPlacement
import Wire

extension PeerService {
    func receive(_ batch: DatagramSocket.Received) {
        let now = now
        var unreadable: UInt64 = 0
        var foreign: UInt64 = 0
        var otherVersion: UInt64 = 0
        change { peer in
            for (bytes, source) in batch {
                switch peer.receive(datagram: bytes, from: source, now: now) {
                case .accepted: break
                case .unreadable: unreadable += 1
                case .unknown: otherVersion += 1
                case .foreign: foreign += 1
                }
            }
        }
        refusals.datagramsUnreadable += unreadable
        refusals.datagramsForeign += foreign
        refusals.datagramsOtherVersion += otherVersion
    }

    func take(_ event: StreamEvent) {
        guard !isStopped else { return }
        switch event {
        case .connected(let node, let connection, let address):
            outbox.drop(at: address, unless: node)
            for frame in outbox.take(for: node) { _ = streams?.send(frame, to: node) }
            if settings.seeds.contains(address) {
                connectedSeeds[address] = connection
                greet(connection)
            }
        case .frame(let node, let connection, let bytes):
            take(bytes, from: node, connection)
        case .closed(let connection, let node, let reason):
            if node == nil { refusals.streams += 1 }
            connectedSeeds = connectedSeeds.filter { $0.value != connection }
            logger.debug(
                "stream closed",
                metadata: ["peer": "\(node.map(\.short) ?? "-")", "reason": "\(reason)"]
            )
        case .dialFailed(let address, let reason):
            refusals.streams += 1
            outbox.drop(at: address)
            logger.debug("dial failed", metadata: ["address": "\(address)", "reason": "\(reason)"])
            if joined != nil {
                logger.warning(
                    "seed does not answer",
                    metadata: ["address": "\(address)", "reason": "\(reason)"]
                )
            }
        }
    }

    /// Greets every seed, dialling those that are not connected; again each second while no ring
    /// was entered.
    func greetSeeds() {
        for seed in settings.seeds {
            if let connection = connectedSeeds[seed] {
                greet(connection)
            } else {
                streams?.dial(seed)
            }
        }
        guard peer == nil else { return }
        Task {
            try? await Task.sleep(for: .seconds(1))
            if peer == nil, !isStopped { greetSeeds() }
        }
    }

    private func greet(_ connection: ConnectionID) {
        guard let identity else { return }
        let fact =
            peer?.membership.own
            ?? MemberFact(
                id: identity.node,
                boot: identity.boot,
                name: identity.name,
                zone: identity.zone,
                metadata: identity.metadata,
                address: identity.address,
                versions: identity.versions
            )
        let hello = PeerFrame.hello(ring: peer?.configuration.ringID, sender: fact)
        _ = streams?.send(hello.encoded, over: connection)
    }

    private func take(_ bytes: [UInt8], from node: NodeID, _ connection: ConnectionID) {
        if peer == nil {
            takeWhileJoining(bytes)
            return
        }
        if let frame = try? PeerFrame(bytes), case .refusal(let refusal, _, let reason) = frame {
            takeRefusal(refusal, reason, from: node)
            return
        }
        let now = now
        guard !unwritten.isFull else {
            refusals.framesUnwritten += 1
            let reason = "the disk of this node does not keep up: what has to be written is refused"
            logger.log(
                level: refusalLog.level(of: reason, from: node, now: now),
                "frame refused",
                metadata: ["peer": "\(node.short)", "reason": "\(reason)"]
            )
            return
        }
        change { peer in
            if case .unknown = peer.receive(frame: bytes, from: node, now: now) {
                refusals.framesUnknown += 1
            }
        }
    }

    /// A peer without a ring waits for one thing only: to be let in, or to be refused.
    private func takeWhileJoining(_ bytes: [UInt8]) {
        guard let frame = try? PeerFrame(bytes) else { return }
        switch frame {
        case .welcome(let configuration, let facts):
            do {
                try enter(configuration)
                let row = PeerRow(space: .configuration, key: [], value: configuration.encoded)
                carryOut([.persist([row], then: [])])
                let now = now
                change { peer in
                    peer.meet(facts, now: now)
                }
                joined?.resume()
            } catch {
                joined?.resume(throwing: error)
            }
            joined = nil
        case .refusal(let refusal, _, let reason):
            joined?.resume(throwing: PeerServiceError(refusal, reason))
            joined = nil
        case .hello, .membership, .probe, .probeAnswer, .configurationRequest, .configuration,
            .configurationChange, .admission, .register, .record, .registerOf, .recovery:
            break
        }
    }

    /// A refusal ends a peer that nobody else knows; one that is among its own goes on.
    private func takeRefusal(_ refusal: PeerFrame.Refusal, _ reason: String, from node: NodeID) {
        let hasCompany = peer?.membership.members.contains { !$0.fact.status.isGone } ?? false
        if hasCompany {
            let level = refusalLog.level(of: reason, from: node, now: now)
            logger.log(level: level, "refused by a stranger", metadata: ["reason": "\(reason)"])
        } else {
            fail(PeerServiceError(refusal, reason))
        }
    }
}

extension FrameOutbox {
    /// Drops what waits for other nodes than `node` at an address where `node` answered.
    mutating func drop(at address: SocketAddress, unless node: NodeID) {
        let kept = take(for: node)
        drop(at: address)
        for frame in kept { _ = keep(frame, for: node, at: address) }
    }
}
