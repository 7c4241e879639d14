/// A key that seals datagrams, and the name under which datagrams refer to it.
package struct GossipKey: Sendable, Equatable, CustomStringConvertible {
    /// Names the key in every datagram; tells nothing of the key itself.
    package let id: ID

    let bytes: [UInt8]

    /// The number of key bytes: AES-256.
    package static let byteCount = 32

    /// The first four bytes of a hash of a key.
    package struct ID: Hashable, Sendable, CustomStringConvertible {
        /// The four bytes, big-endian.
        package let number: UInt32

        /// Eight hexadecimal digits.
        package var description: String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 8 - digits.utf8.count) + digits
        }
    }

    /// Makes a key from 32 bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount, "a gossip key has 32 bytes")
        self.bytes = bytes
        let hash = KeyDerivation.derive(
            4,
            from: bytes,
            salt: [],
            purpose: Array("genie-ring v1 gossip key id".utf8)
        )
        id = ID(number: hash.reduce(0) { $0 << 8 | UInt32($1) })
    }

    /// Says which key it is and never what it holds.
    package var description: String { "gossip key \(id)" }
}

/// The keys that a peer accepts, the first of which seals.
///
/// A rotation installs the new key everywhere, then uses it everywhere, then removes the old one
/// everywhere; at each moment every peer can open what every other seals.
package struct Keyring: Sendable {
    /// The keys; the first seals, all open.
    package private(set) var keys: [GossipKey]

    /// The most keys at once: one in use, one coming, and one going.
    package static let countMax = 8

    /// What a change came to.
    package enum Outcome: Hashable, Sendable {
        /// The ring was changed.
        case changed
        /// The ring was in that state already.
        case unchanged
        /// There is no key of that id.
        case unknown
        /// The key seals; use another before removing it.
        case inUse
        /// The ring holds ``Keyring/countMax`` keys, or another key of the same id.
        case full
    }

    /// Makes a ring of one key.
    package init(_ key: GossipKey) {
        keys = [key]
    }

    /// Makes a ring of several keys, the first of which seals; nil for none, too many or a name
    /// twice.
    package init?(_ keys: [GossipKey]) {
        let ids = Set(keys.map(\.id))
        guard !keys.isEmpty, keys.count <= Self.countMax, ids.count == keys.count else {
            return nil
        }
        self.keys = keys
    }

    /// The key that seals.
    package var sealing: GossipKey { keys[0] }

    /// Accepts `key` from now on.
    package mutating func install(_ key: GossipKey) -> Outcome {
        if let present = self[key.id] { return present == key ? .unchanged : .full }
        guard keys.count < Self.countMax else { return .full }
        keys.append(key)
        return .changed
    }

    /// Seals with the key of `id` from now on.
    package mutating func use(_ id: GossipKey.ID) -> Outcome {
        guard let index = keys.firstIndex(where: { $0.id == id }) else { return .unknown }
        guard index > 0 else { return .unchanged }
        keys.insert(keys.remove(at: index), at: 0)
        return .changed
    }

    /// Accepts the key of `id` no longer.
    package mutating func remove(_ id: GossipKey.ID) -> Outcome {
        guard let index = keys.firstIndex(where: { $0.id == id }) else { return .unknown }
        guard index > 0 else { return .inUse }
        keys.remove(at: index)
        return .changed
    }

    subscript(id: GossipKey.ID) -> GossipKey? { keys.first { $0.id == id } }
}
