internal import CBenchTraffic
import CNIProtocol
import Determinism
import Foundation
import Glibc
import LocalSocket
import Synchronization

/// How long after an endpoint works on its own node it works on all others, by packets alone.
///
/// A pod that stays on each node sends to the address of a pod that is to come, twice a
/// millisecond. What counts is the first packet of each node that arrives there. The others are
/// counted from that of the own node: the endpoint is told of from then on.
struct FirstPacketBench {
    let system: GenieRegisters
    let underlay: Underlay
    let count: Int
    /// The namespaces of pods that stay and their addresses, by node.
    let sitting: [(netns: String, address: String)]
    /// The namespaces of pods that come and go, by node.
    let moving: [String]

    private static let port: UInt16 = 5_301
    private static let patience = Span.seconds(10)
    private static let pause: UInt32 = 500

    /// Adds and removes an endpoint `turns` times, on each node in turn.
    func run(turns: Int) throws(BenchError) -> [Span] {
        var spans: [Span] = []
        for turn in 0..<turns {
            let node = turn % count
            // Blocks that only this node's pods come from; one that was freed rests for a while.
            let address = "10.1.\(200 + node).\(1 + turn / count % 60)"
            spans.append(try run(address, on: node, turn))
        }
        return spans
    }

    private func run(_ address: String, on node: Int, _ turn: Int) throws(BenchError) -> Span {
        let receiver = try Self.socket(moving[node], "0.0.0.0", peer: nil)
        defer { close(receiver) }
        var senders: [Int32] = []
        defer { for sender in senders { close(sender) } }
        for pod in sitting {
            senders.append(try Self.socket(pod.netns, pod.address, peer: address))
        }
        let sending = FirstPacketSending(senders, pause: Self.pause)
        defer { sending.end() }
        let container = "first\(turn)"
        let answer = AnswerBox()
        Thread.detachNewThread { [self] in
            let result = ask(.add, container, address, on: node)
            answer.result.withLock { $0 = result }
        }
        let seen = try Self.receive(receiver, count, answer)
        sending.end()
        // Packets get through before the call that made it possible is answered.
        let isAnswered = Monotonic.wait(Self.patience) { answer.result.withLock { $0 != nil } }
        guard isAnswered, let result = answer.result.withLock({ $0 }) else {
            throw .timedOut(waitingFor: "the answer to ADD of \(container)", seconds: 10)
        }
        _ = try result.get()
        _ = try ask(.delete, container, address, on: node).get()
        let others = seen.indices.filter { $0 != node }.map { seen[$0] }
        // Another node may be there first; then it did not wait for this one.
        return max(.zero, (others.max() ?? seen[node]).since(seen[node]))
    }

    /// The moments of the first packet of every node.
    private static func receive(
        _ receiver: Int32,
        _ count: Int,
        _ answer: AnswerBox
    ) throws(BenchError) -> [Instant] {
        let start = Monotonic.now
        var seen = [Instant?](repeating: nil, count: count)
        while seen.contains(nil) {
            var node: UInt8 = 0
            if recv(receiver, &node, 1, 0) == 1, Int(node) < count, seen[Int(node)] == nil {
                seen[Int(node)] = Monotonic.now
            }
            if let result = answer.result.withLock({ $0 }) { _ = try result.get() }
            guard Monotonic.now.since(start) < patience else {
                throw .timedOut(waitingFor: "a packet of every node: \(seen)", seconds: 10)
            }
        }
        return seen.compactMap(\.self)
    }

    private static func socket(
        _ netns: String,
        _ address: String,
        peer: String?
    ) throws(BenchError) -> Int32 {
        let descriptor = traffic_datagram_socket(netns, address, peer, port)
        guard descriptor >= 0 else {
            throw .refused(
                call: "a socket of \(address) in \(netns)",
                reason: BenchError.reason(-descriptor)
            )
        }
        return descriptor
    }

    private final class AnswerBox: Sendable {
        let result = Mutex<Result<[UInt8], BenchError>?>(nil)
    }

    private func ask(
        _ verb: CNIVerb,
        _ container: String,
        _ address: String,
        on node: Int
    ) -> Result<[UInt8], BenchError> {
        let call = CNICall(
            verb: verb,
            containerID: container,
            netns: moving[node],
            ifname: "eth0",
            args: "IP=\(address)",
            config:
                #"{"cniVersion":"1.1.0","name":"bench","type":"genie","vpc":"bench","group":"pods"}"#
        )
        return system.ask(node + 1, .post, "/v1/cni", call.jsonText)
    }
}

/// A thread that sends the number of its node on each socket, again and again.
private final class FirstPacketSending: Sendable {
    private let isDue = Mutex(false)
    private let hasEnded = DispatchSemaphore(value: 0)

    init(_ sockets: [Int32], pause: UInt32) {
        Thread.detachNewThread { [self] in
            while !isDue.withLock({ $0 }) {
                for (node, socket) in sockets.enumerated() {
                    var number = UInt8(node)
                    // An error of an earlier packet, such as "no route to host", is taken off so.
                    _ = send(socket, &number, 1, Int32(MSG_DONTWAIT))
                }
                usleep(pause)
            }
            hasEnded.signal()
        }
    }

    /// Ends it; the sockets may be closed then.
    func end() {
        let wasDue = isDue.withLock { isDue in
            defer { isDue = true }
            return isDue
        }
        if !wasDue { hasEnded.wait() }
    }
}

/// Spans for people: how many fell into each bucket.
struct SpanHistogram {
    private static let bounds: [Int64] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100]

    let spans: [Span]

    /// One line for each bucket that is not empty.
    var lines: [String] {
        var lines: [String] = []
        var lower: Int64 = 0
        for upper in Self.bounds + [.max] {
            let count = spans.count {
                $0.microseconds >= lower * 1_000
                    && (upper == .max || $0.microseconds < upper * 1_000)
            }
            let label = upper == .max ? "\(lower) ms and more" : "\(lower) to \(upper) ms"
            if count > 0 { lines.append("\(label): \(count)") }
            lower = upper
        }
        return lines
    }
}
