import COpenSSL
import Determinism

/// TLS 1.3 over bytes in memory: the caller moves ciphertext to and from the socket.
final class TLSSession {
    /// Who opened the connection.
    enum Role {
        /// The peer that dialled.
        case client
        /// The peer that accepted.
        case server
    }

    /// How far the handshake got.
    enum Handshake {
        /// More bytes from the peer are needed.
        case underWay
        /// The peer has shown a certificate of this cluster.
        case done(NodeID)
        /// The connection is of no use.
        case failed(StreamCloseReason)
    }

    /// What reading came to.
    enum Reading {
        /// So many bytes of plaintext.
        case bytes(Int)
        /// Nothing until more ciphertext comes.
        case drained
        /// The peer has ended the session, or broken it.
        case ended(StreamCloseReason)
    }

    /// After so much plaintext the sending key is changed: a sixth of what AES-GCM is good for in
    /// full records (2^24.5 of them, RFC 8446 section 5.5).
    static let rekeyByteCount = 64 << 30

    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let rekeyByteCount: Int
    private var bytesUnderKey = 0

    /// Begins a session on a fresh `ssl`, which belongs to it from then on; nil without memory.
    init?(taking ssl: OpaquePointer, _ role: Role, rekeyByteCount: Int = TLSSession.rekeyByteCount)
    {
        guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
            SSL_free(ssl)
            return nil
        }
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        self.rekeyByteCount = rekeyByteCount
        SSL_set_bio(ssl, incoming, outgoing)
        switch role {
        case .client: SSL_set_connect_state(ssl)
        case .server: SSL_set_accept_state(ssl)
        }
    }

    deinit {
        SSL_free(ssl)
        ERR_clear_error()
    }

    /// Takes ciphertext from the socket.
    func feed(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        let written = BIO_write(incoming, bytes.baseAddress, Int32(bytes.count))
        precondition(written == bytes.count, "a memory BIO takes everything")
    }

    /// Goes on with the handshake.
    func advanceHandshake() -> Handshake {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        guard result != 1 else {
            guard let certificate = SSL_get1_peer_certificate(ssl) else {
                return .failed(.certificateMissing)
            }
            defer { X509_free(certificate) }
            guard let node = CertificateAuthority.node(of: certificate) else {
                return .failed(.certificateUnnamed)
            }
            return .done(node)
        }
        let error = SSL_get_error(ssl, result)
        return error == SSL_ERROR_WANT_READ ? .underWay : .failed(reason(of: error))
    }

    /// Decrypts into `buffer`.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
        ERR_clear_error()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
        if count > 0 { return .bytes(Int(count)) }
        let error = SSL_get_error(ssl, count)
        return error == SSL_ERROR_WANT_READ ? .drained : .ended(reason(of: error))
    }

    /// Encrypts `bytes` whole; nil on success.
    func write(_ bytes: UnsafeRawBufferPointer) -> StreamCloseReason? {
        guard !bytes.isEmpty else { return nil }
        ERR_clear_error()
        bytesUnderKey += bytes.count
        if bytesUnderKey >= rekeyByteCount {
            bytesUnderKey = 0
            // The change goes out ahead of the next record.
            _ = SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
        }
        let count = SSL_write(ssl, bytes.baseAddress, Int32(bytes.count))
        if count == bytes.count { return nil }
        return reason(of: SSL_get_error(ssl, count))
    }

    /// Tells the peer that nothing more will come.
    func finish() {
        ERR_clear_error()
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// Appends what is to be sent over the socket.
    func takeCiphertext(into buffer: inout OutgoingBuffer) {
        let count = BIO_ctrl_pending(outgoing)
        guard count > 0 else { return }
        buffer.append(count) { chunk in
            let taken = BIO_read(outgoing, chunk.baseAddress, Int32(chunk.count))
            precondition(taken == count, "a memory BIO gives what it holds")
        }
    }

    /// Sorts an error of libssl; what happened is on its queue, which is emptied.
    private func reason(of error: Int32) -> StreamCloseReason {
        defer { ERR_clear_error() }
        if error == SSL_ERROR_ZERO_RETURN { return .closedByPeer }
        // The last one: a signature that does not fit leaves errors of libcrypto before it.
        let code = ERR_peek_last_error()
        let reason = genie_err_reason(code)
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: return .certificateUntrusted
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return .certificateMissing
        // libssl numbers the alerts that it received from here on.
        case SSL_AD_REASON_OFFSET..<SSL_AD_REASON_OFFSET + 256:
            return .refusedByPeer(alert: UInt8(reason - SSL_AD_REASON_OFFSET))
        default: return .tls(code: code)
        }
    }
}
