import Addressing
import Determinism
import HistoryCheck
import RingIPAM
import RingPeer

/// Pods that come and go at each node, and the agents that ask for their addresses.
///
/// An agent that starts anew finishes what the one before it left: pods that it does not know of
/// are taken off, so is what was lost with a disk or a machine.
struct AddressClients: Sendable {
    private enum State: Sendable {
        case asking
        case held
        case releasing
        /// A process ended in the middle: the agent takes the pod off.
        case unfinished
    }

    private struct Pod: Sendable {
        let name: String
        let node: Int
        let begin: Int64
        var state = State.asking
        var token: RequestToken
        var expiresAt: Instant
        var addresses: [IPAddress] = []
        var freedAt: Int64 = 0
        var isFinal = false
    }

    private var pods: [Pod] = []
    /// By block and fence.
    private var owners: [String: NodeID] = [:]
    private var removedEras: [NodeID: UInt64] = [:]
    private var nextPod = 0
    private let plans: [BlockPlan]
    private let asksForCertainOnes: Bool
    private let pace: Int
    private let burst: Int
    /// Last allocations that were not served.
    private(set) var unserved: [String] = []

    private static let pool: UInt64 = 5
    private static let podsMax = 20
    private static let patience = Span.seconds(8)

    init(_ bench: inout RingBench) {
        (plans, asksForCertainOnes) = Self.drawPlans(&bench)
        pace = [2, 6, 20][bench.draw(3)]
        burst = [1, 1, 4, 10][bench.draw(4)]
    }

    /// Small pools see every address again and again; larger ones see blocks move.
    private static func drawPlans(_ bench: inout RingBench) -> ([BlockPlan], Bool) {
        func plan(_ text: String, _ exclusions: [String] = []) -> BlockPlan {
            guard let subnet = Prefix(text) else { preconditionFailure("\(text) is a subnet") }
            return BlockPlan(
                pool: pool,
                subnet: subnet,
                exclusions: exclusions.compactMap { AddressRange($0) }
            )
        }
        switch bench.draw(7) {
        case 0: return ([plan("10.1.0.0/29"), plan("fd00::/125")], false)
        case 1: return ([plan("10.1.0.0/24", ["10.1.0.0-10.1.0.58"])], false)
        case 2:
            return ([plan("10.1.0.0/25", ["10.1.0.8-10.1.0.63", "10.1.0.70-10.1.0.127"])], true)
        case 3: return ([plan("10.1.0.0/30")], false)
        case 4: return ([plan("10.1.0.0/31")], true)
        case 5: return ([plan("fd00::/64")], false)
        default: return ([plan("10.1.0.0/24")], false)
        }
    }

    // MARK: What pods do

    mutating func step(_ bench: inout RingBench) {
        if bench.isDrawn(oneIn: pace), let node = bench.drawRunning() {
            let count = bench.isDrawn(oneIn: 4) ? burst : 1
            for _ in 0..<count {
                if bench.draw(5) < 3 { add(node, &bench) } else { delete(&bench) }
            }
        }
        finish(&bench)
    }

    /// What was left unfinished is taken off, what nobody answers is given up.
    mutating func finish(_ bench: inout RingBench) {
        for index in pods.indices where bench.world.isRunning(pods[index].node) {
            switch pods[index].state {
            case .unfinished: release(index, &bench)
            case .asking, .releasing:
                if pods[index].expiresAt <= bench.world.now { pods[index].state = .unfinished }
            case .held: break
            }
        }
    }

