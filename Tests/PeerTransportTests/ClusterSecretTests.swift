import Glibc
import Testing

@testable import PeerTransport

@Suite("ClusterSecret: the file that makes a machine a member")
struct ClusterSecretTests {
    @Test("a generated secret comes back from its file")
    func generate_readBack_isEqual() throws {
        let secret = ClusterSecret.generate()
        let file = try TemporaryFile(mode: 0o600, Array(secret.fileText.utf8))
        #expect(try ClusterSecret(contentsOf: file.path) == secret)
        #expect(secret.fileText.utf8.count == 21 + 64 + 1)
        #expect(ClusterSecret.generate() != secret)
    }

    @Test("the final newline may be missing, and capitals are digits too")
    func fileText_variants_areRead() throws {
        let line = "genie-ring-secret-v1:" + String(repeating: "aB", count: 32)
        let secret = try #require(ClusterSecret(fileText: line))
        #expect(ClusterSecret(fileText: line.lowercased() + "\n") == secret)
    }

    @Test("any other text is refused", arguments: malformedTexts)
    func fileText_malformed_isRefused(text: String) {
        #expect(ClusterSecret(fileText: text) == nil)
    }

    @Test("a malformed file, a long one and a directory are named as such")
    func file_malformed_isRefused() throws {
        for content in [[], Array("hello".utf8), [UInt8](repeating: 0xff, count: 100_000)] {
            let file = try TemporaryFile(mode: 0o600, content)
            #expect(throws: ClusterSecretError.malformed(path: file.path)) {
                try ClusterSecret(contentsOf: file.path)
            }
        }
        #expect(throws: ClusterSecretError.malformed(path: "/")) {
            try ClusterSecret(contentsOf: "/")
        }
    }

    @Test("a missing file is said to be missing, with the way to make one")
    func file_missing_isNamed() {
        let path = "/tmp/genie-ring-no-such-file"
        #expect(throws: ClusterSecretError.missing(path: path)) {
            try ClusterSecret(contentsOf: path)
        }
        #expect("\(ClusterSecretError.missing(path: path))".contains("genie-ring secret new"))
    }

    @Test("a right of group or others is refused", arguments: [0o640, 0o604, 0o620, 0o602, 0o777])
    func file_exposed_isRefused(mode: mode_t) throws {
        let file = try TemporaryFile(mode: mode, Array(ClusterSecret.generate().fileText.utf8))
        let expected = ClusterSecretError.exposed(path: file.path, mode: UInt16(mode))
        #expect(throws: expected) { try ClusterSecret(contentsOf: file.path) }
        #expect("\(expected)".contains("chmod 600 \(file.path)"))
        #expect("\(expected)".contains(String(mode, radix: 8)))
    }

    @Test(
        "a file without the right to read is unreadable",
        .enabled(if: getuid() != 0, "not as root")
    )
    func file_unreadable_isNamed() throws {
        let file = try TemporaryFile(mode: 0o200, Array(ClusterSecret.generate().fileText.utf8))
        #expect(throws: ClusterSecretError.unreadable(path: file.path, errno: EACCES)) {
            try ClusterSecret(contentsOf: file.path)
        }
    }

    @Test("a name that is too long is unreadable, with the reason of the system")
    func file_nameTooLong_isUnreadable() {
        let path = "/tmp/" + String(repeating: "x", count: 300)
        let expected = ClusterSecretError.unreadable(path: path, errno: ENAMETOOLONG)
        #expect(throws: expected) { try ClusterSecret(contentsOf: path) }
        #expect("\(expected)".contains("errno \(ENAMETOOLONG)"))
    }

    @Test("no text that people see holds the secret")
    func description_hasNoSecret() {
        let secret = ClusterSecret.generate()
        let digits = secret.fileText.dropFirst(21).prefix(64)
        #expect(!"\(secret)".contains(digits) && !"\(secret.gossipKey)".contains(digits))
        #expect(ClusterSecret.insecure.isInsecure && !secret.isInsecure)
    }

    @Test("keys follow from the secret, differ by purpose and by label")
    func derivation_isSeparated() {
        let secret = ClusterSecret.insecure
        #expect(secret.gossipKey == ClusterSecret.insecure.gossipKey)
        #expect(secret.gossipKey != ClusterSecret.generate().gossipKey)
        #expect(secret.gossipKey.bytes != Array(secret.authoritySeed(clusterLabel: "").prefix(32)))
        #expect(secret.authoritySeed(clusterLabel: "a") != secret.authoritySeed(clusterLabel: "b"))
    }

    @Test("HKDF gives what RFC 5869 appendix A.1 gives")
    func hkdf_knownAnswer() {
        let derived = KeyDerivation.derive(
            42,
            from: [UInt8](repeating: 0x0b, count: 22),
            salt: Array(0x00...0x0c),
            purpose: Array(0xf0...0xf9)
        )
        let expected =
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        #expect(derived.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected)
    }
}

private let digits = String(repeating: "0f", count: 32)
private let prefix = "genie-ring-secret-v1:"
private let short = String(digits.dropLast())
private let malformedTexts: [String] = [
    "", "\n", prefix, digits,
    "genie-ring-secret-v2:\(digits)", "\(prefix)\(short)", "\(prefix)\(digits)0",
    "\(prefix)\(digits)\n\n", " \(prefix)\(digits)", "\(prefix) \(short)",
    "\(prefix)\(short)g", "\(prefix)+\(short)", "\(prefix)\(short)é",
]
