import Addressing
import BPFObjects
import Glibc
import Testing

private typealias F = DataplaneFixture

/// TCP options, where the maximum segment size is in them, and whether it can be found.
struct SegmentSizeCase: CustomTestStringConvertible, Sendable {
    let what: String
    let options: [UInt8]
    /// From the start of the options; nil where nothing may change.
    let place: Int?

    var testDescription: String { what }
}

@Suite(
    "E9: the segment size that a pod asks for is lowered to what the tunnel carries",
    .enabled(if: getuid() == 0, "needs root")
)
struct SegmentSizeTests {
    /// The option with 8,960 (0x2300), as a pod with an MTU of 9,000 sends it.
    private static let asked: [UInt8] = [2, 4, 0x23, 0x00]

    static let cases: [SegmentSizeCase] = [
        .init(what: "alone", options: asked, place: 2),
        .init(
            what: "as Linux sends it",
            options: asked + [4, 2, 8, 10] + zeroes(8) + [1, 3, 3, 7],
            place: 2
        ),
        .init(what: "last", options: [4, 2, 1, 1, 1, 3, 3, 7] + asked, place: 10),
        .init(what: "at an odd place", options: [1] + asked + [1, 1, 1], place: 3),
        .init(what: "at an odd place behind others", options: [3, 3, 7] + asked + [1], place: 5),
        .init(what: "behind 36 bytes", options: .init(repeating: 1, count: 36) + asked, place: 38),
        .init(what: "behind the end", options: [0, 0, 0, 0] + asked, place: nil),
        .init(what: "with a length of 3", options: [2, 3, 0x23, 0], place: nil),
        .init(what: "with a length of 5", options: [2, 5, 0x23, 0, 0, 1, 1, 1], place: nil),
        .init(what: "behind an option of no length", options: [9, 0, 1, 1] + asked, place: nil),
        .init(
            what: "behind an option that ends too late",
            options: [9, 90, 1, 1] + asked,
            place: nil
        ),
        .init(what: "cut off", options: [1, 1, 2, 4], place: nil),
        .init(what: "absent", options: [], place: nil),
        .init(what: "small enough", options: [2, 4, 0x05, 0x64], place: nil),
    ]

    private static func zeroes(_ count: Int) -> [UInt8] { .init(repeating: 0, count: count) }

    private func packet(_ tcp: TCP, isV6: Bool, to target: IPAddress? = nil) -> [UInt8] {
        if isV6 {
            let target = target ?? F.remote6
            let ip = IPv6(source: F.pod6, target: target, next: 6)
            return Ethernet(target: F.gatewayMAC, source: F.podMAC, type: 0x86dd)
                .carrying(ip.carrying(tcp.carrying([1, 2, 3], between: F.pod6, target)))
        }
        let target = target ?? F.remote
        let ip = IPv4(source: F.pod, target: target, transport: 6)
        return Ethernet(target: F.gatewayMAC, source: F.podMAC)
            .carrying(ip.carrying(tcp.carrying([1, 2, 3], between: F.pod, target)))
    }

    @Test(
        "in SYN and SYN-ACK of both families, with the checksum right wherever the option is",
        arguments: cases
    )
    func clamp(given: SegmentSizeCase) throws {
        let fixture = try F()
        for (isV6, flags) in [false, true].flatMap({ isV6 in
            [UInt8(0x02), 0x12, 0xc2].map { (isV6, $0) }
        }
        ) {
            let tcp = TCP(flags: flags, options: given.options)
            let sent = packet(tcp, isV6: isV6)
            let front = isV6 ? 54 : 34
            let outcome = try fixture.run(.podEgress, sent)
            // Geneve over IPv4 is 50 bytes more in front.
            let segment = Array(outcome.packet.dropFirst(front + 50))
            var wanted = Array(sent.dropFirst(front))
            if let place = given.place {
                let size = UInt16(F.podMTU - (isV6 ? 60 : 40))
                wanted.replaceSubrange((20 + place)..<(22 + place), with: big(size))
                wanted.replaceSubrange(16..<18, with: segment[16..<18])
            }
            #expect(segment == wanted)
            let ends = isV6 ? (F.pod6, F.remote6) : (F.pod, F.remote)
            #expect(TCP.checksum(segment, between: ends.0, ends.1) == 0)
        }
    }

    @Test("neither in other segments, nor towards pods of this node, nor in fragments")
    func untouched() throws {
        let fixture = try F()
        for flags: UInt8 in [0x10, 0x11, 0x04] {
            for isV6 in [false, true] {
                let sent = packet(TCP(flags: flags, options: Self.asked), isV6: isV6)
                let outcome = try fixture.run(.podEgress, sent)
                let front = isV6 ? 54 : 34
                #expect(outcome.packet.dropFirst(front + 50) == sent.dropFirst(front))
            }
        }
        let syn = TCP(flags: 2, options: Self.asked)
        for (isV6, target) in [(false, F.local), (true, F.local6)] {
            let sent = packet(syn, isV6: isV6, to: target)
            let front = isV6 ? 54 : 34
            let outcome = try fixture.run(.podEgress, sent)
            #expect(outcome.packet.dropFirst(front) == sent.dropFirst(front))
        }
        var fragment = packet(syn, isV6: false)
        fragment[20] = 0x20
        let outcome = try fixture.run(.podEgress, fragment)
        #expect(outcome.packet.dropFirst(84) == fragment.dropFirst(34))
    }
}
