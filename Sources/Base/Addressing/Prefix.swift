/// An address block such as `10.1.0.0/16`: its first address and its length.
package struct Prefix: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first address; every bit past ``length`` is zero.
    package let first: IPAddress
    /// The number of fixed bits: 0 to 32 for IPv4, 0 to 128 for IPv6.
    package let length: Int

    /// Makes a block; nil when the length does not fit or host bits are set.
    package init?(first: IPAddress, length: Int) {
        guard (0...(first.isV4 ? 32 : 128)).contains(length) else { return nil }
        guard Self.masked(first, length: length) == first else { return nil }
        self.first = first
        self.length = length
    }

    /// Reads `ADDRESS/LENGTH`; nil for anything else, set host bits included.
    package init?(_ text: some StringProtocol) {
        guard
            let block = TextBytes.read(text, { Self.read(&$0, IPAddress.readV4) })
                ?? TextBytes.read(text, { Self.read(&$0, IPAddress.readV6) })
        else { return nil }
        self = block
    }

    private static func read(
        _ text: inout TextBytes,
        _ address: (inout TextBytes) -> IPAddress?
    ) -> Prefix? {
        guard let address = address(&text), text.skip("/"),
            let length = text.number(radix: 10, digitsMax: 3, allowsZeros: true)
        else { return nil }
        return Prefix(first: address, length: Int(length))
    }

    /// The block of `length` bits that `address` lies in.
    package static func containing(_ address: IPAddress, length: Int) -> Prefix? {
        guard (0...(address.isV4 ? 32 : 128)).contains(length) else { return nil }
        return Prefix(first: masked(address, length: length), length: length)
    }

    /// Whether the block is of IPv4 addresses.
    package var isV4: Bool { first.isV4 }

    /// The number of bits that vary inside the block.
    package var hostBits: Int { (isV4 ? 32 : 128) - length }

    /// The number of addresses; nil from 2^63 on.
    package var count: UInt64? { hostBits < 63 ? 1 << UInt64(hostBits) : nil }

    /// The last address.
    package var last: IPAddress {
        if hostBits >= 64 {
            let free = hostBits - 64
            let mask = free == 64 ? UInt64.max : (1 << UInt64(free)) - 1
            return IPAddress(high: first.high | mask, low: .max)
        }
        return IPAddress(high: first.high, low: first.low | ((1 << UInt64(hostBits)) - 1))
    }

    /// Whether `address` lies in the block.
    package func contains(_ address: IPAddress) -> Bool {
        address.isV4 == isV4 && first <= address && address <= last
    }

    /// Whether the two blocks share an address.
    package func overlaps(_ other: Prefix) -> Bool {
        isV4 == other.isV4 && first <= other.last && other.first <= last
    }

    package static func < (lhs: Prefix, rhs: Prefix) -> Bool {
        (lhs.first, lhs.length) < (rhs.first, rhs.length)
    }

    package var description: String { "\(first)/\(length)" }

    private static func masked(_ address: IPAddress, length: Int) -> IPAddress {
        let bits = address.isV4 ? length + 96 : length
        let highMask: UInt64 = bits >= 64 ? .max : bits == 0 ? 0 : .max << UInt64(64 - bits)
        let lowMask: UInt64 = bits >= 128 ? .max : bits <= 64 ? 0 : .max << UInt64(128 - bits)
        return IPAddress(high: address.high & highMask, low: address.low & lowMask)
    }
}
