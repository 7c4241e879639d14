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
        if let bits = Self.parseV4(text) {
            self.init(v4: bits)
        } else if let (high, low) = Self.parseV6(text) {
            self.init(high: high, low: low)
        } else {
            return nil
        }
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
        (lhs.high, lhs.low) < (rhs.high, rhs.low)
    }

    package var description: String {
        if let v4 {
            return "\(v4 >> 24).\(v4 >> 16 & 255).\(v4 >> 8 & 255).\(v4 & 255)"
        }
        return Self.formatV6(high: high, low: low)
    }

    private static func parseV4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }),
                part.count == 1 || part.first != 0x30
            else { return nil }
            let value = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
            guard value <= 255 else { return nil }
            bits = bits << 8 | value
        }
        return bits
    }

    private static func parseV6(_ text: some StringProtocol) -> (UInt64, UInt64)? {
        guard text.utf8.count <= 39, text.contains(":") else { return nil }
        let halves = String(text).split(
            separator: "::",
            maxSplits: 2,
            omittingEmptySubsequences: false
        )
        guard halves.count <= 2, let front = groups(of: halves[0]) else { return nil }
        var all = front
        if halves.count == 2 {
            guard let back = groups(of: halves[1]), front.count + back.count <= 7 else {
                return nil
            }
            all += Array(repeating: 0, count: 8 - front.count - back.count) + back
        }
        guard all.count == 8 else { return nil }
        let high = all[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        let low = all[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        return (high, low)
    }

    private static func groups(of text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        for part in text.split(separator: ":", omittingEmptySubsequences: false) {
            guard (1...4).contains(part.utf8.count), part.first != "+", part.first != "-",
                let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
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
