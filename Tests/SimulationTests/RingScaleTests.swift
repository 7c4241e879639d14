import Determinism
import Simulation
import Testing

@Suite("RingScale: what a ring of whole peers with pods is measured by")
struct RingScaleTests {
    private func run(_ change: (inout RingScale.Options) -> Void = { _ in }) -> RingScale {
        var options = RingScale.Options()
        options.nodes = 8
        options.podsPerNode = 22
        options.startsPerSecond = 20
        options.loadSpan = .seconds(3)
        options.idleSpan = .seconds(2)
        options.joinSpan = .seconds(1)
        options.fillSpan = .seconds(2)
        options.slotCount = 64
        change(&options)
        var ring = RingScale(options)
        let isDone = ring.run()
        #expect(isDone)
        return ring
    }

    private func figure(_ ring: RingScale, _ name: String) -> Double? {
        ring.rows.first { $0.name.hasPrefix(name) }?.ours
    }

    @Test("every start is acknowledged, every change reaches all, and the same seed says the same")
    func figures() throws {
        let ring = run()
        #expect(figure(ring, "starts that failed") == 0)
        #expect(figure(ring, "starts without an end") == 0)
        let row = try #require(
            ring.rows.first { $0.name.hasPrefix("pod start to acknowledgement") }
        )
        #expect(row.runs == 60)
        #expect(try #require(figure(ring, "change to all subscribers p50")) > 1)
        #expect(try #require(figure(ring, "registers at a steward,")) > 8)
        #expect(run().rows.map(\.ours) == ring.rows.map(\.ours))
    }

    @Test("groups: each node has pods in some, most groups are small")
    func groups() {
        let groups = RingScaleGroups(nodes: 300, seed: 3)
        #expect(groups.groupsByNode.allSatisfy { !$0.isEmpty })
        let small = groups.groups.count { $0.nodes.count <= 4 }
        #expect(small * 10 > groups.groups.count * 8)
        for node in 0..<300 {
            let pods = groups.podsPerGroup(node, pods: 110)
            #expect(pods.reduce(0) { $0 + $1.pods } == 110)
        }
    }
}
