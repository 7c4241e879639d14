package import Addressing

/// An address of an interface together with the length of the block it lies in.
///
/// Unlike ``Prefix`` it keeps the bits of the host: `10.1.0.5/24`.
package struct InterfaceAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The whole address.
    package let address: IPAddress
    /// The number of bits that are the same for the whole link: 0 to 32, or to 128 for IPv6.
    package let prefixLength: Int

    /// Makes an interface address; nil where the length does not fit the family.
    package init?(_ address: IPAddress, prefixLength: Int) {
        guard (0...(address.isV4 ? 32 : 128)).contains(prefixLength) else { return nil }
        self.address = address
        self.prefixLength = prefixLength
    }

    /// Makes an address that shares its link with nobody: `/32`, or `/128` for IPv6.
    package init(alone address: IPAddress) {
        self.address = address
        prefixLength = address.isV4 ? 32 : 128
    }

    /// Reads `ADDRESS/LENGTH`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(parts[0]),
            (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(parts[1])
        else { return nil }
        self.init(address, prefixLength: length)
    }

    /// The block of addresses that are reached over the link without a gateway.
    package var linkBlock: Prefix? { .containing(address, length: prefixLength) }

    package static func < (lhs: InterfaceAddress, rhs: InterfaceAddress) -> Bool {
        (lhs.address, lhs.prefixLength) < (rhs.address, rhs.prefixLength)
    }

    package var description: String { "\(address)/\(prefixLength)" }
}
