/// A 48-bit Ethernet address.
package struct MACAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The address in the low 48 bits, first byte highest.
    package let bits: UInt64

    /// Makes an address from its low 48 bits.
    package init(bits: UInt64) {
        self.bits = bits & 0xffff_ffff_ffff
    }

    /// Makes a unicast, locally administered address out of a hash.
    package init(locallyAdministered hash: UInt64) {
        self.init(bits: (hash & 0xfcff_ffff_ffff) | 0x0200_0000_0000)
    }

    /// Reads six hexadecimal pairs with colons.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var bits: UInt64 = 0
        for part in parts {
            guard part.utf8.count == 2, part.first != "+", part.first != "-",
                let byte = UInt8(part, radix: 16)
            else { return nil }
            bits = bits << 8 | UInt64(byte)
        }
        self.init(bits: bits)
    }

    /// Makes an address from six bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.init(bits: bytes.reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// The six bytes, in the order of the wire.
    package var bytes: [UInt8] {
        stride(from: 40, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> UInt64($0)) }
    }

    package static func < (lhs: MACAddress, rhs: MACAddress) -> Bool { lhs.bits < rhs.bits }

    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
