import Determinism
import RingRecords

/// Runs that go straight for what random ones meet seldom.
enum DirectedScenario {
    /// All owners of many slots change at once, while the origin of what they hold is away.
    static func everyOwnerChanges(seed: UInt64, flaws: [RecordFlaw]) -> [String] {
        var world = RecordsWorld(members: 4, count: 12, seed: seed, flaws: flaws)
        world.run(for: .seconds(1))
        for topic in RecordsWorld.topics { world.publish(0, topic, [record(1)]) }
        world.run(for: .seconds(2))
        world.crash(0)
        world.change(members: Array(0..<12))
        for index in 4..<12 { world.join(index) }
        for _ in 0..<60 {
            world.run(for: .milliseconds(50))
            for topic in RecordsWorld.topics { world.read(3, topic) }
        }
        world.run(for: .seconds(12))
        for topic in RecordsWorld.topics {
            // An owner that is away confirms nothing: then the former ones keep what they have.
            let isWhole = !world.view.owners(of: topic).contains(world.nodes[0].id)
            for index in 1..<12 {
                let node = world.nodes[index]
                let isOwner = world.view.owners(of: topic).contains(node.id)
                let held = node.records?.store.set(topic, world.nodes[0].id)
                if isOwner, held == nil { world.history.faults.append("\(topic) is lost") }
                if !isOwner, isWhole, held != nil {
                    world.history.faults.append("\(topic) is not dropped")
                }
            }
        }
        return world.history.faults
    }

    /// A node is retired while an owner that missed its last words is away.
    static func originIsRetired(seed: UInt64, flaws: [RecordFlaw]) -> [String] {
        var world = RecordsWorld(members: 5, count: 5, seed: seed, flaws: flaws)
        world.run(for: .seconds(1))
        for topic in RecordsWorld.topics { world.publish(0, topic, [record(1)]) }
        world.run(for: .seconds(2))
        let absent = 1 + Int(seed % 4)
        world.cut(absent, true)
        world.run(for: .seconds(1))
        for topic in RecordsWorld.topics { world.publish(0, topic, [record(2)]) }
        world.run(for: .seconds(2))
        world.history.remove(world.nodes[0].id)
        world.change(members: [1, 2, 3, 4])
        world.run(for: .seconds(2))
        world.crash(0)
        world.cut(absent, false)
        world.run(for: .seconds(8))
        for topic in RecordsWorld.topics {
            for index in 1..<5
            where world.nodes[index].records?.store.set(topic, world.nodes[0].id) != nil {
                world.history.faults.append("\(topic) is back on \(index)")
            }
        }
        return world.history.faults
    }

    /// A node that runs is taken out, and takes part again without a new start.
    static func originIsTakenOutAndBack(seed: UInt64) -> [String] {
        var world = RecordsWorld(members: 5, count: 5, seed: seed, flaws: [])
        world.run(for: .seconds(1))
        for topic in RecordsWorld.topics { world.publish(0, topic, [record(1)]) }
        world.run(for: .seconds(2))
        world.history.remove(world.nodes[0].id)
        world.change(members: [1, 2, 3, 4])
        world.run(for: .seconds(3))
        world.history.add(world.nodes[0].id)
        world.change(members: Array(0..<5))
        world.run(for: .seconds(6))
        for topic in RecordsWorld.topics {
            for node in world.nodes where world.view.owners(of: topic).contains(node.id) {
                guard node.records?.store.set(topic, world.nodes[0].id) == nil else { continue }
                world.history.faults.append("\(topic) is missing on \(node.id.short)")
            }
        }
        return world.history.faults
    }

    /// The power fails everywhere as soon as something is acknowledged; its origin stays away.
    static func powerFails(seed: UInt64, flaws: [RecordFlaw]) -> [String] {
        var world = RecordsWorld(members: 5, count: 5, seed: seed, flaws: flaws)
        world.run(for: .seconds(2))
        for topic in RecordsWorld.topics {
            world.publish(0, topic, [record(1)])
            let before = world.history.acknowledgements
            for _ in 0..<100 where world.history.acknowledgements == before {
                world.run(for: RecordsWorld.quantum)
            }
            guard world.view.owners(of: topic).contains(world.nodes[0].id) == false else {
                continue
            }
            for index in 0..<5 { world.crash(index) }
            for index in 1..<5 { world.start(index) }
            world.run(for: .seconds(3))
            world.read(1, topic)
            world.run(for: .seconds(3))
            for index in 1..<5
            where world.view.owners(of: topic).contains(world.nodes[index].id)
                && world.nodes[index].records?.store.set(topic, world.nodes[0].id) == nil
            {
                world.history.faults.append("\(topic) is lost on \(index)")
            }
            world.start(0)
            world.run(for: .seconds(3))
        }
        return world.history.faults
    }

    /// What one owner alone holds is read, and then that owner is away.
    static func soleHolderLeaves(seed: UInt64, flaws: [RecordFlaw]) -> [String] {
        var world = RecordsWorld(members: 5, count: 5, seed: seed, flaws: flaws)
        world.run(for: .seconds(2))
        for topic in RecordsWorld.topics {
            let owners = world.view.owners(of: topic)
            let places = (0..<5).filter { owners.contains(world.nodes[$0].id) }
            let others = (0..<5).filter { !places.contains($0) }
            // For a moment that nobody notices the origin reaches one owner alone.
            for index in places.dropFirst() { world.cut(index, true) }
            world.publish(others[0], topic, [record(UInt8(seed % 200))])
            world.run(for: .milliseconds(80))
            world.crash(others[0])
            for index in places.dropFirst() { world.cut(index, false) }
            world.read(others[1], topic)
            world.run(for: .milliseconds(Int64(80 + 10 * (seed % 10))))
            world.cut(places[0], true)
            world.read(others[1], topic)
            world.run(for: .seconds(3))
            world.cut(places[0], false)
            world.start(others[0])
            world.run(for: .seconds(4))
        }
        return world.history.faults
    }

    /// Many changes of a followed topic are lost on the way, and none after them.
    static func changesAreLost(seed: UInt64, flaws: [RecordFlaw]) -> [String] {
        var world = RecordsWorld(members: 5, count: 5, seed: seed, flaws: flaws)
        world.run(for: .seconds(2))
        for topic in RecordsWorld.topics { world.watch(0, topic) }
        world.run(for: .seconds(1))
        world.lossPercent = 30
        for number in UInt8(0)..<20 {
            for topic in RecordsWorld.topics {
                world.publish(1 + Int(number % 4), topic, [record(number)])
            }
            world.run(for: .milliseconds(100))
        }
        world.lossPercent = 0
        world.run(for: .seconds(6))
        for topic in RecordsWorld.topics {
            for origin in world.nodes.dropFirst() {
                let newest = origin.records?.store.set(topic, origin.id)
                guard world.nodes[0].records?.store.set(topic, origin.id) != newest else {
                    continue
                }
                world.history.faults.append("the watcher of \(topic) missed a change")
            }
        }
        return world.history.faults
    }

    private static func record(_ value: UInt8) -> OriginSet.Record {
        OriginSet.Record(key: "k", content: [value])
    }
}
