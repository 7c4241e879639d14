import ArgumentParser
import Bench
import Determinism
import Foundation
import Glibc
import HistoryCheck
import LocalAPI

/// `genie-drill jepsen`.
struct JepsenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jepsen",
        abstract: "Real daemons, clients at each, faults from a seed, and a verdict.",
        discussion: """
            Quiet, faults, everything mended, a wait, final reads at every node. The exit status is \
            0 when everything held, 1 when something did not, 2 when the drill could not run.
            """
    )

    @Option(help: "The script that makes nodes.") var lab = "scripts/lab"
    @Option(help: "The lab's number, 1 to 99.") var labId = 62
    @Option(help: "Where genied and genie-ring are.") var bin = ".build/release"
    @Option(help: "How many minutes of faults.") var minutes = 2.0
    @Option(help: "What faults and operations follow from; one is drawn when absent.")
    var seed: UInt64?
    @Option(help: "How many nodes.") var nodes = 5
    @Option(help: "Also write the figures to this file, as a JSON array.") var json: String?
    @Option(help: "Keep the history in this file; on a violation it is kept anyway.")
    var keepHistory: String?

    func validate() throws {
        guard (0.1...600).contains(minutes), (3...9).contains(nodes) else {
            throw ValidationError("--minutes takes 0.1 to 600, --nodes 3 to 9")
        }
    }

    func run() throws {
        let seed = seed ?? UInt64.random(in: 1...999_999)
        Console.say("jepsen: \(nodes) nodes, \(minutes) minutes of faults, seed \(seed)")
        let directory = try Cleanup.shared.temporaryDirectory()
        let underlay = try Underlay(
            script: lab,
            id: labId,
            nodes: nodes,
            binaries: bin,
            directory: directory
        )
        let secret = "\(directory)/secret"
        try Command.run("\(bin)/genie-ring", ["secret", "new", secret])
        let recorder = Recorder()
        let ring = try DrillRing(
            underlay,
            directory: directory,
            secret: secret,
            recorder: recorder
        )
        let run = JepsenRun(ring: ring, script: lab, seed: seed)
        try run.run(faults: .milliseconds(Int64(minutes * 60_000)))
        try judge(recorder, seed: seed)
    }

    private func judge(_ recorder: Recorder, seed: UInt64) throws {
        let events = recorder.events
        let verdict = try HistoryVerdict(events)
        let isWrong = !verdict.holds || !recorder.findings.isEmpty
        if keepHistory != nil || isWrong {
            let path = keepHistory ?? "jepsen-\(seed).jsonl"
            try Data(HistoryEvent.text(events).utf8).write(to: URL(filePath: path))
            Console.say("history: \(path)")
        }
        for finding in recorder.findings { Console.say("VIOLATION \(finding)") }
        try verdict.tell(json: json, hasFindings: !recorder.findings.isEmpty)
    }
}

/// One drill from its quiet beginning to its final reads.
struct JepsenRun {
    let ring: DrillRing
    let script: String
    let seed: UInt64
    private let workload: Workload

    private static let quiet = Span.seconds(8)
    private static let settling = Span.seconds(15)

    init(ring: DrillRing, script: String, seed: UInt64) {
        self.ring = ring
        self.script = script
        self.seed = seed
        workload = Workload(recorder: ring.recorder, seed: seed)
    }

    private var recorder: Recorder { ring.recorder }

    func run(faults: Span) throws(BenchError) {
        try startRing()
        let addresses = try startClients()
        recorder.say("quiet")
        Monotonic.sleep(Self.quiet)
        var nemesis = Nemesis(ring, addresses, seed: seed)
        try nemesis.run(until: Monotonic.now.advanced(by: faults))
        let counts = Nemesis.Fault.allCases.map { "\($0.rawValue) \(nemesis.counts[$0] ?? 0)" }
        recorder.say("everything is mended: \(counts.joined(separator: ", "))")
        Monotonic.sleep(Self.settling)
        let areRemoved = Monotonic.wait(.seconds(60)) {
            ring.removeLost()
            return ring.unremovedNames.isEmpty
        }
        if !areRemoved {
            let names = ring.unremovedNames.joined(separator: ", ")
            recorder.find("\(names) cannot be removed from the ring long after the last fault")
        }
        workload.end()
        Monotonic.sleep(.seconds(3))
        finalReads()
    }

    private func startRing() throws(BenchError) {
        for node in 1...ring.count {
            try ring.start(node)
            guard ring.waitUntilServing(node, within: .seconds(30)) else {
                throw .timedOut(
                    waitingFor: "node \(node) to join: \(ring.lastWords(node) ?? "")",
                    seconds: 30
                )
            }
        }
        let wanted = ring.count >= 5 ? 5 : 3
        if !Monotonic.wait(.seconds(60), { ring.stewards.count >= wanted }) {
            recorder.say("only \(ring.stewards.count) stewards after 60 s, \(wanted) are wanted")
        }
        let session = ring.session(1)
        let made = Monotonic.wait(.seconds(20)) {
            _ = session.post("/v1/vpcs", CreateVPC(name: "drill", vni: nil))
            // Sixteen blocks: few enough that freed addresses are given out again.
            let group = CreateGroup(name: "drill/pods", subnet: "10.77.0.0/22")
            _ = session.post("/v1/groups", group)
            let list = session.get("/v1/vpcs", as: VPCList.self)
            return list?.vpcs.first { $0.name == "drill" }?.groups.isEmpty == false
        }
        guard made else { throw .timedOut(waitingFor: "the pods' group", seconds: 20) }
    }

    private func startClients() throws(BenchError) -> [AddressClient] {
        var clients: [AddressClient] = []
        for node in 1...ring.count {
            let session = ring.session(node)
            var namespaces: [String] = []
            for place in 1...AddressClient.places {
                namespaces.append(try ring.underlay.addPod("p\(place)", on: node))
            }
            let client = AddressClient(workload, session, node: node, namespaces: namespaces)
            clients.append(client)
            workload.start { client.run() }
            for number in 0..<2 {
                let register = RegisterClient(workload, session, number: node * 10 + number)
                workload.start {
                    var register = register
                    register.run()
                }
            }
            let observer = Observer(workload: workload, session: session, node: node)
            workload.start { observer.run() }
        }
        return clients
    }

    /// What every node says in the end, asked until it answers.
    private func finalReads() {
        recorder.say("final reads, stewards: \(ring.stewards.joined(separator: " "))")
        for node in 1...ring.count {
            let session = ring.session(node)
            var client = RegisterClient(workload, session, number: 1_000 + node)
            for key in workload.keys {
                let isRead = Monotonic.wait(.seconds(30)) { client.read(key) }
                if !isRead {
                    recorder.find("\(ring.name(node)) cannot read \(key) long after the last fault")
                    break
                }
            }
            let observer = Observer(workload: workload, session: session, node: node)
            if !Monotonic.wait(.seconds(30), { observer.look(isFinal: true) }) {
                recorder.find(
                    "\(ring.name(node)) does not list endpoints long after the last fault"
                )
            }
        }
    }
}
