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
        let address = TextBytes.read(text) { text -> MACAddress? in
            var bits: UInt64 = 0
            for index in 0..<6 {
                guard index == 0 || text.skip(":"), let byte = text.byte() else { return nil }
                bits = bits << 8 | UInt64(byte)
            }
            return MACAddress(bits: bits)
        }
        guard let address else { return nil }
        self = address
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
