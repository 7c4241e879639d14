import Determinism
import RingPeer
import RingPlacement
import RingRegisters

/// What happens to the nodes of a run, and which faults the ring promises to bear.
struct NodeWatch: Sendable {
    /// With what a node came back.
    enum Start: Sendable {
        case kept
        case wiped
        case rolledBack
    }

    private struct Node: Sendable {
        var life = 0
        var isUp = false
        var identity: DiskIdentity?
        /// Whether nothing was wrong when its process started, so that all the others know of it.
        var beganInPeace = false
        /// Whether its disk is, or is about to be, an old copy.
        var wasRolledBack = false
        /// Whether the start with the old copy was not seen yet: its process may end within a step.
        var isRollBackUnseen = false
        var stoppedAt: Instant?
    }

    private var nodes: [Node]
    /// Disks that are lost or will be: nobody may count on them.
    private var lostStorages: Set<NodeID> = []
    private(set) var goneIdentities: [NodeID] = []
    private(set) var disksLost = 0
    private(set) var rolledBackAny = false
    /// Until then nothing else may go wrong: an old copy of a disk is being found out.
    private var peaceUntil = Instant.zero
    private var rolledBackNode = -1

    /// A process that was told to stop is started again after so long, by whoever runs the node.
    private static let restartPause = Span.seconds(1)
    /// An old copy of a steward's disk is found out within so long.
    private static let findingOut = Span.seconds(5)
    private static let disksLostMax = 2

    init(nodes count: Int) { nodes = Array(repeating: Node(), count: count) }

    func wasRolledBack(_ node: Int) -> Bool { nodes[node].wasRolledBack }

    /// Whether a node's process ended since this was last asked.
    mutating func noteEnd(of node: Int, _ world: World<PeerProcess>) -> Bool {
        let hasEnded =
            nodes[node].isUp && (!world.isRunning(node) || world.life(node) != nodes[node].life)
        if hasEnded { nodes[node].isUp = false }
        return hasEnded
    }

    /// With what a node's process started since this was last asked; nil where it did not.
    mutating func noteStart(of node: Int, _ world: World<PeerProcess>) -> Start? {
        guard world.isRunning(node), world.life(node) != nodes[node].life,
            let identity = world.identity(node)
        else { return nil }
        let before = nodes[node].identity
        let isRolledBack = nodes[node].isRollBackUnseen
        nodes[node].isRollBackUnseen = false
        nodes[node].life = world.life(node)
        nodes[node].isUp = true
        nodes[node].identity = identity
        nodes[node].stoppedAt = nil
        nodes[node].beganInPeace = isPeace(besides: node, world)
        guard let before else { return .kept }
        if before.node != identity.node {
            lostStorages.insert(before.storage)
            goneIdentities.append(before.node)
            // An old copy that was found out is the same loss once more.
            if !nodes[node].wasRolledBack { disksLost += 1 }
            nodes[node].wasRolledBack = false
            return .wiped
        }
        guard isRolledBack || identity.boot <= before.boot else { return .kept }
        rolledBackAny = true
        disksLost += 1
        return .rolledBack
    }

    mutating func noteStop(of node: Int, at time: Instant) { nodes[node].stoppedAt = time }

    mutating func restartStopped(_ world: inout World<PeerProcess>) {
        for node in nodes.indices {
            guard let stoppedAt = nodes[node].stoppedAt, !world.isRunning(node),
                world.now.since(stoppedAt) >= Self.restartPause
            else { continue }
            world.start(node)
        }
    }

    /// The nodes that there are, by their identities of now.
    func present(_ world: World<PeerProcess>) -> [NodeID] {
        (0..<world.count).compactMap { world.identity($0)?.node }
    }

    // MARK: What may go wrong

    /// The fault as it may happen now: a disk whose loss the ring does not promise to bear is kept;
    /// nil where nothing may happen.
    func allowed(_ fault: Fault, _ world: World<PeerProcess>) -> Fault? {
        let isSameNode = fault.nodes == [rolledBackNode] && fault.endsProcesses
        if world.now < peaceUntil, !Self.isHarmless(fault) {
            // Its process may end as often as it likes.
            guard isSameNode else { return nil }
            var kept = fault
            kept.restart = .kept
            return kept
        }
        // Nobody is taken out who is away already: another removal may be under way.
        if fault.kind == .remove, !fault.nodes.allSatisfy({ world.isRunning($0) }) { return nil }
        guard fault.endsProcesses, fault.restart == .wiped || fault.restart == .rolledBack else {
            return fault
        }
        var kept = fault
        kept.restart = .kept
        // A new node comes in through one that runs, and finds it where it was.
        let hasWelcomer = (0..<world.count).contains {
            !fault.nodes.contains($0) && world.isRunning($0)
        }
        guard lostStorages.count + fault.nodes.count <= Self.disksLostMax, hasWelcomer,
            fault.nodes.allSatisfy({ mayLose($0, world) })
        else { return kept }
        guard fault.restart == .rolledBack else { return fault }
        let isPeaceful = fault.nodes.allSatisfy {
            nodes[$0].beganInPeace && isPeace(besides: $0, world)
        }
        return isPeaceful ? fault : kept
    }

    mutating func noteFault(_ fault: Fault, lasting: Span, _ world: World<PeerProcess>) {
        guard fault.endsProcesses, fault.restart == .wiped || fault.restart == .rolledBack else {
            return
        }
        for node in fault.nodes {
            if let storage = nodes[node].identity?.storage { lostStorages.insert(storage) }
        }
        guard fault.restart == .rolledBack else { return }
        for node in fault.nodes {
            nodes[node].wasRolledBack = true
            nodes[node].isRollBackUnseen = true
            rolledBackNode = node
        }
        peaceUntil = world.now.advanced(by: lasting + Self.findingOut)
    }

    /// Whether each group of stewards that is in force somewhere keeps a majority of its disks.
    private func mayLose(_ node: Int, _ world: World<PeerProcess>) -> Bool {
        guard let storage = nodes[node].identity?.storage else { return false }
        let lost = lostStorages.union([storage])
        let groups = (0..<world.count).flatMap { other in
            world.look(other) { [$0.configuration.stewards] + $0.stewardGroups } ?? []
        }
        return groups.allSatisfy { group in
            group.members.count { lost.contains($0.storage) } < group.quorum
                || group.members.isEmpty
        } && !groups.isEmpty
    }

    /// Whether all others run, and nothing is in their way.
    private func isPeace(besides node: Int, _ world: World<PeerProcess>) -> Bool {
        let others = (0..<world.count).filter { $0 != node }
        return others.allSatisfy { world.isRunning($0) && !world.isPaused($0) }
            && world.faults.allSatisfy {
                !$0.isOn || Self.isHarmless($0.fault) || $0.fault.nodes == [node]
            }
    }

    /// Faults that take nobody away for long.
    private static func isHarmless(_ fault: Fault) -> Bool {
        switch fault.kind {
        case .duplicate, .reorder, .corrupt, .drift, .leap: true
        case .delay: fault.amount <= 50
        case .loss: fault.amount <= 100
        default: false
        }
    }
}
