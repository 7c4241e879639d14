import Foundation
import SQLiteRows
import Testing

@Suite("Rows: durable, exclusive, and plain about what is wrong with a file")
struct RowStoreTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    @Test("rows survive closing, by space and key, and a nil value removes")
    func roundTrip() throws {
        try withFolder { folder in
            let store = try RowStore(path: folder + "/a.db")
            try store.write([
                StoredRow(space: 1, key: [2], value: [9]), StoredRow(space: 1, key: [1], value: []),
                StoredRow(space: 2, key: [1], value: [7]),
            ])
            try store.write([
                StoredRow(space: 2, key: [1], value: nil),
                StoredRow(space: 1, key: [2], value: [8]),
            ])
            try store.close()
            let again = try RowStore(path: folder + "/a.db")
            #expect(
                try again.rows(space: 1) == [
                    StoredRow(space: 1, key: [1], value: []),
                    StoredRow(space: 1, key: [2], value: [8]),
                ]
            )
            #expect(try again.rows(space: 2).isEmpty)
        }
    }

    @Test("a value that the disk changed is told, and not given out")
    func changedValue() throws {
        try withFolder { folder in
            let path = folder + "/a.db"
            let store = try RowStore(path: path)
            // Of several pages, as the database itself looks at the first of them at most.
            let value = [UInt8](repeating: 0x61, count: 20_000)
            try store.write([
                StoredRow(space: 1, key: [1], value: value),
                StoredRow(space: 2, key: [1], value: [5]),
            ])
            try store.close()
            var file = try Data(contentsOf: URL(filePath: path))
            let run = Data(repeating: 0x61, count: 3_000)
            let place = try #require(file.lastRange(of: run)?.lowerBound)
            file[place + 1_000] = 0x62
            try file.write(to: URL(filePath: path))
            let again = try RowStore(path: path)
            let damaged = RowStoreError.corrupt(
                path: path,
                detail: "a row of space 1 is not what was written"
            )
            #expect(throws: damaged) { try again.rows(space: 1) }
            #expect(try again.rows(space: 2).count == 1)
        }
    }

    @Test("only the owner may read the file and its log, those of an earlier release included")
    func mode() throws {
        try withFolder { folder in
            func modes() throws -> [Int] {
                try ["/a.db", "/a.db-wal"].map { name in
                    let attributes = try FileManager.default.attributesOfItem(
                        atPath: folder + name
                    )
                    return try #require(attributes[.posixPermissions] as? Int)
                }
            }
            let path = folder + "/a.db"
            var store = try RowStore(path: path)
            try store.write([StoredRow(space: 1, key: [1], value: [1])])
            #expect(try modes() == [0o600, 0o600])
            try store.close()
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
            store = try RowStore(path: path)
            try store.write([StoredRow(space: 1, key: [1], value: [2])])
            #expect(try modes() == [0o600, 0o600])
            try store.close()
        }
    }

    @Test("a file that is no database is called damaged, with the way out")
    func corrupt() throws {
        try withFolder { folder in
            let path = folder + "/a.db"
            try Data(repeating: 0x5a, count: 8_192).write(to: URL(filePath: path))
            let error = #expect(throws: RowStoreError.self) { try RowStore(path: path) }
            guard case .corrupt = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.description.contains("move it away") == true)
        }
    }

    @Test("a file of a later release is refused and left as it is")
    func newer() throws {
        try withFolder { folder in
            let path = folder + "/a.db"
            let store = try RowStore(path: path)
            try store.write([StoredRow(space: 1, key: [1], value: [1])])
            try store.close()
            // The layout number is the big-endian word at offset 60 of the file's header.
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: 60)
            try file.write(contentsOf: Data([0, 0, 0, 99]))
            try file.close()
            #expect(throws: RowStoreError.otherLayout(path: path, found: 99, supported: 2)) {
                try RowStore(path: path)
            }
        }
    }

    @Test("a second process, or a second store, on one file is refused")
    func locked() throws {
        try withFolder { folder in
            let store = try RowStore(path: folder + "/a.db")
            try store.write([StoredRow(space: 1, key: [1], value: [1])])
            #expect(throws: RowStoreError.locked(path: folder + "/a.db")) {
                try RowStore(path: folder + "/a.db")
            }
        }
    }

    @Test("a folder that does not exist is named")
    func unopenable() {
        let error = #expect(throws: RowStoreError.self) {
            try RowStore(path: "/nonexistent-folder/a.db")
        }
        #expect(error?.description.contains("/nonexistent-folder/a.db") == true)
    }
}
