import Addressing
import COpenSSL
import Determinism
import Glibc
import Testing

@testable import PeerTransport

@Suite("StreamTransport under attack: peers get in, strangers are bounded and named")
struct StreamHostilityTests {
    private let stranger = SocketAddress(address: IPAddress(v4: 0x7f00_0002), port: 0)

    /// A session of node `number` with good credentials.
    private func session(_ number: UInt64) throws -> TLSSession {
        let context = try TLSContext(
            node: .fixture(number),
            secret: .insecure,
            clusterLabel: "lab"
        )
        return try #require(context.session(.client))
    }

    /// The first flight of a handshake.
    private func clientHello() throws -> [UInt8] {
        let session = try session(70)
        _ = session.advanceHandshake()
        var buffer = OutgoingBuffer()
        session.takeCiphertext(into: &buffer)
        return buffer.withBytes { Array($0) }
    }

    @Test("a peer connects and talks amid every kind of hostile connection, which are all ended")
    func siege_isBorne() async throws {
        let (peer, friend) = (StreamPeer(1), StreamPeer(50))
        let address = try await peer.start()
        _ = try await friend.start()
        let hello = try clientHello()
        var generator = SeededGenerator(seed: 4)
        var hostile: [RawSocket] = []
        for number in 0..<120 {
            let socket = try #require(RawSocket.stream(to: address, from: stranger))
            switch number % 4 {
            case 0: break  // Says nothing.
            case 1: socket.write(Array(hello.prefix(hello.count / 2)))
            case 2: socket.write(hello)  // And never goes on.
            default: socket.write(generator.bytes(500))
            }
            hostile.append(socket)
        }
        // Of a member, by its certificate: no hello, and a length that is no frame's.
        let mute = try #require(RawPeer(to: address, session(60)))
        let liar = try #require(RawPeer(to: address, session(61)))
        liar.send([1, 1])
        liar.send([1, 2, 3], length: 1 << 31)

        await friend.dial(address)
        await eventually("the peer connects") { await friend.connected.count == 1 }
        var dripped = 0
        for number in 0..<100 {
            #expect(await friend.send([UInt8(number)], to: .fixture(1)) == .sent)
            #expect(await peer.send([UInt8(number)], to: .fixture(50)) == .sent)
            // A byte at a time of a good first flight.
            if dripped < hello.count / 3 { hostile[0].write([hello[dripped]]) }
            dripped += 1
        }
        await eventually("all frames come") {
            let counts = (await friend.frames.count, await peer.frames.count)
            return counts == (100, 100)
        }
        await eventually("every hostile one is ended") { await peer.closed.count == 122 }
        let reasons = await peer.closed.map(\.reason)
        #expect(reasons.count { $0 == .timedOut } == 91)
        #expect(reasons.contains(.frameOversized(length: 1 << 31)))
        #expect(reasons.count { if case .tls = $0 { true } else { false } } == 30)
        #expect(await peer.connectedNodes == [.fixture(50)])
        await peer.perform { #expect($0.unauthenticatedCount == 0) }
        withExtendedLifetime((hostile, mute, liar)) {}
        await friend.stop()
        await peer.stop()
    }

    @Test("a crowd from one address pushes out its own, not a peer that is on its way")
    func crowd_pushesOutItsOwn() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        // Older than the whole crowd, and slow.
        let slow = try #require(RawSocket.stream(to: address))
        var crowd: [RawSocket] = []
        for _ in 0..<2 * StreamTransport.unauthenticatedMax {
            crowd.append(try #require(RawSocket.stream(to: address, from: stranger)))
        }
        await eventually("the crowd has been let in and half of it out") {
            await peer.closed.count > StreamTransport.unauthenticatedMax
        }
        await peer.perform {
            #expect($0.unauthenticatedCount == StreamTransport.unauthenticatedMax)
        }
        let raw = try #require(RawPeer(over: slow, session(7)))
        raw.send([1, 1])
        #expect(raw.receive() == [1, 1])
        await eventually("the slow one is connected") { await peer.connected.count == 1 }
        // On a busy machine the time of some is over before they are pushed out.
        #expect(await peer.closed.allSatisfy { [.crowdedOut, .timedOut].contains($0.reason) })
        withExtendedLifetime(crowd) {}
        await peer.stop()
    }

    @Test("a node keeps its latest connections only")
    func connectionsOfOneNode_areBounded() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        var ends: [RawPeer] = []
        for number in 0..<StreamTransport.connectionsPerNodeMax + 3 {
            let raw = try #require(RawPeer(to: address, session(7)))
            raw.send([1, 1])
            #expect(raw.receive() == [1, 1])
            await eventually("it is connected") { await peer.connected.count == number + 1 }
            ends.append(raw)
        }
        await eventually("the oldest are ended") { await peer.closed.count == 3 }
        #expect(await peer.closed.map(\.id) == (await peer.connected).prefix(3).map(\.id))
        #expect(await peer.closed.allSatisfy { $0.reason == .crowdedOut && $0.node == .fixture(7) })
        #expect(await peer.send([8], to: .fixture(7)) == .sent)
        #expect(ends.last?.receive() == [8])
        await peer.stop()
    }

