import Addressing
import COpenSSL
import Determinism
import Glibc
import Testing

@testable import PeerTransport

@Suite("StreamTransport: who and what is refused")
struct StreamRefusalTests {
    /// Connects with good credentials of node 7 and leaves the rest to the test.
    private func rawPeer(to address: SocketAddress, node: NodeID = .fixture(7)) throws -> RawPeer {
        let context = try TLSContext(node: node, secret: .insecure, clusterLabel: "lab")
        return try #require(RawPeer(to: address, context.session(.client)))
    }

    /// A good peer still gets in.
    private func expectAlive(_ peer: StreamPeer, at address: SocketAddress) async throws {
        let friend = StreamPeer(50)
        _ = try await friend.start()
        await friend.dial(address)
        await eventually("a good peer gets in") { await friend.connected.count == 1 }
        await friend.stop()
    }

    @Test("another secret or another label is refused on both sides", arguments: [true, false])
    func otherCluster_isRefused(hasOtherSecret: Bool) async throws {
        let secret = hasOtherSecret ? ClusterSecret.generate() : .insecure
        let stranger = StreamPeer(1, secret: secret, label: hasOtherSecret ? "lab" : "other")
        let peer = StreamPeer(2)
        _ = try await stranger.start()
        let address = try await peer.start()
        await stranger.dial(address)
        await eventually("the dial fails") { await stranger.failures.count == 1 }
        await eventually("the accepted one ends") { await peer.closed.count == 1 }
        #expect(await stranger.failures.first?.reason == .certificateUntrusted)
        #expect(await peer.closed.first?.node == nil)
        guard case .refusedByPeer = await peer.closed.first?.reason else {
            Issue.record("unexpected reason \(String(describing: await peer.closed.first))")
            return
        }
        #expect(await peer.connected.isEmpty)
        #expect(await stranger.connected.isEmpty)
        try await expectAlive(peer, at: address)
        await stranger.stop()
        await peer.stop()
    }

