/// Which addresses of a subnet pods may have, and where they send to.
///
/// | subnet | kept back | gateway |
/// |---|---|---|
/// | IPv4 /30 and shorter | the first and the last (RFC 1122 section 3.2.1.3) | the second |
/// | IPv4 /31 | nothing (RFC 3021) | the first |
/// | IPv4 /32 | nothing | 169.254.1.1, on the link |
/// | IPv6 /126 and shorter | the first (anycast, RFC 4291 section 2.6.1) | the second |
/// | IPv6 /64 and shorter | also the last 128 (anycast, RFC 2526) | the second |
/// | IPv6 /127 | nothing (RFC 6164) | the first |
/// | IPv6 /128 | nothing | fe80::1, on the link |
extension Prefix {
    /// The address that pods of the subnet send through.
    package var gateway: IPAddress {
        switch hostBits {
        case 0: isV4 ? IPAddress(v4: 0xa9fe_0101) : IPAddress(high: 0xfe80 << 48, low: 1)
        case 1: first
        default: first.advanced(by: 1) ?? first
        }
    }

    /// Whether a pod may have `address`: it lies in the subnet, has no other meaning there and is
    /// not the gateway.
    package func isHost(_ address: IPAddress) -> Bool {
        guard contains(address), address != gateway else { return false }
        guard hostBits > 1 else { return true }
        guard address != first else { return false }
        if isV4 { return address != last }
        return length > 64 || address.high != last.high || address.low < last.low - 127
    }
}
