import CNIPlugin
import CNIProtocol
import Foundation
import Glibc
import LocalSocket
import Testing

private let configuration =
    #"{"cniVersion":"1.1.0","name":"blue","type":"genie","vpc":"v","group":"g"}"#

private func errorOf(_ outcome: CNIPlugin.Outcome) throws -> CNIError {
    try JSONDecoder().decode(CNIError.self, from: Data(outcome.standardOutput))
}

/// A plugin call with a directory of its own for the socket and the spool.
private struct Scene {
    let scratch: ScratchDirectory
    var variables: [String: String]

    init(_ command: String) throws {
        scratch = try ScratchDirectory()
        variables = [
            "CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/none",
            "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin", "CNI_ARGS": "K8S_POD_NAME=a\"b",
            "GENIE_SOCKET": "\(scratch.path)/s", "GENIE_SPOOL": "\(scratch.path)/spool",
        ]
    }

    var socket: String { "\(scratch.path)/s" }
    var spool: SpoolDirectory { SpoolDirectory(path: "\(scratch.path)/spool") }

    func run(
        _ text: String = configuration,
        limits: CNIPlugin.Limits = CNIPlugin.Limits()
    ) throws -> CNIPlugin.Outcome {
        let input = try InputPipe(text)
        return CNIPlugin.run(
            environment: { variables[$0] },
            standardInput: input.descriptor,
            limits: limits
        )
    }

    func call(_ verb: CNIVerb, config: String = configuration) -> CNICall {
        CNICall(
            verb: verb,
            containerID: verb.namesAttachment ? "c1" : "",
            netns: verb.namesAttachment ? "/run/netns/none" : "",
            ifname: verb.namesAttachment ? "eth0" : "",
            args: "K8S_POD_NAME=a\"b",
            path: "/opt/cni/bin",
            config: config
        )
    }
}

@Suite("CNIPlugin: without the daemon")
struct CNIPluginAloneTests {
    @Test("C1: VERSION is answered without reading standard input")
    func version_readsNothing() throws {
        let outcome = CNIPlugin.run(
            environment: { $0 == "CNI_COMMAND" ? "VERSION" : nil },
            standardInput: -1
        )
        #expect(outcome.exitStatus == 0 && outcome.standardError.isEmpty)
        #expect(outcome.standardOutput == CNIInvocation.versionText)
    }

    @Test("No verb is answered with what the program is, as a success")
    func noVerb_tellsAbout() throws {
        let outcome = CNIPlugin.run(environment: { _ in nil }, standardInput: -1)
        #expect(outcome.exitStatus == 0 && outcome.standardOutput.isEmpty)
        #expect(outcome.standardError.contains("CNI protocol versions supported: 0.1.0, "))
    }

    @Test("C3: a refused environment is answered in the configuration's version")
    func refusedEnvironment_hasVersion() throws {
        var scene = try Scene("ADD")
        scene.variables["CNI_NETNS"] = nil
        scene.variables["CNI_PATH"] = nil
        let outcome = try scene.run(#"{"cniVersion":"0.3.1","name":"a"}"#)
        #expect(outcome.exitStatus == 1)
        #expect(
            try errorOf(outcome)
                == CNIError(
                    .invalidEnvironment,
                    "required env variables [CNI_NETNS,CNI_PATH] missing",
                    cniVersion: "0.3.1"
                )
        )
    }

    @Test("A refused environment does not wait for an input that never ends")
    func refusedEnvironment_doesNotHang() throws {
        let input = try InputPipe("{", staysOpen: true)
        let outcome = CNIPlugin.run(
            environment: { $0 == "CNI_COMMAND" ? "ADD" : nil },
            standardInput: input.descriptor,
            limits: CNIPlugin.Limits(refusedInputMilliseconds: 1)
        )
        #expect(try errorOf(outcome).code == .invalidEnvironment)
        #expect(try errorOf(outcome).cniVersion == "1.1.0")
    }

