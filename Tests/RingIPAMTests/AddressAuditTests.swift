import Addressing
import Determinism
import RingIPAM
import Testing

@Suite("The audit finds leaked, duplicate, foreign and orphaned addresses, and nothing else")
struct AddressAuditTests {
    private let own = NodeID(high: 0, low: 1)
    private let other = NodeID(high: 0, low: 2)
    private let lost = NodeID(high: 0, low: 3)

    private func holder(_ name: String) -> AddressHolder {
        AddressHolder(containerID: name, interfaceName: "eth0")
    }

    private func told(
        _ address: String,
        _ node: NodeID,
        fence: UInt64 = 1,
        _ name: String
    ) throws -> AddressAudit.Told {
        AddressAudit.Told(
            address: try #require(IPAddress(address)),
            node: node,
            fence: fence,
            holder: holder(name)
        )
    }

    /// Two nodes with a block and a pod each, and nothing wrong.
    private func sound() throws -> AddressAudit {
        let plan = BlockPlan(pool: 1, subnet: try #require(Prefix("10.1.0.0/24")))
        var audit = AddressAudit(plan: plan, own: own)
        audit.members = SortedSet([own, other])
        audit.owners[plan.block(0)] = BlockOwner(node: own, fence: 1)
        audit.owners[plan.block(1)] = BlockOwner(node: other, fence: 1)
        audit.owners[plan.block(2)] = BlockOwner(node: nil, fence: 4)
        audit.told = [try told("10.1.0.5", own, "a"), try told("10.1.0.70", other, "b")]
        audit.blocks = [.init(pool: 1, prefix: plan.block(0), fence: 1)]
        audit.held = [
            .init(
                pool: 1,
                address: try #require(IPAddress("10.1.0.5")),
                holder: holder("a"),
                fence: 1
            )
        ]
        audit.attached = SortedSet([holder("a")])
        return audit
    }

    private func kinds(_ audit: AddressAudit) -> [AddressAudit.Kind] {
        audit.findings.map(\.kind)
    }

    @Test("nothing is found where nothing is wrong")
    func nothing() throws {
        #expect(kinds(try sound()) == [])
    }

    @Test("each mistake is found, once and as what it is")
    func mistakes() throws {
        var audit = try sound()
        audit.told.append(try told("10.1.0.70", other, "c"))
        #expect(kinds(audit) == [.duplicate])

        audit = try sound()
        audit.told.append(try told("10.1.0.71", own, "c"))
        #expect(kinds(audit) == [.foreign])

        audit = try sound()
        audit.told[1] = try told("10.1.0.70", other, fence: 2, "b")
        #expect(kinds(audit) == [.foreign])

        audit = try sound()
        audit.told.append(try told("10.9.0.1", other, "c"))
        #expect(kinds(audit) == [.foreign])

        audit = try sound()
        audit.told.append(try told("10.1.0.90", lost, "c"))
        #expect(kinds(audit) == [.orphaned])

        audit = try sound()
        audit.owners[audit.plan.block(2)] = BlockOwner(node: lost, fence: 5)
        #expect(kinds(audit) == [.orphaned])
        audit.retired.insert(lost)
        #expect(kinds(audit) == [])

        audit = try sound()
        audit.attached = SortedSet()
        #expect(kinds(audit) == [.leaked])

        audit = try sound()
        audit.owners[audit.plan.block(3)] = BlockOwner(node: own, fence: 1)
        #expect(kinds(audit) == [.leaked])

        audit = try sound()
        audit.held = []
        #expect(kinds(audit) == [.foreign])

        audit = try sound()
        audit.owners[audit.plan.block(0)] = BlockOwner(node: other, fence: 2)
        #expect(kinds(audit) == [.foreign, .foreign])
    }
}
