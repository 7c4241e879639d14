import Addressing
import Determinism
package import RingIPAM
package import RingRecords

/// Which nodes have pods of which group in a measured ring: most groups on few nodes.
///
/// Each node has about eleven groups. Of all places that nodes have in groups six in ten are in
/// small groups (4 nodes), three in medium ones (32) and one in large ones (256, or all nodes of a
/// smaller ring).
package struct RingScaleGroups: Sendable {
    /// One group.
    package struct Group: Sendable {
        /// What its records are kept under.
        package let topic: Topic
        /// Where its addresses come from.
        package let plan: BlockPlan
        /// The nodes with pods in it, ascending.
        package let nodes: [Int]
    }

    /// One kind of group.
    package struct Class: Sendable {
        /// The nodes of one group.
        package let nodesPerGroup: Int
        /// Of a hundred places, how many are in such groups.
        package let placesPercent: Int
    }

    /// The kinds of groups.
    package static let classes = [
        Class(nodesPerGroup: 4, placesPercent: 60),
        Class(nodesPerGroup: 32, placesPercent: 30),
        Class(nodesPerGroup: 256, placesPercent: 10),
    ]
    /// The groups that a node has pods in, on average.
    package static let groupsPerNode = 11

    /// All groups.
    package let groups: [Group]
    /// The groups of each node, by number.
    package let groupsByNode: [[Int]]

    /// Draws the groups of a ring; the same for the same seed.
    package init(nodes: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var groups: [Group] = []
        var groupsByNode = [[Int]](repeating: [], count: nodes)
        func add(_ members: [Int]) {
            let number = groups.count
            guard
                let subnet = Prefix(first: IPAddress(v4: 0x0a00_0000), length: 16)
            else { preconditionFailure("10.0.0.0/16 is a prefix") }
            groups.append(
                Group(
                    topic: Topic("vpc\(number)/group"),
                    plan: BlockPlan(pool: UInt64(number) + 1, subnet: subnet),
                    nodes: members.sorted()
                )
            )
            for node in members { groupsByNode[node].append(number) }
        }
        for kind in Self.classes {
            let size = min(kind.nodesPerGroup, nodes)
            let places = nodes * Self.groupsPerNode * kind.placesPercent / 100
            for _ in 0..<max(1, places / size) {
                var members = Set<Int>()
                while members.count < size {
                    members.insert(Int.random(in: 0..<nodes, using: &generator))
                }
                add(members.sorted())
            }
        }
        // Nobody is left without pods.
        for node in 0..<nodes where groupsByNode[node].isEmpty { add([node]) }
        self.groups = groups
        self.groupsByNode = groupsByNode
    }

    /// The groups by the number of their nodes, for people: "1650 x 4, 103 x 32, 4 x 256".
    package var summary: String {
        var counts: [Int: Int] = [:]
        for group in groups { counts[group.nodes.count, default: 0] += 1 }
        return counts.keys.sorted().map { "\(counts[$0] ?? 0) x \($0)" }.joined(separator: ", ")
    }

    /// The pods that a node has in each of its groups, `pods` in all.
    package func podsPerGroup(_ node: Int, pods: Int) -> [(group: Int, pods: Int)] {
        let own = groupsByNode[node]
        return own.enumerated().map { place, group in
            (group, pods / own.count + (place < pods % own.count ? 1 : 0))
        }
    }
}
