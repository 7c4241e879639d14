/// The number of a VPC on the wire: 24 bits, never zero (RFC 8926 section 3.4).
package struct VNI: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 1 to 16,777,215.
    package let number: UInt32

    /// The largest number.
    package static let max: UInt32 = 0xff_ffff

    /// Makes a VNI; nil for zero and for what does not fit in 24 bits.
    package init?(_ number: UInt32) {
        guard (1...Self.max).contains(number) else { return nil }
        self.number = number
    }

    package static func < (lhs: VNI, rhs: VNI) -> Bool { lhs.number < rhs.number }

    package var description: String { String(number) }
}
