import Glibc
import LocalSocket
import Testing

@Suite("SpoolDirectory: entries that wait for a process")
struct SpoolDirectoryTests {
    @Test("An entry is written whole, listed, read, replaced and removed")
    func entry_livesAndGoes() throws {
        let scratch = try ScratchDirectory()
        let spool = SpoolDirectory(path: "\(scratch.path)/a/b/spool")
        #expect(try spool.names() == [])
        #expect(try spool.read(name: "x") == nil)
        try spool.write(name: "c2@eth0.json", [1, 2, 3])
        try spool.write(name: "c1@eth0.json", [])
        #expect(try spool.names() == ["c1@eth0.json", "c2@eth0.json"])
        #expect(try spool.read(name: "c2@eth0.json") == [1, 2, 3])
        try spool.write(name: "c2@eth0.json", [UInt8](repeating: 7, count: 200_000))
        #expect(try spool.read(name: "c2@eth0.json")?.count == 200_000)
        try spool.remove(name: "c2@eth0.json")
        try spool.remove(name: "c2@eth0.json")
        #expect(try spool.names() == ["c1@eth0.json"])
    }

    @Test("Only the owner can look in, and nothing half-written is listed")
    func directory_isPrivate() throws {
        let scratch = try ScratchDirectory()
        let spool = SpoolDirectory(path: "\(scratch.path)/spool")
        try spool.write(name: "a", [1])
        close(open("\(spool.path)/.new-abcdef", O_CREAT | O_WRONLY, 0o600))
        #expect(try spool.names() == ["a"])
        var status = stat()
        #expect(stat(spool.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(stat("\(spool.path)/a", &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test(
        "A name that is no file name is refused",
        arguments: ["", ".", "..", ".a", "a/b", "../a", "a\0b", String(repeating: "a", count: 256)]
    )
    func badName_isRefused(name: String) throws {
        let scratch = try ScratchDirectory()
        let spool = SpoolDirectory(path: scratch.path)
        let expected = SpoolError.refused(path: scratch.path, name: name)
        #expect(throws: expected) { try spool.write(name: name, [1]) }
        #expect(throws: expected) { try spool.read(name: name) }
        #expect(throws: expected) { try spool.remove(name: name) }
    }

    @Test("A spool that cannot be made names the step and leaves nothing")
    func unwritable_isNamed() throws {
        let scratch = try ScratchDirectory()
        close(open("\(scratch.path)/file", O_CREAT | O_WRONLY, 0o600))
        let spool = SpoolDirectory(path: "\(scratch.path)/file/spool")
        #expect(throws: SpoolError.failed(path: spool.path, step: .create, errno: ENOTDIR)) {
            try spool.write(name: "a", [1])
        }
        let taken = SpoolDirectory(path: "\(scratch.path)/taken")
        try taken.write(name: "a", [1])
        #expect(mkdir("\(taken.path)/dir", 0o700) == 0)
        #expect(throws: SpoolError.failed(path: taken.path, step: .rename, errno: EISDIR)) {
            try taken.write(name: "dir", [1])
        }
        #expect(rmdir("\(taken.path)/dir") == 0)
        try taken.remove(name: "a")
        #expect(rmdir(taken.path) == 0, "something was left behind")
    }
}
