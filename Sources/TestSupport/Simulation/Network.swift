package import Determinism

/// How long datagrams and frames take when nothing is wrong.
package struct NetworkConditions: Hashable, Sendable {
    /// The shortest time one way.
    package var delayMin = Span.milliseconds(1)
    /// The longest time one way.
    package var delayMax = Span.milliseconds(5)
    /// What a paused process's socket holds; further datagrams are lost.
    package var receiveBufferDatagramsMax = 256

    /// Makes the conditions of a data centre of several zones.
    package init() {}
}

/// The faults of the network that are in force, in a form that costs little to ask.
struct NetworkFaults {
    private struct Partition {
        var sides: [UInt8]
        var isOneWay: Bool
    }

    private(set) var lossPerMille = 0
    private(set) var duplicatePerMille = 0
    private(set) var reorderPerMille = 0
    private(set) var corruptPerMille = 0
    private(set) var extraDelayMicroseconds: Int64 = 0
    /// Whether anything is lost at all, so that the question costs nothing in a quiet world.
    private(set) var loses = false
    private var partitions: [Partition] = []
    private var mute: [UInt16] = []
    private var deaf: [UInt16] = []
    private var links: [UInt64: Int] = [:]
    private var clogs: [UInt64: Int64] = [:]

    init() {}

    /// Adds up faults; each comes with the time of its end.
    init(_ faults: [(fault: Fault, endsAt: Int64)], nodes: Int) {
        for (fault, endsAt) in faults {
            switch fault.kind {
            case .loss: lossPerMille = Self.either(lossPerMille, fault.amount)
            case .duplicate: duplicatePerMille = Self.either(duplicatePerMille, fault.amount)
            case .reorder: reorderPerMille = Self.either(reorderPerMille, fault.amount)
            case .corrupt: corruptPerMille = Self.either(corruptPerMille, fault.amount)
            case .delay: extraDelayMicroseconds += Int64(fault.amount) * 1_000
            case .mute: Self.raise(&mute, fault, nodes)
            case .deaf: Self.raise(&deaf, fault, nodes)
            case .link:
                forEachLink(fault) { links[$0] = Self.either(links[$0] ?? 0, fault.amount) }
            case .clog:
                forEachLink(fault) { clogs[$0] = max(clogs[$0] ?? 0, endsAt) }
            case .partition, .oneway:
                var sides = [UInt8](repeating: 0, count: nodes)
                for node in fault.nodes where node < nodes { sides[node] = 1 }
                for node in fault.others where node < nodes { sides[node] = 2 }
                partitions.append(Partition(sides: sides, isOneWay: fault.kind == .oneway))
            case .pause, .crash, .blackhole, .leave, .drift, .leap, .crashAtWrite, .remove: break
            }
        }
        loses = lossPerMille > 0 || !mute.isEmpty || !deaf.isEmpty || !links.isEmpty
    }

    private func forEachLink(_ fault: Fault, _ body: (UInt64) -> Void) {
        for source in fault.nodes {
            for target in fault.others where source != target { body(Self.key(source, target)) }
        }
    }

    private static func key(_ source: Int, _ target: Int) -> UInt64 {
        UInt64(source) << 32 | UInt64(target)
    }

    private static func either(_ first: Int, _ second: Int) -> Int {
        1_000 - (1_000 - first) * (1_000 - min(1_000, second)) / 1_000
    }

    private static func raise(_ list: inout [UInt16], _ fault: Fault, _ nodes: Int) {
        if list.isEmpty { list = [UInt16](repeating: 0, count: nodes) }
        for node in fault.nodes where node < nodes {
            list[node] = UInt16(either(Int(list[node]), fault.amount))
        }
    }

    /// Whether a partition stands between two nodes, in this direction.
    func blocks(_ source: Int, _ target: Int) -> Bool {
        for partition in partitions {
            guard source < partition.sides.count, target < partition.sides.count else { continue }
            let sides = (partition.sides[source], partition.sides[target])
            if sides == (1, 2) || (!partition.isOneWay && sides == (2, 1)) { return true }
        }
        return false
    }

    /// The share of datagrams lost from one node to another, in per mille.
    func lossPerMille(_ source: Int, _ target: Int) -> Int {
        guard loses else { return 0 }
        var loss = lossPerMille
        if source < mute.count { loss = Self.either(loss, Int(mute[source])) }
        if target < deaf.count { loss = Self.either(loss, Int(deaf[target])) }
        if !links.isEmpty { loss = Self.either(loss, links[Self.key(source, target)] ?? 0) }
        return loss
    }

    /// Until when what is sent between two nodes is held back; zero when it is not.
    func clogEnd(_ source: Int, _ target: Int) -> Int64 {
        clogs.isEmpty ? 0 : clogs[Self.key(source, target)] ?? 0
    }
}
