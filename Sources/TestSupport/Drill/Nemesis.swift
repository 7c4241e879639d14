import Bench
import Determinism
import Glibc

/// Breaks things and mends them again, as a seed says.
struct Nemesis {
    /// What can be broken.
    enum Fault: String, CaseIterable {
        /// A daemon is killed, and started again.
        case kill
        /// A daemon is stopped for a moment.
        case pause
        /// Some nodes and the others hear nothing of each other.
        case partition
        /// Some nodes hear nothing of the others, which hear them.
        case oneWay = "one-way partition"
        /// Daemons are ended politely and started again, one after the other.
        case rolling = "rolling restart"
        /// A node comes back without its disk.
        case wipe
        /// A node comes back with an old copy of its disk.
        case restore
        /// A node's disk has no room left.
        case fill
    }

    let ring: DrillRing
    let clients: [AddressClient]
    var generator: SeededGenerator
    private(set) var counts: [Fault: Int] = [:]

    init(_ ring: DrillRing, _ clients: [AddressClient], seed: UInt64) {
        self.ring = ring
        self.clients = clients
        generator = SeededGenerator(seed: seed)
    }

    private var recorder: Recorder { ring.recorder }

    /// Breaks things until an instant; everything is mended then.
    mutating func run(until deadline: Instant) throws(BenchError) {
        // Each kind comes once in a while, whatever the seed.
        var bag: [Fault] = []
        while Monotonic.now < deadline {
            if bag.isEmpty {
                bag = [.kill, .kill, .pause, .pause, .partition, .partition, .oneWay, .oneWay]
                bag += [.rolling, .wipe, .restore, .fill]
                bag.shuffle(using: &generator)
            }
            try inflict(bag.removeLast())
            try checkAllRun()
            ring.removeLost()
            Monotonic.sleep(milliseconds(500...3_000))
        }
    }

    private mutating func inflict(_ fault: Fault) throws(BenchError) {
        let node = Int.random(in: 1...ring.count, using: &generator)
        if fault == .fill, !ring.canFill { return }
        if fault == .wipe || fault == .restore, !ring.canLoseDisk { return }
        counts[fault, default: 0] += 1
        switch fault {
        case .kill: try kill(node)
        case .pause:
            let span = milliseconds(200...10_000)
            recorder.say("pause \(ring.name(node)) for \(span.milliseconds) ms")
            ring.signal(node, SIGSTOP)
            Monotonic.sleep(span)
            ring.signal(node, SIGCONT)
        case .partition: try cut(isBothWays: true)
        case .oneWay: try cut(isBothWays: false)
        case .rolling: try roll()
        case .wipe:
            recorder.say("wipe \(ring.name(node))")
            ring.end(node, SIGKILL)
            try replace(node)
        case .restore: try restore(node)
        case .fill: try fill(node)
        }
    }

    private mutating func kill(_ node: Int) throws(BenchError) {
        let isPair = Int.random(in: 0..<3, using: &generator) == 0
        let nodes = isPair ? [node, node % ring.count + 1] : [node]
        recorder.say("kill \(nodes.map(ring.name).joined(separator: " and "))")
        for node in nodes { ring.end(node, SIGKILL) }
        Monotonic.sleep(milliseconds(100...6_000))
        for node in nodes { try ring.start(node) }
        for node in nodes { ring.waitUntilServing(node, within: .seconds(15)) }
    }

    private mutating func cut(isBothWays: Bool) throws(BenchError) {
        let all = Array(1...ring.count).shuffled(using: &generator)
        let size = Int.random(in: 1...(ring.count / 2), using: &generator)
        let (few, many) = (Array(all.prefix(size)), Array(all.dropFirst(size)))
        let isDeaf = Bool.random(using: &generator)
        let span = milliseconds(1_000...12_000)
        let names = few.sorted().map(ring.name).joined(separator: ", ")
        let how = isBothWays ? "cut off" : isDeaf ? "deaf" : "unheard"
        recorder.say("\(names) \(how) for \(span.milliseconds) ms")
        if isBothWays || isDeaf { for node in few { try ring.drop(many, on: node) } }
        if isBothWays || !isDeaf { for node in many { try ring.drop(few, on: node) } }
        if Int.random(in: 0..<4, using: &generator) == 0 {
            let victim = all[Int.random(in: 0..<all.count, using: &generator)]
            recorder.say("kill \(ring.name(victim)) meanwhile")
            ring.end(victim, SIGKILL)
            Monotonic.sleep(Span(microseconds: span.microseconds / 2))
            try ring.start(victim)
        }
        Monotonic.sleep(span)
        for node in 1...ring.count { try ring.drop([], on: node) }
    }

