import Addressing
import CLinux
import Determinism
import Glibc
import Testing

@testable import PeerTransport

@Suite("StreamTransport: frames between peers of one cluster")
struct StreamTransportTests {
    @Test("a dial connects both, each under the other's identity")
    func dial_connectsBoth() async throws {
        let pair = try await StreamPair()
        let (left, right) = (await pair.left.connected, await pair.right.connected)
        #expect(left.map(\.node) == [pair.right.node] && left[0].address == pair.rightAddress)
        #expect(right.map(\.node) == [pair.left.node])
        #expect(await pair.left.connectedNodes == [pair.right.node])
        #expect(await pair.left.version(of: left[0].id) == 1)
        await pair.stop()
    }

    @Test("frames go both ways, from none to 4 MiB", arguments: [0, 1, 16_380, 1 << 20, 4 << 20])
    func frame_bothWays(length: Int) async throws {
        let pair = try await StreamPair()
        var generator = SeededGenerator(seed: UInt64(length))
        let start = generator.bytes(min(length, 1_000))
        let frame = start + [UInt8](repeating: 7, count: length - start.count)
        #expect(await pair.left.send(frame, to: pair.right.node) == .sent)
        #expect(await pair.right.send(frame, to: pair.left.node) == .sent)
        for (peer, sender) in [(pair.left, pair.right), (pair.right, pair.left)] {
            await eventually("the frame comes") { await peer.frames.count == 1 }
            let received = await peer.frames.first
            let isIntact = received?.bytes == frame
            #expect(received?.node == sender.node && isIntact)
        }
        await pair.stop()
    }

    @Test("many frames keep their order in both directions")
    func order_isKept() async throws {
        let pair = try await StreamPair()
        var generator = SeededGenerator(seed: 3)
        let frames = (0..<5_000).map { number in
            UInt64(number).bigEndianBytes
                + [UInt8](repeating: 1, count: Int.random(in: 0...2_000, using: &generator))
        }
        async let left = pair.left.send(frames, to: pair.right.node)
        async let right = pair.right.send(frames, to: pair.left.node)
        #expect(await left.allSatisfy { $0 == .sent })
        #expect(await right.allSatisfy { $0 == .sent })
        for peer in [pair.left, pair.right] {
            await eventually(within: 30, "all frames come") { await peer.frames.count == 5_000 }
            let areInOrder = await peer.frames.map(\.bytes) == frames
            #expect(areInOrder)
        }
        await pair.stop()
    }

