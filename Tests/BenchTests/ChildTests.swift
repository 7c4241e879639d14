import Determinism
import Foundation
import Glibc
import Testing

@testable import Bench

@Suite("Programs that a bench starts")
struct ChildTests {
    private func shell(_ script: String, _ cleanup: Cleanup = .shared) throws -> Child {
        try Child("/bin/sh", ["-c", script], cleanup: cleanup)
    }

    @Test("lines come whole, in order, from both outputs, the last without its end as well")
    func lines() throws {
        let child = try shell("printf 'one\\ntw'; sleep 0.1; printf 'o\\n\\nrest'; echo bad >&2")
        #expect(child.waitForEnd(within: .seconds(10)) == .exited(0))
        let lines = child.lines()
        #expect(lines.filter { !$0.isError }.map(\.text) == ["one", "two", "", "rest"])
        #expect(lines.filter(\.isError).map(\.text) == ["bad"])
    }

    @Test("a line has the time it came, not the time it is asked for")
    func times() throws {
        let before = Monotonic.now
        let child = try shell("echo first; sleep 0.3; echo second")
        _ = child.waitForEnd(within: .seconds(10))
        let lines = child.lines()
        try #require(lines.count == 2)
        #expect(lines[0].at > before)
        #expect(lines[1].at.since(lines[0].at) >= .milliseconds(250))
        #expect(Monotonic.now > lines[1].at)
    }

    @Test("a long line and many lines arrive complete")
    func volume() throws {
        let child = try shell(
            "head -c 200000 /dev/zero | tr '\\0' x; echo; seq 20000"
        )
        #expect(child.waitForEnd(within: .seconds(20)) == .exited(0))
        let lines = child.lines()
        #expect(lines.count == 20_001)
        #expect(lines[0].text.utf8.count == 200_000)
        #expect(lines.last?.text == "20000")
    }

    @Test("a line that comes is waited for, one that does not come is given up")
    func waiting() throws {
        let child = try shell("sleep 0.1; echo ready; sleep 60")
        #expect(child.waitForLine(within: .seconds(10)) { $0 == "ready" }?.text == "ready")
        #expect(child.waitForLine(within: .milliseconds(50)) { $0 == "never" } == nil)
        #expect(child.waitForLine(from: 1, within: .milliseconds(50)) { $0 == "ready" } == nil)
        child.send(SIGKILL)
        #expect(child.waitForEnd(within: .seconds(10)) == .signalled(SIGKILL))
    }

    @Test("the end is seen although a process that was left behind holds the pipes")
    func heldPipe() throws {
        let child = try shell("sleep 30 & echo $!")
        #expect(child.waitForEnd(within: .seconds(10)) == .exited(0))
        let left = try #require(child.lines().first.flatMap { Int32($0.text) })
        #expect(kill(left, SIGKILL) == 0)
    }

    @Test("a stopped child says nothing until it goes on")
    func stopped() throws {
        let child = try shell("while :; do echo tick; sleep 0.01; done")
        _ = child.waitForLine(within: .seconds(10)) { $0 == "tick" }
        #expect(child.send(SIGSTOP))
        Monotonic.sleep(.milliseconds(100))
        let silent = child.lines().count
        Monotonic.sleep(.milliseconds(200))
        #expect(child.lines().count == silent)
        #expect(child.send(SIGCONT))
        #expect(child.waitForLine(from: silent, within: .seconds(10)) { $0 == "tick" } != nil)
        child.send(SIGKILL)
        #expect(child.waitForEnd(within: .seconds(10)) == .signalled(SIGKILL))
        #expect(!child.send(SIGKILL), "it has ended: its number may be somebody else's")
    }

    @Test("a program that is not there is an error that names it")
    func missing() {
        #expect(throws: BenchError.self) { try Child("/no/such/program", []) }
        #expect(throws: BenchError.self) { try Child("no-such-program-anywhere", []) }
        #expect(Child.find("sh") != nil)
    }

    @Test("a command's failure says what it was and what it said")
    func failure() throws {
        #expect(try Command.run("/bin/echo", ["fine"]) == "fine")
        let error = #expect(throws: BenchError.self) {
            try Command.run("/bin/sh", ["-c", "echo reason >&2; exit 3"])
        }
        #expect(error?.description.contains("ended with 3") == true)
        #expect(error?.description.contains("reason") == true)
        #expect(throws: BenchError.self) {
            try Command.run("/bin/sleep", ["60"], within: .milliseconds(100))
        }
    }

    @Test("the cleanup kills stopped children, too, runs its steps once, and lets nothing start")
    func cleanup() throws {
        let cleanup = Cleanup()
        let directory = try cleanup.temporaryDirectory()
        let runs = FileManager.default
        #expect(runs.createFile(atPath: "\(directory)/file", contents: nil))
        let children = [try shell("sleep 60", cleanup), try shell("sleep 60", cleanup)]
        children[1].send(SIGSTOP)
        cleanup.run()
        cleanup.run()
        #expect(children.allSatisfy { $0.end == .signalled(SIGKILL) })
        #expect(!runs.fileExists(atPath: directory))
        #expect(throws: BenchError.self) { try shell("true", cleanup) }
    }
}