    private mutating func roll() throws(BenchError) {
        recorder.say("rolling restart")
        for node in 1...ring.count {
            ring.end(node, SIGTERM)
            try ring.start(node)
            if !ring.waitUntilServing(node, within: .seconds(30)) {
                recorder.find("\(ring.name(node)) does not serve 30 s after a polite restart")
            }
        }
    }

    /// An old copy must not serve: others may have been told what it has forgotten.
    private mutating func restore(_ node: Int) throws(BenchError) {
        let isOlder = Bool.random(using: &generator)
        recorder.say("copy the disk of \(ring.name(node)), to go back \(isOlder ? 2 : 1) starts")
        ring.end(node, SIGKILL)
        try ring.copyDisk(node)
        for _ in 0..<(isOlder ? 2 : 1) {
            try ring.start(node)
            ring.waitUntilServing(node, within: .seconds(15))
            Monotonic.sleep(milliseconds(1_000...4_000))
            ring.end(node, SIGKILL)
        }
        recorder.say("start \(ring.name(node)) from the copy")
        try ring.restoreDisk(node)
        try ring.start(node)
        let hasRefused = Monotonic.wait(.seconds(20)) { !ring.isRunning(node) }
        if hasRefused {
            let words = ring.lastWords(node) ?? ""
            // A copy from before the last start counts on to that start's own number: where others
            // still speak of that one, it finds itself there twice before it hears how old it is.
            let reasons = ["old copy", "another process speaks for this start"]
            if !reasons.contains(where: words.contains) {
                recorder.find("\(ring.name(node)) ended for another reason: \(words)")
            }
        } else {
            recorder.find(
                "\(ring.name(node)) still serves 20 s after its disk went back "
                    + (isOlder ? "two starts" : "one start")
            )
        }
        ring.end(node, SIGKILL)
        recorder.say("wipe \(ring.name(node))")
        try replace(node)
    }

    private mutating func replace(_ node: Int) throws(BenchError) {
        clients[node - 1].lose()
        try ring.wipe(node)
        Monotonic.sleep(milliseconds(100...4_000))
        try ring.start(node)
        if !ring.waitUntilServing(node, within: .seconds(30)) {
            recorder.find("\(ring.name(node)) does not join within 30 s")
        }
        clients[node - 1].comeBack()
    }

    private mutating func fill(_ node: Int) throws(BenchError) {
        let span = milliseconds(1_000...6_000)
        recorder.say("fill the disk of \(ring.name(node)) for \(span.milliseconds) ms")
        try ring.fill(node)
        Monotonic.sleep(span)
        try ring.empty(node)
        guard !ring.isRunning(node) else { return }
        recorder.say("\(ring.name(node)) ended, as it should: \(ring.lastWords(node) ?? "")")
        try ring.start(node)
        if !ring.waitUntilServing(node, within: .seconds(30)) {
            recorder.find("\(ring.name(node)) does not serve once its disk has room again")
        }
    }

    /// Nobody may end of its own accord while it is healthy.
    private func checkAllRun() throws(BenchError) {
        for node in 1...ring.count where !ring.isRunning(node) {
            recorder.find("\(ring.name(node)) ended by itself: \(ring.lastWords(node) ?? "")")
            try ring.start(node)
            ring.waitUntilServing(node, within: .seconds(15))
        }
    }

    private mutating func milliseconds(_ range: ClosedRange<Int64>) -> Span {
        .milliseconds(Int64.random(in: range, using: &generator))
    }
}
