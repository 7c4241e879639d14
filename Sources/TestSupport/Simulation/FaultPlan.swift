package import Determinism

/// A whole run as a value: how many nodes, which faults when, how long; it needs no seed but for
/// the draws of the network.
package struct FaultPlan: Hashable, Sendable {
    /// What the world's own draws follow from: delays, losses, shuffles.
    package var seed: UInt64
    /// How many nodes.
    package var nodes: Int
    /// From the start to the end of the last fault.
    package var faultsFor: Span
    /// From then on, how long the ring may take until everybody is of one mind.
    package var healsWithin = Span.seconds(60)
    /// What goes wrong, and when.
    package var faults: [TimedFault]
    /// Who works on the ring meanwhile; nobody on bare memberships.
    package var clients: [Client] = []

    /// Those who use what a ring offers.
    package enum Client: String, CaseIterable, Sendable {
        /// They read and set registers.
        case registers
        /// They ask for addresses and give them back.
        case addresses
        /// They publish, watch and read records.
        case records
    }

    /// The time that nodes have to find each other before anything goes wrong.
    package static let warmUp = Span.seconds(5)

    /// The most nodes of a plan that is read.
    package static let nodesMax = 100_000

    /// Makes a plan.
    package init(seed: UInt64, nodes: Int, faultsFor: Span, faults: [TimedFault]) {
        self.seed = seed
        self.nodes = nodes
        self.faultsFor = faultsFor
        self.faults = faults
    }
}

extension FaultPlan {
    /// Whether several nodes come back from an absence while others are away, so that those that
    /// know of the newest epoch may not be among those that they meet first.
    package var hasReturnsAmongThemselves: Bool {
        let absences = faults.filter(\.fault.endsProcesses)
        return absences.contains { later in
            let back = absences.filter { earlier in
                let end = earlier.at + earlier.lasting
                return earlier.at < later.at && later.at < end && end <= later.at + later.lasting
            }
            return SortedSet(back.flatMap(\.fault.nodes)).elements.count > 1
        }
    }
}

extension FaultPlan: CustomStringConvertible {
    /// Lines that ``init(_:)`` reads back: a head, and one for each fault.
    package var description: String {
        let head =
            "plan seed=\(seed) nodes=\(nodes) faults=\(faultsFor.milliseconds)ms "
            + "heals=\(healsWithin.milliseconds)ms"
            + (clients.isEmpty ? "" : " clients=" + clients.map(\.rawValue).joined(separator: ","))
        return ([head] + faults.map(\.description)).joined(separator: "\n")
    }

    /// Reads what ``description`` wrote; nil for anything else.
    ///
    /// Lines that begin with # are comments.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n")
            .map { $0.drop(while: { $0 == " " }) }
            .filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard let head = lines.first, head.hasPrefix("plan ") else { return nil }
        self.init(seed: 0, nodes: 0, faultsFor: .zero, faults: [])
        var read: Set<Substring> = []
        for word in head.split(separator: " ").dropFirst() {
            let parts = word.split(separator: Character("="))
            guard parts.count == 2, read.insert(parts[0]).inserted else { return nil }
            switch parts[0] {
            case "seed":
                guard let number = UInt64(parts[1]) else { return nil }
                seed = number
            case "nodes":
                guard let number = Int(parts[1]), (1...Self.nodesMax).contains(number)
                else { return nil }
                nodes = number
            case "faults":
                guard let span = Span(text: parts[1]) else { return nil }
                faultsFor = span
            case "heals":
                guard let span = Span(text: parts[1]) else { return nil }
                healsWithin = span
            case "clients":
                let names = parts[1].split(separator: ",", omittingEmptySubsequences: false)
                clients = names.compactMap { Client(rawValue: String($0)) }
                guard clients.count == names.count else { return nil }
            default: return nil
            }
        }
        guard read.contains("nodes") else { return nil }
        for line in lines.dropFirst() {
            guard let fault = TimedFault(line, nodes: nodes) else { return nil }
            faults.append(fault)
        }
    }
}

/// What the plan's faults leave to be demanded.
struct PlanLaws {
    /// Whether nothing goes wrong that could hurt anybody but those named by a fault.
    private(set) var protectsBystanders = true
    /// Whether processes stop and pause, and nothing is lost on the way between them.
    private(set) var losesNothing = true
    /// Whether crashes are all that goes wrong, so that they must be found in time.
    private(set) var boundsDetection = true
    /// Nodes that may be taken for dead while they live.
    private var victims: Set<Int> = []
    /// Nodes that stood still.
    private var paused: Set<Int> = []
    /// Nodes that may find their identity in use.
    private var copied: Set<Int> = []

    /// After this long, everybody has given a crashed node up, when nothing else goes wrong.
    static let detectionMax = Span.milliseconds(4_500)

    init(_ plan: FaultPlan) {
        for timed in plan.faults { add(timed, plan) }
    }

    private mutating func add(_ timed: TimedFault, _ plan: FaultPlan) {
        let fault = timed.fault
        switch fault.kind {
        case .crash, .blackhole, .leave, .crashAtWrite, .remove:
            victims.formUnion(fault.nodes)
            if fault.restart == .rolledBack { copied.formUnion(fault.nodes) }
            return
        case .loss: if fault.amount > 50 { protectsBystanders = false }
        case .duplicate, .corrupt: if fault.amount > 50 { protectsBystanders = false }
        case .delay: if fault.amount > 10 { protectsBystanders = false }
        case .reorder: if fault.amount > 50 { protectsBystanders = false }
        case .drift: if abs(fault.amount) > 1_000 { protectsBystanders = false }
        case .leap: protectsBystanders = false
        case .pause: if timed.lasting > .seconds(1) { victims.formUnion(fault.nodes) }
        case .mute, .deaf, .link, .partition, .oneway, .clog: protectsBystanders = false
        }
        boundsDetection = false
        losesNothing = losesNothing && fault.kind == .pause
        if fault.kind == .pause { paused.formUnion(fault.nodes) }
    }

    func mayBeAccused(_ node: Int) -> Bool { victims.contains(node) || paused.contains(node) }

    func mayBeRemoved(_ node: Int) -> Bool { !protectsBystanders || victims.contains(node) }

    func mayFindItselfCopied(_ node: Int) -> Bool { copied.contains(node) }
}