    @Test("a connection that nobody uses is ended by the side that dialled it, one in use is not")
    func idle_ends() async throws {
        let left = StreamPeer(1, idleMilliseconds: 2_000)
        let right = StreamPeer(2)
        _ = try await left.start()
        await left.dial(try await right.start())
        await eventually("both are connected") { await right.connected.count == 1 }
        // Used for longer than it may be idle, and often, since the machine may be busy.
        for _ in 0..<50 {
            #expect(await right.send([1], to: left.node) == .sent)
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(await left.closed.isEmpty)
        await eventually(within: 30, "it ends") { await left.closed.map(\.reason) == [.idle] }
        await eventually("both know") { await right.closed.map(\.reason) == [.closedByPeer] }
        await left.stop()
        await right.stop()
    }

    @Test("a frame to an unknown peer, or over a closed connection, is not taken")
    func send_unknown_isNotConnected() async throws {
        let pair = try await StreamPair()
        #expect(await pair.left.send([1], to: .fixture(99)) == .notConnected)
        let id = try #require(await pair.left.connected.first?.id)
        await pair.left.close(id)
        #expect(await pair.left.send([1], over: id) == .notConnected)
        #expect(await pair.left.send([1], to: pair.right.node) == .notConnected)
        await eventually("both sides see the end") {
            let (left, right) = (await pair.left.closed, await pair.right.closed)
            return left.map(\.reason) == [.closedLocally] && right.map(\.reason) == [.closedByPeer]
                && left[0].node == pair.right.node && right[0].node == pair.left.node
        }
        #expect(await pair.left.connectedNodes.isEmpty)
        await pair.stop()
    }

    @Test("a frame over the limit is not taken, and the connection stays")
    func send_oversized_isRefused() async throws {
        let pair = try await StreamPair()
        let frame = [UInt8](repeating: 0, count: StreamTransport.frameBytesMax + 1)
        #expect(await pair.left.send(frame, to: pair.right.node) == .oversized)
        #expect(await pair.left.send([1], to: pair.right.node) == .sent)
        await eventually("the small one comes") { await pair.right.frames.count == 1 }
        await pair.stop()
    }

    @Test("what was sent before a close still comes")
    func close_afterSend_delivers() async throws {
        let pair = try await StreamPair()
        let id = try #require(await pair.left.connected.first?.id)
        let frames = (0..<100).map { [UInt8($0)] }
        _ = await pair.left.send(frames, to: pair.right.node)
        await pair.left.close(id)
        await eventually("the end comes after the frames") { await pair.right.closed.count == 1 }
        #expect(await pair.right.frames.map(\.bytes) == frames)
        await pair.stop()
    }

    @Test("a peer whose transport ends is noticed, and its port is free at once")
    func stop_closesTheOther() async throws {
        let pair = try await StreamPair()
        await pair.right.stop()
        await eventually("the end is noticed") {
            await pair.left.closed.map(\.reason) == [.closedByPeer]
        }
        #expect(await pair.right.closed.isEmpty)
        let next = StreamPeer(2)
        await eventually("the port is free") {
            (try? await next.start(pair.rightAddress)) == pair.rightAddress
        }
        await pair.left.dial(pair.rightAddress)
        await eventually("the next process is connected") { await next.connected.count == 1 }
        await next.stop()
        await pair.stop()
    }

    @Test("a transport that is let go closes its connections")
    func release_closesTheOther() async throws {
        let pair = try await StreamPair()
        await pair.right.forget()
        await eventually("the end is noticed") { await pair.left.closed.count == 1 }
        await pair.stop()
    }

    @Test("two peers that dial each other are connected, whichever connection stays")
    func dial_fromBothSides() async throws {
        let (left, right) = (StreamPeer(1), StreamPeer(2))
        let (leftAddress, rightAddress) = (try await left.start(), try await right.start())
        await left.dial(rightAddress)
        await right.dial(leftAddress)
        await eventually("both connections are there") {
            let (first, second) = (await left.connected.count, await right.connected.count)
            return first == 2 && second == 2
        }
        let oldest = try #require(await left.connected.first?.id)
        await left.close(oldest)
        await eventually("one is gone") { await right.closed.count == 1 }
        #expect(await left.send([1], to: right.node) == .sent)
        #expect(await right.send([2], to: left.node) == .sent)
        await eventually("the other carries frames") {
            let (first, second) = (await left.frames.count, await right.frames.count)
            return first == 1 && second == 1
        }
        await left.stop()
        await right.stop()
    }

    @Test("a full queue refuses, and loses nothing of what it took")
    func queue_isBounded() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let context = try TLSContext(node: .fixture(7), secret: .insecure, clusterLabel: "lab")
        let raw = try #require(RawPeer(to: address, context.session(.client)))
        raw.send([1, 1])
        await eventually("it is connected") { await peer.connected.count == 1 }
        #expect(raw.receive() == [1, 1])
        let frame = [UInt8](repeating: 9, count: 1 << 20)
        var taken = 0
        while await peer.send(frame, to: .fixture(7)) == .sent, taken < 100 { taken += 1 }
        #expect((15..<100).contains(taken))
        #expect(await peer.send(frame, to: .fixture(7)) == .queueFull)
        // Plain truth values: a failure must not print megabytes.
        let areIntact = (0..<taken).allSatisfy { _ in raw.receive() == frame }
        #expect(areIntact)
        await eventually("there is room again") {
            await peer.send(frame, to: .fixture(7)) == .sent
        }
        let isIntact = raw.receive() == frame
        #expect(isIntact)
        await peer.stop()
    }

