import Determinism
import Foundation
import Glibc

/// How a failure-detection bench is run.
package struct MembershipSettings: Sendable {
    /// Members; one more node attacks them.
    package var members = 5
    /// Failures of each kind.
    package var kills = 15
    /// Blackholes under the flood.
    package var floodKills = 8
    /// Garbage datagrams a second, over all members.
    package var floodRate = 20_000
    /// The share of packets lost on each path while pauses are forgiven, in percent.
    package var lossPercent = 5.0
    /// How long false verdicts are waited for, in seconds.
    package var soakSeconds = 60
    /// How long idle traffic is counted, in seconds.
    package var steadySeconds = 20
    /// What the random phases, victims and pauses follow from.
    package var seed: UInt64 = 1

    package init() {}
}

/// What one system showed.
package struct MembershipResults: Sendable {
    var blackholes: [Detection] = []
    var crashes: [Detection] = []
    var floods: [Detection] = []
    var floodRate: Double?
    var floodArrived: Double?
    var floodProcessorPercent: Double?
    var floodConnections: Int?
    var falseDeaths: Int?
    /// Pauses that had to be forgiven, behind ``falseDeaths``.
    var pauses = 0
    var falseDeathsElsewhere = 0
    var steady: Steady?

    /// What members cost while nothing happens, per member.
    struct Steady: Sendable {
        let bytesSentPerSecond: Double
        let bytesReceivedPerSecond: Double
        let packetsSentPerSecond: Double
        let processorPercent: Double
        let residentMegabytes: Double
        let anonymousMegabytes: Double
    }
}

/// Runs one system through everything and writes down what it did.
struct MembershipBench {
    let settings: MembershipSettings
    let underlay: Underlay
    let say: (String) -> Void
    private var generator: SeededGenerator
    /// Members that nothing has happened to since the ring was started.
    private var untouched: [Int] = []

    init(_ settings: MembershipSettings, _ underlay: Underlay, _ say: @escaping (String) -> Void) {
        self.settings = settings
        self.underlay = underlay
        self.say = say
        generator = SeededGenerator(seed: settings.seed)
    }

    /// Measures one system, from its start to its end.
    mutating func run(
        _ system: any MembershipSystem,
        floods: Bool
    ) throws(BenchError) -> MembershipResults {
        var results = MembershipResults()
        let start = Monotonic.now
        let cluster = try MembershipCluster(system, underlay, count: settings.members)
        defer { cluster.end() }
        say("\(system.name): \(settings.members) members see each other after \(seconds(start))")
        untouched = cluster.members.shuffled(using: &generator)
        for node in cluster.members { try underlay.countTraffic(port: system.port, on: node) }
        try measureSteady(cluster, &results)
        let began = Monotonic.now
        for turn in 1...max(1, settings.kills) where settings.kills > 0 {
            results.blackholes.append(try blackhole(cluster, "blackhole \(turn)"))
        }
        for turn in 1...max(1, settings.kills) where settings.kills > 0 {
            results.crashes.append(try crash(cluster, "crash \(turn)"))
        }
        results.falseDeathsElsewhere += noteFalse(cluster, since: began, "during failures")
        try soak(cluster, &results)
        if floods, settings.floodKills > 0 { try flood(cluster, &results) }
        return results
    }

    private mutating func blackhole(
        _ cluster: MembershipCluster,
        _ title: String
    ) throws(BenchError) -> Detection {
        let victim = try chooseVictim(cluster)
        let since = cluster.takeAway(victim, SIGSTOP)
        let detection = try cluster.waitForDeath(of: victim, since: since, within: .seconds(60))
        let back = Monotonic.now
        cluster.resume(victim)
        try cluster.waitForAll(within: .seconds(120))
        tell(cluster, title, victim, detection, back)
        return detection
    }

    private mutating func crash(
        _ cluster: MembershipCluster,
        _ title: String
    ) throws(BenchError) -> Detection {
        let victim = try chooseVictim(cluster)
        let since = cluster.takeAway(victim, SIGKILL)
        let detection = try cluster.waitForDeath(of: victim, since: since, within: .seconds(60))
        let back = Monotonic.now
        try cluster.restart(victim)
        try cluster.waitForAll(within: .seconds(120))
        tell(cluster, title, victim, detection, back)
        return detection
    }

    /// Draws a member that has not failed in this ring, or in a new one once all have: who fails
    /// again and again may rightly be treated differently.
    ///
    /// Comes back after a rest whose length is not in step with anybody's timers.
    private mutating func chooseVictim(_ cluster: MembershipCluster) throws(BenchError) -> Int {
        if untouched.isEmpty { try renew(cluster) }
        Monotonic.sleep(.milliseconds(Int64.random(in: 1_000..<2_000, using: &generator)))
        return untouched.popLast() ?? 1
    }

    private mutating func renew(_ cluster: MembershipCluster) throws(BenchError) {
        try cluster.renew()
        untouched = cluster.members.shuffled(using: &generator)
        Monotonic.sleep(.seconds(4))
    }

