import Addressing
import Determinism
import NetForwarding
import Testing

@Suite("Forwarding: from what the map holds to what it should hold")
struct ForwardingPlanTests {
    private func entry(
        _ vni: UInt32,
        _ address: String,
        vtep: String? = nil,
        fence: UInt64 = 1
    ) throws -> ForwardingEntry {
        ForwardingEntry(
            vni: try #require(VNI(vni)),
            address: try #require(IPAddress(address)),
            mac: MACAddress(bits: 2),
            place: try vtep.map { .remote(vtep: try #require(IPAddress($0))) }
                ?? .local(interface: 5),
            fence: fence
        )
    }

    @Test("one address in two VPCs makes two rows")
    func overlappingVPCs() throws {
        var plan = ForwardingPlan()
        plan.add(try entry(1, "10.0.0.5"))
        plan.add(try entry(2, "10.0.0.5", vtep: "172.30.1.2"))
        #expect(plan.entries.count == 2)
    }

    @Test("of two claims to an address the one with the higher fence stays, in either order")
    func fence() throws {
        let old = try entry(1, "10.0.0.5", vtep: "172.30.1.2", fence: 1)
        let new = try entry(1, "10.0.0.5", vtep: "172.30.1.3", fence: 2)
        for order in [[old, new], [new, old]] {
            var plan = ForwardingPlan()
            for entry in order { plan.add(entry) }
            #expect(plan.entries.values == [new])
        }
    }

    @Test("a row may be kept from taking the place of another one, and not from coming")
    func refusedPut() throws {
        let held = try entry(1, "10.0.0.5", vtep: "172.30.1.2", fence: 7)
        var plan = ForwardingPlan()
        plan.add(try entry(1, "10.0.0.5", vtep: "172.30.1.3", fence: 6))
        plan.add(try entry(1, "10.0.0.6", vtep: "172.30.1.3", fence: 6))
        let steps = plan.steps(from: [held], mayPut: { $0.fence >= $1.fence }) { _ in true }
        #expect(steps == [.put(try entry(1, "10.0.0.6", vtep: "172.30.1.3", fence: 6))])
    }

    @Test("only differences become steps, writes first, and a protected row stays")
    func steps() throws {
        let same = try entry(1, "10.0.0.2")
        let moved = try entry(1, "10.0.0.3", vtep: "172.30.1.2")
        let gone = try entry(1, "10.0.0.4")
        let unheard = try entry(9, "10.0.0.9")
        var plan = ForwardingPlan()
        plan.add(same)
        plan.add(try entry(1, "10.0.0.3", vtep: "172.30.1.3"))
        let steps = plan.steps(from: [same, moved, gone, unheard]) { $0.vni != unheard.vni }
        #expect(
            steps == [
                .put(try entry(1, "10.0.0.3", vtep: "172.30.1.3")), .delete(gone.key),
            ]
        )
    }
}
