import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRegisters
import Simulation

/// Pods that come and go on a ring of peers under faults drawn from a seed, and the law over their
/// addresses: none is held twice, at no moment, and none is held again before it has rested.
struct AddressWorld {
    struct Hold {
        let node: Int
        let identity: NodeID
        let container: String
        /// When the pod was gone; nil while it is there.
        var endedAt: Instant?
        /// How long the address may not be held again.
        var rest: Span
    }

    struct Pod {
        let node: Int
        let container: String
        let token: RequestToken
        var addresses: [IPAddress] = []
        var releaseToken: RequestToken?
    }

    static let pool: UInt64 = 5
    static let nodes = 4

    var net: PeerNet
    var violations: [String] = []
    private var generator: SeededGenerator
    private var holds: [IPAddress: [Hold]] = [:]
    private var pods: [Pod] = []
    private var owners: [String: NodeID] = [:]
    private var removedEras: [NodeID: UInt64] = [:]
    private var downSince: [Int: Instant] = [:]
    private var nextContainer = 0
    private let plans: [BlockPlan]
    private let parameters: IPAMParameters

    static func parameters(_ flaws: [IPAMFlaw]) -> PeerParameters {
        var parameters = PeerParameters()
        parameters.ipam.rest = .seconds(6)
        parameters.ipam.releaseDrain = .seconds(6)
        parameters.ipam.reclaimDrain = .seconds(12)
        parameters.ipam.surplusAfter = .seconds(3)
        parameters.ipam.idleAfter = .seconds(5)
        parameters.ipam.reclaimInterval = .seconds(2)
        parameters.ipam.verifyInterval = .seconds(10)
        parameters.ipam.sparePause = .seconds(2)
        parameters.ipam.flaws = flaws
        return parameters
    }

    init(seed: UInt64, flaws: [IPAMFlaw]) {
        let parameters = Self.parameters(flaws)
        self.parameters = parameters.ipam
        generator = SeededGenerator(seed: seed &+ 77)
        net = PeerNet(count: Self.nodes, seed: seed, parameters: parameters)
        guard let v4 = Prefix("10.1.0.0/28"), let v6 = Prefix("fd00::/124"),
            let wide = Prefix("10.2.0.0/24")
        else { preconditionFailure("the subnets are good") }
        // Small pools see every address again and again; the wide one sees blocks move.
        plans =
            seed % 3 == 0
            ? [BlockPlan(pool: Self.pool, subnet: v4), BlockPlan(pool: Self.pool, subnet: v6)]
            : [BlockPlan(pool: Self.pool, subnet: wide)]
    }

    /// Runs to the end and gives what broke the law.
    static func run(seed: UInt64, flaws: [IPAMFlaw] = [], steps: Int = 40) -> [String] {
        var world = AddressWorld(seed: seed, flaws: flaws)
        world.net.run(for: .seconds(8))
        for _ in 0..<steps where world.violations.isEmpty { world.step() }
        if world.violations.isEmpty { world.settle() }
        return world.violations
    }