    @Test(
        "C4, C5, C6 and C7: a configuration is refused before the daemon is asked",
        arguments: [
            ("ADD", "", 6, "1.1.0"), ("DEL", "{", 6, "1.1.0"), ("ADD", "[]", 6, "1.1.0"),
            ("ADD", #"{"cniVersion":"1.0.0"}"#, 7, "1.0.0"),
            ("ADD", #"{"name":"a b"}"#, 7, "0.1.0"),
            ("DEL", #"{"name":"a","cniVersion":"3.0.0"}"#, 1, "3.0.0"),
            ("CHECK", #"{"name":"a","cniVersion":"0.3.1"}"#, 1, "0.3.1"),
            ("GC", #"{"name":"a","cniVersion":"1.0.0"}"#, 1, "1.0.0"),
            ("STATUS", #"{"name":"a","cniVersion":"0.4.0"}"#, 1, "0.4.0"),
        ]
    )
    func configuration_isRefused(
        command: String,
        text: String,
        code: Int,
        version: String
    ) throws {
        let outcome = try Scene(command).run(text)
        let error = try errorOf(outcome)
        #expect(outcome.exitStatus == 1)
        #expect(error.code.rawValue == code && error.cniVersion == version)
    }

    @Test("An input that is too large, or never ends, is refused")
    func input_isBounded() throws {
        let scene = try Scene("ADD")
        let large = try scene.run(limits: CNIPlugin.Limits(inputBytesMax: 10))
        #expect(try errorOf(large).code == .decodingFailure)
        let input = try InputPipe(configuration, staysOpen: true)
        let late = CNIPlugin.run(
            environment: { scene.variables[$0] },
            standardInput: input.descriptor,
            limits: CNIPlugin.Limits(inputMilliseconds: 1)
        )
        #expect(try errorOf(late).code == .inputOutputFailure)
        let closed = CNIPlugin.run(
            environment: { scene.variables[$0] },
            standardInput: -1,
            limits: CNIPlugin.Limits(inputMilliseconds: 1)
        )
        #expect(try errorOf(closed).code == .inputOutputFailure)
    }

    @Test(
        "C16: a daemon that is away is code 11, and 50 for STATUS",
        arguments: [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)]
    )
    func daemonAway_isCode(command: String, code: Int) throws {
        let scene = try Scene(command)
        let outcome = try scene.run()
        let error = try errorOf(outcome)
        #expect(outcome.exitStatus == 1 && error.code.rawValue == code)
        #expect(error.cniVersion == "1.1.0" && error.details.contains(scene.socket))
        #expect(try scene.spool.names().isEmpty)
    }

    @Test("The configuration's version goes on the answer; without one it is 0.1.0")
    func daemonAway_answersInVersion() throws {
        #expect(try errorOf(Scene("ADD").run(#"{"name":"a"}"#)).cniVersion == "0.1.0")
        let text = #"{"plugins":[],"name":"a","x":{"cniVersion":"9"},"cniVersion":"0.4.0"}"#
        #expect(try errorOf(Scene("ADD").run(text)).cniVersion == "0.4.0")
    }

    @Test("C9: a DEL succeeds each time, and one whole call waits for the daemon")
    func delete_daemonAway_isKept() throws {
        var scene = try Scene("DEL")
        for _ in 0..<3 {
            let outcome = try scene.run()
            #expect(outcome.exitStatus == 0 && outcome.standardOutput.isEmpty)
            #expect(outcome.standardError.contains("kept in \(scene.scratch.path)/spool"))
        }
        scene.variables["CNI_IFNAME"] = "net1"
        #expect(try scene.run().exitStatus == 0)
        #expect(try scene.spool.names() == ["c1@eth0.json", "c1@net1.json"])
        let bytes = try #require(try scene.spool.read(name: "c1@eth0.json"))
        #expect(
            try JSONDecoder().decode(CNICall.self, from: Data(bytes)) == scene.call(.delete)
        )
    }

    @Test("A DEL that cannot be kept is code 11")
    func delete_unspoolable_isCode11() throws {
        var scene = try Scene("DEL")
        let file = "\(scene.scratch.path)/file"
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
        scene.variables["GENIE_SPOOL"] = "\(file)/spool"
        let outcome = try scene.run()
        #expect(outcome.exitStatus == 1)
        #expect(try errorOf(outcome).code == .tryAgainLater)
        #expect(try errorOf(outcome).details.contains("GENIE_SPOOL"))
    }

    @Test("The plugin's own namespace is code 8 for ADD, unless it is meant")
    func ownNamespace_isCode8() throws {
        var scene = try Scene("ADD")
        scene.variables["CNI_NETNS"] = "/proc/self/ns/net"
        #expect(try errorOf(scene.run()).code == .invalidNamespace)
        for word in ["1", "true", "TRUE"] {
            scene.variables["CNI_NETNS_OVERRIDE"] = word
            #expect(try errorOf(scene.run()).code == .tryAgainLater)
        }
        scene.variables["CNI_NETNS_OVERRIDE"] = nil
        scene.variables["CNI_COMMAND"] = "DEL"
        #expect(try scene.run().exitStatus == 0)
    }
}

@Suite("CNIPlugin: with the daemon")
struct CNIPluginCallTests {
    @Test(
        "The daemon gets the call as it was made, and its answer goes out byte for byte",
        arguments: [CNIVerb.add, .delete, .check, .collect, .status]
    )
    func call_isHandedOver(verb: CNIVerb) throws {
        let scene = try Scene(verb.rawValue)
        let awkward = configuration.dropLast() + #","x":"\u00e4\n\"","y":"ä/\\"}"#
        let body = #"{ "cniVersion":"1.1.0", "odd" : [ 1 ] }"#
        let listener = try RecordingListener(
            path: scene.socket,
            answer: RecordingListener.answer(200, body)
        )
        let outcome = try scene.run(String(awkward))
        let requests = listener.finish()
        #expect(outcome.exitStatus == 0 && outcome.standardError.isEmpty)
        #expect(String(decoding: outcome.standardOutput, as: UTF8.self) == body)
        let request = try #require(requests.first)
        #expect(requests.count == 1 && request.hasPrefix("POST /v1/cni HTTP/1.1\r\n"))
        let end = try #require(request.firstRange(of: "\r\n\r\n"))
        let sent = try JSONDecoder().decode(
            CNICall.self,
            from: Data(request[end.upperBound...].utf8)
        )
        #expect(sent == scene.call(verb, config: String(awkward)))
        #expect(try scene.spool.names().isEmpty)
    }

    @Test("A refusal of the daemon goes out as it came, with a failing status")
    func refusal_goesOut() throws {
        for command in ["ADD", "DEL", "STATUS"] {
            let scene = try Scene(command)
            let body = #"{"cniVersion":"1.1.0","code":100,"msg":"no vpc","details":"d"}"#
            let listener = try RecordingListener(
                path: scene.socket,
                answer: RecordingListener.answer(500, body)
            )
            let outcome = try scene.run()
            _ = listener.finish()
            #expect(outcome.exitStatus == 1)
            #expect(String(decoding: outcome.standardOutput, as: UTF8.self) == body)
            #expect(try scene.spool.names().isEmpty)
        }
    }

    @Test("An answer that is none of the protocol becomes code 5")
    func foreignAnswer_isCode5() throws {
        let scene = try Scene("ADD")
        let listener = try RecordingListener(
            path: scene.socket,
            answer: RecordingListener.answer(404, "not here")
        )
        let error = try errorOf(scene.run())
        _ = listener.finish()
        #expect(error.code == .inputOutputFailure && error.msg.contains("status 404"))
        #expect(error.details == "not here")
    }

    @Test("C18: a daemon that dies in the middle is code 11; a DEL is kept")
    func daemonDies_isCode11() throws {
        for (command, status) in [("ADD", Int32(1)), ("DEL", 0)] {
            let scene = try Scene(command)
            let listener = try RecordingListener(path: scene.socket, answer: "")
            let outcome = try scene.run()
            _ = listener.finish()
            #expect(outcome.exitStatus == status)
            if command == "ADD" {
                #expect(try errorOf(outcome).code == .tryAgainLater)
            }
            #expect(try scene.spool.names().count == (command == "DEL" ? 1 : 0))
        }
    }

    @Test("A daemon that is there but does not answer is code 11 for a DEL too, which is not kept")
    func daemonStuck_isCode11() throws {
        let scene = try Scene("DEL")
        // Listens by its backlog alone; nobody reads.
        let stuck = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: scene.socket.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(stuck, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(stuck, 1) == 0)
        defer { close(stuck) }
        let outcome = try scene.run(limits: CNIPlugin.Limits(answerMilliseconds: 50))
        #expect(outcome.exitStatus == 1)
        #expect(try errorOf(outcome).code == .tryAgainLater)
        #expect(try scene.spool.names().isEmpty)
    }

    @Test("The configuration may name the socket; the environment goes first")
    func socket_isNamedByConfiguration() throws {
        var scene = try Scene("ADD")
        let other = "\(scene.scratch.path)/other"
        let text = configuration.dropLast() + ",\"socket\":\"\(other)\"}"
        #expect(try errorOf(scene.run(String(text))).details.contains(scene.socket))
        scene.variables["GENIE_SOCKET"] = ""
        let listener = try RecordingListener(
            path: other,
            answer: RecordingListener.answer(200, "{}")
        )
        #expect(try scene.run(String(text)).exitStatus == 0)
        #expect(listener.finish().count == 1)
    }
}
