/// The negated binary logarithm of a fraction, out of integers alone.
///
/// Every peer must rank members alike, and math libraries differ in the last bit. The table holds
/// log2(1 + i/1024) with 32 fractional bits, found by repeated squaring; between two entries the
/// value is interpolated, which is off by less than 2^-21.
/// - Source: Knuth, "The Art of Computer Programming" volume 1, section 1.2.2 (squaring method).
struct BinaryLogarithm: Sendable {
    /// The fractional bits of every result.
    static let fractionBits: UInt64 = 32

    private static let indexBits: UInt64 = 10
    private let table: [UInt64]

    static let shared = BinaryLogarithm()

    private init() {
        let steps = 1 << Self.indexBits
        table = (0...steps).map { Self.logarithm(ofSteps: steps + $0, over: steps) }
    }

    /// -log2(`fraction` / 2^64): 0 for the largest fraction, at most 64 for the smallest.
    func negated(of fraction: UInt64) -> UInt64 {
        let value = fraction | 1
        let leading = UInt64(value.leadingZeroBitCount)
        // What follows the leading one: 10 bits of index, then 32 bits between two entries.
        let mantissa = (value << leading) << 1
        let index = Int(mantissa >> (64 - Self.indexBits))
        let between = (mantissa << Self.indexBits) >> 32
        let low = table[index]
        let interpolated = low + ((table[index + 1] - low) * between) >> 32
        return ((leading + 1) << Self.fractionBits) - interpolated
    }

    /// log2(`numerator` / `denominator`) for a ratio from 1 to 2, one bit for each squaring.
    private static func logarithm(ofSteps numerator: Int, over denominator: Int) -> UInt64 {
        guard numerator < 2 * denominator else { return 1 << fractionBits }
        var ratio = UInt64(numerator) << (62 - indexBits)
        var result: UInt64 = 0
        for bit in stride(from: Int(fractionBits) - 1, through: 0, by: -1) {
            let square = ratio.multipliedFullWidth(by: ratio)
            ratio = square.high << 2 | square.low >> 62
            if ratio >> 63 == 1 {
                result |= 1 << UInt64(bit)
                ratio >>= 1
            }
        }
        return result
    }
}