    @Test("the owner may send, close, dial and stop inside an event")
    func event_reentry() async throws {
        let (left, right) = (StreamPeer(1), StreamPeer(2))
        let rightAddress = try await right.start(reaction: { transport, event in
            guard case .frame(let node, let id, let bytes) = event else { return }
            switch bytes {
            case [1]: _ = transport.send([11], to: node)
            case [2]: transport.close(id)
            default: transport.stop()
            }
        })
        _ = try await left.start()
        await left.dial(rightAddress)
        await eventually("connected") { await left.connected.count == 1 }
        _ = await left.send([[1], [2], [3], [4]], to: right.node)
        await eventually("the connection ends") { await left.closed.count == 1 }
        #expect(await left.frames.map(\.bytes) == [[11]])
        // Nothing comes out of a connection that was closed.
        #expect(await right.frames.map(\.bytes) == [[1], [2]])
        await left.dial(rightAddress)
        await eventually("connected again") { await left.connected.count == 2 }
        _ = await left.send([3], to: right.node)
        await eventually("the peer has stopped") { await left.closed.count == 2 }
        await left.stop()
    }

    @Test("a peer that vanished without a word is noticed within 10 s", needsRoot)
    func vanished_isNoticed() async throws {
        let pair = try await StreamPair()
        try cutCable(to: pair.rightAddress.port)
        let clock = ContinuousClock()
        let start = clock.now
        await eventually(within: 14, "the end is noticed") { await pair.left.closed.count == 1 }
        #expect(clock.now - start < .seconds(10))
        #expect(clock.now - start > .seconds(5))
        let reason = await pair.left.closed.first?.reason
        #expect(reason == .socket(errno: ETIMEDOUT))
        await pair.stop()
    }

    @Test("a frame to a vanished peer does not prolong its life", needsRoot)
    func vanished_withDataWaiting_isNoticed() async throws {
        let pair = try await StreamPair()
        try cutCable(to: pair.rightAddress.port)
        #expect(await pair.left.send([1], to: pair.right.node) == .sent)
        let clock = ContinuousClock()
        let start = clock.now
        await eventually(within: 14, "the end is noticed") { await pair.left.closed.count == 1 }
        #expect(clock.now - start < .seconds(10))
        await pair.stop()
    }

    @Test("a port in use is named, with the way out")
    func portInUse_isNamed() async throws {
        let peer = StreamPeer(1)
        let address = try await peer.start()
        let expected = TransportError.addressInUse(.tcp, address)
        await #expect(throws: expected) { try await StreamPeer(2).start(address) }
        #expect("\(expected)".contains("TCP \(address)"))
        await peer.stop()
    }

    @Test("IPv6 works")
    func ipv6_connects() async throws {
        let (left, right) = (StreamPeer(1), StreamPeer(2))
        let any = SocketAddress(address: IPAddress(high: 0, low: 1), port: 0)
        _ = try await left.start()
        await left.dial(try await right.start(any))
        await eventually("both are connected") {
            let (first, second) = (await left.connected.count, await right.connected.count)
            return first == 1 && second == 1
        }
        await left.stop()
        await right.stop()
    }
}

/// Not every kernel lets others than root attach a filter to a socket.
private let needsRoot = ConditionTrait.enabled(if: getuid() == 0, "needs root")

/// Has the kernel drop every segment at both ends, as if the cable had been cut.
private func cutCable(to port: UInt16) throws {
    let ends = descriptors(ofConnectionsTo: port)
    try #require(ends.count == 2)
    for descriptor in ends { try #require(dropEverything(descriptor)) }
}

/// Has the kernel drop what arrives at a socket: a classic BPF program of one "return 0".
private func dropEverything(_ descriptor: Int32) -> Bool {
    // struct sock_filter { u16 code = BPF_RET | BPF_K; u8 jt, jf; u32 k } (linux/filter.h).
    var instruction: [UInt8] = [0x06, 0, 0, 0, 0, 0, 0, 0]
    return instruction.withUnsafeMutableBytes { instruction in
        // struct sock_fprog { u16 len; struct sock_filter *filter }.
        var program: (length: UInt, start: UnsafeMutableRawPointer?) = (1, instruction.baseAddress)
        let attachFilter: Int32 = 26  // SO_ATTACH_FILTER in asm-generic/socket.h.
        return setsockopt(descriptor, SOL_SOCKET, attachFilter, &program, 16) == 0
    }
}
