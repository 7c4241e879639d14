import COpenSSL

/// HKDF with SHA-256: as many keys as are wanted out of one secret, none of which tells of another.
///
/// - Source: RFC 5869.
enum KeyDerivation {
    /// Derives `count` bytes.
    ///
    /// The purpose is the `info` of the RFC; two purposes give unrelated keys.
    /// - Bounds: at most 8,160 bytes (255 blocks of SHA-256).
    static func derive(
        _ count: Int,
        from secret: [UInt8],
        salt: [UInt8],
        purpose: [UInt8]
    ) -> [UInt8] {
        precondition((1...8_160).contains(count), "HKDF-SHA256 gives 1 to 8,160 bytes")
        precondition(!secret.isEmpty, "there is no key in an empty secret")
        var derived = [UInt8](repeating: 0, count: count)
        let result = genie_hkdf_sha256(
            secret,
            secret.count,
            salt,
            salt.count,
            purpose,
            purpose.count,
            &derived,
            count
        )
        // Only a libcrypto without HKDF or without memory gets here, and no key is no transport.
        precondition(result == 1, "libcrypto has no HKDF-SHA256")
        return derived
    }
}
