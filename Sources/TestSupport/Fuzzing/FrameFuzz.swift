import Determinism
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// Laws: what decodes encodes to a frame that decodes to the same; a peer that hears it does not
/// trap; what it says because of it can be read and sent; what it makes durable it can start from.
///
/// The first byte names the speaker (1 to 3 stewards, 4 a member, the rest strangers); then come
/// frames, each behind 16 bits of length.
enum FrameFuzz {
    static func run(_ input: [UInt8], isDeep: Bool) throws(FuzzFinding) {
        guard let speaker = input.first.map(FuzzWorld.node(named:)) else { return }
        var world = World(peer: template)
        let frames = Array(cut(input.dropFirst()).prefix(isDeep ? 8 : 2))
        for frame in frames {
            try checkCodec(frame)
            guard isDeep else { continue }
            try world.hear(frame, from: speaker)
        }
        if isDeep { try world.goOn(hearing: frames, from: speaker) }
    }

    /// What the peer answers to the registers' messages of an input.
    static func registerAnswers(_ input: [UInt8]) throws(FuzzFinding) -> [RegisterMessage] {
        guard let speaker = input.first.map(FuzzWorld.node(named:)) else { return [] }
        var world = World(peer: template)
        for frame in cut(input.dropFirst()) { try world.hear(frame, from: speaker) }
        return world.said.compactMap { frame, listener in
            guard case .register(let content) = frame, listener == speaker,
                let message = try? RegisterMessage(content[...])
            else { return nil }
            return message.isAnswer ? message : nil
        }
    }

    /// A frame has a second form only where it carries what this release does not write.
    private static func checkCodec(_ bytes: [UInt8]) throws(FuzzFinding) {
        guard let frame = try? PeerFrame(bytes) else { return }
        try law((try? PeerFrame(frame.encoded)) == frame, "a frame reads back: \(frame)")
        switch frame {
        case .register(let content), .registerOf(_, let content):
            guard let message = try? RegisterMessage(content[...]) else { return }
            try law(message.encoded == content, "a register message has one encoding: \(message)")
        case .record(let content):
            guard let message = try? RecordMessage(content[...]) else { return }
            try law(message.encoded == content, "a record message has one encoding: \(message)")
        case .recovery(let content):
            guard let message = try? RecoveryMessage(content[...]) else { return }
            try law(message.encoded == content, "a recovery has one encoding: \(message)")
        default: try law(frame.encoded == bytes, "a frame has one encoding: \(frame)")
        }
    }

    private static func cut(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var reader = ByteReader(bytes)
        var frames: [[UInt8]] = []
        while reader.remaining > 0,
            let length = try? reader.readInteger("length", as: UInt16.self),
            let frame = try? reader.readRaw(min(Int(length), reader.remaining), "frame")
        {
            frames.append(Array(frame))
        }
        return frames
    }

    /// A peer in the middle of everything: its own place in the configuration is being read, it has
    /// published, follows a topic, reads another, changes a register and wants an address; it
    /// serves as a steward, since the others have vouched for its disk.
    static let template: Peer = {
        guard
            var peer = try? Peer(
                identity: FuzzWorld.identity,
                configuration: FuzzWorld.configuration(epoch: 2),
                rows: FuzzWorld.rows,
                seed: 7,
                now: .zero
            )
        else { preconditionFailure("the small ring can be made") }
        peer.meet((2...4).map { FuzzWorld.fact($0) }, now: .zero)
        peer.tick(now: start)
        for (answer, steward) in peer.effects.flatMap(FuzzWorld.vouched) {
            _ = peer.receive(frame: answer, from: steward, now: start)
        }
        peer.watch(FuzzWorld.topic, now: start)
        peer.read(Topic("green"), token: 1, now: start)
        let change = RegisterRequest.compareAndSet(key: "k", expectedVersion: 0, content: [1])
        peer.ask(change, token: 2, now: start)
        peer.allocate(World.plan, holder: World.holder, token: 3, now: start)
        peer.effects = []
        return peer
    }()

    static let start = Instant(microseconds: 1_000_000)

    static var seeds: [FuzzSeed] { FrameSeeds.all }
}
