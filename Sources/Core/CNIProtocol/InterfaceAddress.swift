package import Addressing

/// An address with the length of the block that it sits in, as `10.1.0.5/24`.
package struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address, host bits included.
    package let address: IPAddress
    /// The length of the block: 0 to 32 for IPv4, 0 to 128 for IPv6.
    package let length: Int

    /// Makes an address; nil when the length does not fit the family.
    package init?(address: IPAddress, length: Int) {
        guard (0...(address.isV4 ? 32 : 128)).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// Reads `ADDRESS/LENGTH`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(parts[0]),
            (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(parts[1])
        else { return nil }
        self.init(address: address, length: length)
    }

    /// The block that the address sits in.
    package var prefix: Prefix? { Prefix.containing(address, length: length) }

    package var description: String { "\(address)/\(length)" }
}
