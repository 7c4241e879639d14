import Addressing
import BPFObjects
import Determinism
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("every program: bytes that nobody should send", .enabled(if: getuid() == 0, "needs root"))
struct RobustnessTests {
    /// What the kernel's test run refuses itself; ``TrafficTests`` sends shorter ones for real.
    private static func frameMin(_ program: Dataplane.Program) -> Int {
        program == .uplinkXDP ? 14 : 34
    }

    @Test("cut off at every length from 0 to 120", arguments: Dataplane.Program.allCases)
    func truncation(program: Dataplane.Program) throws {
        let fixture = try F()
        let model = ReferenceModel(podMTU: F.podMTU)
        let whole = Self.valid(for: program, payloadSize: 60)
        try #require(whole.count >= 120)
        for length in 0...120 {
            let packet = Array(whole.prefix(length))
            guard let outcome = try runIfPossible(fixture, program, packet) else {
                #expect(length < Self.frameMin(program), "the kernel refused \(length) bytes")
                continue
            }
            let wanted = model.outcome(of: packet, program: program)
            #expect(wanted != .accepted, "nothing but the whole packet is right")
            #expect(Self.verdicts(wanted, program).contains(outcome.verdict), "\(length) bytes")
        }
        #expect(try fixture.run(program, whole).verdict == Self.acceptance(program))
    }

