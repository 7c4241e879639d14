import COpenSSL

/// Making of certificates.
enum X509Certificate {
    /// Makes and signs a certificate, which the caller frees; nil when libcrypto refuses.
    static func make(
        subject: String,
        issuer: String,
        key: OpaquePointer,
        signer: OpaquePointer,
        extensions: [(identifier: Int32, value: String)]
    ) -> OpaquePointer? {
        guard let certificate = X509_new() else { return nil }
        var isGood = X509_set_version(certificate, 2) == 1  // The third version counts as 2.
        isGood = isGood && setSerialNumber(certificate)
        isGood = isGood && setDates(certificate)
        isGood = isGood && setName(X509_get_subject_name(certificate), subject)
        isGood = isGood && setName(X509_get_issuer_name(certificate), issuer)
        isGood = isGood && X509_set_pubkey(certificate, key) == 1
        for (identifier, value) in extensions {
            isGood = isGood && add(identifier, value, to: certificate)
        }
        // X509_sign gives the length of the signature.
        isGood = isGood && X509_sign(certificate, signer, EVP_sha256()) > 0
        if isGood { return certificate }
        X509_free(certificate)
        return nil
    }

    private static func setSerialNumber(_ certificate: OpaquePointer) -> Bool {
        guard let serial = X509_get_serialNumber(certificate) else { return false }
        // Positive and not zero (RFC 5280 section 4.1.2.2).
        return ASN1_INTEGER_set_uint64(serial, UInt64.random(in: 1...UInt64(Int64.max))) == 1
    }

    private static func setDates(_ certificate: OpaquePointer) -> Bool {
        guard let first = ASN1_TIME_new(), let last = ASN1_TIME_new() else { return false }
        defer {
            ASN1_TIME_free(first)
            ASN1_TIME_free(last)
        }
        return ASN1_TIME_set_string_X509(first, "20000101000000Z") == 1
            && ASN1_TIME_set_string_X509(last, "99991231235959Z") == 1
            && X509_set1_notBefore(certificate, first) == 1
            && X509_set1_notAfter(certificate, last) == 1
    }

    private static func setName(_ name: OpaquePointer?, _ text: String) -> Bool {
        X509_NAME_add_entry_by_NID(
            name,
            NID_commonName,
            MBSTRING_ASC,
            Array(text.utf8),
            Int32(text.utf8.count),
            -1,
            0
        ) == 1
    }

    private static func add(
        _ identifier: Int32,
        _ value: String,
        to certificate: OpaquePointer
    ) -> Bool {
        guard let item = X509V3_EXT_conf_nid(nil, nil, identifier, value) else { return false }
        defer { X509_EXTENSION_free(item) }
        return X509_add_ext(certificate, item, -1) == 1
    }
}