    @Test("a client of another cluster that trusts anybody is refused by the server")
    func untrustedClient_isRefused() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let authority = try CertificateAuthority(secret: .generate(), clusterLabel: "lab")
        let credentials = try authority.issue(to: .fixture(7))
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        defer {
            SSL_CTX_free(context)
            X509_free(credentials.certificate)
            EVP_PKEY_free(credentials.key)
        }
        #expect(SSL_CTX_use_certificate(context, credentials.certificate) == 1)
        #expect(SSL_CTX_use_PrivateKey(context, credentials.key) == 1)
        let session = TLSSession(taking: try #require(SSL_new(context)), .client)
        let raw = try #require(RawPeer(to: address, session))
        raw.send([1, 1])
        #expect(raw.receive() == nil)
        await eventually("it ends") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == .certificateUntrusted)
        #expect(await peer.connected.isEmpty)
        await peer.stop()
    }

    @Test("a client without a certificate is refused")
    func noCertificate_isRefused() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        defer { SSL_CTX_free(context) }
        let session = TLSSession(taking: try #require(SSL_new(context)), .client)
        // The client is through before the server has judged, which is no success.
        if let raw = RawPeer(to: address, session) { #expect(raw.receive() == nil) }
        await eventually("it ends") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == .certificateMissing)
        try await expectAlive(peer, at: address)
        await peer.stop()
    }

    @Test("garbage ends the connection and nothing else", arguments: [1, 2, 3, 4] as [UInt64])
    func garbage_isRefused(seed: UInt64) async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let raw = try #require(RawSocket.stream(to: address))
            raw.write(generator.bytes(Int.random(in: 100...20_000, using: &generator)))
            raw.readToEnd()
        }
        await eventually("all have ended") { await peer.closed.count == 20 }
        for end in await peer.closed {
            guard case .tls = end.reason else {
                Issue.record("seed \(seed): \(end.reason)")
                continue
            }
        }
        try await expectAlive(peer, at: address)
        await peer.stop()
    }

    @Test("an HTTP client and a TLS 1.2 header are told apart from peers", arguments: wrongStarts)
    func otherProtocol_isRefused(start: [UInt8]) async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let raw = try #require(RawSocket.stream(to: address))
        raw.write(start)
        raw.readToEnd()
        await eventually("it ends") { await peer.closed.count == 1 }
        await peer.stop()
    }

    @Test("an announced frame over the limit ends the connection")
    func oversizedFrame_endsTheConnection() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let raw = try rawPeer(to: address)
        raw.send([1, 1])
        await eventually("it is connected") { await peer.connected.count == 1 }
        raw.send([1, 2, 3], length: StreamTransport.frameBytesMax + 1)
        await eventually("it ends") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == .frameOversized(length: (4 << 20) + 1))
        #expect(await peer.closed.first?.node == .fixture(7))
        await peer.stop()
    }

    @Test("a first frame that is no hello ends the connection", arguments: [[], [1], [2, 1]])
    func malformedHello_isRefused(hello: [UInt8]) async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let raw = try rawPeer(to: address)
        raw.send(hello)
        await eventually("it ends") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == .helloMalformed)
        #expect(await peer.connected.isEmpty)
        await peer.stop()
    }

    @Test("a longer hello of a later release is read")
    func longHello_isRead() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let raw = try rawPeer(to: address)
        raw.send([1, 9, 42, 42])
        await eventually("it is connected") { await peer.connected.count == 1 }
        await peer.stop()
    }

    @Test("releases agree on the highest version in common, or say that there is none")
    func versions_areNegotiated() async throws {
        let (older, newer) = (StreamPeer(1, versions: 1...2), StreamPeer(2, versions: 2...3))
        let newest = StreamPeer(3, versions: 3...4)
        _ = try await older.start()
        let (newerAddress, newestAddress) = (try await newer.start(), try await newest.start())
        await older.dial(newerAddress)
        await eventually("connected") { await older.connected.count == 1 }
        let id = try #require(await older.connected.first?.id)
        #expect(await older.version(of: id) == 2)
        await older.dial(newestAddress)
        await eventually("refused") { await older.failures.count == 1 }
        #expect(await older.failures.first?.reason == .versionUnknown(lowest: 3, highest: 4))
        for peer in [older, newer, newest] { await peer.stop() }
    }

    @Test("a peer that dials itself is told so")
    func ownIdentity_isRefused() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        await peer.dial(address)
        await eventually("the dial fails") { await peer.failures.count == 1 }
        #expect(await peer.failures.first?.reason == .ownIdentity)
        #expect(await peer.connected.isEmpty)
        await peer.stop()
    }

    @Test("a refused dial says so; a second one while it is under way does nothing")
    func dial_fails() async throws {
        let peer = StreamPeer(1)
        _ = try await peer.start()
        let gone = StreamPeer(2)
        let goneAddress = try await gone.start()
        await gone.stop()
        await eventually("a dial is refused") {
            await peer.dial(goneAddress)
            return await peer.failures.contains {
                $0.address == goneAddress && $0.reason == .socket(errno: ECONNREFUSED)
            }
        }
        let deaf = RawSocket.deafListener()
        let clock = ContinuousClock()
        let start = clock.now
        for _ in 0..<5 { await peer.dial(deaf.localAddress) }
        await eventually("the dial times out") {
            await peer.failures.contains { $0.address == deaf.localAddress }
        }
        #expect((.seconds(1.9)...(.seconds(4))).contains(clock.now - start))
        let late = await peer.failures.filter { $0.address == deaf.localAddress }
        #expect(late.map(\.reason) == [.timedOut])
        await peer.stop()
    }

    @Test("a client that says nothing, or no hello, is closed after 3 s", arguments: [true, false])
    func silentClient_isClosed(isPeer: Bool) async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let clock = ContinuousClock()
        let start = clock.now
        let silent = isPeer ? nil : RawSocket.stream(to: address)
        let raw = isPeer ? try rawPeer(to: address) : nil
        await eventually("it is closed") { await peer.closed.count == 1 }
        #expect(await peer.closed.first?.reason == .timedOut)
        #expect((.seconds(2.9)...(.seconds(6))).contains(clock.now - start))
        withExtendedLifetime((silent, raw)) {}
        await peer.stop()
    }

    @Test("a crowd of silent clients does not keep a peer out")
    func crowd_makesRoom() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        var crowd: [RawSocket] = []
        for _ in 0..<StreamTransport.unauthenticatedMax + 44 {
            crowd.append(try #require(RawSocket.stream(to: address)))
        }
        try await expectAlive(peer, at: address)
        await eventually("the oldest had to go") {
            await peer.closed.count { $0.reason == .crowdedOut } >= 44
        }
        withExtendedLifetime(crowd) {}
        await peer.stop()
    }

    @Test("frames into a connection that has ended raise no SIGPIPE, and the last words are heard")
    func send_afterTheEnd_isSurvived() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let raw = try rawPeer(to: address)
        raw.send([1, 1])
        #expect(raw.receive() == [1, 1])
        await eventually("it is connected") { await peer.connected.count == 1 }
        await peer.perform { transport in
            raw.send([5])
            raw.socket.hangUp()
            // They go out together after this turn, and are answered with a reset.
            let outcomes = (0..<10).map { _ in transport.send([1], to: .fixture(7)) }
            #expect(outcomes.allSatisfy { $0 == .sent })
        }
        await eventually("it ends") { await peer.closed.count == 1 }
        // Whichever is met first: the failed send, or the end of the stream.
        let reason = try #require(await peer.closed.first?.reason)
        #expect([.closedByPeer, .socket(errno: EPIPE)].contains(reason))
        #expect(await peer.frames.map(\.bytes) == [[5]])
        await peer.perform { transport in
            #expect(transport.send([1], to: .fixture(7)) == .notConnected)
        }
        await peer.stop()
    }

    @Test("a reset is survived, also in the middle of a frame")
    func reset_isSurvived() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        do {
            let raw = try rawPeer(to: address)
            raw.send([1, 1])
            await eventually("it is connected") { await peer.connected.count == 1 }
            raw.send([1, 2, 3], length: 1_000)
            raw.socket.resetOnClose()
        }
        // Frames into the reset connection, where SIGPIPE would end the process.
        await eventually("it ends") {
            _ = await peer.send([UInt8](repeating: 0, count: 100_000), to: .fixture(7))
            return await peer.closed.count == 1
        }
        #expect(await peer.frames.isEmpty)
        try await expectAlive(peer, at: address)
        await peer.stop()
    }
}

private let wrongStarts: [[UInt8]] = [
    Array("GET / HTTP/1.1\r\nHost: genie\r\n\r\n".utf8),
    [0x16, 0x03, 0x03, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03],
    [0xff],
    Array("genie-ring-secret-v1:".utf8),
]
