import Addressing
import CNetworkNamespace
import Determinism
import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "A hostile pod in a lab (E6, E23)",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct IsolationLabTests {
    private static let frameCount = 100_000

    /// A namespace's network, entered by a thread of its own.
    private func inside<Value: Sendable>(
        _ pod: Pod,
        _ body: @escaping @Sendable () -> Value
    ) throws -> Value {
        let visit = Visit(body)
        let error = network_namespace_run(
            "/run/netns/\(pod.namespace)",
            { context in
                guard let context else { return }
                Unmanaged<Visitor>.fromOpaque(context).takeUnretainedValue().run()
            },
            Unmanaged.passUnretained(visit as Visitor).toOpaque()
        )
        try #require(error == 0)
        return try #require(visit.value)
    }

    private func received(_ lab: Lab, _ pod: Pod) throws -> Int {
        let text = try lab.inPod(pod, "cat", "/sys/class/net/eth0/statistics/rx_packets").text
        return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    private func identity(_ lab: Lab, _ pod: Pod) throws -> HostileFrames.Identity {
        let mac = try lab.inPod(pod, "cat", "/sys/class/net/eth0/address").text
        return HostileFrames.Identity(
            mac: try #require(MACAddress(mac.trimmingCharacters(in: .whitespacesAndNewlines))),
            v4: try #require(IPAddress(pod.addresses[0])),
            v6: try #require(IPAddress(pod.addresses[1]))
        )
    }

    private func handedOver(_ lab: Lab) throws -> Int {
        let files = "cat /sys/class/net/gr*/statistics/rx_packets"
        return try lab.run(on: 1, ["sh", "-c", files]).text
            .split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
    }

    /// Frames that node 1's pods have handed over, and those whose end is accounted for.
    ///
    /// Pods' stacks send something now and then: both are read in a moment when they do not.
    private func accounts(_ lab: Lab) throws -> (handedOver: Int, accounted: Int) {
        var before = try handedOver(lab)
        var status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
        for _ in 0..<50 {
            let after = try handedOver(lab)
            if after == before { break }
            before = after
            status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
        }
        let ends = [
            "pod_to_local_pod", "pod_to_remote_pod", "arp_reply", "nd_reply", "gateway_echo_reply",
            "multicast_sent",
        ]
        let ended = status.counts.filter { ends.contains($0.name) }.reduce(0) { $0 + $1.packets }
        return (before, Int(ended + status.drops.reduce(0) { $0 + $1.packets }))
    }

    @Test("of 100,000 frames with random fields none arrives where it should not, each is counted")
    func attack() async throws {
        try await Lab.with(nodes: 2, id: Lab.testID, environment: ["GENIE_LAB_XDP_NODES": "node2"])
        { lab in
            for vpc in ["red", "blue"] {
                #expect(try lab.ring(1, "vpcs", "create", vpc).status == 0)
                let made = try lab.ring(
                    1,
                    "groups",
                    "create",
                    "\(vpc)/web",
                    "--subnet",
                    "10.20.0.0/24",
                    "--subnet",
                    "fd00:20::/64"
                )
                #expect(made.status == 0, "\(made.errors)")
            }
            let victims = try [1, 1, 2].enumerated().map { try lab.attach($1, "v\($0)", "red") }
            let hostile = try lab.attach(1, "h", "blue")
            let friends = try [1, 2].map { try lab.attach($0, "f\($0)", "blue") }
            for friend in friends { #expect(try lab.lostPings(hostile, to: friend.address) == 0) }

            let seed = UInt64.random(in: 0 ... .max)
            let own = try identity(lab, hostile)
            let frames = HostileFrames(
                own: own,
                others: try targets(lab, victims + friends + [hostile]),
                generator: SeededGenerator(seed: seed)
            )
            let captures = try friends.map { friend in
                let capture = try inside(friend) { network_capture_open("eth0") }
                try #require(capture >= 0)
                return capture
            }
            defer { for capture in captures { close(capture) } }
            let before = try victims.map { try received(lab, $0) }
            let start = try accounts(lab)
            #expect(try flood(hostile, frames) == Self.frameCount)
            try await expectAccounted(lab, since: start, "seed \(seed)")
            #expect(try victims.map { try received(lab, $0) } == before, "seed \(seed)")
            for (friend, capture) in zip(friends, captures) {
                let arrived = expectHonest(
                    capture,
                    to: try identity(lab, friend),
                    from: own,
                    "seed \(seed)"
                )
                // Frames that are right by chance get through, or this test says nothing.
                #expect(arrived > 100)
            }
            for friend in friends { #expect(try lab.lostPings(hostile, to: friend.address) == 0) }
        }
    }

    /// Pods, gateways, nodes.
    private func targets(_ lab: Lab, _ pods: [Pod]) throws -> [HostileFrames.Identity] {
        let gateway = MACAddress(bits: 0x02_67_72_00_00_01)
        let more = [
            ("10.20.0.1", "fd00:20::1"), ("172.30.\(lab.id).1", "::"),
            ("172.30.\(lab.id).2", "fe80::1"),
        ]
        return try pods.map { try identity(lab, $0) }
            + more.map { v4, v6 in
                HostileFrames.Identity(
                    mac: gateway,
                    v4: try #require(IPAddress(v4)),
                    v6: try #require(IPAddress(v6))
                )
            }
    }

    private func flood(_ hostile: Pod, _ frames: HostileFrames) throws -> Int {
        try inside(hostile) {
            var frames = frames
            var sent = 0
            while sent < Self.frameCount {
                let batch = (0..<1_000).map { _ in frames.next() }
                let count = network_frames_send(
                    "eth0",
                    batch.flatMap(\.self),
                    batch.map(\.count),
                    batch.count
                )
                sent += count
                guard count == batch.count else { return sent }
            }
            return sent
        }
    }

    /// Every frame that a veth handed over was delivered, answered or dropped for a reason.
    private func expectAccounted(
        _ lab: Lab,
        since start: (handedOver: Int, accounted: Int),
        _ comment: Comment
    ) async throws {
        var sums = (handedOver: 0, accounted: 0)
        let isEven = try await lab.eventually(seconds: 10) {
            let now = try accounts(lab)
            sums = (now.handedOver - start.handedOver, now.accounted - start.accounted)
            return sums.handedOver == sums.accounted
        }
        #expect(isEven, "\(sums), \(comment)")
        #expect(sums.handedOver >= Self.frameCount * 95 / 100, "\(sums), \(comment)")
    }

    /// Reads a capture empty; each frame is to this pod or its whole group, and from the hostile
    /// one's true addresses.
    private func expectHonest(
        _ capture: Int32,
        to pod: HostileFrames.Identity,
        from hostile: HostileFrames.Identity,
        _ comment: Comment
    ) -> Int {
        var buffer = [UInt8](repeating: 0, count: 2_048)
        var count = 0
        while case let size = network_capture_next(capture, &buffer, buffer.count), size > 0 {
            let frame = buffer.prefix(size)
            count += 1
            let isV4 = frame[12] == 8 && frame[13] == 0
            let source = isV4 ? Array(hostile.v4.bytes.suffix(4)) : hostile.v6.bytes
            let own = isV4 ? Array(pod.v4.bytes.suffix(4)) : pod.v6.bytes
            let place = isV4 ? 26 : 22
            let target = Array(frame[(place + source.count)...].prefix(source.count))
            let isMany =
                isV4
                ? target[0] >> 4 == 0xe || target == [255, 255, 255, 255]
                : target[0] == 0xff
            let isHonest =
                Array(frame[place..<place + source.count]) == source
                && (frame[0] & 1 == 1
                    ? isMany : Array(frame.prefix(6)) == pod.mac.bytes && target == own)
            #expect(isHonest, "\(Array(frame.prefix(80))), \(comment)")
        }
        return count
    }
}

/// What a thread inside a namespace does.
private class Visitor {
    func run() {}
}

private final class Visit<Value>: Visitor {
    let body: () -> Value
    var value: Value?

    init(_ body: @escaping () -> Value) {
        self.body = body
    }

    override func run() {
        value = body()
    }
}
