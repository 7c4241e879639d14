import Determinism
import Testing

@Suite("Determinism: the same everywhere, every time")
struct DeterminismTests {
    @Test("hash and generator are part of the protocol and never change")
    func pinnedValues() {
        #expect(StableHash.of([]) == 0xf52a_15e9_a9b5_e89b)
        #expect(StableHash.of(Array("genie".utf8)) == 0x120f_cc98_59c5_bf09)
        var generator = SeededGenerator(seed: 1)
        #expect(generator.next() == 0x910a_2dec_8902_5cc1)
    }

    @Test("a sorted map agrees with a plain model", arguments: 0..<20)
    func sortedMap(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var map = SortedMap<Int, Int>()
        var model: [Int: Int] = [:]
        for _ in 0..<300 {
            let key = Int.random(in: 0..<40, using: &generator)
            let value = Int.random(in: 0..<1_000, using: &generator)
            if Bool.random(using: &generator) {
                map[key] = value
                model[key] = value
            } else {
                #expect(map.remove(key) == model.removeValue(forKey: key))
            }
            #expect(map.keys == model.keys.sorted())
        }
        #expect(map.suffix(from: 20).map(\.key) == model.keys.filter { $0 >= 20 }.sorted())
    }

    @Test("a map for many rows agrees with a plain model", arguments: 0..<4)
    func sortedRows(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var map = SortedRows<Int, Int>()
        var model: [Int: Int] = [:]
        // Mostly in, then mostly out: chunks are cut, and vanish.
        for round in 0..<8_000 {
            let key = Int.random(in: 0..<2_000, using: &generator)
            let value: Int? =
                Int.random(in: 0..<8_000, using: &generator) > round ? round : nil
            map[key] = value
            model[key] = value
            #expect(map[key] == value && map.count == model.count)
            guard round % 500 == 0 else { continue }
            let expected = model.sorted { $0.key < $1.key }
            #expect(map.keys == expected.map(\.key))
            #expect(map.map(\.value) == expected.map(\.value))
            let from = expected.filter { $0.key >= 1_000 }.map(\.key)
            #expect(map.suffix(from: 1_000).map(\.key) == from)
        }
    }

    @Test("a node id reads back from its text, and nothing else does")
    func nodeID() {
        var generator = SeededGenerator(seed: 3)
        let id = NodeID(using: &generator)
        #expect(NodeID(id.description) == id)
        #expect(id.description.utf8.count == 32)
        #expect(NodeID("zz") == nil)
        #expect(NodeID(String(repeating: "+", count: 32)) == nil)
    }

    @Test("adding to an instant stops at the end of time instead of overflowing")
    func instantSaturates() {
        #expect(Instant(microseconds: .max).advanced(by: .seconds(1)).microseconds == .max)
        #expect(Instant.zero.advanced(by: .milliseconds(5)).since(.zero) == .milliseconds(5))
    }
}
