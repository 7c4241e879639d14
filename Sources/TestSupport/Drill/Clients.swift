import CNIProtocol
import Determinism
import Foundation
import Glibc
import HistoryCheck
import LocalAPI
import LocalSocket
import Synchronization

/// What all clients share: whether to go on, and which registers are in use.
final class Workload: Sendable {
    private struct State {
        var isOver = false
        var uses: [Int]
        var running = 0
    }

    static let slots = 20
    /// A register is not used more often, so that its history can be judged.
    static let operationsMax = 200

    let recorder: Recorder
    let seed: UInt64
    private let state = Mutex(State(uses: Array(repeating: 0, count: slots)))

    init(recorder: Recorder, seed: UInt64) {
        self.recorder = recorder
        self.seed = seed
    }

    var isOver: Bool { state.withLock { $0.isOver } }

    /// Ends the clients and waits for them.
    func end() {
        state.withLock { $0.isOver = true }
        while state.withLock({ $0.running }) > 0 { usleep(10_000) }
    }

    /// The register of a slot, which is another one after ``operationsMax`` uses.
    func key(_ slot: Int) -> String {
        let uses = state.withLock { state in
            state.uses[slot] += 1
            return state.uses[slot] - 1
        }
        return Self.key(slot, uses)
    }

    /// The registers in use now.
    var keys: [String] {
        let uses = state.withLock { $0.uses }
        return uses.indices.map { Self.key($0, max(0, uses[$0] - 1)) }
    }

    private static func key(_ slot: Int, _ uses: Int) -> String {
        "drill/\(slot)/\(uses / operationsMax)"
    }

    /// Runs a client on a thread of its own.
    func start(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.running += 1 }
        Thread.detachNewThread { [self] in
            body()
            state.withLock { $0.running -= 1 }
        }
    }
}

/// Reads and sets registers through one node.
struct RegisterClient {
    let workload: Workload
    let session: NodeSession
    var process: Int
    var generator: SeededGenerator
    var versions: [String: UInt64] = [:]
    var written = 0

    init(_ workload: Workload, _ session: NodeSession, number: Int) {
        self.workload = workload
        self.session = session
        process = workload.recorder.newProcess()
        generator = SeededGenerator(seed: workload.seed &* 1_000 &+ UInt64(number))
    }

    mutating func run() {
        while !workload.isOver {
            let key = workload.key(Int.random(in: 0..<Workload.slots, using: &generator))
            if let version = versions[key], Int.random(in: 0..<10, using: &generator) < 6 {
                set(key, over: version)
            } else {
                read(key)
            }
            usleep(UInt32.random(in: 30_000...150_000, using: &generator))
        }
    }

    /// Reads a register, and takes it down.
    @discardableResult
    mutating func read(_ key: String) -> Bool {
        let recorder = workload.recorder
        recorder.add(process, .invoke, .read, key: key)
        let path = "/v1/registers/\(LocalSocketClient.escaped(key))"
        guard case .ok(let body) = session.ask(.get, path),
            let register = try? JSONDecoder().decode(RegisterStatus.self, from: Data(body))
        else {
            // A read has no effect, whatever became of it.
            recorder.add(process, .fail, .read, key: key)
            return false
        }
        versions[key] = register.version
        recorder.add(
            process,
            .ok,
            .read,
            key: key,
            .init(version: register.version, content: register.text)
        )
        return true
    }

    private mutating func set(_ key: String, over version: UInt64) {
        let recorder = workload.recorder
        written += 1
        let content = "p\(process)-\(written)"
        recorder.add(
            process,
            .invoke,
            .cas,
            key: key,
            .init(expected: version, content: content)
        )
        let request = SetRegister(key: key, expectedVersion: version, text: content)
        switch session.post("/v1/registers", request) {
        case .ok(let body):
            guard let change = try? JSONDecoder().decode(RegisterChange.self, from: Data(body))
            else { return forget(key) }
            versions[key] = change.register.version
            recorder.add(
                process,
                .ok,
                .cas,
                key: key,
                .init(
                    version: change.register.version,
                    content: change.register.text,
                    isConflict: change.outcome == .conflict ? true : nil
                )
            )
        case .refused(let reason):
            recorder.add(process, .fail, .cas, key: key, .init(content: reason))
        case .unknown: forget(key)
        }
    }

    /// What it did may still take effect: whoever goes on is somebody else.
    private mutating func forget(_ key: String) {
        workload.recorder.add(process, .info, .cas, key: key)
        process = workload.recorder.newProcess()
        versions[key] = nil
    }
}

/// Looks at what a node shows to people, again and again.
struct Observer {
    let workload: Workload
    let session: NodeSession
    let node: Int

    func run() {
        while !workload.isOver {
            look(isFinal: false)
            usleep(500_000)
        }
    }

    /// Looks once; false where the node did not show everything.
    @discardableResult
    func look(isFinal: Bool) -> Bool {
        let recorder = workload.recorder
        guard let members = session.get("/v1/members", as: MemberList.self),
            let own = members.members.first(where: \.isSelf)
        else { return false }
        // What it knows about others it may forget when it starts anew.
        let process = recorder.process(named: "observer \(own.id) \(own.boot)")
        for member in members.members {
            stamp(process, "member \(member.name)/\(member.id)", [member.boot, member.incarnation])
        }
        if let ring = session.get("/v1/ring", as: RingStatus.self) {
            stamp(process, "ring epoch", [ring.epoch])
            recorder.note(
                process,
                .epoch,
                .init(version: ring.epoch, content: Self.digest(ring))
            )
            recorder.note(
                process,
                .epoch,
                key: "stewards",
                .init(version: ring.stewardEpoch, content: Self.stewards(ring))
            )
        }
        recorder.add(process, .invoke, .observe, key: "node\(node)")
        let path = "/v1/endpoints?group=drill%2Fpods"
        guard let list = session.get(path, as: EndpointList.self) else {
            recorder.add(process, .fail, .observe, key: "node\(node)")
            return false
        }
        var value = HistoryEvent.Value()
        value.records = list.endpoints.map(\.containerID).sorted()
        value.isFinal = isFinal ? true : nil
        recorder.add(process, .ok, .observe, key: "node\(node)", value)
        for endpoint in list.endpoints {
            stamp(process, "fence of \(endpoint.address)", [endpoint.fence])
        }
        return true
    }

    private func stamp(_ process: Int, _ key: String, _ stamp: [UInt64]) {
        var value = HistoryEvent.Value()
        value.stamp = stamp
        workload.recorder.note(process, .stamp, key: key, value)
    }

    private static func stewards(_ ring: RingStatus) -> String {
        ring.stewardStates.map { "\($0.id) \($0.storage)" }.sorted().joined(separator: " ")
    }

    /// What must be the same wherever the epoch is; the stewards in force have epochs of their own.
    private static func digest(_ ring: RingStatus) -> String {
        var text = "\(ring.id) \(ring.slotCount) \(ring.replicationFactor)"
        for member in ring.members {
            text += " \(member.id) \(member.name) \(member.zone) \(member.weight) \(member.address)"
        }
        return String(StableHash.of(text.utf8), radix: 16)
    }
}
