import Determinism
import Testing

@testable import Bench

@Suite("What the members of a bench say")
struct MembershipTests {
    private typealias Report = MembershipCluster.Report

    private static let prefix = "2026-11-25T02:51:06+0000 info genie.peer: "

    @Test(
        "genied's lines about members are read, the others are not",
        arguments: [
            (
                "name=node3 peer=f8313346 status=dead [PeerService] member changed", "node3",
                Verdict.dead
            ),
            ("name=node2 peer=f8313346 status=alive [PeerService] member changed", "node2", .alive),
            ("name=node2 peer=f831 status=suspect [PeerService] member changed", "node2", .suspect),
            ("name=node2 peer=f831 status=left [PeerService] member changed", "node2", .dead),
        ]
    )
    func genieLines(text: String, member: String, verdict: Verdict) throws {
        let report = try #require(Self.genie.report(Self.prefix + text))
        #expect(report.member == member)
        #expect(report.verdict == verdict)
        #expect(Self.genie.report(Self.prefix + "epoch=3 members=3 [PeerService] ring") == nil)
    }

    @Test(
        "serf's lines about members are read, the others are not",
        arguments: [
            ("[INFO] serf: EventMemberFailed: node4 172.30.1.4", "node4", Verdict.dead),
            ("[INFO] serf: EventMemberJoin: node1 172.30.1.1", "node1", .alive),
            ("[INFO] memberlist: Suspect node5 has failed, no acks received", "node5", .suspect),
        ]
    )
    func serfLines(text: String, member: String, verdict: Verdict) throws {
        let report = try #require(Self.serf.report("    2026/11/25 02:51:06 \(text)"))
        #expect(report.member == member)
        #expect(report.verdict == verdict)
        #expect(Self.serf.report("[DEBUG] memberlist: Stream connection from=1.2.3.4") == nil)
    }

    private static let underlay = Underlay(id: 9)
    private static let genie = GenieSystem(secretPath: "/secret", underlay: underlay)
    private static let serf = SerfSystem(program: "serf", underlay: underlay)

    @Test("the founder founds, and every other member joins through it")
    func commands() {
        #expect(Self.genie.command(node: 1).contains("--bootstrap"))
        #expect(Self.genie.command(node: 2).contains("172.30.9.1:7940"))
        #expect(Self.serf.command(node: 1).contains("-retry-join=172.30.9.2:7946"))
        #expect(Self.serf.command(node: 3).contains("-retry-join=172.30.9.1:7946"))
    }

    private func report(_ observer: Int, _ verdict: Verdict, _ milliseconds: Int64) -> Report {
        Report(
            observer: observer,
            subject: 3,
            verdict: verdict,
            at: Instant(microseconds: milliseconds * 1_000)
        )
    }

    @Test("a failure is found once every survivor has said so after it")
    func detection() throws {
        let since = Instant(microseconds: 100_000)
        var reports = [
            report(1, .dead, 90), report(2, .suspect, 150), report(1, .suspect, 140),
            report(2, .dead, 300),
        ]
        func detect() -> Detection? {
            Detection(reports, of: 3, since: since, observers: [1, 2])
        }
        #expect(detect() == nil, "what was said before the failure does not count")
        reports.append(report(1, .dead, 350))
        let detection = try #require(detect())
        #expect(detection.firstSuspicion == .milliseconds(40))
        #expect(detection.deaths == [.milliseconds(200), .milliseconds(250)])
    }

    @Test("counters are read from nftables' JSON")
    func counters() {
        let json = """
            {"nftables": [{"metainfo": {"version": "1.0.6"}}, {"counter": {"family": "netdev", \
            "name": "sent", "table": "t", "handle": 3, "packets": 55, "bytes": 8616}}]}
            """
        #expect(Underlay.counter("sent", json) == Traffic(packets: 55, bytes: 8_616))
        #expect(Underlay.counter("sent", json)?.withEthernetHeaders.bytes == 8_616 + 55 * 14)
        #expect(Underlay.counter("received", json) == nil)
        #expect(Underlay.counter("sent", "{}") == nil)
    }

    @Test("what a process has used is read behind a name with blanks and brackets")
    func usage() throws {
        let stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5 1 1"
        let status = "Name:\tx\nVmRSS:\t   2048 kB\nRssAnon:\t 1024 kB\n"
        let usage = try #require(ProcessUsage(stat: stat, status: status))
        #expect(usage.processorTime == .seconds(2))
        #expect(usage.residentBytes == 2_097_152)
        #expect(usage.anonymousBytes == 1_048_576)
        #expect(ProcessUsage(stat: "no", status: status) == nil)
    }

    @Test("what a process used is compared with what the same process had used before")
    func processorPercent() throws {
        func usage(_ ticks: Int) throws -> ProcessUsage {
            let stat = "12 (a) S 1 12 12 0 -1 4194560 1 0 0 0 \(ticks) 0 0 0 20 0 1 0 5 1 1"
            return try #require(
                ProcessUsage(stat: stat, status: "VmRSS: 2048 kB\nRssAnon: 1024 kB\n")
            )
        }
        let before = [1: try usage(100), 2: try usage(900), 3: try usage(100)]
        let after = [1: try usage(110), 2: try usage(910), 3: try usage(140)]
        let percent = ProcessUsage.processorPercent(before, after, over: .seconds(10))
        #expect(percent == 2)
        var fewer = after
        fewer[1] = nil
        #expect(ProcessUsage.processorPercent(before, fewer, over: .seconds(10)) == nil)
        #expect(ProcessUsage.processorPercent([:], [:], over: .seconds(10)) == nil)
        let gone = BenchError.memberGone(system: "genied", node: 2)
        #expect("\(gone)".contains("genied on node 2"))
    }

    @Test("verdicts under loss are told with the pauses behind them")
    func pauses() throws {
        var ours = MembershipResults()
        ours.falseDeaths = 0
        ours.pauses = 17
        let settings = MembershipSettings()
        let all = MembershipFigures(ours: ours, peer: nil, settings: settings).all
        let figure = try #require(all.first { $0.name == "membership.loss.falseDeaths" })
        #expect(figure.runs == 17)
    }

    @Test("figures of both sides stand beside one another, and bars judge ours")
    func figures() throws {
        var (ours, peer) = (MembershipResults(), MembershipResults())
        ours.blackholes = [try detection([1_400]), try detection([1_700])]
        peer.blackholes = [try detection([5_600])]
        let settings = MembershipSettings()
        let all = MembershipFigures(ours: ours, peer: peer, settings: settings).all
        let median = try #require(all.first { $0.name == "membership.blackhole.all.p50" })
        #expect(median.ours == 1_400)
        #expect(median.peer == 5_600)
        #expect(median.ratio == 0.25)
        #expect(median.holds == true)
        #expect(!all.contains { $0.name.hasPrefix("membership.crash") })
        let alone = MembershipFigures(ours: nil, peer: peer, settings: settings).all
        #expect(alone.allSatisfy { $0.ours == nil && $0.holds == nil })
    }

    private func detection(_ milliseconds: [Int64]) throws -> Detection {
        let reports = milliseconds.map { report(1, .dead, $0) }
        return try #require(Detection(reports, of: 3, since: .zero, observers: [1]))
    }
}
