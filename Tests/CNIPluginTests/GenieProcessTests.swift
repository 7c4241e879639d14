import CNIProtocol
import Foundation
import Glibc
import LocalSocket
import Testing

/// The program beside the test bundle; nil where it was not built.
private let program: String? = {
    let argument = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    let places = [argument ?? "", CommandLine.arguments[0]].map {
        URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("genie").path
    }
    return places.first { FileManager.default.isExecutableFile(atPath: $0) }
}()

private struct Ended {
    let status: Int32
    let output: String
    let errors: String
}

private func start(_ variables: [String: String], input: String?) async throws -> Ended {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(program))
    process.environment = variables
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    // Without an input the pipe stays open, as a terminal would.
    let stdin = Pipe()
    process.standardInput = stdin
    if let input {
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
    }
    try process.run()
    let outputData = try output.fileHandleForReading.readToEnd() ?? Data()
    let errorData = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try? stdin.fileHandleForWriting.close()
    return Ended(
        status: process.terminationStatus,
        output: String(decoding: outputData, as: UTF8.self),
        errors: String(decoding: errorData, as: UTF8.self)
    )
}

@Suite("genie: the program itself", .enabled(if: program != nil, "genie was not built"))
struct GenieProcessTests {
    private let configuration = #"{"cniVersion":"1.1.0","name":"blue","type":"genie"}"#

    private func variables(_ scratch: ScratchDirectory, _ command: String) -> [String: String] {
        [
            "CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/none",
            "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin",
            "GENIE_SOCKET": "\(scratch.path)/s", "GENIE_SPOOL": "\(scratch.path)/spool",
        ]
    }

    @Test("C1: VERSION is answered while standard input stays open")
    func version_isAnswered() async throws {
        let ended = try await start(["CNI_COMMAND": "VERSION"], input: nil)
        #expect(ended.status == 0 && ended.errors.isEmpty)
        #expect(ended.output == String(decoding: CNIInvocation.versionText, as: UTF8.self))
    }

    @Test("Started by hand it says what it is")
    func noVerb_tellsAbout() async throws {
        let ended = try await start([:], input: nil)
        #expect(ended.status == 0 && ended.output.isEmpty)
        #expect(ended.errors == CNIInvocation.aboutText)
    }

    @Test(
        "With the daemon away each verb ends as the specification has it",
        arguments: [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)]
    )
    func daemonAway_isCode(command: String, code: Int) async throws {
        let scratch = try ScratchDirectory()
        let ended = try await start(variables(scratch, command), input: configuration)
        #expect(ended.status == 1)
        let error = try JSONDecoder().decode(CNIError.self, from: Data(ended.output.utf8))
        #expect(error.code.rawValue == code && error.cniVersion == "1.1.0")
    }

    @Test("C9: with the daemon away a DEL is kept and succeeds, three times over")
    func delete_daemonAway_isKept() async throws {
        let scratch = try ScratchDirectory()
        for _ in 0..<3 {
            let ended = try await start(variables(scratch, "DEL"), input: configuration)
            #expect(ended.status == 0 && ended.output.isEmpty)
        }
        let spool = SpoolDirectory(path: "\(scratch.path)/spool")
        #expect(try spool.names() == ["c1@eth0.json"])
    }

    @Test("With the daemon there its answer comes out of the program")
    func daemonThere_isHeard() async throws {
        let scratch = try ScratchDirectory()
        let listener = try RecordingListener(
            path: "\(scratch.path)/s",
            answer: RecordingListener.answer(200, "{\"cniVersion\":\"1.1.0\"}")
        )
        let ended = try await start(variables(scratch, "ADD"), input: configuration)
        #expect(ended.status == 0 && ended.output == "{\"cniVersion\":\"1.1.0\"}")
        #expect(listener.finish().count == 1)
    }
}
