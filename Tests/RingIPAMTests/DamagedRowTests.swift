import Addressing
import Determinism
import RingIPAM
import Testing
import Wire

@Suite("Rows of blocks and addresses that no node wrote")
struct DamagedRowTests {
    @Test("a block wider than blocks are is malformed", arguments: ["10.0.0.0/25", "fd00::/64"])
    func wideBlock_isMalformed(text: String) throws {
        let block = AddressPool.Block(pool: 1, prefix: try #require(Prefix(text)), fence: 1)
        #expect(throws: WireError.malformed(field: "block length")) {
            try AddressPool.Block(encoded: block.encoded)
        }
    }

    @Test("blocks of every size that a plan makes are read", arguments: 26...30)
    func block_isRead(length: Int) throws {
        let prefix = try #require(Prefix(first: IPAddress(v4: 0x0a00_0000), length: length))
        let block = AddressPool.Block(pool: 1, prefix: prefix, fence: 1)
        #expect(try AddressPool.Block(encoded: block.encoded) == block)
    }

    @Test("an owner that is said to be nobody and is named is malformed")
    func namedNobody_isMalformed() {
        var bytes = BlockOwner(node: NodeID(high: 1, low: 2), fence: 3).encoded
        bytes[0] = 0
        #expect(throws: WireError.malformed(field: "owner")) { try BlockOwner(encoded: bytes) }
    }
}
