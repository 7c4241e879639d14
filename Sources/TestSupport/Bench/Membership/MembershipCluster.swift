package import Determinism
import Glibc

/// Running members of one system, and what each has said about the others so far.
package final class MembershipCluster {
    /// What a member said about another, and when its line came.
    package struct Report: Hashable, Sendable {
        package let observer: Int
        package let subject: Int
        package let verdict: Verdict
        package let at: Instant
    }

    /// A time in which a member was stopped or dead, in truth.
    private struct Absence {
        let from: Instant
        var until: Instant?
    }

    private struct Node {
        var child: Child
        var nextLine = 0
        var views: [Int: Verdict] = [:]
        var absences: [Absence] = []
    }

    /// What runs.
    package let system: any MembershipSystem
    /// Everything that was said, in the order that it was read.
    package private(set) var reports: [Report] = []
    private let underlay: Underlay
    private var nodes: [Int: Node] = [:]
    private let numbers: [String: Int]

    /// Starts a member on each of the first `count` nodes and waits until all know all.
    package init(
        _ system: any MembershipSystem,
        _ underlay: Underlay,
        count: Int
    ) throws(BenchError) {
        self.system = system
        self.underlay = underlay
        numbers = Dictionary(
            uniqueKeysWithValues: (1...count).map { (type(of: system).nodeName($0), $0) }
        )
        for node in 1...count {
            nodes[node] = Node(child: try underlay.start(system.command(node: node), on: node))
        }
        try waitForAll(within: .seconds(60))
    }

    /// Ends all members and starts them again, on the same disks, so that none remembers how the
    /// others have fared; waits until all know all.
    package func renew() throws(BenchError) {
        collect()
        end()
        for node in members {
            nodes[node]?.child = try underlay.start(system.command(node: node), on: node)
            nodes[node]?.nextLine = 0
            nodes[node]?.views = [:]
        }
        try waitForAll(within: .seconds(60))
    }

    /// The members' numbers.
    package var members: [Int] { nodes.keys.sorted() }

    /// A member's process id.
    package func pid(_ node: Int) -> Int32 { nodes[node]?.child.pid ?? 0 }

    /// Stops a member's process as it is, or kills it; it counts as absent from now on.
    package func takeAway(_ node: Int, _ signal: Int32) -> Instant {
        let now = Monotonic.now
        nodes[node]?.absences.append(Absence(from: now))
        nodes[node]?.child.send(signal)
        return now
    }

    /// Stops a member for a moment that it must be forgiven: it does not count as absent.
    package func pause(_ node: Int, _ span: Span) {
        nodes[node]?.child.send(SIGSTOP)
        Monotonic.sleep(span)
        nodes[node]?.child.send(SIGCONT)
    }

    /// Lets a stopped member go on.
    package func resume(_ node: Int) {
        nodes[node]?.child.send(SIGCONT)
        endAbsence(node)
    }

    /// Starts a killed member again.
    package func restart(_ node: Int) throws(BenchError) {
        guard nodes[node]?.child.waitForEnd(within: .seconds(10)) != nil else {
            throw .timedOut(waitingFor: "the end of \(system.name) on node \(node)", seconds: 10)
        }
        collect()
        nodes[node]?.child = try underlay.start(system.command(node: node), on: node)
        nodes[node]?.nextLine = 0
        nodes[node]?.views = [:]
        endAbsence(node)
    }

    /// Kills all of them.
    package func end() {
        for node in nodes.values { node.child.send(SIGKILL) }
        for node in nodes.values { _ = node.child.waitForEnd(within: .seconds(10)) }
    }

    /// Reads what was said since.
    package func collect() {
        for (number, node) in nodes {
            let lines = node.child.lines(from: node.nextLine)
            nodes[number]?.nextLine += lines.count
            for line in lines {
                guard let (name, verdict) = system.report(line.text), let subject = numbers[name],
                    subject != number
                else { continue }
                nodes[number]?.views[subject] = verdict
                reports.append(
                    Report(observer: number, subject: subject, verdict: verdict, at: line.at)
                )
            }
        }
    }

    /// Waits until every member sees every other as alive (or, where the end of a suspicion is not
    /// in the log, not as dead).
    package func waitForAll(within span: Span) throws(BenchError) {
        let isComplete = Monotonic.wait(span) {
            collect()
            return nodes.values.allSatisfy { node in
                node.views.count == nodes.count - 1
                    && node.views.values.allSatisfy {
                        $0 == .alive || ($0 == .suspect && !system.logsRefutations)
                    }
            }
        }
        guard !isComplete else { return }
        for (number, node) in nodes where node.child.end != nil {
            throw .failed(
                command: node.child.command,
                reason: "ended by itself on node \(number)",
                output: node.child.lines().suffix(5).map(\.text).joined(separator: "\n")
            )
        }
        let views = nodes.sorted { $0.key < $1.key }.map { number, node in
            "\(number): "
                + node.views.sorted { $0.key < $1.key }
                .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        }
        throw .timedOut(
            waitingFor:
                "every \(system.name) to see every other (\(views.joined(separator: "; ")))",
            seconds: Double(span.milliseconds) / 1_000
        )
    }

    /// Waits until every other member has called `subject` dead since `instant`.
    package func waitForDeath(
        of subject: Int,
        since instant: Instant,
        within span: Span
    ) throws(BenchError) -> Detection {
        var detection: Detection?
        _ = Monotonic.wait(span) {
            collect()
            detection = Detection(
                reports,
                of: subject,
                since: instant,
                observers: members.filter { $0 != subject }
            )
            return detection != nil
        }
        guard let detection else {
            throw .timedOut(
                waitingFor: "all survivors to call node \(subject) dead (\(system.name))",
                seconds: Double(span.milliseconds) / 1_000
            )
        }
        return detection
    }

    /// Verdicts of "dead" on members whose process was there and not taken away, since `instant`.
    package func falseDeaths(since instant: Instant) -> [Report] {
        collect()
        return reports.filter { report in
            report.verdict == .dead && report.at >= instant
                && !(nodes[report.subject]?.absences ?? []).contains {
                    report.at >= $0.from && report.at <= ($0.until ?? report.at)
                }
        }
    }

    private func endAbsence(_ node: Int) {
        guard let last = nodes[node]?.absences.indices.last else { return }
        nodes[node]?.absences[last].until = Monotonic.now
    }
}

/// How a failure was found: spans from the moment it happened.
package struct Detection: Hashable, Sendable {
    /// Until the first suspicion anywhere.
    package let firstSuspicion: Span
    /// Until each survivor called it dead, in rising order.
    package let deaths: [Span]

    /// Reads reports; nil while a survivor has not called `subject` dead.
    package init?(
        _ reports: [MembershipCluster.Report],
        of subject: Int,
        since instant: Instant,
        observers: [Int]
    ) {
        let about = reports.filter { $0.subject == subject && $0.at >= instant }
        let accused = about.filter { $0.verdict != .alive }.map(\.at).min()
        let deaths = observers.compactMap { observer in
            about.first { $0.observer == observer && $0.verdict == .dead }?.at
        }
        guard let accused, deaths.count == observers.count else { return nil }
        firstSuspicion = accused.since(instant)
        self.deaths = deaths.map { $0.since(instant) }.sorted()
    }
}
