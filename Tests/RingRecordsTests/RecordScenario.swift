import Determinism
import RingRecords

/// Life with faults: writers and readers, one fault at a time, members that come and go.
struct RecordScenario {
    private var world: RecordsWorld
    private var counter = 0
    private var nextFaultAt: Instant
    private var nextChangeAt: Instant
    private var mend: (at: Instant, index: Int, kind: Fault)?
    private var outside: [Int]
    private var departing: [(at: Instant, index: Int)] = []

    private enum Fault: CaseIterable {
        case crash
        case cut
        case rollBack
    }

    /// What was found wrong, and how much was done.
    struct Report {
        var faults: [String]
        var acknowledgements: Int
        var reads: Int
        var epochs: Int
    }

    static func run(seed: UInt64, flaws: [RecordFlaw] = []) -> Report {
        var scenario = RecordScenario(seed: seed, flaws: flaws)
        return scenario.run()
    }

    private init(seed: UInt64, flaws: [RecordFlaw]) {
        world = RecordsWorld(members: 5, count: 7, seed: seed, flaws: flaws)
        nextFaultAt = world.now.advanced(by: .seconds(3))
        nextChangeAt = world.now.advanced(by: .seconds(2))
        outside = [5, 6]
    }

    private mutating func random(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &world.generator)
    }

    private mutating func run() -> Report {
        world.run(for: .seconds(1))
        world.watch(0, RecordsWorld.topics[0])
        world.watch(1, RecordsWorld.topics[1])
        world.lossPercent = 2
        let end = world.now.advanced(by: .seconds(16))
        while world.now < end, world.history.faults.isEmpty {
            world.run(for: .milliseconds(Int64(random(2...10)) * 10))
            work()
            injectFaults()
            changeMembers()
        }
        world.lossPercent = 0
        heal()
        if world.history.faults.isEmpty {
            world.run(for: .seconds(14))
            for index in world.upMembers.prefix(2) {
                for topic in RecordsWorld.topics { world.read(index, topic) }
            }
            world.run(for: .seconds(3))
            checkEnd()
        }
        return Report(
            faults: world.history.faults,
            acknowledgements: world.history.acknowledgements,
            reads: world.history.completeReads,
            epochs: world.epochs.count
        )
    }

    private mutating func work() {
        let up = world.upMembers
        guard let index = up.randomElement(using: &world.generator),
            let topic = RecordsWorld.topics.randomElement(using: &world.generator)
        else { return }
        if random(0...1) == 0 { return world.read(index, topic) }
        counter += 1
        // One record tells the version apart; of the others one or two come and go, so that what
        // changed is much less than the set.
        let content = (0..<10).filter { $0 == 9 || (counter + $0) % 9 != 0 }.map {
            let value = $0 == 9 ? counter : 0
            return OriginSet.Record(
                key: "k\($0)",
                content: [UInt8](repeating: 1, count: 60) + [UInt8(value >> 8), UInt8(value & 255)]
            )
        }
        world.publish(index, topic, content)
    }

    private mutating func injectFaults() {
        if let mend, world.now >= mend.at {
            switch mend.kind {
            case .cut: world.cut(mend.index, false)
            case .crash: world.start(mend.index)
            case .rollBack:
                world.rollBack(mend.index)
                world.start(mend.index)
            }
            self.mend = nil
            nextFaultAt = world.now.advanced(by: .milliseconds(Int64(random(3_000...5_000))))
        }
        for index in world.members where random(0...20) == 0 { world.rememberDisk(index) }
        guard mend == nil, departing.isEmpty, world.now >= nextFaultAt,
            let index = world.upMembers.randomElement(using: &world.generator),
            let kind = Fault.allCases.randomElement(using: &world.generator)
        else { return }
        if case .cut = kind { world.cut(index, true) } else { world.crash(index) }
        let length = Span.milliseconds(Int64(random(200...3_000)))
        mend = (world.now.advanced(by: length), index, kind)
    }

    /// A member more, a member less, or an epoch in which nobody moves.
    private mutating func changeMembers() {
        for entry in departing where world.now >= entry.at {
            if world.nodes[entry.index].records != nil { world.crash(entry.index) }
            outside.append(entry.index)
        }
        departing.removeAll { world.now >= $0.at }
        guard world.now >= nextChangeAt else { return }
        nextChangeAt = world.now.advanced(by: .milliseconds(Int64(random(1_000...6_000))))
        switch random(0...4) {
        case 0: world.change(members: world.members)
        case 1, 2:
            guard let index = outside.popLast() else { return }
            world.history.add(world.nodes[index].id)
            world.change(members: world.members + [index])
            world.join(index)
            // As a node does at each start: what it said before it was retired is under a fence.
            for topic in RecordsWorld.topics {
                let own = world.nodes[index].id
                guard let set = world.nodes[index].records?.store.set(topic, own) else { continue }
                world.publish(index, topic, set.records)
            }
        default:
            let leaver = world.upMembers.filter { $0 > 1 && $0 != mend?.index }
                .randomElement(using: &world.generator)
            // One at a time, and only where the replicas that it takes along are not the second
            // loss of the moment.
            guard let index = leaver, world.members.count > 4, mend == nil, departing.isEmpty else {
                return
            }
            world.history.remove(world.nodes[index].id)
            world.change(members: world.members.filter { $0 != index })
            departing = [(world.now.advanced(by: .seconds(6)), index)]
            nextFaultAt = max(nextFaultAt, world.now.advanced(by: .seconds(8)))
        }
    }

    private mutating func heal() {
        if let mend {
            if case .cut = mend.kind {
                world.cut(mend.index, false)
            } else {
                world.start(mend.index)
            }
        }
        for index in world.members where world.nodes[index].records == nil { world.start(index) }
    }

    private mutating func fault(_ text: String) { world.history.faults.append(text) }

    private mutating func checkEnd() {
        let view = world.view
        for (topic, place) in world.history.places {
            let isMember = view.isMember(place.origin)
            let owners = view.owners(of: topic)
            for index in world.upMembers {
                let node = world.nodes[index]
                let held = node.records?.store.set(topic, place.origin)
                let name = "\(topic) of \(place.origin.short) on \(index)"
                if !isMember, held != nil { fault("\(name) is back from the dead") }
                guard owners.contains(node.id) else {
                    let isWanted = node.id == place.origin || node.watched.contains(topic)
                    if held != nil, !isWanted { fault("\(name) is not dropped") }
                    continue
                }
                guard isMember else { continue }
                let acknowledged = world.history.acknowledged[place] ?? .never
                if held?.version ?? .never < acknowledged { fault("\(name) is lost") }
                let origin = world.nodes.first { $0.id == place.origin }
                let newest = origin?.records?.store.set(topic, place.origin)
                if held != newest { fault("\(name) is not what its origin has") }
            }
        }
        checkSettled()
    }

    private mutating func checkSettled() {
        for index in world.upMembers {
            guard let status = world.nodes[index].records?.status else { continue }
            if status.slotsArriving + status.slotsLeaving + status.hints > 0 {
                fault("node \(index) is not done: \(status)")
            }
            for topic in world.nodes[index].watched {
                let owner = world.view.owners(of: topic).first
                let held = world.nodes.first { $0.id == owner }?.records?.store.sets(topic)
                if world.nodes[index].records?.store.sets(topic) != held {
                    fault("watcher \(index) of \(topic) has another state than its owner")
                }
            }
        }
    }
}
