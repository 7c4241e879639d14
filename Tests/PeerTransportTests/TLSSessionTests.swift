import COpenSSL
import Determinism
import Testing

@testable import PeerTransport

@Suite("TLS sessions and node certificates")
struct TLSSessionTests {
    @Test("data survives many changes of the key")
    func rekey_keepsData() throws {
        let contexts = try [1, 2].map { number throws(TransportError) in
            try TLSContext(node: .fixture(UInt64(number)), secret: .insecure, clusterLabel: "")
        }
        let client = try #require(contexts[0].session(.client, rekeyByteCount: 5_000))
        let server = try #require(contexts[1].session(.server, rekeyByteCount: 7_000))
        handshake(client, server)
        var generator = SeededGenerator(seed: 1)
        for round in 0..<200 {
            let content = generator.bytes(Int.random(in: 1...3_000, using: &generator))
            let (from, to) = round % 3 == 0 ? (server, client) : (client, server)
            #expect(content.withUnsafeBytes(from.write) == nil)
            move(from, to)
            #expect(readAll(to) == content, "round \(round)")
            move(to, from)
        }
    }

    @Test("the key is changed when so much was sent, and not before")
    func rekey_isAtTheLimit() throws {
        let context = try TLSContext(node: .fixture(1), secret: .insecure, clusterLabel: "")
        let client = try #require(context.session(.client, rekeyByteCount: 100))
        let server = try #require(context.session(.server))
        handshake(client, server)
        // A record of 40 bytes has 62; the one that changes the key adds 27 once in three.
        let sizes = (0..<6).map { _ in
            var buffer = OutgoingBuffer()
            _ = [UInt8](repeating: 1, count: 40).withUnsafeBytes(client.write)
            client.takeCiphertext(into: &buffer)
            return buffer.count
        }
        #expect(sizes == [62, 62, 89, 62, 62, 89])
    }

    @Test("the handshake tells each side the other's node")
    func handshake_namesNodes() throws {
        let left = try TLSContext(node: .fixture(1), secret: .insecure, clusterLabel: "")
        let right = try TLSContext(node: .fixture(2), secret: .insecure, clusterLabel: "")
        let (client, server) = (left.session(.client), right.session(.server))
        let nodes = handshake(try #require(client), try #require(server))
        #expect(nodes.client == .fixture(2) && nodes.server == .fixture(1))
    }

    @Test("the authority is the same in every process and another for every secret")
    func authority_isDetermined() throws {
        func publicKey(_ secret: ClusterSecret, _ label: String) throws -> [UInt8] {
            let authority = try CertificateAuthority(secret: secret, clusterLabel: label)
            return encodedPublicKey(authority.certificate)
        }
        let first = try publicKey(.insecure, "a")
        #expect(first.count == 65)
        #expect(try publicKey(.insecure, "a") == first)
        #expect(try publicKey(.insecure, "b") != first)
        #expect(try publicKey(.generate(), "a") != first)
    }

    @Test("a certificate whose names disagree names nobody", arguments: namings)
    func naming_disagreeing_isNobody(naming: Naming) throws {
        let key = try #require(P256.newKey())
        defer { EVP_PKEY_free(key) }
        let certificate = try #require(
            X509Certificate.make(
                subject: naming.subject,
                issuer: "test",
                key: key,
                signer: key,
                extensions: naming.alternative.map { [(NID_subject_alt_name, $0)] } ?? []
            )
        )
        defer { X509_free(certificate) }
        #expect(CertificateAuthority.node(of: certificate) == naming.node)
    }

    struct Naming: Sendable, CustomTestStringConvertible {
        let subject: String
        let alternative: String?
        let node: NodeID?

        var testDescription: String { "\(subject), \(alternative ?? "no alternative name")" }
    }

    static let namings: [Naming] = [
        Naming(subject: hex(1), alternative: "DNS:\(hex(1)).node.genie-ring", node: .fixture(1)),
        Naming(subject: hex(1), alternative: "DNS:\(hex(2)).node.genie-ring", node: nil),
        Naming(subject: hex(1), alternative: "DNS:*.node.genie-ring", node: nil),
        Naming(subject: hex(1), alternative: "DNS:\(hex(1))", node: nil),
        Naming(subject: hex(1), alternative: nil, node: nil),
        Naming(subject: "node", alternative: "DNS:\(hex(1)).node.genie-ring", node: nil),
        Naming(
            subject: "genie-ring cluster authority",
            alternative: "DNS:\(hex(1)).node.genie-ring",
            node: nil
        ),
    ]

    private static func hex(_ number: UInt64) -> String { NodeID.fixture(number).description }

    private func encodedPublicKey(_ certificate: OpaquePointer) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 200)
        var length = 0
        let key = X509_get0_pubkey(certificate)
        EVP_PKEY_get_octet_string_param(key, "pub", &buffer, buffer.count, &length)
        return Array(buffer.prefix(length))
    }

    private func move(_ from: TLSSession, _ to: TLSSession) {
        var buffer = OutgoingBuffer()
        from.takeCiphertext(into: &buffer)
        buffer.withBytes(to.feed)
    }

    private func readAll(_ session: TLSSession) -> [UInt8] {
        var (all, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 16 << 10))
        while case .bytes(let count) = buffer.withUnsafeMutableBytes(session.read) {
            all += buffer.prefix(count)
        }
        return all
    }

    @discardableResult
    private func handshake(
        _ client: TLSSession,
        _ server: TLSSession
    ) -> (client: NodeID?, server: NodeID?) {
        var nodes: (client: NodeID?, server: NodeID?) = (nil, nil)
        for _ in 0..<10 where nodes.client == nil || nodes.server == nil {
            if case .done(let node) = client.advanceHandshake() { nodes.client = node }
            move(client, server)
            if case .done(let node) = server.advanceHandshake() { nodes.server = node }
            move(server, client)
        }
        return nodes
    }
}

@Suite("FrameDecoder: frames out of a byte stream")
struct FrameDecoderTests {
    @Test("frames come whole however the stream is cut", arguments: [1, 2, 3] as [UInt64])
    func cut_anywhere(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let frames = (0..<300).map { _ in
            generator.bytes(Int.random(in: 0...3, using: &generator) * 100)
        }
        var rest = frames.flatMap { FrameDecoder.header(length: $0.count) + $0 }[...]
        var decoder = FrameDecoder(lengthMax: 300)
        var decoded: [[UInt8]] = []
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...700, using: &generator))
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { decoder.append($0) }
            while case .frame(let frame) = decoder.next() { decoded.append(frame) }
        }
        #expect(decoded == frames)
        #expect(decoder.next() == .incomplete)
    }

    @Test("a frame over the limit is refused on its header")
    func oversized_isRefused() {
        var decoder = FrameDecoder(lengthMax: 300)
        FrameDecoder.header(length: 301).withUnsafeBytes { decoder.append($0) }
        #expect(decoder.next() == .oversized(length: 301))
        decoder = FrameDecoder(lengthMax: 300)
        [UInt8](repeating: 0xff, count: 4).withUnsafeBytes { decoder.append($0) }
        #expect(decoder.next() == .oversized(length: 0xffff_ffff))
    }
}
