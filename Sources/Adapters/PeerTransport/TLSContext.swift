import COpenSSL
import Determinism

/// The credentials of this process, and the rule that a peer must show some of the same cluster.
final class TLSContext {
    private let context: OpaquePointer

    /// Makes the context of `node`, with a key and a certificate that nobody else has.
    init(
        node: NodeID,
        secret: ClusterSecret,
        clusterLabel: String
    ) throws(TransportError) {
        let authority = try CertificateAuthority(secret: secret, clusterLabel: clusterLabel)
        let credentials = try authority.issue(to: node)
        defer {
            EVP_PKEY_free(credentials.key)
            X509_free(credentials.certificate)
        }
        guard let context = SSL_CTX_new(TLS_method()) else { throw .lastCryptography() }
        self.context = context
        SSL_CTX_set_verify(
            context,
            SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
            nil
        )
        SSL_CTX_set_verify_depth(context, 1)
        guard genie_ssl_ctx_restrict(context) == 1,
            SSL_CTX_use_certificate(context, credentials.certificate) == 1,
            SSL_CTX_use_PrivateKey(context, credentials.key) == 1,
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.certificate) == 1
        else { throw .lastCryptography() }
    }

    deinit {
        SSL_CTX_free(context)
    }

    /// Begins a session over a connection; nil without memory.
    func session(
        _ role: TLSSession.Role,
        rekeyByteCount: Int = TLSSession.rekeyByteCount
    ) -> TLSSession? {
        guard let ssl = SSL_new(context) else { return nil }
        return TLSSession(taking: ssl, role, rekeyByteCount: rekeyByteCount)
    }
}
