import COpenSSL
import Determinism

/// The authority that signs node certificates; every peer makes the same one from the secret.
///
/// Certificates live as long as the process and are never written down, so their dates reach from
/// 2000 to 9999: a peer with a wrong clock still gets in, and nothing has to be renewed.
struct CertificateAuthority: ~Copyable {
    /// Sixteen bytes more than the key has, so that reducing them leaves no measurable bias.
    /// - Source: FIPS 186-5 appendix A.2.1.
    static let seedByteCount = 48

    private let key: OpaquePointer
    /// The self-signed certificate that peers' certificates are checked against.
    let certificate: OpaquePointer

    private static let name = "genie-ring cluster authority"

    /// Makes the authority that `secret` and the label determine.
    init(secret: ClusterSecret, clusterLabel: String) throws(TransportError) {
        let seed = secret.authoritySeed(clusterLabel: clusterLabel)
        guard let key = P256.key(fromSeed: seed) else { throw .lastCryptography() }
        let certificate = X509Certificate.make(
            subject: Self.name,
            issuer: Self.name,
            key: key,
            signer: key,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                (NID_key_usage, "critical,keyCertSign"),
            ]
        )
        guard let certificate else {
            EVP_PKEY_free(key)
            throw .lastCryptography()
        }
        self.key = key
        self.certificate = certificate
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// Makes a fresh key and a certificate that names `node`; the caller frees both.
    func issue(
        to node: NodeID
    ) throws(TransportError) -> (key: OpaquePointer, certificate: OpaquePointer) {
        guard let nodeKey = P256.newKey() else { throw .lastCryptography() }
        let nodeCertificate = X509Certificate.make(
            subject: node.description,
            issuer: Self.name,
            key: nodeKey,
            signer: key,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"),
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"),
                (NID_subject_alt_name, "DNS:" + Self.hostName(of: node)),
            ]
        )
        guard let nodeCertificate else {
            EVP_PKEY_free(nodeKey)
            throw .lastCryptography()
        }
        return (nodeKey, nodeCertificate)
    }

    /// The node that a certificate names; nil unless common name and alternative name agree.
    static func node(of certificate: OpaquePointer) -> NodeID? {
        guard let subject = X509_get_subject_name(certificate) else { return nil }
        let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard index >= 0, X509_NAME_get_index_by_NID(subject, NID_commonName, index) < 0,
            let entry = X509_NAME_get_entry(subject, index),
            let value = X509_NAME_ENTRY_get_data(entry), ASN1_STRING_length(value) == 32
        else { return nil }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: 32)
        guard let node = NodeID(String(decoding: bytes, as: UTF8.self)) else { return nil }
        let host = hostName(of: node)
        let flags = UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS)
        guard X509_check_host(certificate, host, host.utf8.count, flags, nil) == 1 else {
            return nil
        }
        return node
    }

    /// The alternative name of a node's certificate.
    private static func hostName(of node: NodeID) -> String { "\(node).node.genie-ring" }
}

/// Private keys on the curve P-256.
enum P256 {
    private static let name = "prime256v1"

    /// A key drawn at random.
    static func newKey() -> OpaquePointer? {
        guard let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else { return nil }
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1,
            EVP_PKEY_CTX_set_group_name(context, name) == 1,
            EVP_PKEY_generate(context, &key) == 1
        else { return nil }
        return key
    }

    /// The key that `seed` determines: 1 + seed mod (order - 1).
    static func key(fromSeed seed: [UInt8]) -> OpaquePointer? {
        guard let group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1),
            let order = BN_dup(EC_GROUP_get0_order(group)),
            let wide = BN_bin2bn(seed, Int32(seed.count), nil),
            let scalar = BN_secure_new(),
            let point = EC_POINT_new(group),
            let scratch = BN_CTX_new()
        else { return nil }
        defer {
            BN_CTX_free(scratch)
            EC_POINT_free(point)
            BN_clear_free(scalar)
            BN_clear_free(wide)
            BN_free(order)
            EC_GROUP_free(group)
        }
        guard BN_sub_word(order, 1) == 1, genie_bn_mod(scalar, wide, order, scratch) == 1,
            BN_add_word(scalar, 1) == 1,
            EC_POINT_mul(group, point, scalar, nil, nil, scratch) == 1
        else { return nil }
        let form = POINT_CONVERSION_UNCOMPRESSED
        var encoded = [UInt8](repeating: 0, count: 65)
        guard EC_POINT_point2oct(group, point, form, &encoded, encoded.count, scratch) == 65 else {
            return nil
        }
        return genie_p256_key(scalar, encoded, encoded.count)
    }
}
