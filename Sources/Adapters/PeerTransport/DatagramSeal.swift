/// Seals what a peer sends in datagrams and opens what its peers sent.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | version, 1 |
/// | 1 | 4 | key id, big-endian: the start of a hash of the gossip key |
/// | 5 | 16 | salt: random, drawn once per seal |
/// | 21 | 8 | counter, big-endian: 1, 2, 3 … per salt |
/// | 29 | n | ciphertext, as long as the plaintext |
/// | 29 + n | 16 | AES-256-GCM tag |
///
/// The key of the cipher is HKDF(gossip key, salt), so two processes never share one and counters
/// may start at 1 in each. The header and the cluster's label are authenticated with the text.
/// A virtual machine that is resumed twice from one memory snapshot breaks that: restart the peer.
///
/// Replay: a datagram opens once per process that receives it. A receiver that restarted, or one
/// that has heard from ``contextsMax`` other salts since, opens an old one again; what datagrams
/// carry must bear that.
///
/// Used from one queue at a time; nothing here is safe between threads.
package final class DatagramSeal: @unchecked Sendable {
    /// What sealing adds to the plaintext.
    package static let overheadByteCount = headerByteCount + DatagramCipher.tagByteCount
    /// The longest plaintext.
    ///
    /// With the overhead and the headers of IPv6 and UDP it makes 1,493 bytes, so that no datagram
    /// is fragmented on an Ethernet.
    package static let plaintextBytesMax = 1_400
    /// The longest sealed datagram.
    package static let datagramBytesMax = plaintextBytesMax + overheadByteCount
    /// The most senders whose state is kept: more than a ring of 5,000 peers that all restart once
    /// within the same minutes would need.
    package static let contextsMax = 8_192

    static let version: UInt8 = 1
    static let saltByteCount = 16
    static let headerByteCount = 1 + 4 + saltByteCount + 8

    /// What became of a datagram.
    package enum Opening: Hashable, Sendable {
        /// It is genuine and new.
        case opened([UInt8])
        /// It is to be ignored.
        case rejected(DatagramRejection)
    }

    /// The sender of a datagram, as its header names it; a forger can name any.
    private struct Sender: Hashable {
        let key: GossipKey.ID
        let saltHigh: UInt64
        let saltLow: UInt64
    }

    /// What is kept of a sender that has proved to hold the key.
    private final class SenderState {
        let cipher: DatagramCipher
        var window = ReplayWindow()
        var lastUse: UInt64 = 0

        init(cipher: DatagramCipher) {
            self.cipher = cipher
        }
    }

    private let label: [UInt8]
    private let salt: [UInt8]
    private var ring: Keyring
    private var sealing: DatagramCipher
    private var counter: UInt64 = 0
    private var senders: [Sender: SenderState] = [:]
    private var useCount: UInt64 = 0

    /// Makes a seal with a fresh salt.
    ///
    /// Datagrams of a cluster of another label are forgeries here.
    package init(keyring: Keyring, clusterLabel: String) {
        var generator = SystemRandomNumberGenerator()
        label = Array(clusterLabel.utf8)
        salt = (0..<Self.saltByteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
        ring = keyring
        sealing = Self.cipher(of: keyring.sealing, salt: salt, .seal)
    }

    /// The keys in force.
    package var keyring: Keyring { ring }

    /// The number of senders whose state is kept.
    package var senderCount: Int { senders.count }

    /// Opens datagrams of `key` too from now on.
    package func install(_ key: GossipKey) -> Keyring.Outcome {
        ring.install(key)
    }

    /// Seals with the key of `id`, which must be installed, from now on.
    package func use(_ id: GossipKey.ID) -> Keyring.Outcome {
        let outcome = ring.use(id)
        // The counter goes on: the new cipher's key was never used with it.
        if outcome == .changed { sealing = Self.cipher(of: ring.sealing, salt: salt, .seal) }
        return outcome
    }

    /// Opens datagrams of the key of `id` no longer.
    package func remove(_ id: GossipKey.ID) -> Keyring.Outcome {
        let outcome = ring.remove(id)
        if outcome == .changed { senders = senders.filter { $0.key.key != id } }
        return outcome
    }

    /// Opens the keys of `keyring` and no others, and seals with its first, from now on.
    package func adopt(_ keyring: Keyring) {
        let isOtherKey = keyring.sealing != ring.sealing
        ring = keyring
        // The counter goes on: a key may come back that was used with this salt before.
        if isOtherKey { sealing = Self.cipher(of: ring.sealing, salt: salt, .seal) }
        senders = senders.filter { keyring[$0.key.key] != nil }
    }

    /// The datagram that carries `plaintext`; nil when that is longer than ``plaintextBytesMax``.
    package func seal(_ plaintext: [UInt8]) -> [UInt8]? {
        guard plaintext.count <= Self.plaintextBytesMax else { return nil }
        counter += 1
        let header =
            [Self.version] + UInt64(ring.sealing.id.number).bigEndianBytes.suffix(4) + salt
            + counter.bigEndianBytes
        precondition(header.count == Self.headerByteCount, "the header is of fixed length")
        let count = plaintext.count + Self.overheadByteCount
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            let output = UnsafeMutableRawBufferPointer(buffer)
            output.copyBytes(from: header)
            plaintext.withUnsafeBytes { plaintext in
                sealing.seal(
                    plaintext,
                    counter: counter,
                    header: UnsafeRawBufferPointer(rebasing: output[..<Self.headerByteCount]),
                    label: label,
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: output[Self.headerByteCount..<count]
                    )
                )
            }
            initializedCount = count
        }
    }

    /// Opens a datagram that anybody may have sent.
    package func open(_ datagram: [UInt8]) -> Opening {
        datagram.withUnsafeBytes(open)
    }

    func open(_ datagram: UnsafeRawBufferPointer) -> Opening {
        guard datagram.count >= Self.overheadByteCount else { return .rejected(.short) }
        guard datagram.count <= Self.datagramBytesMax else { return .rejected(.oversized) }
        guard datagram[0] == Self.version else { return .rejected(.version) }
        let sender = Sender(
            key: GossipKey.ID(number: UInt32(UInt64(bigEndian: datagram[1..<5]))),
            saltHigh: UInt64(bigEndian: datagram[5..<13]),
            saltLow: UInt64(bigEndian: datagram[13..<21])
        )
        let counter = UInt64(bigEndian: datagram[21..<29])
        guard let key = ring[sender.key] else { return .rejected(.unknownKey) }
        let known = senders[sender]
        // Before the cipher runs: a flood of copies costs little.
        if let known, !known.window.isFresh(counter) { return .rejected(.replayed) }
        let state =
            known
            ?? SenderState(cipher: Self.cipher(of: key, salt: Array(datagram[5..<21]), .open))
        guard state.window.isFresh(counter) else { return .rejected(.forged) }
        guard
            let plaintext = state.cipher.open(
                UnsafeRawBufferPointer(rebasing: datagram[Self.headerByteCount...]),
                counter: counter,
                header: UnsafeRawBufferPointer(rebasing: datagram[..<Self.headerByteCount]),
                label: label
            )
        else { return .rejected(.forged) }
        state.window.mark(counter)
        remember(state, of: sender, isNew: known == nil)
        return .opened(plaintext)
    }

    /// Whether bytes that came back begin with the header of a datagram sealed here lately.
    ///
    /// The salt is what somebody who sees no traffic cannot know.
    func isOwnHeader(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count >= Self.headerByteCount, bytes.first == Self.version else { return false }
        let fields = bytes.dropFirst(5)
        let number = UInt64(bigEndian: fields.dropFirst(Self.saltByteCount).prefix(8))
        return fields.starts(with: salt) && number > 0 && number <= counter
            && counter - number < Self.recentCount
    }

    /// How many datagrams may leave before word of the first one comes back: some seconds' worth.
    private static let recentCount: UInt64 = 16_384

    /// Keeps the state of a sender that has proved genuine; those unheard for longest make room.
    private func remember(_ state: SenderState, of sender: Sender, isNew: Bool) {
        useCount += 1
        state.lastUse = useCount
        guard isNew else { return }
        if senders.count >= Self.contextsMax {
            // An eighth at once, so that the search is paid by a thousand newcomers together.
            let uses = senders.values.map(\.lastUse).sorted()
            let limit = uses[uses.count / 8]
            senders = senders.filter { $0.value.lastUse > limit }
        }
        senders[sender] = state
    }

    private static func cipher(
        of key: GossipKey,
        salt: [UInt8],
        _ direction: DatagramCipher.Direction
    ) -> DatagramCipher {
        let derived = KeyDerivation.derive(
            GossipKey.byteCount,
            from: key.bytes,
            salt: salt,
            purpose: Array("genie-ring v1 datagram key".utf8)
        )
        return DatagramCipher(key: derived, direction)
    }
}

/// Why a datagram was ignored.
package enum DatagramRejection: String, CaseIterable, Hashable, Sendable {
    /// Shorter than header and tag.
    case short
    /// Longer than a peer seals.
    case oversized
    /// Of a version that this release does not know; what is no datagram of ours looks so too.
    case version
    /// Sealed with a key that is not installed.
    case unknownKey = "unknown_key"
    /// Altered, sealed under another label, or made up.
    case forged
    /// Seen before, or older than the replay window.
    case replayed
}
