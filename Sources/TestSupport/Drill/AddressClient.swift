import CNIProtocol
import Determinism
import Foundation
import Glibc
import HistoryCheck
import Synchronization

/// Attaches and detaches pods on one node, as a container runtime does: what may be half done is
/// detached until that succeeds.
final class AddressClient: Sendable {
    private struct State {
        var generator: SeededGenerator
        /// By place: the container in it, and whether it is to be detached.
        var places: [(container: String, isLeaving: Bool)?]
        var made = 0
        /// Counts the losses of the machine; what was begun before one is forgotten.
        var lives = 0
        var isLost = false
    }

    static let places = 4

    private let workload: Workload
    private let session: NodeSession
    private let node: Int
    private let namespaces: [String]
    private let state: Mutex<State>

    /// Makes a client of a node on which there are ``places`` pods' namespaces, at these paths.
    init(_ workload: Workload, _ session: NodeSession, node: Int, namespaces: [String]) {
        self.workload = workload
        self.session = session
        self.node = node
        self.namespaces = namespaces
        state = Mutex(
            State(
                generator: SeededGenerator(seed: workload.seed &* 77 &+ UInt64(node)),
                places: Array(repeating: nil, count: Self.places)
            )
        )
    }

    func run() {
        while !workload.isOver {
            step()
            let pause = state.withLock { state in
                UInt32.random(in: 100_000...500_000, using: &state.generator)
            }
            usleep(pause)
        }
    }

    /// The machine is lost: every pod on it is gone, and what is under way has no outcome.
    func lose() {
        let gone = state.withLock { state in
            defer {
                state.places = Array(repeating: nil, count: Self.places)
                state.lives += 1
                state.isLost = true
            }
            return state.places.compactMap { $0?.container }
        }
        for container in gone {
            let processes = begin(.free, .remove, container)
            end(.free, .remove, container, processes, .info)
        }
    }

    /// The machine is there again, empty.
    func comeBack() {
        state.withLock { $0.isLost = false }
    }

    private func step() {
        let choice = state.withLock { state -> (Int, String, Bool, Int)? in
            guard !state.isLost else { return nil }
            let place = Int.random(in: 0..<Self.places, using: &state.generator)
            if let pod = state.places[place] {
                state.places[place] = (pod.container, true)
                return (place, pod.container, false, state.lives)
            }
            state.made += 1
            let container = "n\(node)-\(state.lives)-\(state.made)"
            state.places[place] = (container, false)
            return (place, container, true, state.lives)
        }
        guard let (place, container, isNew, life) = choice else { return }
        let isHeld = isNew ? attach(container, namespaces[place]) : !detach(container, place)
        let isStillHere = state.withLock { state in
            guard state.lives == life else { return false }
            state.places[place] = isNew ? (container, !isHeld) : isHeld ? (container, true) : nil
            return true
        }
        guard !isStillHere, isNew else { return }
        let processes = begin(.free, .remove, container)
        end(.free, .remove, container, processes, .info)
    }

    private func attach(_ container: String, _ namespace: String) -> Bool {
        let processes = begin(.alloc, .add, container)
        switch session.cni(.add, container, netns: namespace) {
        case .ok(let body):
            struct Result: Decodable {
                struct Address: Decodable { let address: String }
                let ips: [Address]
            }
            let result = try? JSONDecoder().decode(Result.self, from: Data(body))
            let text = result?.ips.first?.address.split(separator: "/").first.map(String.init)
            end(.alloc, .add, container, processes, .ok, text)
            return true
        case .refused(let reason):
            end(.alloc, .add, container, processes, .fail, reason)
        case .unknown: end(.alloc, .add, container, processes, .info)
        }
        return false
    }

    private func detach(_ container: String, _ place: Int) -> Bool {
        let processes = begin(.free, .remove, container)
        switch session.cni(.delete, container, netns: namespaces[place]) {
        case .ok:
            end(.free, .remove, container, processes, .ok)
            return true
        case .refused(let reason):
            end(.free, .remove, container, processes, .fail, reason)
        case .unknown: end(.free, .remove, container, processes, .info)
        }
        return false
    }

    /// One call is two operations: one on an address, one on a record.
    private func begin(
        _ address: HistoryEvent.Function,
        _ record: HistoryEvent.Function,
        _ container: String
    ) -> [Int] {
        let processes = [workload.recorder.newProcess(), workload.recorder.newProcess()]
        workload.recorder.add(processes[0], .invoke, address, key: container)
        workload.recorder.add(processes[1], .invoke, record, key: container)
        return processes
    }

    private func end(
        _ address: HistoryEvent.Function,
        _ record: HistoryEvent.Function,
        _ container: String,
        _ processes: [Int],
        _ kind: HistoryEvent.Kind,
        _ content: String? = nil
    ) {
        let value = HistoryEvent.Value(content: content)
        workload.recorder.add(processes[0], kind, address, key: container, value)
        workload.recorder.add(processes[1], kind, record, key: container, value)
    }
}
