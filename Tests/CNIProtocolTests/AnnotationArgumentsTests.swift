import CNIProtocol
import Determinism
import Testing

@Suite("CNI_ARGS: annotations that the runtime passes on")
struct AnnotationArgumentsTests {
    @Test("K8S_ANNOT is JSON, in which a semicolon parts nothing")
    func annotations() throws {
        let text = #"K8S_POD_NAME=p;K8S_ANNOT={"cni":"a,b;c","x":"}"};MAC=02:00:00:00:00:01;"#
        let arguments = try CNIArguments(text)
        #expect(arguments.podName == "p" && arguments.mac == "02:00:00:00:00:01")
        #expect(arguments.podAnnotations["cni"] == "a,b;c")
        #expect(arguments.podAnnotations["x"] == "}")
        #expect(CNIArguments.pairs(text).count == 3)
        #expect(try CNIArguments("").podAnnotations.isEmpty)
    }

    @Test(
        "what is no object of texts is code 4",
        arguments: ["K8S_ANNOT=", "K8S_ANNOT=[]", #"K8S_ANNOT={"a":1}"#, "K8S_ANNOT={"]
    )
    func malformed(text: String) {
        let error = #expect(throws: CNIError.self) { try CNIArguments(text) }
        #expect(error?.code == .invalidEnvironment && error?.msg.contains("K8S_ANNOT") == true)
    }

    @Test("C19: a key that we do not know is an error unless they are to be skipped")
    func unknown() throws {
        #expect(throws: CNIError.self) { try CNIArguments("WHO=me") }
        #expect(throws: Never.self) { try CNIArguments("WHO=me;IgnoreUnknown=1") }
    }
}
