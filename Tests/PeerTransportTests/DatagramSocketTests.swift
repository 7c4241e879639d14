import Addressing
import Determinism
import Glibc
import Testing

@testable import PeerTransport

@Suite("DatagramSocket: sealed datagrams over the loopback")
struct DatagramSocketTests {
    @Test("batches go both ways, with the sender's address")
    func exchange_bothWays() async throws {
        let (left, right) = (DatagramPeer(), DatagramPeer())
        let (leftAddress, rightAddress) = (try await left.open(), try await right.open())
        let batch = (0..<150).map { [UInt8](repeating: UInt8($0), count: $0 * 9) }
        await left.send(batch, to: rightAddress)
        await right.send(batch, to: leftAddress)
        for (peer, sender) in [(left, rightAddress), (right, leftAddress)] {
            await eventually("all 150 datagrams come") { await peer.received.count == 150 }
            let received = await peer.received
            #expect(received.map(\.bytes) == batch)
            #expect(received.allSatisfy { $0.from == sender })
            let counters = await peer.counters
            #expect(counters.sent == 150 && counters.received == 150)
            #expect(counters.rejectedTotal == 0 && counters.unsent == 0)
        }
    }

    @Test("IPv6 works, and a socket on [::] takes IPv4 under its own address")
    func ipv6_andDualStack() async throws {
        let loopback = IPAddress(high: 0, low: 1)
        let (left, right) = (DatagramPeer(), DatagramPeer())
        let any = SocketAddress(address: IPAddress(high: 0, low: 0), port: 0)
        let leftAddress = try await left.open(SocketAddress(address: loopback, port: 0))
        let port = try await right.open(any).port
        await left.send([[6]], to: SocketAddress(address: loopback, port: port))
        await eventually("the IPv6 datagram comes") { await right.received.count == 1 }
        #expect(await right.received.first?.from == leftAddress)

        let third = DatagramPeer()
        let thirdAddress = try await third.open()
        await third.send([[4]], to: .loopback(port))
        await eventually("the IPv4 datagram comes") { await right.received.count == 2 }
        #expect(await right.received.last?.from == thirdAddress)
        await right.send([[44]], to: thirdAddress)
        await eventually("the answer comes") { await third.received.count == 1 }
    }

    @Test(
        "a flood of garbage is counted and does not stop reception",
        arguments: [1, 2] as [UInt64]
    )
    func garbage_isCounted(seed: UInt64) async throws {
        let (peer, friend) = (DatagramPeer(), DatagramPeer())
        let address = try await peer.open()
        let friendAddress = try await friend.open()
        let stranger = RawSocket.datagram()
        var generator = SeededGenerator(seed: seed)
        for round in 0..<200 {
            for _ in 0..<20 {
                let length = Int.random(in: 0...1_600, using: &generator)
                stranger.send(generator.bytes(length), to: address)
            }
            stranger.send([UInt8](repeating: 1, count: 9_000), to: address)
            await friend.send([[UInt8(round)]], to: address)
            // One round at a time, so that the kernel's buffer holds what is sent.
            await eventually("round \(round) comes") { await peer.received.count == round + 1 }
        }
        #expect(await peer.received.allSatisfy { $0.from == friendAddress })
        await eventually("the garbage is counted") {
            await peer.counters.rejectedTotal == 200 * 21
        }
        let counters = await peer.counters
        #expect(counters.rejected(.oversized) >= 200)
        #expect(counters.rejected(.short) > 0 && counters.rejected(.version) > 0)
    }

