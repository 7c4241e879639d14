import Wire

/// A key that seals datagrams, as the ring's configuration lists it.
///
/// The placement neither seals nor opens anything: to it a key is a name and where its bytes come
/// from. What it prints never holds the bytes.
package struct RingKey: Hashable, Sendable {
    /// The name of a key: the start of a hash of its bytes, as datagrams carry it.
    package struct ID: Hashable, Sendable, CustomStringConvertible {
        /// The four bytes, big-endian.
        package let number: UInt32

        /// Makes an id from its four bytes.
        package init(number: UInt32) {
            self.number = number
        }

        /// Reads eight hexadecimal digits; anything else gives nil.
        package init?(_ text: some StringProtocol) {
            guard text.utf8.count == 8, text.allSatisfy(\.isHexDigit),
                let number = UInt32(text, radix: 16)
            else { return nil }
            self.init(number: number)
        }

        /// Eight hexadecimal digits.
        package var description: String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 8 - digits.utf8.count) + digits
        }
    }

    /// Where the bytes of a key come from.
    package enum Origin: Hashable, Sendable {
        /// Every peer derives it from the cluster's secret.
        case clusterSecret
        /// It was drawn by somebody, and travels in the configuration.
        case generated(Bytes)
    }

    /// Key bytes that no description shows.
    package struct Bytes: Hashable, Sendable, CustomStringConvertible,
        CustomDebugStringConvertible, CustomReflectable
    {
        /// The bytes: ``RingKey/byteCount`` of them.
        package let content: [UInt8]

        /// Holds key bytes.
        package init(_ content: [UInt8]) {
            precondition(content.count == RingKey.byteCount, "a gossip key has 32 bytes")
            self.content = content
        }

        package var description: String { "32 key bytes" }
        package var debugDescription: String { description }
        package var customMirror: Mirror { Mirror(self, children: []) }
    }

    /// Its name.
    package let id: ID
    /// Where its bytes come from.
    package let origin: Origin
    /// The epoch that brought it: a peer of that epoch or a later one opens what it seals.
    package let epoch: UInt64

    /// The number of bytes of a key.
    package static let byteCount = 32

    /// Lists a key.
    package init(id: ID, origin: Origin, epoch: UInt64) {
        self.id = id
        self.origin = origin
        self.epoch = epoch
    }
}

/// The keys of a ring: the first seals, all open.
package struct RingKeys: Hashable, Sendable {
    /// The keys; none while the ring has just the one that comes from the cluster's secret.
    package let keys: [RingKey]
    /// The epoch that made the first key the one that seals: a peer of an earlier epoch may still
    /// seal with another.
    package let sealingEpoch: UInt64

    /// The most keys: one in use, one coming, one going, and room for a hand that slips.
    package static let countMax = 8

    /// The keys of a ring in which none was ever changed.
    package static let fromSecret = RingKeys(keys: [], sealingEpoch: 0)

    /// Makes a list.
    package init(keys: [RingKey], sealingEpoch: UInt64) {
        self.keys = keys
        self.sealingEpoch = sealingEpoch
    }

    /// The keys in full, given the name of the one that comes from the cluster's secret.
    package func all(secret: RingKey.ID) -> [RingKey] {
        keys.isEmpty ? [RingKey(id: secret, origin: .clusterSecret, epoch: 0)] : keys
    }

    /// Whether the bounds above hold, and nothing comes from an epoch after `epoch`.
    func isConsistent(epoch: UInt64) -> Bool {
        guard !keys.isEmpty else { return sealingEpoch == 0 }
        let ids = keys.map(\.id.number).sorted()
        return keys.count <= Self.countMax
            && zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 }
            && keys.count { $0.origin == .clusterSecret } <= 1
            && keys.allSatisfy { $0.epoch <= epoch }
            && sealingEpoch >= keys[0].epoch && sealingEpoch <= epoch
    }

    /// The bytes of the list: sealing epoch (8), count (4), then of each key its id (4), epoch (8),
    /// origin (1: 0 the secret, 1 generated) and, of a generated one, the key (32).
    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(sealingEpoch)
        writer.write(list: keys) { writer, key in
            writer.write(key.id.number)
            writer.write(key.epoch)
            switch key.origin {
            case .clusterSecret: writer.write(UInt8(0))
            case .generated(let bytes):
                writer.write(UInt8(1))
                writer.write(raw: bytes.content)
            }
        }
        return writer.bytes
    }

    /// Reads a list as ``encoded`` leaves it; an empty one is never written.
    init(encoded bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        sealingEpoch = try reader.readInteger("sealing epoch")
        keys = try reader.readList("gossip keys", max: Self.countMax) {
            reader throws(WireError) in
            let id = RingKey.ID(number: try reader.readInteger("gossip key id"))
            let epoch = try reader.readInteger("gossip key epoch", as: UInt64.self)
            let isGenerated = try reader.readFlag("gossip key origin")
            guard isGenerated else { return RingKey(id: id, origin: .clusterSecret, epoch: epoch) }
            let content = Array(try reader.readRaw(RingKey.byteCount, "gossip key"))
            return RingKey(id: id, origin: .generated(RingKey.Bytes(content)), epoch: epoch)
        }
        try reader.finish()
        guard !keys.isEmpty else { throw .malformed(field: "gossip keys") }
    }
}
