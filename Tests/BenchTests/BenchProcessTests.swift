import Determinism
import Foundation
import Glibc
import Testing

@testable import Bench

@Suite("A bench that is ended from outside")
struct BenchProcessTests {
    /// A bench whose lab is a script that notes its process id and waits.
    private struct Waiting {
        let bench: Child
        let child: Int32
        let folder: URL

        init() throws {
            let folder = FileManager.default.temporaryDirectory
                .appending(path: "bench-test-\(UUID().uuidString)")
            let temporary = folder.appending(path: "tmp")
            try FileManager.default.createDirectory(
                at: temporary,
                withIntermediateDirectories: true
            )
            let lab = folder.appending(path: "lab").path
            let script = """
                #!/bin/sh
                if [ "$3" = down ]; then touch '\(folder.path)/down'; exit; fi
                echo $$ > '\(folder.path)/pid.new'
                mv '\(folder.path)/pid.new' '\(folder.path)/pid'
                exec sleep 60
                """
            // By another process: a child that was forked meanwhile would hold a file of ours open
            // for writing, and such a file cannot be executed.
            try Command.run(
                "/bin/sh",
                ["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", script, lab]
            )
            let root = URL(filePath: #filePath).deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
            let binaries =
                ProcessInfo.processInfo.environment["GENIE_BIN"]
                ?? root.appending(path: ".build/debug").path
            bench = try Child(
                "\(binaries)/genie-bench",
                ["membership", "--lab", lab],
                environment: ["TMPDIR": temporary.path]
            )
            var child: Int32?
            let hasStarted = Monotonic.wait(.seconds(20)) {
                child = (try? String(contentsOf: folder.appending(path: "pid"), encoding: .utf8))
                    .flatMap { Int32($0.dropLast()) }
                return child != nil
            }
            #expect(hasStarted, "\(bench.lines().map(\.text))")
            self.child = try #require(child)
            self.folder = folder
        }

        var isChildGone: Bool {
            Monotonic.wait(.seconds(10)) { kill(child, 0) != 0 }
        }

        func exists(_ name: String) -> Bool {
            FileManager.default.fileExists(atPath: folder.appending(path: name).path)
        }

        func remove() { try? FileManager.default.removeItem(at: folder) }
    }

    @Test("asked to end, it kills its children, takes the lab down and removes its files")
    func asked() throws {
        let waiting = try Waiting()
        defer { waiting.remove() }
        waiting.bench.send(SIGTERM)
        #expect(waiting.bench.waitForEnd(within: .seconds(20)) == .exited(128 + SIGTERM))
        #expect(waiting.isChildGone)
        #expect(waiting.exists("down"))
        let left = try FileManager.default.contentsOfDirectory(
            atPath: waiting.folder.appending(path: "tmp").path
        )
        #expect(left.isEmpty)
    }

    @Test("killed, it takes its children with it")
    func killed() throws {
        let waiting = try Waiting()
        defer { waiting.remove() }
        waiting.bench.send(SIGKILL)
        #expect(waiting.bench.waitForEnd(within: .seconds(20)) == .signalled(SIGKILL))
        #expect(waiting.isChildGone)
    }
}