    private mutating func add(_ node: Int, isFinal: Bool = false, _ bench: inout RingBench) {
        guard isFinal || pods.count(where: { $0.node == node }) < Self.podsMax else { return }
        nextPod += 1
        let holder = AddressHolder(containerID: "pod\(nextPod)", interfaceName: "eth0")
        var wanted: [IPAddress] = []
        if asksForCertainOnes, bench.isDrawn(oneIn: 3), !isFinal {
            let count = min(plans[0].subnet.count ?? 1, 64)
            let offset = UInt64(bench.draw(Int(count)))
            wanted = [plans[0].subnet.first.advanced(by: offset)].compactMap(\.self)
        }
        bench.note(node, "pod\(nextPod) asks for an address")
        let begin = bench.nowNanoseconds
        let plans = plans
        let token = bench.ask(node) {
            $0.allocate(plans, holder: holder, wanted: wanted, token: $1, now: $2)
        }
        pods.append(
            Pod(
                name: holder.containerID,
                node: node,
                begin: begin,
                token: token,
                expiresAt: bench.world.now.advanced(by: Self.patience),
                isFinal: isFinal
            )
        )
    }

    private mutating func delete(_ bench: inout RingBench) {
        let held = pods.indices.filter {
            pods[$0].state == .held && bench.world.isRunning(pods[$0].node)
        }
        guard !held.isEmpty else { return }
        release(held[bench.draw(held.count)], &bench)
    }

    private mutating func release(_ index: Int, _ bench: inout RingBench) {
        let pod = pods[index]
        if pod.freedAt == 0 { pods[index].freedAt = bench.nowNanoseconds }
        bench.note(pod.node, "\(pod.name) is taken off")
        pods[index].state = .releasing
        pods[index].expiresAt = bench.world.now.advanced(by: Self.patience)
        pods[index].token = takeOff(pod.name, pod.node, &bench)
    }

    private func takeOff(_ name: String, _ node: Int, _ bench: inout RingBench) -> RequestToken {
        let holder = AddressHolder(containerID: name, interfaceName: "eth0")
        return bench.ask(node) {
            $0.release(pool: Self.pool, holder: holder, token: $1, now: $2)
        }
    }

    // MARK: What they are told

    /// Whether an answer was one of these clients'; if so it was taken down.
    mutating func take(
        _ token: RequestToken,
        _ answer: PeerAnswer,
        at time: Instant,
        _ bench: inout RingBench
    ) -> Bool {
        guard case .address(let outcome) = answer else { return false }
        guard let index = pods.firstIndex(where: { $0.token == token }) else { return true }
        switch outcome {
        case .assigned(let one): hold(index, [one], at: time, &bench)
        case .assignedPair(let one, let two): hold(index, [one, two], at: time, &bench)
        case .released:
            guard pods[index].state == .releasing else {
                pods[index].state = .unfinished
                break
            }
            record(free: pods[index], .ok, at: time, &bench)
            pods.remove(at: index)
            bench.count("addresses.freed")
        case .exhausted, .registersUnavailable, .blocksInDoubt, .addressTaken, .addressUnusable:
            if pods[index].isFinal, outcome == .registersUnavailable {
                unserved.append("n\(pods[index].node) asked for an address: \(outcome)")
            }
            bench.note(pods[index].node, "\(pods[index].name) gets none: \(outcome)")
            pods.remove(at: index)
            bench.count("addresses.refused")
        }
        return true
    }

    private mutating func hold(
        _ index: Int,
        _ assignments: [AddressPool.Assignment],
        at time: Instant,
        _ bench: inout RingBench
    ) {
        let pod = pods[index]
        // Of a node that was taken out nothing counts until it knows of that itself.
        guard pod.state == .asking, isTrusted(pod.node, bench) else {
            pods[index].state = .unfinished
            return
        }
        pods[index].state = .held
        pods[index].addresses = assignments.map(\.address)
        bench.count("addresses.held")
        for assignment in assignments {
            bench.note(pod.node, "\(pod.name) has \(assignment.address)")
            bench.add(
                pod.node,
                .alloc,
                Self.key(pod.name, assignment.address),
                begin: pod.begin,
                .ok,
                output: .init(content: assignment.address.description),
                end: RingBench.nanoseconds(time)
            )
            note(owner: pod.node, of: assignment, &bench)
        }
    }

