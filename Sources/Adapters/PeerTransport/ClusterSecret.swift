import Glibc

/// The one secret that every peer of a cluster holds; whoever holds it is a member, fully trusted.
///
/// The key that seals datagrams and the authority that signs node certificates both come out of
/// it, so it never crosses the network.
///
/// File: one line, `genie-ring-secret-v1:` and 64 hexadecimal digits.
package struct ClusterSecret: Sendable, Equatable, CustomStringConvertible {
    private let bytes: [UInt8]

    /// The number of secret bytes.
    package static let byteCount = 32

    private static let prefix = "genie-ring-secret-v1:"
    /// Twice a valid file; what is longer is not read to its end.
    private static let fileBytesMax = 2 * (21 + 64 + 1)

    /// Makes a secret from 32 bytes.
    private init(bytes: [UInt8]) {
        precondition(bytes.count == Self.byteCount, "a cluster secret has 32 bytes")
        self.bytes = bytes
    }

    /// Draws a new secret from the operating system's generator (getrandom(2)).
    package static func generate() -> ClusterSecret {
        var generator = SystemRandomNumberGenerator()
        return ClusterSecret(
            bytes: (0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
        )
    }

    /// A secret that everybody knows: peers talk in the usual form, and nothing is protected.
    package static let insecure = ClusterSecret(
        bytes: Array("genie-ring-insecure-known-to-all".utf8)
    )

    /// Reads the secret file at `path`.
    ///
    /// - Throws: `missing`, `unreadable`, `exposed` when group or others have any right to the
    ///   file, `malformed` when it holds anything but one line in the form above.
    package init(contentsOf path: String) throws(ClusterSecretError) {
        // O_NONBLOCK: a named pipe in its place must not hang the start.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { throw .missing(path: path) }
            throw .unreadable(path: path, errno: errno)
        }
        defer { close(descriptor) }
        // The open file is asked, not the path, so that nobody can swap it in between.
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unreadable(path: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .malformed(path: path) }
        guard status.st_mode & 0o077 == 0 else {
            throw .exposed(path: path, mode: UInt16(status.st_mode & 0o777))
        }
        var content = [UInt8](repeating: 0, count: Self.fileBytesMax)
        let count = read(descriptor, &content, content.count)
        guard count >= 0 else { throw .unreadable(path: path, errno: errno) }
        guard
            let secret = ClusterSecret(
                fileText: String(decoding: content.prefix(count), as: UTF8.self)
            )
        else { throw .malformed(path: path) }
        self = secret
    }

    /// Reads the text of a secret file; nil when it has another form.
    package init?(fileText: String) {
        var line = fileText[...]
        if line.hasSuffix("\n") { line = line.dropLast() }
        guard line.hasPrefix(Self.prefix) else { return nil }
        let digits = Array(line.dropFirst(Self.prefix.count).utf8)
        guard digits.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index].hexValue, let low = digits[index + 1].hexValue else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }

    /// What the secret file holds, newline included.
    package var fileText: String {
        Self.prefix + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
    }

    /// Whether everybody knows this secret.
    package var isInsecure: Bool { self == .insecure }

    /// The key that seals datagrams.
    package var gossipKey: GossipKey {
        GossipKey(
            bytes: KeyDerivation.derive(
                GossipKey.byteCount,
                from: bytes,
                salt: [],
                purpose: Array("genie-ring v1 gossip key".utf8)
            )
        )
    }

    /// What the private key of the authority is computed from.
    ///
    /// The label takes part, so clusters that share a secret by mistake still refuse each other.
    func authoritySeed(clusterLabel: String) -> [UInt8] {
        KeyDerivation.derive(
            CertificateAuthority.seedByteCount,
            from: bytes,
            salt: Array(clusterLabel.utf8),
            purpose: Array("genie-ring v1 certificate authority".utf8)
        )
    }

    /// Says what it is and never what it holds.
    package var description: String { isInsecure ? "insecure cluster secret" : "cluster secret" }
}

/// Why a secret file could not be used.
package enum ClusterSecretError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no such file.
    case missing(path: String)
    /// The file cannot be opened or read.
    case unreadable(path: String, errno: Int32)
    /// Group or others have a right to the file.
    case exposed(path: String, mode: UInt16)
    /// The file holds something else.
    case malformed(path: String)

    package var description: String {
        switch self {
        case .missing(let path):
            "there is no cluster secret at \(path); make one with `genie-ring secret new` and give"
                + " every peer the same file"
        case .unreadable(let path, let code):
            "cannot read the cluster secret \(path): \(systemText(code)); check its owner"
        case .exposed(let path, let mode):
            "others may use the cluster secret \(path) (mode \(String(mode, radix: 8)));"
                + " run `chmod 600 \(path)`"
        case .malformed(let path):
            "\(path) does not hold a cluster secret: one line, genie-ring-secret-v1: and 64"
                + " hexadecimal digits, is wanted; make one with `genie-ring secret new`"
        }
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit; nil for any other byte.
    fileprivate var hexValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x41 + 10
        case 0x61...0x66: self - 0x61 + 10
        default: nil
        }
    }
}
