import CNIProtocol
import Testing

/// Reads a table of variables as the plugin reads its environment.
private func read(_ variables: [String: String]) -> CNIInvocation {
    CNIInvocation.read { variables[$0] }
}

private let complete = [
    "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/a",
    "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin", "CNI_ARGS": "IgnoreUnknown=1",
]

@Suite("CNIInvocation: what the environment asks for")
struct CNIInvocationTests {
    @Test("No verb is a person's question, whatever else is set")
    func noVerb_asksForAbout() {
        #expect(read([:]) == .about)
        #expect(read(["CNI_COMMAND": "", "CNI_PATH": "/x"]) == .about)
        #expect(CNIInvocation.aboutText.contains("0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"))
    }

    @Test("C1: VERSION needs nothing but the verb and lists every version")
    func version_needsOnlyTheVerb() {
        #expect(read(["CNI_COMMAND": "VERSION"]) == .version)
        let text = String(decoding: CNIInvocation.versionText, as: UTF8.self)
        #expect(
            text == #"{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","#
                + #""0.4.0","1.0.0","1.1.0"]}"#
        )
    }

    @Test("A whole environment becomes a call")
    func completeEnvironment_becomesCall() {
        let expected = CNICall(
            verb: .add,
            containerID: "c1",
            netns: "/run/netns/a",
            ifname: "eth0",
            args: "IgnoreUnknown=1",
            path: "/opt/cni/bin"
        )
        #expect(read(complete) == .call(expected))
    }

    @Test(
        "C3: every missing variable is named in one message",
        arguments: [
            ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
            ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
            ("DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"),
            ("GC", "CNI_PATH"),
            ("STATUS", "CNI_PATH"),
        ]
    )
    func missingVariables_areNamedAtOnce(verb: String, names: String) {
        let expected = CNIError(
            .invalidEnvironment,
            "required env variables [\(names)] missing"
        )
        #expect(read(["CNI_COMMAND": verb]) == .refused(expected))
    }

    @Test("An empty variable is a missing one, and each is named alone too")
    func emptyVariable_isMissing() {
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            var variables = complete
            variables[name] = ""
            let message = "required env variables [\(name)] missing"
            #expect(read(variables) == .refused(CNIError(.invalidEnvironment, message)))
        }
    }

    @Test("C9: DEL goes without a namespace")
    func delete_goesWithoutNamespace() {
        var variables = complete
        variables["CNI_COMMAND"] = "DEL"
        variables["CNI_NETNS"] = nil
        guard case .call(let call) = read(variables) else {
            Issue.record("refused")
            return
        }
        #expect(call.verb == .delete && call.netns.isEmpty)
    }

    @Test("Verbs that name no container carry none, malformed or not", arguments: ["GC", "STATUS"])
    func collectAndStatus_ignoreAttachment(verb: String) {
        var variables = complete
        variables["CNI_COMMAND"] = verb
        variables["CNI_IFNAME"] = "a/b"
        guard case .call(let call) = read(variables) else {
            Issue.record("refused")
            return
        }
        #expect(call.containerID.isEmpty && call.ifname.isEmpty && call.path == "/opt/cni/bin")
    }

    @Test("An unknown verb is code 4", arguments: ["add", "UPDATE", " ADD", "DELETE"])
    func unknownVerb_isRefused(verb: String) {
        let expected = CNIError(.invalidEnvironment, "unknown CNI_COMMAND: \(verb)")
        #expect(read(["CNI_COMMAND": verb]) == .refused(expected))
    }

    @Test(
        "C4: a container name of the wrong form is code 4",
        arguments: ["-a", ".a", "_a", "a b", "a/b", "a:b", "ä", "a@b", "../x", "a\n"]
    )
    func containerID_wrongForm_isRefused(name: String) {
        var variables = complete
        variables["CNI_CONTAINERID"] = name
        #expect(refusedCode(variables) == .invalidEnvironment)
    }

    @Test(
        "C4: an interface name that the kernel would not take is code 4",
        arguments: [
            ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u{a0}b", "sixteen-bytes-16", "äöüäöüäö",
        ]
    )
    func ifname_wrongForm_isRefused(name: String) {
        var variables = complete
        variables["CNI_IFNAME"] = name
        #expect(refusedCode(variables) == .invalidEnvironment)
    }

    @Test(
        "Names at the edge of the rules are taken",
        arguments: [("0", "a"), ("a_.-Z9", "fifteen-bytes15"), ("A..", "..."), ("9-", "e@0")]
    )
    func names_atTheEdge_areTaken(containerID: String, ifname: String) {
        var variables = complete
        variables["CNI_CONTAINERID"] = containerID
        variables["CNI_IFNAME"] = ifname
        #expect(refusedCode(variables) == nil)
    }

    @Test("A spool name tells two attachments apart")
    func spoolName_isOneToOne() {
        let one = CNICall(verb: .delete, containerID: "a", ifname: "b@c")
        let two = CNICall(verb: .delete, containerID: "a.b", ifname: "c")
        #expect(one.spoolName == "a@b@c.json")
        #expect(two.spoolName == "a.b@c.json")
    }

    private func refusedCode(_ variables: [String: String]) -> CNIErrorCode? {
        guard case .refused(let error) = read(variables) else { return nil }
        return error.code
    }
}
