import Addressing
import BPFObjects
import Determinism
import Dispatch
import Glibc
import Testing

private typealias F = DataplaneFixture

@Suite("every program: bytes that nobody should send", .enabled(if: getuid() == 0, "needs root"))
struct RobustnessTests {
    /// What the kernel's test run refuses itself; ``TrafficTests`` sends shorter ones for real.
    private static func frameMin(_ program: Dataplane.Program, isV6: Bool) -> Int {
        program == .uplinkXDP ? 14 : isV6 ? 54 : 34
    }

    @Test(
        "E16: cut off at every length from 0 to 200, they agree with a second implementation",
        arguments: Dataplane.Program.allCases
    )
    func truncation(program: Dataplane.Program) throws {
        let fixture = try F()
        let model = ReferenceModel(podMTU: F.podMTU)
        for (kind, whole) in RobustnessPackets.whole(for: program).enumerated() {
            #expect(model.outcome(of: whole, program: program) == .accepted, "kind \(kind)")
            let frameMin = Self.frameMin(program, isV6: whole[12] == 0x86)
            for length in 0...200 {
                let packet = Array(whole.prefix(length))
                guard let outcome = try runIfPossible(fixture, program, packet) else {
                    #expect(length < frameMin, "the kernel refused \(length) bytes")
                    continue
                }
                let wanted = model.outcome(of: packet, program: program)
                #expect(
                    Self.verdicts(wanted, program).contains(outcome.verdict),
                    "kind \(kind), \(length) bytes: \(wanted)"
                )
                DestinationCheck(program).expectRight(outcome, of: packet, wanted)
            }
        }
    }

    @Test(
        "E16: mutated at random, they agree with a second implementation",
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
            let seedPacket = RobustnessPackets.any(for: program, &generator)
            let packet = Self.mutate(seedPacket, &generator)
            guard let outcome = try runIfPossible(fixture, program, packet) else { continue }
            let wanted = model.outcome(of: packet, program: program)
            seen.insert(wanted)
            if case .dropped(let vni, let reason) = wanted {
                wantedDrops["\(vni)/\(reason)", default: 0] += 1
            }
            #expect(
                Self.verdicts(wanted, program).contains(outcome.verdict),
                "seed \(seed) round \(round): \(wanted), packet \(packet)"
            )
            DestinationCheck(program).expectRight(outcome, of: packet, wanted)
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
            let size = Int.random(in: Self.frameMin(program, isV6: false)...200, using: &generator)
            let packet = (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
            guard let outcome = try runIfPossible(fixture, program, packet) else { continue }
            #expect(outcome.verdict == (program == .podEgress ? Verdict.shot : pass(program)))
            if program != .podEgress { #expect(outcome.packet == packet) }
        }
    }

    @Test("E20: counters of all CPUs add up to what was sent")
    func exactCounters() throws {
        // Test runs of one program may overlap; nothing else of the fixture is touched meanwhile.
        nonisolated(unsafe) let fixture = try F()
        let sent = F.podUDP(to: F.local)
        let dropped = F.podUDP(to: F.local, payload: []).dropLast(8)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<500 {
                _ = try? fixture.run(.podEgress, sent)
                _ = try? fixture.run(.podEgress, Array(dropped))
            }
        }
        #expect(try fixture.counts() == ["pod_to_local_pod=4000"])
        #expect(try fixture.drops() == ["42/bad_ipv4=4000"])
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
        case .copied: [Verdict.shot]
        case .passed: [program == .uplinkXDP ? Verdict.xdpPass : Verdict.unspecified]
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
