import CNIProtocol
import Determinism
import NetSelection
import Testing

@Suite("What cAdvisor says that interfaces carry")
struct ContainerLoadsTests {
    private func sample(_ interfaces: String) -> String {
        #"{"timestamp":"2020-01-01T00:00:00Z","network":{"interfaces":[\#(interfaces)]}}"#
    }

    private func interface(_ name: String, _ received: Int, _ sent: Int) -> String {
        #"{"name":"\#(name)","rx_bytes":\#(received),"tx_bytes":\#(sent)}"#
    }

    private func answer(_ samples: String...) throws -> JSONValue {
        try JSONValue(parsing: #"{"name":"/","stats":[\#(samples.joined(separator: ","))]}"#)
    }

    @Test("a load is what was carried between the newest two samples, both ways")
    func differences() throws {
        let loads = try ContainerLoads.read(
            answer(
                sample(interface("cni0", 1, 1)),
                sample(interface("cni0", 100, 50) + "," + interface("eth0", 9_000, 9_000)),
                sample(
                    interface("cni0", 130, 60) + "," + interface("eth0", 10, 5) + ","
                        + interface("weave", 7, 0)
                )
            )
        )
        #expect(loads["cni0"] == 40)
        #expect(loads["eth0"] == 15, "a counter that went back is of a new interface")
        #expect(loads["weave"] == 7)
        #expect(loads.count == 3)
    }

    @Test(
        "an answer that says nothing is named by what it lacks",
        arguments: [
            (#"{}"#, "stats is missing"), (#"{"stats":7}"#, "stats is missing"),
            (#"{"stats":[]}"#, "0 samples"),
            (#"{"stats":[{"network":{"interfaces":[]}}]}"#, "1 samp"),
            (#"{"stats":[{},{}]}"#, "stats[].network.interfaces"),
            (
                #"{"stats":[{"network":{"interfaces":[{"name":"a","rx_bytes":-1,"tx_bytes":0}]}},{}]}"#,
                "rx_bytes"
            ), (#"[]"#, "stats is missing"),
        ]
    )
    func flaws(text: String, word: String) throws {
        let error = #expect(throws: ContainerLoads.Flaw.self) {
            try ContainerLoads.read(JSONValue(parsing: text))
        }
        #expect(error.map { "\($0)".contains(word) } == true, "\(String(describing: error))")
    }
}
