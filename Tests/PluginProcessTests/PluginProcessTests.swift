import Foundation
import Glibc
import PluginProcess
import Testing

@Suite("PluginProcess: programs of others, bounded and waited for")
struct PluginProcessTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "gr-exec-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func lock(_ key: UInt64 = 1, wait: Int = 0) throws -> PluginLock {
        try PluginLock(
            path: folder.appending(path: "lock").path,
            key: key,
            waitMilliseconds: wait
        )
    }

    private func program(_ text: String) throws -> String {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: "plugin-\(UUID())").path
        try Data("#!/bin/sh\n\(text)\n".utf8).write(to: URL(filePath: path))
        chmod(path, 0o755)
        return path
    }

    private func run(
        _ text: String,
        input: [UInt8] = [],
        milliseconds: Int = 10_000
    ) throws -> PluginProcess.Outcome {
        defer { try? FileManager.default.removeItem(at: folder) }
        return try PluginProcess.run(
            PluginProcess.Call(
                path: try program(text),
                environment: ["CNI_COMMAND=ADD", "PATH=/usr/bin:/bin"],
                input: input,
                deadlineMilliseconds: milliseconds
            ),
            holding: try lock()
        )
    }

    @Test("input, environment, both outputs and the status go through whole")
    func whole() throws {
        let input = Array(repeating: UInt8(ascii: "x"), count: 300_000)
        let outcome = try run("cat; echo \"$CNI_COMMAND\" >&2; exit 3", input: input)
        #expect(outcome.status == 3 && outcome.output == input && outcome.errors == "ADD\n")
    }

    @Test("a program that does not read its input is none the worse for it")
    func unread() throws {
        let outcome = try run("echo done", input: Array(repeating: 0, count: 1 << 20))
        #expect(outcome.status == 0 && outcome.output == Array("done\n".utf8))
    }

    @Test("a program that is killed says by which signal; nothing of ours is inherited")
    func killed() throws {
        #expect(try run("kill -9 $$").status == 137)
        // Listed by what the shell becomes: the shell itself has others open for a moment.
        let open = try run("exec ls /proc/self/fd")
        // 3 is the lock; 4 the folder that is listed.
        let numbers = String(decoding: open.output, as: UTF8.self).split(separator: "\n")
        #expect(numbers.prefix(4) == ["0", "1", "2", "3"] && numbers.count <= 5, "\(numbers)")
    }

    @Test("a child that it leaves behind with its outputs open is not waited for")
    func leftBehind() throws {
        let start = Date()
        let outcome = try run("sleep 4 & echo done; echo fine >&2")
        #expect(Date().timeIntervalSince(start) < 3)
        #expect(outcome.status == 0 && outcome.output == Array("done\n".utf8))
        #expect(outcome.errors == "fine\n")
    }

    @Test("relative directories are passed over: they are the runtime's and not ours")
    func relative() {
        #expect(PluginProcess.find("sh", in: "../bin:bin:/bin") == "/bin/sh")
        #expect(PluginProcess.find("sh", in: "../../../../../../../../bin") == nil)
    }

    @Test("one that takes too long is killed with its children, one that says too much too")
    func bounds() throws {
        let start = Date()
        let slow = #expect(throws: PluginProcessError.self) {
            try run("sleep 77 & sleep 77", milliseconds: 200)
        }
        #expect(slow.map { "\($0)".contains("within 200 ms") } == true)
        #expect(Date().timeIntervalSince(start) < 5)
        let loud = #expect(throws: PluginProcessError.self) { try run("cat /dev/zero") }
        #expect(loud.map { "\($0)".contains("wrote more than") } == true)
    }

    @Test("one that cannot be started says why")
    func absent() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let call = PluginProcess.Call(
            path: "/absent/plugin",
            environment: [],
            input: [],
            deadlineMilliseconds: 1_000
        )
        #expect(throws: PluginProcessError.notStarted(path: "/absent/plugin", errno: ENOENT)) {
            try PluginProcess.run(call, holding: try lock())
        }
    }

    @Test("C20: a program that is still being written is waited for")
    func busy() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "copied").path
        try FileManager.default.copyItem(atPath: "/bin/true", toPath: path)
        let writer = open(path, O_WRONLY)
        Thread.detachNewThread {
            usleep(300_000)
            close(writer)
        }
        let call = PluginProcess.Call(
            path: path,
            environment: [],
            input: [],
            deadlineMilliseconds: 5_000
        )
        #expect(try PluginProcess.run(call, holding: try lock()).status == 0)
    }

    @Test("what a call left running keeps the next call for the pod waiting, and no other's")
    func orphan() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        // A lock that is dropped without being given back: as after the daemon's death, only the
        // child holds it.
        let path = folder.appending(path: "lock").path
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        var range = flock()
        range.l_type = Int16(F_WRLCK)
        range.l_whence = Int16(SEEK_SET)
        range.l_start = 1
        range.l_len = 1
        try #require(fcntl(descriptor, 37, &range) == 0)
        var arguments = [strdup("sleep"), strdup("0.6"), nil]
        defer { for text in arguments { free(text) } }
        var child: pid_t = 0
        try #require(posix_spawn(&child, "/bin/sleep", nil, nil, &arguments, nil) == 0)
        close(descriptor)
        #expect(throws: PluginProcessError.self) { _ = try lock(1) }
        #expect(throws: Never.self) { _ = try lock(2) }
        #expect(throws: Never.self) { _ = try lock(1, wait: 5_000) }
        var status: Int32 = 0
        #expect(waitpid(child, &status, 0) == child && status == 0)
    }

    @Test("programs are found by name only, in the order of the directories")
    func find() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let name = URL(filePath: try program("true")).lastPathComponent
        #expect(PluginProcess.find(name, in: "/absent:\(folder.path)") == "\(folder.path)/\(name)")
        #expect(PluginProcess.find("absent", in: folder.path) == nil)
        #expect(PluginProcess.find("../\(name)", in: folder.path) == nil)
        #expect(PluginProcess.find("", in: folder.path) == nil)
    }
}
