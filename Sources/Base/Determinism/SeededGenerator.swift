/// A repeatable source of random numbers: the same seed gives the same sequence everywhere.
///
/// Not for secrets. Keys come from the operating system's generator, in the adapters.
/// - Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Makes a generator whose whole sequence follows from `seed`.
    public init(seed: UInt64) {
        state = seed
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return StableHash.mix(state)
    }
}

/// A 64-bit hash that is the same in every process, on every machine, in every release.
///
/// Slots, digests and rendezvous scores are agreed between peers, so the algorithm is part of the
/// protocol and must not change. Not a cryptographic hash: peers are authenticated elsewhere.
/// - Source: FNV-1a over the bytes, finished with the SplitMix64 mixer for avalanche.
public struct StableHash: Sendable {
    @usableFromInline var state: UInt64

    /// Starts a hash; different seeds give independent functions.
    @inlinable
    public init(seed: UInt64 = 0) {
        state = 0xcbf2_9ce4_8422_2325 ^ Self.mix(seed)
    }

    /// Adds bytes.
    @inlinable
    public mutating func combine(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
    }

    /// Adds bytes: the same as for any sequence of them, at a fraction of the cost.
    public mutating func combine(_ bytes: [UInt8]) {
        for byte in bytes {
            state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
    }

    /// Adds a number, as eight big-endian bytes.
    @inlinable
    public mutating func combine(_ number: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            state = (state ^ ((number >> UInt64(shift)) & 0xff)) &* 0x0000_0100_0000_01b3
        }
    }

    /// The hash of what was added so far.
    @inlinable
    public var value: UInt64 { Self.mix(state) }

    /// The hash of one run of bytes.
    @inlinable
    public static func of(_ bytes: some Sequence<UInt8>, seed: UInt64 = 0) -> UInt64 {
        var hash = StableHash(seed: seed)
        hash.combine(bytes)
        return hash.value
    }

    /// The hash of one run of bytes.
    public static func of(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        var hash = StableHash(seed: seed)
        hash.combine(bytes)
        return hash.value
    }

    /// The SplitMix64 finalizer: every input bit changes about half of the output bits.
    @inlinable
    public static func mix(_ input: UInt64) -> UInt64 {
        var word = input
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