    private mutating func soak(
        _ cluster: MembershipCluster,
        _ results: inout MembershipResults
    ) throws(BenchError) {
        guard settings.soakSeconds > 0 else { return }
        try renew(cluster)
        let since = Monotonic.now
        let end = since.advanced(by: .seconds(Int64(settings.soakSeconds)))
        try underlay.lose(percent: settings.lossPercent)
        while Monotonic.now < end {
            let victim = cluster.members.randomElement(using: &generator) ?? 1
            cluster.pause(victim, .milliseconds(Int64.random(in: 200...1_000, using: &generator)))
            results.pauses += 1
            Monotonic.sleep(.milliseconds(Int64.random(in: 1_500..<3_500, using: &generator)))
        }
        // What is suspected now has the time to be called dead, still under loss.
        Monotonic.sleep(.seconds(6))
        results.falseDeaths = noteFalse(cluster, since: since, "under loss with pauses")
        try underlay.lose(percent: 0)
        try cluster.waitForAll(within: .seconds(120))
        say(
            "\(cluster.system.name): \(results.pauses) pauses in \(settings.soakSeconds) s of loss"
        )
    }

    private mutating func flood(
        _ cluster: MembershipCluster,
        _ results: inout MembershipResults
    ) throws(BenchError) {
        try renew(cluster)
        let flood = try GarbageFlood(
            from: underlay.namespace(settings.members + 1),
            at: cluster.members.map { (underlay.namespace($0), underlay.address($0)) },
            port: cluster.system.port,
            datagramsPerSecond: settings.floodRate,
            seed: settings.seed
        )
        do throws(BenchError) {
            try measureFlood(cluster, &results)
        } catch {
            flood.abandon()
            throw error
        }
        let sent = try flood.end()
        results.floodRate = sent.datagramsPerSecond
        results.floodConnections = sent.connections
    }

    private mutating func measureFlood(
        _ cluster: MembershipCluster,
        _ results: inout MembershipResults
    ) throws(BenchError) {
        let since = Monotonic.now
        let span = Span.seconds(5)
        let before = try sample(cluster)
        Monotonic.sleep(span)
        let after = try sample(cluster)
        results.floodArrived =
            Double(after.received.packets - before.received.packets)
            / (Double(after.at.since(before.at).microseconds) / 1_000_000)
        results.floodProcessorPercent = try processorPercent(before, after)
        for turn in 1...settings.floodKills {
            results.floods.append(try blackhole(cluster, "blackhole \(turn) in the flood"))
        }
        results.falseDeathsElsewhere += noteFalse(cluster, since: since, "in the flood")
    }

    private func measureSteady(
        _ cluster: MembershipCluster,
        _ results: inout MembershipResults
    ) throws(BenchError) {
        guard settings.steadySeconds > 0 else { return }
        // What is left of joining is over by then.
        Monotonic.sleep(.seconds(5))
        let before = try sample(cluster)
        Monotonic.sleep(.seconds(Int64(settings.steadySeconds)))
        let after = try sample(cluster)
        let usage = after.usage.values
        let span = Double(after.at.since(before.at).microseconds) / 1_000_000
        func perSecond(_ value: (Sample) -> Int) -> Double {
            Double(value(after) - value(before)) / span / Double(cluster.members.count)
        }
        results.steady = MembershipResults.Steady(
            bytesSentPerSecond: perSecond { $0.sent.bytes },
            bytesReceivedPerSecond: perSecond { $0.received.bytes },
            packetsSentPerSecond: perSecond { $0.sent.packets },
            processorPercent: try processorPercent(before, after),
            residentMegabytes: usage.map { Double($0.residentBytes) }.max().map { $0 / 1e6 } ?? 0,
            anonymousMegabytes: usage.map { Double($0.anonymousBytes) }.max().map { $0 / 1e6 } ?? 0
        )
    }

    private struct Sample {
        let at: Instant
        var sent = Traffic()
        var received = Traffic()
        var usage: [Int: ProcessUsage] = [:]
    }

    private func sample(_ cluster: MembershipCluster) throws(BenchError) -> Sample {
        var sample = Sample(at: Monotonic.now)
        for node in cluster.members {
            let traffic = try underlay.traffic(on: node)
            sample.sent.packets += traffic.sent.packets
            sample.sent.bytes += traffic.sent.bytes
            sample.received.packets += traffic.received.packets
            sample.received.bytes += traffic.received.bytes
            guard let usage = ProcessUsage(pid: cluster.pid(node)) else {
                throw .memberGone(system: cluster.system.name, node: node)
            }
            sample.usage[node] = usage
        }
        return sample
    }

    private func processorPercent(
        _ before: Sample,
        _ after: Sample
    ) throws(BenchError) -> Double {
        guard
            let percent = ProcessUsage.processorPercent(
                before.usage,
                after.usage,
                over: after.at.since(before.at)
            )
        else {
            throw .unreadable(
                what: "what the members used",
                text: "of \(before.usage.keys.sorted()), then of \(after.usage.keys.sorted())"
            )
        }
        return percent
    }

    private func noteFalse(
        _ cluster: MembershipCluster,
        since: Instant,
        _ when: String
    ) -> Int {
        let found = cluster.falseDeaths(since: since)
        for report in found {
            say(
                "\(cluster.system.name): FALSE \(when): node \(report.observer) calls "
                    + "\(report.subject) dead"
            )
        }
        return found.count
    }

    private func tell(
        _ cluster: MembershipCluster,
        _ title: String,
        _ victim: Int,
        _ detection: Detection,
        _ back: Instant
    ) {
        let deaths = detection.deaths.map { "\($0.milliseconds)" }.joined(separator: " ")
        say(
            "\(cluster.system.name): \(title) of node \(victim): suspected "
                + "\(detection.firstSuspicion.milliseconds) ms, dead \(deaths) ms; back for all "
                + "after \(seconds(back))"
        )
    }

    private func seconds(_ since: Instant) -> String {
        String(format: "%.1f s", Double(Monotonic.now.since(since).microseconds) / 1_000_000)
    }
}
