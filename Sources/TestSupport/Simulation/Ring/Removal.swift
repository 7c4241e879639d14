import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRegisters

/// An operator takes a node out of the ring, through any node that answers, step by step as the
/// service does it; what is interrupted is begun again.
struct Removal: Sendable {
    private enum Step: Int, Sendable {
        /// The node's boot register says that it was removed.
        case boot
        /// The stewards are told to take its blocks.
        case retirement
        /// The configuration has it no longer.
        case configuration
        case done
    }

    let identity: NodeID
    private var step = Step.boot
    private var era: UInt64 = 1
    /// The request under way: where, under which token, and what it would write.
    private var request: (node: Int, token: RequestToken, isWrite: Bool)?
    private var nextAt = Instant.zero
    private var expiresAt = Instant.zero
    /// What has happened that clients are to know of.
    private(set) var news: [News] = []

    enum News: Sendable {
        case eraEnds(UInt64)
        case recordsEnd(isDone: Bool)
    }

    var isDone: Bool { step == .done }
    /// Whether it was refused: the node holds registers, or it answers.
    private(set) var isRefused = false

    init(of identity: NodeID) { self.identity = identity }

    mutating func takeNews() -> [News] {
        defer { news = [] }
        return news
    }

    private var key: String {
        switch step {
        case .boot: BootRecord.registerKey(identity)
        case .retirement: NodeRetirement.registerKey(identity)
        case .configuration, .done: Peer.configurationKey
        }
    }

    mutating func proceed(_ bench: inout RingBench) {
        let now = bench.world.now
        if let request, !bench.world.isRunning(request.node) || now >= expiresAt {
            self.request = nil
        }
        guard request == nil, !isDone, now >= nextAt else { return }
        isRefused = bench.runs(identity)
        guard !isRefused else { return }
        let helpers = (0..<bench.world.count).filter {
            bench.world.isRunning($0) && bench.world.identity($0)?.node != identity
        }
        guard !helpers.isEmpty else { return }
        let node = helpers[bench.draw(helpers.count)]
        let key = key
        let token = bench.ask(node) { $0.ask(.read(key: key), token: $1, now: $2) }
        request = (node, token, false)
        expiresAt = now.advanced(by: .seconds(5))
    }

    /// Whether an answer was the operator's; if so it was acted upon.
    mutating func take(
        _ token: RequestToken,
        _ answer: PeerAnswer,
        _ bench: inout RingBench
    ) -> Bool {
        guard let request, request.token == token, case .register(let outcome) = answer else {
            return false
        }
        self.request = nil
        nextAt = bench.world.now.advanced(by: .milliseconds(200))
        switch (outcome, request.isWrite) {
        case (.value(let value), false): write(over: value, at: request.node, &bench)
        case (.committed(let value), true):
            adopt(value, at: request.node, &bench)
            advance(&bench)
        default: break
        }
        return true
    }

    /// The helper puts the configuration into force, and tells of it.
    private func adopt(_ value: RegisterValue, at node: Int, _ bench: inout RingBench) {
        guard step == .configuration, let payload = value.payload,
            let agreed = try? RingConfiguration(encoded: payload[...])
        else { return }
        bench.world.act(node) { $0.peer.adopt(agreed: agreed, now: $1) }
    }

    private mutating func advance(_ bench: inout RingBench) {
        bench.note(0, "the operator is done with \(key)")
        step = Step(rawValue: step.rawValue + 1) ?? .done
        nextAt = bench.world.now
        if isDone { news.append(.recordsEnd(isDone: true)) }
    }

    private mutating func write(
        over value: RegisterValue,
        at node: Int,
        _ bench: inout RingBench
    ) {
        guard let content = wanted(value.payload) else { return }
        // The configuration is written also where it has the node no longer, as the service does.
        guard content != value.payload || step == .configuration else { return advance(&bench) }
        if step == .boot { news.append(.eraEnds(era)) }
        if step == .configuration { news.append(.recordsEnd(isDone: false)) }
        let request = RegisterRequest.compareAndSet(
            key: key,
            expectedVersion: value.version,
            content: content
        )
        let token = bench.ask(node) { $0.ask(request, token: $1, now: $2) }
        self.request = (node, token, true)
        expiresAt = bench.world.now.advanced(by: .seconds(5))
    }

    private mutating func wanted(_ payload: [UInt8]?) -> [UInt8]? {
        switch step {
        case .boot:
            let held = payload.flatMap { try? BootRecord(encoded: $0) }
            era = held?.era ?? 1
            if let held, held.isRemoved { return held.encoded }
            return BootRecord(boot: held?.boot ?? 0, token: 0, era: era, isRemoved: true).encoded
        case .retirement:
            let before = payload.flatMap { try? NodeRetirement(encoded: $0) }
            return NodeRetirement(era: max(era, before?.era ?? 0)).encoded
        case .configuration, .done:
            guard let payload, let agreed = try? RingConfiguration(encoded: payload[...]) else {
                return nil
            }
            // One that holds registers still has to wait until another has its place.
            switch agreed.removing(identity) {
            case .changed(let changed): return changed.encoded
            case .unchanged: return payload
            case .refused:
                isRefused = true
                return nil
            }
        }
    }
}
