/// An IPv4 or IPv6 address, kept as 128 bits with IPv4 mapped (RFC 4291 section 2.5.5.2).
///
/// One form for both families means one key layout in maps and on the wire.
package struct IPAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first eight bytes, big-endian.
    package let high: UInt64
    /// The last eight bytes, big-endian.
    package let low: UInt64

    private static let mappedPrefix: UInt64 = 0x0000_ffff_0000_0000

    /// Makes an address from its two halves.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes an IPv4 address from its 32 bits in host order.
    package init(v4 bits: UInt32) {
        self.init(high: 0, low: Self.mappedPrefix | UInt64(bits))
    }

    /// Reads dotted decimal or RFC 4291 text; nil for anything else, leading zeros included.
    package init?(_ text: some StringProtocol) {
        guard let address = TextBytes.read(text, Self.readV4) ?? TextBytes.read(text, Self.readV6)
        else { return nil }
        self = address
    }

    /// The 32 bits of an IPv4 address in host order; nil for IPv6.
    package var v4: UInt32? {
        high == 0 && low >> 32 == Self.mappedPrefix >> 32 ? UInt32(truncatingIfNeeded: low) : nil
    }

    /// Whether this is an IPv4 address.
    package var isV4: Bool { v4 != nil }

    /// The 16 bytes in network order.
    package var bytes: [UInt8] {
        [high, low].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }

    /// Makes an address from 16 bytes in network order.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        let words = bytes.reduce(into: (high: UInt64(0), low: UInt64(0), index: 0)) { sum, byte in
            if sum.index < 8 {
                sum.high = sum.high << 8 | UInt64(byte)
            } else {
                sum.low = sum.low << 8 | UInt64(byte)
            }
            sum.index += 1
        }
        self.init(high: words.high, low: words.low)
    }

    /// The address `count` further on; nil past the end of the address space.
    package func advanced(by count: UInt64) -> IPAddress? {
        let (sum, carry) = low.addingReportingOverflow(count)
        if isV4 { return sum >> 32 == Self.mappedPrefix >> 32 ? IPAddress(high: 0, low: sum) : nil }
        let (top, overflow) = high.addingReportingOverflow(carry ? 1 : 0)
        return overflow ? nil : IPAddress(high: top, low: sum)
    }

    package static func < (lhs: IPAddress, rhs: IPAddress) -> Bool {
        // Not as tuples: these are compared by code for any two types.
        lhs.high == rhs.high ? lhs.low < rhs.low : lhs.high < rhs.high
    }

    package var description: String {
        if let v4 {
            return "\(v4 >> 24).\(v4 >> 16 & 255).\(v4 >> 8 & 255).\(v4 & 255)"
        }
        return Self.formatV6(high: high, low: low)
    }

    /// Four numbers with dots between them.
    static func readV4(_ text: inout TextBytes) -> IPAddress? {
        var bits: UInt32 = 0
        for index in 0..<4 {
            guard index == 0 || text.skip("."),
                let part = text.number(radix: 10, digitsMax: 3, allowsZeros: false), part <= 255
            else { return nil }
            bits = bits << 8 | part
        }
        return IPAddress(v4: bits)
    }

    /// Eight groups, or fewer with one gap that stands for at least one.
    static func readV6(_ text: inout TextBytes) -> IPAddress? {
        var groups: InlineArray<8, UInt16> = .init(repeating: 0)
        var count = 0
        var gap: Int?
        if text.skip(":") {
            guard text.skip(":") else { return nil }
            gap = 0
        }
        while count < 8, let group = text.number(radix: 16, digitsMax: 4, allowsZeros: true) {
            groups[count] = UInt16(group)
            count += 1
            guard text.skip(":") else { break }
            guard text.isNext(":") else {
                // A single colon has something behind it.
                guard count < 8, text.isAtDigit(radix: 16) else { return nil }
                continue
            }
            guard gap == nil, text.skip(":") else { return nil }
            gap = count
        }
        if let gap {
            guard count < 8 else { return nil }
            let behind = count - gap
            for index in 0..<behind { groups[7 - index] = groups[count - 1 - index] }
            for index in gap..<(8 - behind) { groups[index] = 0 }
        } else if count < 8 {
            return nil
        }
        var words = (high: UInt64(0), low: UInt64(0))
        for index in 0..<4 {
            words.high = words.high << 16 | UInt64(groups[index])
            words.low = words.low << 16 | UInt64(groups[index + 4])
        }
        return IPAddress(high: words.high, low: words.low)
    }

    /// RFC 5952: lower case, the longest run of two or more zero groups shortened.
    private static func formatV6(high: UInt64, low: UInt64) -> String {
        let groups = [high, low].flatMap { word in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: word >> UInt64($0)) }
        }
        var best = (start: 0, count: 0)
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count { best = (start, end - start) }
            start = max(end, start + 1)
        }
        let text = groups.map { String($0, radix: 16) }
        guard best.count >= 2 else { return text.joined(separator: ":") }
        return text[..<best.start].joined(separator: ":") + "::"
            + text[(best.start + best.count)...].joined(separator: ":")
    }
}
