package import Addressing
package import Determinism
package import Wire

/// A rumor: a fact, and for an accusation who makes it.
package struct Rumor: Hashable, Sendable {
    /// What is said.
    package var fact: MemberFact
    /// Who says so; for anything but an accusation the member itself.
    package var accuser: NodeID

    /// Makes a rumor.
    package init(fact: MemberFact, accuser: NodeID) {
        self.fact = fact
        self.accuser = accuser
    }
}

/// One datagram of the membership protocol.
///
/// Every kind carries the sender's claim, the digest of its table and the newest ring epoch it
/// knows, and fills up with rumors: a probe that finds a peer alive also finds out what it lacks.
/// The epoch stands in the fixed header, so however many rumors there are, they cannot starve it.
package struct MembershipDatagram: Hashable, Sendable {
    /// What the datagram asks or answers.
    package enum Kind: Hashable, Sendable {
        /// "Are you there, `target`?"
        case ping(sequence: UInt32, target: NodeID)
        /// "I am."
        case ack(sequence: UInt32)
        /// "Probe `target` at `address` for me."
        case pingRequest(sequence: UInt32, target: NodeID, address: SocketAddress)
        /// "I tried, and it did not answer me either."
        case nack(sequence: UInt32)
        /// Rumors only.
        case gossip
    }

    /// The version of the protocol that it is in: the first byte of every datagram.
    package var version: UInt8
    /// What is asked or answered.
    package var kind: Kind
    /// The ring that the sender belongs to; datagrams of another ring are dropped.
    package var ring: NodeID
    /// What the sender says of itself.
    package var sender: MemberClaim
    /// The digest of the sender's table.
    package var digest: UInt64
    /// The newest ring epoch that the sender knows.
    package var epoch: UInt64
    /// What the sender passes on.
    package var rumors: [Rumor]

    /// The most rumors of one datagram.
    package static let rumorsMax = 64

    /// Makes a datagram.
    package init(
        version: UInt8 = ProtocolRange.spoken.highest,
        kind: Kind,
        ring: NodeID,
        sender: MemberClaim,
        digest: UInt64,
        epoch: UInt64,
        rumors: [Rumor] = []
    ) {
        self.version = version
        self.kind = kind
        self.ring = ring
        self.sender = sender
        self.digest = digest
        self.epoch = epoch
        self.rumors = rumors
    }

    /// The datagram's bytes before sealing: version, kind, ring, sender, digest, epoch, rumors.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(version)
        switch kind {
        case .ping(let sequence, let target):
            writer.write(UInt8(1))
            writer.write(sequence)
            writer.write(target)
        case .ack(let sequence):
            writer.write(UInt8(2))
            writer.write(sequence)
        case .pingRequest(let sequence, let target, let address):
            writer.write(UInt8(3))
            writer.write(sequence)
            writer.write(target)
            writer.write(address)
        case .nack(let sequence):
            writer.write(UInt8(4))
            writer.write(sequence)
        case .gossip:
            writer.write(UInt8(5))
        }
        writer.write(ring)
        sender.write(to: &writer)
        writer.write(digest)
        writer.write(epoch)
        writer.write(list: rumors) { writer, rumor in
            rumor.fact.write(to: &writer)
            writer.write(rumor.accuser)
        }
        return writer.bytes
    }

    /// The number of bytes of ``encoded``, without encoding.
    package var encodedLength: Int {
        rumors.reduce(Self.headerLength + kind.encodedLength) { $0 + $1.encodedLength }
    }

    /// Version and kind 2, ring 16, sender, digest 8, epoch 8, count of rumors 4.
    static let headerLength = 2 + 16 + MemberClaim.encodedLength + 8 + 8 + 4

    /// Reads a datagram that a stranger may have made, in one of the versions that are spoken here.
    package init(
        _ bytes: [UInt8],
        speaking versions: ProtocolRange = .spoken
    ) throws(WireError) {
        var reader = ByteReader(bytes)
        version = try reader.readInteger("version")
        guard versions.contains(version) else { throw .malformed(field: "version") }
        kind = try Self.readKind(&reader)
        ring = try reader.readNodeID("ring")
        sender = try MemberClaim(from: &reader)
        digest = try reader.readInteger("digest")
        epoch = try reader.readInteger("epoch")
        rumors = try reader.readList("rumors", max: Self.rumorsMax) {
            reader throws(WireError) in
            Rumor(fact: try MemberFact(from: &reader), accuser: try reader.readNodeID("accuser"))
        }
        try reader.finish()
    }

    private static func readKind(_ reader: inout ByteReader) throws(WireError) -> Kind {
        switch try reader.readInteger("kind", as: UInt8.self) {
        case 1:
            return .ping(
                sequence: try reader.readInteger("sequence"),
                target: try reader.readNodeID("target")
            )
        case 2:
            return .ack(sequence: try reader.readInteger("sequence"))
        case 3:
            let sequence = try reader.readInteger("sequence", as: UInt32.self)
            let target = try reader.readNodeID("target")
            let address = try reader.readIPAddress("address")
            return .pingRequest(
                sequence: sequence,
                target: target,
                address: SocketAddress(address: address, port: try reader.readInteger("port"))
            )
        case 4:
            return .nack(sequence: try reader.readInteger("sequence"))
        case 5:
            return .gossip
        default:
            throw .malformed(field: "kind")
        }
    }
}

extension MembershipDatagram.Kind {
    /// The bytes that the kind's fields take.
    var encodedLength: Int {
        switch self {
        case .ping: 4 + 16
        case .ack, .nack: 4
        case .pingRequest: 4 + 16 + 16 + 2
        case .gossip: 0
        }
    }
}

extension Rumor {
    /// The bytes that the rumor takes in a datagram: the fact, and 16 for the accuser.
    package var encodedLength: Int { fact.encodedLength + 16 }
}