    private mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }

    private mutating func step() {
        switch draw(24) {
        case 0: crash(.kept)
        case 1: crash(.rolledBack)
        case 2: cutOrHeal()
        case 3: pause()
        case 4: loseForGood()
        case 5..<17: add()
        default: delete()
        }
        net.run(for: .milliseconds(Int64(50 + draw(900))))
        restart()
        look()
    }

    // MARK: Pods

    private mutating func add() {
        let node = draw(Self.nodes)
        guard isTrusted(node) else { return }
        let count = draw(3) == 0 ? 12 : 1
        for _ in 0..<count {
            nextContainer += 1
            let name = "c\(nextContainer)"
            let holder = AddressHolder(containerID: name, interfaceName: "eth0")
            let plans = plans
            let token = net.request(node) { peer, token, now in
                peer.allocate(plans, holder: holder, wanted: [], token: token, now: now)
            }
            pods.append(Pod(node: node, container: name, token: token))
        }
    }

    private mutating func delete() {
        let count = draw(3) == 0 ? 20 : 1
        for _ in 0..<count {
            let held = pods.indices.filter {
                !pods[$0].addresses.isEmpty && pods[$0].releaseToken == nil
                    && net.peer(pods[$0].node) != nil
            }
            guard let index = held.randomElement(using: &generator) else { return }
            release(index)
        }
    }

    private mutating func release(_ index: Int) {
        let pod = pods[index]
        let holder = AddressHolder(containerID: pod.container, interfaceName: "eth0")
        end { $0.node == pod.node && $0.container == pod.container }
        pods[index].releaseToken = net.request(pod.node) { peer, token, now in
            peer.release(pool: Self.pool, holder: holder, token: token, now: now)
        }
    }

    private mutating func end(rest: Span? = nil, _ isEnded: (Hold) -> Bool) {
        for address in holds.keys {
            for index in holds[address, default: []].indices
            where holds[address]?[index].endedAt == nil {
                guard let hold = holds[address]?[index], isEnded(hold) else { continue }
                holds[address]?[index].endedAt = net.now
                holds[address]?[index].rest = rest ?? parameters.rest
            }
        }
    }

    /// A node that was removed counts again once it knows it.
    private func isTrusted(_ node: Int) -> Bool {
        guard let peer = net.peer(node) else { return false }
        guard let removed = removedEras[peer.identity.node] else { return true }
        return (peer.bootRecord?.era ?? 0) > removed
    }

    // MARK: The law

    private mutating func look() {
        for index in pods.indices {
            let pod = pods[index]
            if pod.addresses.isEmpty, pod.releaseToken == nil {
                switch net.answers[pod.node]?[pod.token] {
                case .address(.assigned(let one)): hold(index, [one])
                case .address(.assignedPair(let one, let two)): hold(index, [one, two])
                default: break
                }
            }
        }
        pods.removeAll { pod in
            pod.releaseToken.map { net.answers[pod.node]?[$0] != nil } ?? false
        }
    }

    private mutating func hold(_ index: Int, _ assignments: [AddressPool.Assignment]) {
        let node = pods[index].node
        guard isTrusted(node) else { return }
        pods[index].addresses = assignments.map(\.address)
        let identity = net.id(node)
        for assignment in assignments {
            let address = assignment.address
            for old in holds[address, default: []] {
                let isFree = old.endedAt.map { net.now.since($0) >= old.rest } ?? false
                if isFree { continue }
                violations.append(
                    "\(address) is held by \(pods[index].container) on \(node) and by "
                        + "\(old.container) on \(old.node), ended \(old.endedAt as Any)"
                )
            }
            holds[address] = [
                Hold(node: node, identity: identity, container: pods[index].container, rest: .zero)
            ]
            let plan = plans.first { $0.subnet.contains(address) }
            guard let block = plan?.block(containing: address) else { continue }
            let key = "\(block) \(assignment.fence)"
            if let owner = owners[key], owner != identity {
                violations.append("\(key) has two owners")
            }
            owners[key] = identity
        }
    }

    /// With everybody there, the peers hold what the pods hold and nothing else.
    private mutating func settle() {
        for node in 0..<Self.nodes {
            net.cut(node, false)
            if net.peer(node) == nil { net.start(node) }
        }
        net.run(for: .seconds(25))
        look()
        // An answer that a crash swallowed: the agent finds the pod unfinished and undoes it.
        for index in pods.indices where pods[index].addresses.isEmpty {
            if pods[index].releaseToken == nil { release(index) }
        }
        for index in pods.indices where pods[index].releaseToken != nil {
            if net.answers[pods[index].node]?[pods[index].releaseToken ?? 0] == nil {
                release(index)
            }
        }
        net.run(for: .seconds(5))
        look()
        for node in 0..<Self.nodes {
            let kept = Set(net.peer(node)?.pool.inUse.map(\.holder.containerID) ?? [])
            let there = Set(
                pods.filter { $0.node == node && !$0.addresses.isEmpty }.map(\.container)
            )
            guard kept != there else { continue }
            violations.append(
                "node \(node) leaks \(kept.subtracting(there)), lacks \(there.subtracting(kept))"
            )
        }
    }

    // MARK: Faults

    private mutating func crash(_ restart: Fault.Restart) {
        let node = draw(Self.nodes)
        guard net.peer(node) != nil, downSince.count < 2 else { return }
        // A disk that is older forgets promises of a steward, which is another law's matter.
        let isSteward = net.peer(node)?.configuration.stewards.steward(on: net.id(node)) != nil
        guard restart == .kept || !isSteward else { return }
        net.crash(node)
        forgetUnanswered(node)
        guard restart == .rolledBack else {
            downSince[node] = net.now
            return
        }
        net.run(for: .milliseconds(100))
        net.start(node, .rolledBack)
        // The machine is one from before: its pods are gone, those that its disk knows as well.
        end { $0.node == node }
        pods.removeAll { $0.node == node }
        for assignment in net.peer(node)?.pool.inUse ?? [] {
            net.request(node) { peer, token, now in
                peer.release(pool: Self.pool, holder: assignment.holder, token: token, now: now)
            }
        }
    }

    /// What was asked of a process that ended is asked again after its start, by the runtime.
    private mutating func forgetUnanswered(_ node: Int) {
        look()
        for index in pods.indices where pods[index].node == node { retry(index) }
    }

    private mutating func retry(_ index: Int) {
        guard pods[index].addresses.isEmpty || pods[index].releaseToken != nil else { return }
        // Undone when the node is back.
        pods[index].releaseToken = .max
    }

    private mutating func restart() {
        for (node, since) in downSince where net.now.since(since) >= .seconds(2) {
            downSince[node] = nil
            if net.peer(node) == nil { net.start(node) }
            for index in pods.indices
            where pods[index].node == node && pods[index].releaseToken == .max {
                release(index)
            }
        }
    }

    private mutating func cutOrHeal() {
        let node = draw(Self.nodes)
        net.cut(node, draw(2) == 0)
    }

    private mutating func pause() {
        let node = draw(Self.nodes)
        guard net.peer(node) != nil else { return }
        let span = Span.seconds(Int64(1 + draw(8)))
        net.world.begin(Fault(.pause, nodes: [node]), lasting: span)
    }

    /// A node that is no steward is cut off for good and removed, though it may go on by itself.
    private mutating func loseForGood() {
        let node = draw(Self.nodes)
        guard let peer = net.peer(node), removedEras.isEmpty,
            peer.configuration.stewards.steward(on: net.id(node)) == nil,
            let helper = (0..<Self.nodes).first(where: { $0 != node && net.peer($0) != nil })
        else { return }
        net.cut(node, true)
        net.run(for: .seconds(3))
        look()
        guard
            write(
                helper,
                BootRecord.registerKey(net.id(node)),
                { payload in
                    let held = payload.flatMap { try? BootRecord(encoded: $0) }
                    let era = held?.era ?? 1
                    return BootRecord(boot: held?.boot ?? 0, token: 0, era: era, isRemoved: true)
                        .encoded
                }
            )
        else { return }
        let era = peer.bootRecord?.era ?? 1
        let retirement = NodeRetirement(era: era).encoded
        guard write(helper, NodeRetirement.registerKey(net.id(node)), { _ in retirement }) else {
            return
        }
        removedEras[net.id(node)] = era
        end(rest: parameters.reclaimDrain) { $0.node == node }
        for index in pods.indices.reversed() where pods[index].node == node {
            pods.remove(at: index)
        }
        net.run(for: .seconds(20))
        net.cut(node, false)
        net.run(for: .seconds(3))
        // Its agent hears that the node was taken out, and takes its pods off.
        for assignment in net.peer(node)?.pool.inUse ?? [] {
            net.request(node) { peer, token, now in
                peer.release(pool: Self.pool, holder: assignment.holder, token: token, now: now)
            }
        }
    }

    private mutating func write(
        _ node: Int,
        _ key: String,
        _ body: ([UInt8]?) -> [UInt8]
    ) -> Bool {
        for _ in 0..<5 {
            let read = net.request(node) { $0.ask(.read(key: key), token: $1, now: $2) }
            net.run(for: .seconds(1))
            guard case .register(.value(let value)) = net.answers[node]?[read] else { continue }
            let wanted = body(value.payload)
            if wanted == value.payload { return true }
            let set = net.request(node) {
                $0.ask(
                    .compareAndSet(key: key, expectedVersion: value.version, content: wanted),
                    token: $1,
                    now: $2
                )
            }
            net.run(for: .seconds(1))
            if case .register(.committed) = net.answers[node]?[set] { return true }
        }
        return false
    }
}
