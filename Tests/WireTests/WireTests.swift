import Determinism
import Testing
import Wire

@Suite("Wire: fixed fields and tagged records, read back whole or refused")
struct WireTests {
    private func sample() -> [UInt8] {
        var writer = ByteWriter()
        writer.write(UInt8(7))
        writer.write(UInt64(0x0102_0304_0506_0708))
        writer.write(true)
        writer.write("grün")
        writer.write(counted: [1, 2, 3])
        writer.write(list: [UInt16(5), 6]) { $0.write($1) }
        return writer.bytes
    }

    private func read(_ bytes: ArraySlice<UInt8>) throws(WireError) -> [UInt16] {
        var reader = ByteReader(bytes)
        _ = try reader.readInteger("a", as: UInt8.self)
        _ = try reader.readInteger("b", as: UInt64.self)
        _ = try reader.readFlag("c")
        _ = try reader.readText("d", max: 8)
        _ = try reader.readCounted("e", max: 8)
        let list = try reader.readList("f", max: 4) { reader throws(WireError) in
            try reader.readInteger("g", as: UInt16.self)
        }
        try reader.finish()
        return list
    }

    @Test("what was written is read back")
    func roundTrip() throws {
        #expect(try read(sample()[...]) == [5, 6])
    }

    @Test("a message cut anywhere is refused")
    func truncation() {
        let bytes = sample()
        for length in 0..<bytes.count {
            #expect(throws: WireError.self) { try read(bytes[..<length]) }
        }
    }

    @Test("bytes after the last field are refused")
    func trailing() {
        #expect(throws: WireError.trailing(count: 1)) { try read((sample() + [0])[...]) }
    }

    @Test("memberlist 357: a length above the bound is refused before anything is read")
    func oversized() {
        var reader = ByteReader([0xff, 0xff, 0xff, 0xff])
        #expect(throws: WireError.oversized(field: "list", length: 0xffff_ffff, max: 10)) {
            try reader.readList("list", max: 10) { reader throws(WireError) in
                try reader.readInteger("n", as: UInt8.self)
            }
        }
    }

    @Test("a flag is 0 or 1, and text is UTF-8")
    func malformed() {
        var flag = ByteReader([2])
        #expect(throws: WireError.malformed(field: "flag")) { try flag.readFlag("flag") }
        var text = ByteReader([0, 2, 0xc3, 0x28])
        #expect(throws: WireError.malformed(field: "text")) { try text.readText("text", max: 9) }
    }

    @Test("random bytes never crash a reader", arguments: 0..<20)
    func random(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0..<64, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            _ = try? read(bytes[...])
            _ = try? TaggedFields(bytes[...], lengthMax: 32)
        }
    }

    @Test("a record keeps the fields that its reader does not know")
    func unknownFieldsSurvive() throws {
        var newer = TaggedFields()
        newer.set(1, text: "web")
        newer.set(900, integer: UInt32(4))
        var older = try TaggedFields(newer.encoded[...], lengthMax: 64)
        older.set(1, text: "db")
        let back = try TaggedFields(older.encoded[...], lengthMax: 64)
        #expect(try back.text(1, "name") == "db")
        #expect(try back.integer(900, "new", default: UInt32(0)) == 4)
    }

    @Test("fields out of order or twice are refused")
    func fieldOrder() {
        let twice: [UInt8] = [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        #expect(throws: WireError.malformed(field: "field number")) {
            try TaggedFields(twice[...], lengthMax: 8)
        }
    }
}
