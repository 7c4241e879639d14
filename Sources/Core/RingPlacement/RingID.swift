package import Determinism

/// The identity of a ring: 128 random bits, drawn once when its first peer starts.
///
/// A peer that meets another ring identity refuses to join. Not a ``Determinism/NodeID``, so that
/// the compiler keeps the two apart.
package struct RingID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The 128 bits.
    package let bits: NodeID

    /// Makes an identity from its 128 bits.
    package init(bits: NodeID) {
        self.bits = bits
    }

    /// Draws a new identity.
    package init(using generator: inout some RandomNumberGenerator) {
        self.init(bits: NodeID(using: &generator))
    }

    /// Reads 32 hexadecimal digits; anything else gives nil.
    package init?(_ text: some StringProtocol) {
        guard let bits = NodeID(text) else { return nil }
        self.init(bits: bits)
    }

    package static func < (lhs: RingID, rhs: RingID) -> Bool { lhs.bits < rhs.bits }

    package var description: String { bits.description }
}
