import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import LocalSocket
import Synchronization

/// What became of endpoints that came and went.
struct EndpointResult {
    /// From an endpoint's being in its own node's map until it is in every other node's.
    var addedElsewhere: [Span] = []
    /// From asking for an endpoint until it is in every node's map, its own included.
    var added: [Span] = []
    /// From asking for an endpoint until that was answered.
    var addAnswered: [Span] = []
    /// From an endpoint's being out of its own node's map until it is out of every other node's.
    var removedElsewhere: [Span] = []
    /// From asking for a removal until the endpoint is in no node's map.
    var removed: [Span] = []
    /// From the first packet of a pod on the same node until the first one of every other node.
    var firstPacket: [Span] = []
}

/// Pods that come and go on five nodes, and how long until every node's map says so.
///
/// The maps themselves are read, twice a millisecond: what a packet would meet.
struct EndpointBench {
    let system: GenieRegisters
    let underlay: Underlay
    let count: Int

    private static let patience = Span.seconds(20)
    private static let pollInterval = Span(microseconds: 500)

    /// Adds and removes an endpoint `turns` times, on each node in turn.
    func run(children: [Child], turns: Int) throws(BenchError) -> EndpointResult {
        try makeGroup()
        var maps: [EndpointMap] = []
        var namespaces: [String] = []
        var sitting: [(netns: String, address: String)] = []
        for node in 1...count {
            maps.append(try EndpointMap(pid: children[node - 1].pid))
            // This one stays: a node follows a group while it has a pod in its VPC.
            let netns = try underlay.addPod("sitting", on: node)
            let answer = try ask(.add, "sitting\(node)", netns, on: node).get()
            sitting.append((netns, try CNIAnswer.address(answer)))
            namespaces.append(try underlay.addPod("moving", on: node))
        }
        try wait(maps, "every pod that stays") { $0.count == count }
        var result = EndpointResult()
        for turn in 0..<turns {
            let node = turn % count + 1
            let container = "moving\(turn)"
            let known = maps.map { $0.keys() }
            let add = try change(.add, container, namespaces[node - 1], on: node, maps) {
                index,
                keys in
                keys.subtracting(known[index]).isEmpty == false
            }
            result.added.append(add.last)
            result.addAnswered.append(add.answered)
            let own = add.seen[node - 1]
            // Another node may be there first; then it did not wait for this one's map.
            result.addedElsewhere.append(max(.zero, add.last - own))
            let gone = try change(.delete, container, namespaces[node - 1], on: node, maps) {
                index,
                keys in
                keys.subtracting(known[index]).isEmpty
            }
            result.removed.append(gone.last)
            result.removedElsewhere.append(max(.zero, gone.last - gone.seen[node - 1]))
        }
        let packets = FirstPacketBench(
            system: system,
            underlay: underlay,
            count: count,
            sitting: sitting,
            moving: namespaces
        )
        result.firstPacket = try packets.run(turns: turns)
        return result
    }

    /// How one change went, as spans from asking.
    private struct Change {
        var seen: [Span]
        var answered: Span
        var last: Span { seen.max() ?? .zero }
    }

    private func change(
        _ verb: CNIVerb,
        _ container: String,
        _ netns: String,
        on node: Int,
        _ maps: [EndpointMap],
        until isDone: (Int, Set<EndpointMap.Key>) -> Bool
    ) throws(BenchError) -> Change {
        let box = AnswerBox()
        let start = Monotonic.now
        Thread.detachNewThread { [self] in
            let result = ask(verb, container, netns, on: node)
            box.answer.withLock { $0 = (Monotonic.now, result) }
        }
        var seen = [Span?](repeating: nil, count: maps.count)
        var end: (at: Instant, result: Result<[UInt8], BenchError>)?
        while seen.contains(nil) || end == nil {
            for index in maps.indices where seen[index] == nil {
                if isDone(index, maps[index].keys()) { seen[index] = Monotonic.now.since(start) }
            }
            end = end ?? box.answer.withLock { $0 }
            if let end { _ = try end.result.get() }
            guard Monotonic.now.since(start) < Self.patience else {
                throw .timedOut(
                    waitingFor: "\(verb.rawValue) of \(container) on node \(node) in every map",
                    seconds: 20
                )
            }
            Monotonic.sleep(Self.pollInterval)
        }
        return Change(
            seen: seen.compactMap(\.self),
            answered: end?.at.since(start) ?? .zero
        )
    }

    private final class AnswerBox: Sendable {
        let answer = Mutex<(at: Instant, result: Result<[UInt8], BenchError>)?>(nil)
    }

    private func makeGroup() throws(BenchError) {
        let encoder = JSONEncoder()
        let vpc = try? encoder.encode(CreateVPC(name: "bench", vni: nil))
        let group = try? encoder.encode(CreateGroup(name: "bench/pods", subnet: "10.1.0.0/16"))
        _ = try system.ask(1, .post, "/v1/vpcs", Array(vpc ?? Data())).get()
        _ = try system.ask(1, .post, "/v1/groups", Array(group ?? Data())).get()
    }

    private func ask(
        _ verb: CNIVerb,
        _ container: String,
        _ netns: String,
        on node: Int
    ) -> Result<[UInt8], BenchError> {
        let call = CNICall(
            verb: verb,
            containerID: container,
            netns: netns,
            ifname: "eth0",
            config:
                #"{"cniVersion":"1.1.0","name":"bench","type":"genie","vpc":"bench","group":"pods"}"#
        )
        return system.ask(node, .post, "/v1/cni", call.jsonText)
    }

    private func wait(
        _ maps: [EndpointMap],
        _ what: String,
        until isDone: (Set<EndpointMap.Key>) -> Bool
    ) throws(BenchError) {
        let isThere = Monotonic.wait(Self.patience) { maps.allSatisfy { isDone($0.keys()) } }
        guard isThere else { throw .timedOut(waitingFor: "\(what) in every map", seconds: 20) }
    }
}
