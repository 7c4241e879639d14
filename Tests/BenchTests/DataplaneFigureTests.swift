import Testing

@testable import Bench

@Suite("What a bench of the dataplane sums up")
struct DataplaneFigureTests {
    private static let genie = DataplanePath(place: .veth, kind: .genie)
    private static let vxlan = DataplanePath(place: .veth, kind: .vxlan)

    private func results(_ ours: [Double], _ peers: [Double], _ what: TrafficCase)
        -> DataplaneResults
    {
        var results = DataplaneResults()
        for value in ours { results.add(TrafficResult(value: value, p99: value), Self.genie, what) }
        for value in peers {
            results.add(TrafficResult(value: value, p99: value), Self.vxlan, what)
        }
        return results
    }

    private func figure(_ name: String, _ results: DataplaneResults) throws -> Figure {
        try #require(DataplaneFigures(results: results).all.first { $0.name == name })
    }

    @Test("the median of the rounds is held to its bar in the peer's median")
    func floors() throws {
        let name = "dataplane.veth.vxlan.udp64"
        let holding = try figure(name, results([10, 181, 500], [90, 100, 110], .udp64))
        #expect(holding.ours == 181 && holding.peer == 100 && holding.ratio == 1.81)
        #expect(holding.bar == 180 && holding.holds == true && holding.runs == 3)
        let failing = try figure(name, results([179], [100], .udp64))
        #expect(failing.holds == false)
    }

    @Test("round trips are held to the peer's 99th percentile, from above")
    func ceilings() throws {
        let figures = results([20], [21], .echo)
        let tail = try figure("dataplane.veth.vxlan.echo.p99", figures)
        #expect(tail.bar == 21 && tail.holds == true)
        #expect(try figure("dataplane.veth.vxlan.echo.p50", figures).bar == nil)
    }

    @Test("what was not measured on both sides is absent")
    func absent() {
        #expect(DataplaneFigures(results: results([1], [], .tcp1)).all.isEmpty)
        #expect(DataplaneFigures(results: results([], [1], .tcp1)).all.isEmpty)
    }

    @Test("IPv6 is held to IPv4 of the same path")
    func families() throws {
        var results = results([100], [], .tcp1)
        let six = DataplanePath(place: .veth, kind: .genie, isV6: true)
        results.add(TrafficResult(value: 94), six, .tcp1)
        let figure = try figure("dataplane.veth.ipv6.tcp1", results)
        #expect(figure.peerName == "IPv4" && figure.bar == 95 && figure.holds == false)
    }

    @Test("noise is how far rounds of one case lie apart")
    func noise() {
        let figures = DataplaneFigures(results: results([90, 100, 110], [], .tcp1))
        #expect(figures.noise.contains("20 %"))
    }
}
