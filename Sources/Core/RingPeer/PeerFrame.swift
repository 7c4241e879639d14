package import Determinism
package import RingMembership
package import RingPlacement
import RingRecords
import RingRegisters
package import Wire

/// What travels over the streams between peers.
package enum PeerFrame: Hashable, Sendable {
    /// "May I take part?" A peer that was in a ring before names it.
    case hello(ring: RingID?, sender: MemberFact)
    /// "You may": the configuration in force and everyone that is known.
    case welcome(RingConfiguration, [MemberFact])
    /// "You may not", and why; its layout is the same in all versions.
    case refusal(Refusal, ring: RingID, reason: String)
    /// What two peers whose member tables differ tell each other.
    case membership(MembershipSync)
    /// "Are you there?", asked where datagrams were not answered.
    case probe(sequence: UInt32, epoch: UInt64)
    /// "I am", with the sender's own fact.
    case probeAnswer(sequence: UInt32, epoch: UInt64, MemberFact)
    /// "Which configuration do you have? Mine is of this epoch."
    ///
    /// Who has a newer one answers with it, who has an older one asks back, and at equal epochs
    /// there is nothing to say. The largest number there is asks for nothing but the other's epoch.
    case configurationRequest(epoch: UInt64)
    /// The configuration in force at the sender.
    case configuration(RingConfiguration)
    /// What changed between two configurations, for a peer that is behind.
    case configurationChange(ConfigurationDelta)
    /// "Let me be in the configuration as this member; mine is of this epoch."
    case admission(epoch: UInt64, RingMember)
    /// A message about registers, encoded by its module.
    case register([UInt8])
    /// A message about records, encoded by its module.
    case record([UInt8])
    /// A message about the registers of a registry that is not the ring's first.
    case registerOf(NodeID, [UInt8])
    /// A question about lost registers or an answer, encoded as a ``RecoveryMessage``.
    case recovery([UInt8])

    /// Why a peer may not take part.
    package enum Refusal: UInt8, Sendable {
        /// It belongs to another ring.
        case ring = 1
        /// It has no version in common with some member.
        case versions = 2
    }

    private static let contentLengthMax = 4 << 20

    /// The last kind of frames that this release knows; a later one may have more.
    static let kindLast: UInt8 = 14

    /// The frame's bytes: a kind, then its fields.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .hello(let ring, let sender):
            writer.write(Greeting.frameKind)
            Greeting(of: sender).write(to: &writer)
            writer.write(ring != nil)
            if let ring { writer.write(ring.bits) }
            sender.write(to: &writer)
        case .welcome(let configuration, let facts):
            writer.write(UInt8(2))
            writer.write(counted: configuration.encoded)
            writer.write(list: facts) { $1.write(to: &$0) }
        case .refusal(let refusal, let ring, let reason):
            writer.write(UInt8(3))
            writer.write(refusal.rawValue)
            writer.write(ring.bits)
            writer.write(reason)
        case .membership(let message):
            writer.write(UInt8(4))
            message.write(to: &writer)
        case .configurationRequest(let epoch):
            writer.write(UInt8(5))
            writer.write(epoch)
        case .configuration(let configuration):
            writer.write(UInt8(6))
            writer.write(counted: configuration.encoded)
        case .register(let bytes):
            writer.write(UInt8(7))
            writer.write(raw: bytes)
        case .record(let bytes):
            writer.write(UInt8(8))
            writer.write(raw: bytes)
        case .probe(let sequence, let epoch):
            writer.write(UInt8(9))
            writer.write(sequence)
            writer.write(epoch)
        case .probeAnswer(let sequence, let epoch, let fact):
            writer.write(UInt8(10))
            writer.write(sequence)
            writer.write(epoch)
            fact.write(to: &writer)
        case .registerOf(let registry, let bytes):
            writer.write(UInt8(11))
            writer.write(registry)
            writer.write(raw: bytes)
        case .recovery(let bytes):
            writer.write(UInt8(12))
            writer.write(raw: bytes)
        case .configurationChange(let delta):
            writer.write(UInt8(13))
            delta.write(to: &writer)
        case .admission(let epoch, let member):
            writer.write(UInt8(14))
            writer.write(epoch)
            member.write(to: &writer)
        }
        return writer.bytes
    }

    /// Reads a frame that another peer wrote.
    package init(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        switch try reader.readInteger("frame kind", as: UInt8.self) {
        case 1:
            let greeting = try Greeting(from: &reader)
            let hasRing = try reader.readFlag("has ring")
            let ring = hasRing ? RingID(bits: try reader.readNodeID("ring")) : nil
            let sender = try MemberFact(from: &reader)
            guard greeting == Greeting(of: sender) else { throw .malformed(field: "greeting") }
            self = .hello(ring: ring, sender: sender)
        case 2:
            let configuration = try Self.readConfiguration(&reader)
            self = .welcome(configuration, try Self.readFacts(&reader))
        case 3:
            let code = try reader.readInteger("refusal", as: UInt8.self)
            guard let refusal = Refusal(rawValue: code) else { throw .malformed(field: "refusal") }
            let ring = RingID(bits: try reader.readNodeID("ring"))
            self = .refusal(refusal, ring: ring, reason: try reader.readText("reason", max: 1_024))
        case 4: self = .membership(try MembershipSync(from: &reader))
        case 5: self = .configurationRequest(epoch: try reader.readInteger("epoch"))
        case 6: self = .configuration(try Self.readConfiguration(&reader))
        case 7: self = .register(Array(try reader.readRaw(reader.remaining, "message")))
        case 8: self = .record(Array(try reader.readRaw(reader.remaining, "message")))
        case 9:
            let sequence = try reader.readInteger("sequence", as: UInt32.self)
            self = .probe(sequence: sequence, epoch: try reader.readInteger("epoch"))
        case 10:
            let sequence = try reader.readInteger("sequence", as: UInt32.self)
            let epoch = try reader.readInteger("epoch", as: UInt64.self)
            self = .probeAnswer(sequence: sequence, epoch: epoch, try MemberFact(from: &reader))
        case 11:
            let registry = try reader.readNodeID("registry")
            self = .registerOf(registry, Array(try reader.readRaw(reader.remaining, "message")))
        case 12: self = .recovery(Array(try reader.readRaw(reader.remaining, "message")))
        case 13: self = .configurationChange(try ConfigurationDelta(from: &reader))
        case 14:
            let epoch = try reader.readInteger("epoch", as: UInt64.self)
            self = .admission(epoch: epoch, try RingMember(from: &reader))
        default: throw .malformed(field: "frame kind")
        }
        try reader.finish()
    }

    private static func readConfiguration(
        _ reader: inout ByteReader
    ) throws(WireError) -> RingConfiguration {
        let bytes = try reader.readCounted("configuration", max: contentLengthMax)
        return try RingConfiguration(encoded: bytes)
    }

    private static func readFacts(_ reader: inout ByteReader) throws(WireError) -> [MemberFact] {
        try reader.readList("facts", max: MembershipParameters.membersMax + 1) {
            reader throws(WireError) in
            try MemberFact(from: &reader)
        }
    }
}
