import Addressing
import NetForwarding
import Testing

@Suite("Fences: what a former owner of a block says is void (rule A5)")
struct FenceLedgerTests {
    @Test("a lower fence is behind for the whole block, also after the higher one is gone")
    func behind() throws {
        let vni = try #require(VNI(7))
        let other = try #require(VNI(8))
        let block = try #require(Prefix("10.1.0.64/26"))
        let next = try #require(Prefix("10.1.0.128/26"))
        var ledger = FenceLedger()
        #expect(ledger.isCurrent(vni, block, fence: 1))
        ledger.note(vni, block, fence: 3)
        ledger.note(vni, block, fence: 2)
        #expect(!ledger.isCurrent(vni, block, fence: 2))
        #expect(ledger.isCurrent(vni, block, fence: 3))
        #expect(ledger.isCurrent(vni, next, fence: 1))
        #expect(ledger.isCurrent(other, block, fence: 1))
        ledger.forget { $0 == other }
        #expect(ledger.isCurrent(vni, block, fence: 1))
    }
}