    @Test(
        "mutated at random, they agree with a second implementation",
        arguments: Dataplane.Program.allCases,
        [UInt64(1), 2, 3]
    )
    func mutation(program: Dataplane.Program, seed: UInt64) throws {
        let fixture = try F()
        let model = ReferenceModel(podMTU: F.podMTU)
        var generator = SeededGenerator(seed: seed)
        var wantedDrops: [String: Int] = [:]
        var seen: Set<ReferenceModel.Outcome> = []
        for round in 0..<2000 {
            let packet = Self.mutate(Self.seedPacket(program, &generator), &generator)
            guard let outcome = try runIfPossible(fixture, program, packet) else { continue }
            let wanted = model.outcome(of: packet, program: program)
            seen.insert(wanted)
            if case .dropped(let vni, let reason) = wanted {
                if outcome.verdict == Verdict.redirect { Self.expectError(outcome.packet) }
                wantedDrops["\(vni)/\(reason)", default: 0] += 1
            }
            #expect(
                Self.verdicts(wanted, program).contains(outcome.verdict),
                "seed \(seed) round \(round): \(wanted), packet \(packet)"
            )
        }
        let wanted = wantedDrops.map { "\($0.key)=\($0.value)" }.sorted()
        #expect(try fixture.drops().sorted() == wanted)
        // The generator must reach both sides of the verdict, or this test says nothing.
        #expect(seen.contains(.accepted))
        #expect(seen.count > 8)
    }

    @Test("bytes without any form are never accepted", arguments: Dataplane.Program.allCases)
    func noise(program: Dataplane.Program) throws {
        let fixture = try F()
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<3000 {
            let size = Int.random(in: Self.frameMin(program)...200, using: &generator)
            let packet = (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
            guard let outcome = try runIfPossible(fixture, program, packet) else { continue }
            #expect(outcome.verdict == (program == .podEgress ? Verdict.shot : pass(program)))
            if program != .podEgress { #expect(outcome.packet == packet) }
        }
    }

    /// Nil when the kernel refuses the packet before it reaches the program.
    private func runIfPossible(
        _ fixture: F,
        _ program: Dataplane.Program,
        _ packet: [UInt8]
    ) throws -> F.Outcome? {
        do {
            return try fixture.run(program, packet)
        } catch let error as F.TestRunError where error.errno == EINVAL {
            return nil
        }
    }

    private func pass(_ program: Dataplane.Program) -> Int32 {
        program == .uplinkXDP ? Verdict.xdpPass : Verdict.unspecified
    }

    private static func acceptance(_ program: Dataplane.Program) -> Int32 {
        program == .uplinkXDP ? Verdict.xdpPass : Verdict.redirect
    }

    private static func verdicts(
        _ outcome: ReferenceModel.Outcome,
        _ program: Dataplane.Program
    ) -> [Int32] {
        switch outcome {
        case .accepted: [acceptance(program)]
        case .dropped(_, let reason)
        where program == .podEgress && ReferenceModel.reasonsTold.contains(reason):
            // Turned into the ICMP error that says so, or not where the limit is reached.
            [Verdict.shot, Verdict.redirect]
        case .dropped: [program == .uplinkXDP ? Verdict.xdpDrop : Verdict.shot]
        case .passed: [program == .uplinkXDP ? Verdict.xdpPass : Verdict.unspecified]
        }
    }

    /// What comes back about a dropped packet goes to the pod, and its checksum is right.
    private static func expectError(_ packet: [UInt8]) {
        #expect(packet.prefix(12) == (F.podMAC.bytes + F.gatewayMAC.bytes)[...])
        if packet[12] == 0x08 {
            #expect(internetChecksum(Array(packet[14..<34])) == 0)
            #expect(internetChecksum(Array(packet[34...])) == 0)
            #expect(
                packet[23] == 1
                    && packet[26..<34] == (F.gateway.bytes.suffix(4) + F.pod.bytes.suffix(4))[...]
            )
        } else {
            let length = big(UInt32(packet.count - 54))
            #expect(
                internetChecksum(packet[22..<54] + length + [0, 0, 0, 58] + packet[54...]) == 0
            )
            #expect(packet[20] == 58 && packet[22..<54] == (F.gateway6.bytes + F.pod6.bytes)[...])
        }
    }

    private static func valid(for program: Dataplane.Program, payloadSize: Int) -> [UInt8] {
        let payload = (0..<payloadSize).map { UInt8(truncatingIfNeeded: $0) }
        guard program != .podEgress else {
            return F.podUDP(to: F.remote, payload: payload + payload)
        }
        var packet = F.TunnelPacket()
        packet.payload = UDP(source: 53, target: 5000).carrying(payload)
        return packet.bytes
    }

    private static func tunnel6(payloadSize: Int) -> [UInt8] {
        var packet = F.TunnelPacket()
        packet.inner6 = IPv6(source: F.remote6, target: F.local6, next: 17, hopLimit: 63)
        packet.payload = UDP(source: 53, target: 5000)
            .carrying(.init(repeating: 9, count: payloadSize))
        return packet.bytes
    }

    private static func seedPacket(
        _ program: Dataplane.Program,
        _ generator: inout SeededGenerator
    ) -> [UInt8] {
        guard program == .podEgress else {
            let size = Int.random(in: 0...30, using: &generator)
            return Bool.random(using: &generator)
                ? valid(for: program, payloadSize: size) : tunnel6(payloadSize: size)
        }
        let arp = ARP(senderMAC: F.podMAC, senderAddress: F.pod, targetAddress: F.gateway)
        let echo = IPv4(source: F.pod, target: F.gateway, transport: 1)
            .carrying(icmpEcho(type: 8, rest: [0, 1, 0, 2, 9]))
        let echo6 = IPv6(source: F.pod6, target: F.gateway6, next: 58)
            .carrying(type: 128, rest: [0, 1, 0, 2, 9])
        return switch Int.random(in: 0..<8, using: &generator) {
        case 0: F.podUDP(to: F.local)
        case 1: F.podUDP(to: F.remote)
        case 3: F.podUDP6(to: F.local6)
        case 4: F.podUDP6(to: F.remote6)
        case 5: NeighbourDiscoveryTests.solicitation(for: F.local6)
        case 6: Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd).carrying(echo6)
        case 2: Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x806).carrying(arp.bytes)
        default: Ethernet(target: F.gatewayMAC, source: F.podMAC).carrying(echo)
        }
    }

    /// Changes up to three bytes of the headers, and sometimes the length.
    private static func mutate(
        _ packet: [UInt8],
        _ generator: inout SeededGenerator
    ) -> [UInt8] {
        var packet = packet
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            let index = Int.random(in: 0..<min(packet.count, 110), using: &generator)
            // Small steps keep most fields plausible.
            packet[index] =
                Bool.random(using: &generator)
                ? UInt8.random(in: 0...255, using: &generator)
                : packet[index] ^ (1 << UInt8.random(in: 0..<8, using: &generator))
        }
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: packet.removeLast(Int.random(in: 1..<packet.count, using: &generator))
        case 1: packet += [UInt8](repeating: 0, count: Int.random(in: 1...20, using: &generator))
        default: break
        }
        return packet
    }
}