    @Test("a replayed and a foreign datagram are counted by reason")
    func rejections_haveReasons() async throws {
        let peer = DatagramPeer()
        let address = try await peer.open()
        let stranger = RawSocket.datagram()
        let key = ClusterSecret.insecure.gossipKey
        let sealing = DatagramSeal(keyring: Keyring(key), clusterLabel: "lab")
        let genuine = try #require(sealing.seal([1]))
        for _ in 0..<3 { stranger.send(genuine, to: address) }
        let foreign = DatagramSeal(
            keyring: Keyring(ClusterSecret.generate().gossipKey),
            clusterLabel: "lab"
        )
        stranger.send(try #require(foreign.seal([1])), to: address)
        await eventually("all four are judged") {
            let counters = await peer.counters
            return counters.received == 1 && counters.rejectedTotal == 3
        }
        #expect(await peer.counters.rejected(.replayed) == 2)
        #expect(await peer.counters.rejected(.unknownKey) == 1)
    }

    @Test("a closed port is reported, and the socket lives on", arguments: ["127.0.0.1", "::1"])
    func closedPort_isReported(host: String) async throws {
        let loopback = try #require(IPAddress(host))
        let any = SocketAddress(address: loopback, port: 0)
        let (peer, friend, gone) = (DatagramPeer(), DatagramPeer(), DatagramPeer())
        let address = try await peer.open(any)
        let friendAddress = try await friend.open(any)
        let goneAddress = try await gone.open(any)
        await gone.close()
        await eventually("the closed port is reported") {
            await peer.send([[1]], to: goneAddress)
            return await peer.closedPorts.contains(goneAddress)
        }
        // A datagram behind the error still goes, and one still comes.
        await peer.send([[1], [2]], to: goneAddress)
        await peer.send([[3]], to: friendAddress)
        await friend.send([[4]], to: address)
        await eventually("both directions work") {
            let (sent, got) = (await friend.received.count, await peer.received.count)
            return sent == 1 && got == 1
        }
        #expect(Set(await peer.closedPorts) == [goneAddress])
    }

    @Test("a closed port on a dual-stack socket is reported as IPv4")
    func closedPort_dualStack_isReported() async throws {
        let peer = DatagramPeer()
        _ = try await peer.open(SocketAddress(address: IPAddress(high: 0, low: 0), port: 0))
        let gone = DatagramPeer()
        let goneAddress = try await gone.open()
        await gone.close()
        await eventually("the closed port is reported") {
            await peer.send([[1]], to: goneAddress)
            return await peer.closedPorts.contains(goneAddress)
        }
    }

    @Test("what cannot be sent is counted, and the rest goes")
    func unsendable_isCounted() async throws {
        let (peer, friend) = (DatagramPeer(), DatagramPeer())
        _ = try await peer.open()
        let friendAddress = try await friend.open()
        await peer.send([[1]], to: SocketAddress(address: IPAddress(high: 0, low: 1), port: 9))
        await peer.send([[UInt8](repeating: 0, count: 1_401), [2]], to: friendAddress)
        await eventually("the good one comes") { await friend.received.count == 1 }
        let counters = await peer.counters
        #expect(counters.unsent == 1 && counters.oversized == 1 && counters.sent == 1)
    }

    @Test("a port in use is named, with the way out")
    func portInUse_isNamed() async throws {
        let first = DatagramPeer()
        let address = try await first.open()
        let expected = TransportError.addressInUse(.udp, address)
        await #expect(throws: expected) { try await DatagramPeer().open(address) }
        #expect("\(expected)".contains("UDP \(address)") && "\(expected)".contains("ss -lnp"))
    }

    @Test("an address of another machine is named")
    func foreignAddress_isNamed() async throws {
        let address = try #require(SocketAddress("192.0.2.1:7940"))
        let expected = TransportError.addressNotLocal(.udp, address)
        await #expect(throws: expected) { try await DatagramPeer().open(address) }
    }

    @Test("a closed socket gives its port back and says no more")
    func close_freesThePort() async throws {
        let (peer, friend) = (DatagramPeer(), DatagramPeer())
        let address = try await peer.open()
        _ = try await friend.open()
        await peer.close()
        await peer.send([[1]], to: address)
        let next = DatagramPeer()
        await eventually("the port is free") { (try? await next.open(address)) == address }
        await friend.send([[1]], to: address)
        await eventually("the next owner hears") { await next.received.count == 1 }
        #expect(await peer.received.isEmpty)
    }
}
