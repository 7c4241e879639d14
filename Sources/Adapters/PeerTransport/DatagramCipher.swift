import COpenSSL

/// AES-256-GCM under one key, with its key schedule kept between datagrams.
///
/// The nonce is the datagram's counter behind four zero bytes: the key belongs to one process, and
/// its counter never repeats.
/// - Source: NIST SP 800-38D section 8.2.1 (deterministic construction).
final class DatagramCipher {
    /// The two directions; a cipher is made for one of them.
    enum Direction: Int32 {
        case open = 0
        case seal = 1
    }

    /// The length of the tag that ends every datagram.
    static let tagByteCount = 16

    private let context: OpaquePointer

    /// Makes a cipher from a 32-byte key.
    init(key: [UInt8], _ direction: Direction) {
        precondition(key.count == GossipKey.byteCount, "AES-256 has 32-byte keys")
        guard let context = EVP_CIPHER_CTX_new(),
            EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, key, nil, direction.rawValue) == 1
        else { preconditionFailure("libcrypto has no AES-256-GCM") }
        self.context = context
    }

    deinit {
        EVP_CIPHER_CTX_free(context)
    }

    /// Appends the sealed form of `plaintext` and the tag to `output`.
    ///
    /// The header is authenticated together with the label, which is not sent.
    func seal(
        _ plaintext: UnsafeRawBufferPointer,
        counter: UInt64,
        header: UnsafeRawBufferPointer,
        label: [UInt8],
        into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(output.count == plaintext.count + Self.tagByteCount, "no room for the tag")
        var result = begin(counter: counter)
        result &= authenticate(header) & label.withUnsafeBytes(authenticate)
        result &= transform(plaintext, into: output)
        var length: Int32 = 0
        let tag = output.baseAddress?.advanced(by: plaintext.count)
        result &= EVP_CipherFinal_ex(context, tag?.assumingMemoryBound(to: UInt8.self), &length)
        result &= EVP_CIPHER_CTX_ctrl(
            context,
            EVP_CTRL_AEAD_GET_TAG,
            Int32(Self.tagByteCount),
            tag
        )
        precondition(result == 1, "libcrypto failed to seal a datagram")
    }

    /// The plaintext of `sealed`, which ends with the tag; nil when anything was altered.
    func open(
        _ sealed: UnsafeRawBufferPointer,
        counter: UInt64,
        header: UnsafeRawBufferPointer,
        label: [UInt8]
    ) -> [UInt8]? {
        precondition(sealed.count >= Self.tagByteCount, "the tag is there")
        let ciphertext = UnsafeRawBufferPointer(rebasing: sealed.dropLast(Self.tagByteCount))
        var tag = Array(sealed.suffix(Self.tagByteCount))
        var result = begin(counter: counter)
        result &= authenticate(header) & label.withUnsafeBytes(authenticate)
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        result &= plaintext.withUnsafeMutableBytes { transform(ciphertext, into: $0) }
        result &= EVP_CIPHER_CTX_ctrl(
            context,
            EVP_CTRL_AEAD_SET_TAG,
            Int32(Self.tagByteCount),
            &tag
        )
        var (spare, length) = (UInt8(0), Int32(0))
        result &= EVP_CipherFinal_ex(context, &spare, &length)
        return result == 1 ? plaintext : nil
    }

    private func begin(counter: UInt64) -> Int32 {
        let nonce = [0, 0, 0, 0] + counter.bigEndianBytes
        return EVP_CipherInit_ex(context, nil, nil, nil, nonce, -1)
    }

    private func authenticate(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        var length: Int32 = 0
        guard !bytes.isEmpty else { return 1 }
        let start = bytes.bindMemory(to: UInt8.self).baseAddress
        return EVP_CipherUpdate(context, nil, &length, start, Int32(bytes.count))
    }

    private func transform(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int32 {
        var length: Int32 = 0
        // An empty datagram is a tag alone; libcrypto takes a null pointer for something else.
        guard !input.isEmpty else { return 1 }
        let (from, to) = (input.bindMemory(to: UInt8.self), output.bindMemory(to: UInt8.self))
        return EVP_CipherUpdate(
            context,
            to.baseAddress,
            &length,
            from.baseAddress,
            Int32(from.count)
        )
    }
}

extension UInt64 {
    /// The eight bytes, most significant first.
    var bigEndianBytes: [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> UInt64($0)) }
    }

    /// Makes a number of up to eight bytes, most significant first.
    init(bigEndian bytes: some Collection<UInt8>) {
        self = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
