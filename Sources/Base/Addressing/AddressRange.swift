/// Addresses from one to another, both included, such as those a group keeps for other uses.
package struct AddressRange: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The lowest address.
    package let first: IPAddress
    /// The highest address, of the same family.
    package let last: IPAddress

    /// Makes a range; nil when it is upside down or of two families.
    package init?(first: IPAddress, last: IPAddress) {
        guard first.isV4 == last.isV4, first <= last else { return nil }
        self.first = first
        self.last = last
    }

    /// Makes the range of a whole block.
    package init(_ prefix: Prefix) {
        first = prefix.first
        last = prefix.last
    }

    /// Reads `FIRST-LAST`, a block in CIDR form or one address; nil for anything else.
    package init?(_ text: some StringProtocol) {
        if let prefix = Prefix(text) {
            self.init(prefix)
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let first = IPAddress(parts[0]),
            let last = parts.count == 2 ? IPAddress(parts[1]) : first
        else { return nil }
        self.init(first: first, last: last)
    }

    /// Whether `address` lies in the range.
    package func contains(_ address: IPAddress) -> Bool {
        address.isV4 == first.isV4 && first <= address && address <= last
    }

    package static func < (lhs: AddressRange, rhs: AddressRange) -> Bool {
        (lhs.first, lhs.last) < (rhs.first, rhs.last)
    }

    package var description: String { first == last ? "\(first)" : "\(first)-\(last)" }
}