    // MARK: Certificates

    /// What is wrong with a certificate that a client of TLS 1.3 shows.
    struct Flaw: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var label = "lab"
        var hasOtherSecret = false
        var first = "20000101000000Z"
        var last = "99991231235959Z"
        var subject: NodeID?
        let reason: StreamCloseReason
    }

    static let flaws: [Flaw] = [
        Flaw(testDescription: "another label", label: "other", reason: .certificateUntrusted),
        Flaw(
            testDescription: "another secret",
            hasOtherSecret: true,
            reason: .certificateUntrusted
        ),
        Flaw(testDescription: "expired", last: "20010101000000Z", reason: .certificateUntrusted),
        Flaw(
            testDescription: "not valid yet",
            first: "99980101000000Z",
            reason: .certificateUntrusted
        ),
        Flaw(testDescription: "two names", subject: .fixture(8), reason: .certificateUnnamed),
        Flaw(
            testDescription: "this peer's own name",
            subject: .fixture(1),
            reason: .certificateUnnamed
        ),
    ]

    /// A certificate of node 7, signed by the cluster's authority or by another, with its flaw.
    private func credentials(
        _ flaw: Flaw
    ) throws -> (key: OpaquePointer, certificate: OpaquePointer) {
        let secret = flaw.hasOtherSecret ? ClusterSecret.generate() : .insecure
        let authority = try CertificateAuthority(secret: secret, clusterLabel: flaw.label)
        let credentials = try authority.issue(to: .fixture(7))
        let seed = secret.authoritySeed(clusterLabel: flaw.label)
        let signer = try #require(P256.key(fromSeed: seed))
        defer { EVP_PKEY_free(signer) }
        let (first, last) = (try #require(ASN1_TIME_new()), try #require(ASN1_TIME_new()))
        defer {
            ASN1_TIME_free(first)
            ASN1_TIME_free(last)
        }
        #expect(ASN1_TIME_set_string_X509(first, flaw.first) == 1)
        #expect(ASN1_TIME_set_string_X509(last, flaw.last) == 1)
        #expect(X509_set1_notBefore(credentials.certificate, first) == 1)
        #expect(X509_set1_notAfter(credentials.certificate, last) == 1)
        if let subject = flaw.subject {
            let name = X509_get_subject_name(credentials.certificate)
            X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0))
            let text = Array(subject.description.utf8)
            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, text, 32, -1, 0)
        }
        #expect(X509_sign(credentials.certificate, signer, EVP_sha256()) > 0)
        return credentials
    }

    @Test("a certificate with a flaw is refused by name", arguments: flaws)
    func flaw_isRefused(flaw: Flaw) async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let credentials = try credentials(flaw)
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        defer {
            SSL_CTX_free(context)
            X509_free(credentials.certificate)
            EVP_PKEY_free(credentials.key)
        }
        #expect(SSL_CTX_use_certificate(context, credentials.certificate) == 1)
        #expect(SSL_CTX_use_PrivateKey(context, credentials.key) == 1)
        let session = TLSSession(taking: try #require(SSL_new(context)), .client)
        // This client trusts anybody: only the server's judgement counts.
        let raw = try #require(RawPeer(to: address, session))
        raw.send([1, 1])
        raw.send([42])
        #expect(raw.receive() == nil)
        await eventually("it ends") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == flaw.reason)
        #expect(await peer.closed.first?.node == nil)
        #expect(await peer.frames.isEmpty)
        #expect(await peer.connected.isEmpty)
        await peer.stop()
    }

    @Test("a client that speaks TLS 1.2 only is refused, and the reason names the version")
    func olderTLS_isRefused() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let authority = try CertificateAuthority(secret: .insecure, clusterLabel: "lab")
        let credentials = try authority.issue(to: .fixture(7))
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        defer {
            SSL_CTX_free(context)
            X509_free(credentials.certificate)
            EVP_PKEY_free(credentials.key)
        }
        #expect(SSL_CTX_use_certificate(context, credentials.certificate) == 1)
        #expect(SSL_CTX_use_PrivateKey(context, credentials.key) == 1)
        // SSL_CTX_set_max_proto_version is a macro around this.
        let version = Int(TLS1_2_VERSION)
        #expect(SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, version, nil) == 1)
        let session = TLSSession(taking: try #require(SSL_new(context)), .client)
        #expect(RawPeer(to: address, session) == nil)
        await eventually("it ends") { await peer.closed.count == 1 }
        let reason = try #require(await peer.closed.first?.reason)
        #expect("\(reason)".contains("unsupported protocol"))
        #expect(await peer.connected.isEmpty)
        await peer.stop()
    }
}
