import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRecords
import Wire

extension FrameFuzz {
    /// A peer, its database and its clock.
    struct World {
        var peer: Peer
        var now = FrameFuzz.start
        /// The frames that it said, and to whom.
        private(set) var said: [(frame: PeerFrame, listener: NodeID)] = []
        private var database = FuzzWorld.rows

        init(peer: Peer) {
            self.peer = peer
        }

        static let plan: BlockPlan = {
            guard let subnet = Prefix(first: IPAddress(v4: 0x0a64_0000), length: 24) else {
                preconditionFailure("the subnet is aligned")
            }
            return BlockPlan(pool: 1, subnet: subnet)
        }()
        static let holder = AddressHolder(containerID: "c", interfaceName: "eth0")

        /// The longest frame that a stream takes.
        private static let frameBytesMax = 4 << 20

        /// Gives the peer a frame and does what it then wants done.
        mutating func hear(_ frame: [UInt8], from speaker: NodeID) throws(FuzzFinding) {
            _ = peer.receive(frame: frame, from: speaker, now: now)
            try carryOut()
        }

        /// Does what the service does: writes, then what waits for the writes; frames to this very
        /// node come back.
        mutating func carryOut() throws(FuzzFinding) {
            for round in 0..<16 {
                let effects = peer.effects
                guard !effects.isEmpty else { return }
                try law(effects.count <= 2_048, "\(effects.count) effects in round \(round)")
                peer.effects = []
                for effect in effects { try carryOut(effect) }
            }
            // A peer that keeps answering itself would keep a processor busy for ever.
            throw FuzzFinding("a peer goes on talking to itself: \(peer.effects.prefix(3))")
        }

        private mutating func carryOut(_ effect: PeerEffect) throws(FuzzFinding) {
            switch effect {
            case .datagram(let bytes, _):
                try law(bytes.count <= 1_400, "a datagram of \(bytes.count) bytes")
            case .frame(let bytes, let node, _):
                try law(bytes.count <= Self.frameBytesMax, "a frame of \(bytes.count) bytes")
                do throws(WireError) {
                    said.append((try PeerFrame(bytes), node))
                } catch { throw FuzzFinding("a frame is said and not read: \(error)") }
                if node == peer.identity.node {
                    _ = peer.receive(frame: bytes, from: node, now: now)
                }
            case .persist(let rows, let then):
                for row in rows {
                    database.removeAll { $0.space == row.space && $0.key == row.key }
                    if row.value != nil { database.append(row) }
                }
                for effect in then { try carryOut(effect) }
            case .answer, .event: break
            }
        }

        /// Lives on for a while with what the frames have left behind, hears them again while other
        /// things are under way, and starts anew from its database.
        mutating func goOn(
            hearing frames: [[UInt8]],
            from speaker: NodeID
        ) throws(FuzzFinding) {
            peer.publish(FuzzWorld.topic, [], token: 10, now: now)
            try carryOut()
            for _ in 0..<4 {
                now = now.advanced(by: .milliseconds(1_100))
                peer.tick(now: now)
                try carryOut()
                for frame in frames {
                    try hear(frame, from: speaker)
                }
            }
            var configuration = peer.configuration
            if let row = database.first(where: { $0.space == .configuration }) {
                guard let stored = try? RingConfiguration(encoded: (row.value ?? [])[...]) else {
                    throw FuzzFinding("a configuration is written and not read")
                }
                configuration = stored
            }
            do throws(WireError) {
                _ = try Peer(
                    identity: FuzzWorld.identity,
                    configuration: configuration,
                    rows: database.filter { $0.space != .configuration },
                    seed: 8,
                    now: .zero
                )
            } catch { throw FuzzFinding("what was written cannot be started from: \(error)") }
        }
    }
}
