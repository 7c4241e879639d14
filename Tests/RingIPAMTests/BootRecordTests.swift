import Addressing
import Determinism
import RingIPAM
import Testing
import Wire

@Suite("Boot registers and what a disk remembers of them (rule A0)")
struct BootRecordTests {
    private func next(
        _ ledger: inout BootLedger,
        _ held: BootRecord?,
        boot: UInt64,
        token: UInt64
    ) -> BootRecord {
        let record = ledger.next(over: held, boot: boot, token: token)
        ledger.attempt(record)
        return record
    }

    @Test("starts that follow one another stay in one era")
    func sameEra() {
        var ledger = BootLedger()
        var held: BootRecord?
        for boot in 1...5 as ClosedRange<UInt64> {
            #expect(ledger.expects(held))
            let record = next(&ledger, held, boot: boot, token: boot * 10)
            ledger.confirm(record)
            held = record
        }
        #expect(held?.era == 1 && held?.boot == 5)
    }

    @Test("an attempt whose end nobody saw is expected at the next start, written or not")
    func unseenEnd() {
        var ledger = BootLedger()
        let first = next(&ledger, nil, boot: 1, token: 1)
        #expect(ledger.expects(nil))
        #expect(ledger.expects(first))
    }

    @Test("a disk from before the last start begins an era")
    func rolledBack() {
        var ledger = BootLedger()
        ledger.confirm(next(&ledger, nil, boot: 1, token: 1))
        let copy = ledger
        let second = next(&ledger, ledger.confirmed, boot: 2, token: 2)
        ledger.confirm(second)
        var old = copy
        #expect(!old.expects(second))
        let record = next(&old, second, boot: 2, token: 3)
        #expect(record.era == 2 && record.boot == 3)
    }

    @Test("an empty disk under a known name, and a node that was removed, begin an era")
    func strangers() {
        let held = BootRecord(boot: 4, token: 9, era: 3)
        #expect(!BootLedger().expects(held))
        #expect(BootLedger().next(over: held, boot: 1, token: 1).era == 4)
        var ledger = BootLedger()
        ledger.confirm(held)
        let removed = BootRecord(boot: 4, token: 9, era: 3, isRemoved: true)
        #expect(!ledger.expects(removed))
        #expect(ledger.next(over: removed, boot: 5, token: 1).era == 4)
        // A register that was emptied knows nothing of this disk.
        #expect(!ledger.expects(nil))
    }

    @Test("rows and registers are read back as written, and cut ones are refused")
    func codecs() throws {
        var ledger = BootLedger()
        ledger.confirm(BootRecord(boot: 1, token: 2, era: 3))
        for token in 0..<20 as Range<UInt64> {
            ledger.attempt(BootRecord(boot: 2, token: token, era: 3, isRemoved: token == 3))
        }
        #expect(ledger.attempts.count == BootLedger.attemptsMax)
        #expect(try BootLedger(encoded: ledger.encoded) == ledger)
        for length in 0..<ledger.encoded.count {
            #expect(throws: WireError.self) {
                try BootLedger(encoded: Array(ledger.encoded[..<length]))
            }
        }
        let owners = [
            BlockOwner(node: NodeID(high: 1, low: 2), fence: 3, era: 4),
            .draining(NodeID(high: 1, low: 2), fence: 3, era: 0), BlockOwner(node: nil, fence: 9),
        ]
        for owner in owners { #expect(try BlockOwner(encoded: owner.encoded) == owner) }
        for state in [AddressPool.Block.State.active, .suspended, .draining] {
            let prefix = try #require(Prefix("fd00::40/122"))
            let block = AddressPool.Block(pool: 1, prefix: prefix, fence: 2, state: state)
            #expect(try AddressPool.Block(encoded: block.encoded) == block)
        }
    }

    @Test("a block of the release before this one is read: it has no era and no state")
    func olderLayouts() throws {
        var writer = ByteWriter()
        writer.write(true)
        writer.write(NodeID(high: 1, low: 2))
        writer.write(UInt64(5))
        let owner = try BlockOwner(encoded: writer.bytes)
        #expect(owner == BlockOwner(node: NodeID(high: 1, low: 2), fence: 5))
        #expect(owner.encoded == writer.bytes)
    }
}