    private mutating func note(
        owner node: Int,
        of assignment: AddressPool.Assignment,
        _ bench: inout RingBench
    ) {
        guard let plan = plans.first(where: { $0.subnet.contains(assignment.address) }),
            let block = plan.block(containing: assignment.address),
            let identity = bench.world.identity(node)?.node
        else { return }
        let key = "\(block) fence \(assignment.fence)"
        if let owner = owners[key], owner != identity {
            bench.fail(.fenced, "\(key) is both \(owner.short)'s and \(identity.short)'s")
        }
        owners[key] = identity
    }

    private static func key(_ name: String, _ address: IPAddress) -> String {
        name + (address.isV4 ? "/4" : "/6")
    }

    private func record(
        free pod: Pod,
        _ kind: HistoryEvent.Kind,
        at time: Instant,
        _ bench: inout RingBench
    ) {
        for address in pod.addresses {
            bench.add(
                pod.node,
                .free,
                Self.key(pod.name, address),
                begin: pod.freedAt,
                kind,
                end: RingBench.nanoseconds(time)
            )
        }
    }

    private func isTrusted(_ node: Int, _ bench: RingBench) -> Bool {
        guard let identity = bench.world.identity(node)?.node,
            let removed = removedEras[identity]
        else { return true }
        let era = bench.world.look(node) { $0.bootRecord?.era ?? 0 }
        return era ?? 0 > removed
    }

    // MARK: What happens to nodes

    /// An operator says that a node is gone for good: nothing of this era counts any more.
    mutating func noteRemoval(of identity: NodeID, era: UInt64) {
        removedEras[identity] = max(era, removedEras[identity] ?? 0)
    }

    /// A process ended: nobody answers what it was asked.
    mutating func noteEnd(of node: Int) {
        for index in pods.indices where pods[index].node == node && pods[index].state != .held {
            pods[index].state = .unfinished
        }
    }

    /// A machine, or its disk, is gone, and with it all of its pods.
    mutating func noteLoss(of node: Int, _ bench: inout RingBench) {
        for index in pods.indices where pods[index].node == node {
            if pods[index].freedAt == 0 { pods[index].freedAt = bench.nowNanoseconds }
            record(free: pods[index], .info, at: bench.world.now, &bench)
        }
        pods.removeAll { $0.node == node }
    }

    /// A process started: its agent holds what it has against the pods there are.
    mutating func noteStart(of node: Int, _ bench: inout RingBench) {
        let held = bench.world.look(node) { $0.pool.inUse.map(\.holder.containerID) } ?? []
        for pod in pods where pod.node == node && pod.state == .held && !held.contains(pod.name) {
            bench.fail(.addressKept, "n\(node) has forgotten that \(pod.name) has \(pod.addresses)")
        }
        let known = pods.filter { $0.node == node }.map(\.name)
        for name in held where !known.contains(name) { _ = takeOff(name, node, &bench) }
    }

    // MARK: The end

    /// Whether nothing is under way.
    var isIdle: Bool { pods.allSatisfy { $0.state == .held } }

    /// Asks for one more address at a node.
    mutating func askLast(_ node: Int, _ bench: inout RingBench) {
        add(node, isFinal: true, &bench)
    }

    func verdict(rest: Span, _ bench: inout RingBench) {
        let check = AddressCheck(bench.operations, restNanoseconds: rest.microseconds * 1_000)
        for violation in check.violations { bench.fail(.addresses, violation.text) }
        for violation in check.unrested { bench.fail(.rested, violation.text) }
        bench.counts["addresses.reused"] = check.reused
        for node in 0..<bench.world.count {
            let kept = bench.world.look(node) { $0.pool.inUse.map(\.holder.containerID) } ?? []
            let there = pods.filter { $0.node == node && $0.state == .held }.map(\.name)
            let leaked = kept.filter { !there.contains($0) }
            let lacking = there.filter { !kept.contains($0) }
            guard !leaked.isEmpty || !lacking.isEmpty else { continue }
            bench.fail(
                .leaked,
                "n\(node) leaks the addresses of \(leaked), lacks those of \(lacking)"
            )
        }
    }
}
