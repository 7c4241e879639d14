package import Addressing
package import Determinism

/// A world of processes on a virtual clock, network and disks.
///
/// Everything follows from the seed and from what the caller does: the same calls give the same
/// run, whatever the machine. Time moves from event to event; nothing is looked at that nothing
/// happens to, so a ring of thousands costs what its traffic costs. A world is a value: a copy of
/// it is another world with the same past.
package struct World<Process: SimulatedProcess>: Sendable {
    /// The time of the world; the clocks of its nodes may show something else.
    package internal(set) var now = Instant.zero
    /// What all processes are made with.
    package var settings: Process.Settings
    /// How long things take when nothing is wrong.
    package var conditions: NetworkConditions
    /// The longest time that a write takes to become durable.
    package var diskDelayMax = Span.milliseconds(8)
    /// Whether each process's clock starts somewhere else, as the clocks of machines do.
    package var clocksStartApart = false
    /// Whether streams get through however much is lost, as where only UDP is swallowed.
    package var streamsIgnoreLoss = false
    /// What processes told since this was last emptied, oldest first.
    package var reports: [Report] = []
    /// What was delivered so far.
    package var log = EventLog()
    /// Bytes of datagrams and frames that the processes counted; see ``countSent(_:)``.
    package internal(set) var bytesSent: UInt64 = 0
    /// The same by the kind of message, where the processes tell it.
    package internal(set) var traffic = Traffic()

    /// Something a process told.
    package struct Report: Sendable {
        /// When.
        package let at: Instant
        /// The node it runs on.
        package let node: Int
        /// What.
        package let content: Process.Report
    }

    struct Node: Sendable {
        var process: Process?
        var disk = Disk<Process.Effect>()
        var addressSlot: Int
        var life: Int32 = 0
        var backlog: [Waiting] = []
        var backlogDatagrams = 0
        /// Whether its host answers for closed ports while no process runs.
        var answersClosed = true
        var driftPartsPerMillion: Int64 = 0
        /// The streams from and to it, which keep their numbers over all its lives.
        var streams: [Int32] = []
        var mustBeWiped = false
        /// Counts down to the write at which the process ends; see ``Fault/Kind/crashAtWrite``.
        var crashAtWrite: Int?
    }

    /// What each event asks of a node, apart from the large rest: reading one field of a struct
    /// with a process in it copies the process.
    struct Pulse: Sendable {
        /// Whether a process is there.
        var isUp = false
        /// How many pauses hold it; while any does, what arrives waits.
        var pauses = 0
        /// When the process wants to be called next, by its own clock.
        var deadline = Instant.zero
        var timerAt = Int64.max
        var timerNumber: Int32 = 0
        var clock = Clock()
    }

    /// What waits for a paused process.
    enum Waiting: Sendable {
        case datagram(Packet<Process.Datagram>)
        case frame(Packet<Process.Frame>)
        case disk
        case portClosed(slot: Int)
    }

    struct Packet<Content: Sendable>: Sendable {
        let source: Int
        let sourceSlot: Int
        let targetSlot: Int
        let content: Content
        /// The stream it travels on and that stream's number of breaks; zero for datagrams.
        var stream: Int32 = 0
        var breaks: Int32 = 0
        /// Whom the sender dialled; a stream to anybody else is refused by certificate.
        var wanted: NodeID?
    }

    struct RunningFault: Sendable {
        let fault: Fault
        let lasting: Int64
        var endsAt: Int64
        var isOn = false
        /// The lives of the processes it ended or paused, to know them again at the end.
        var lives: [Int32] = []
    }

    var nodes: [Node] = []
    var pulses: [Pulse] = []
    var events = EventQueue()
    var datagrams = Slab<Packet<Process.Datagram>>()
    var frames = Slab<Packet<Process.Frame>>()
    var network = NetworkFaults()
    var faults: [RunningFault] = []
    var streams: [Stream] = []
    var streamNumbers: [UInt64: Int32] = [:]
    var stalledStreams: [Int32] = []
    var owners: [Int32] = []
    var nodeNumbers: [NodeID: Int] = [:]
    var generator: SeededGenerator

    /// Makes a world without nodes.
    package init(
        settings: Process.Settings,
        conditions: NetworkConditions = NetworkConditions(),
        seed: UInt64
    ) {
        self.settings = settings
        self.conditions = conditions
        generator = SeededGenerator(seed: seed)
    }

    /// How many nodes there are, running or not.
    package var count: Int { nodes.count }

    /// The process on a node; nil while none runs.
    package func process(_ node: Int) -> Process? { nodes[node].process }

    /// Whether a process runs on a node, paused or not.
    package func isRunning(_ node: Int) -> Bool { pulses[node].isUp }

    /// Whether the process on a node stands still.
    package func isPaused(_ node: Int) -> Bool { pulses[node].pauses > 0 }

    /// Who a node is; known from its first start on.
    package func identity(_ node: Int) -> DiskIdentity? { nodes[node].disk.content.identity }

    /// The node that has or had an identity.
    package func number(of id: NodeID) -> Int? { nodeNumbers[id] }

    /// Where a node's ring port is.
    package func address(_ node: Int) -> SocketAddress {
        Self.address(slot: nodes[node].addressSlot)
    }

    static func address(slot: Int) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x0a00_0001 + UInt32(slot)), port: 7_940)
    }

    static func slot(of address: SocketAddress) -> Int? {
        guard let bits = address.address.v4, bits > 0x0a00_0000 else { return nil }
        return Int(bits - 0x0a00_0001)
    }

    /// The node that has an address now.
    func owner(slot: Int) -> Int? {
        guard slot < owners.count, owners[slot] >= 0 else { return nil }
        return Int(owners[slot])
    }

    /// Adds a node with an empty disk, not started yet.
    @discardableResult
    package mutating func addNode() -> Int {
        let node = nodes.count
        owners.append(Int32(node))
        nodes.append(Node(addressSlot: owners.count - 1))
        pulses.append(Pulse())
        return node
    }

    /// A number below `bound` from the world's own randomness.
    package mutating func draw(below bound: Int64) -> Int64 {
        guard bound > 1 else { return 0 }
        return Int64(generator.next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A seed for a process.
    package mutating func drawSeed() -> UInt64 { generator.next() }

    /// The clock of a node now.
    package func localTime(_ node: Int) -> Instant {
        Instant(microseconds: pulses[node].clock.local(now.microseconds))
    }

    /// Passes something on to whoever runs the world.
    package mutating func report(_ content: Process.Report, from node: Int) {
        reports.append(Report(at: now, node: node, content: content))
    }

    /// Counts bytes that a process put on the wire.
    package mutating func countSent(_ bytes: Int) { bytesSent += UInt64(bytes) }

    /// Counts bytes that a process put on the wire, and their kind.
    package mutating func countSent(_ bytes: Int, kind: UInt8, inner: UInt8 = 0) {
        bytesSent += UInt64(bytes)
        traffic.count(kind: kind, inner: inner, bytes: bytes)
    }

    /// Runs the clock.
    package mutating func run(for span: Span) { run(until: now.advanced(by: span)) }

    /// Runs the clock up to a point of the world's time.
    package mutating func run(until end: Instant) {
        while step(until: end) {}
    }

    /// Lets the next event happen; false, with the clock at `end`, when there is none up to there.
    package mutating func step(until end: Instant) -> Bool {
        guard let time = events.firstTime, time <= end.microseconds, let event = events.popFirst()
        else {
            now = max(now, end)
            return false
        }
        now = Instant(microseconds: time)
        handle(event)
        return true
    }

    private mutating func handle(_ event: Event) {
        let node = Int(event.node)
        switch event.kind {
        case .timer: fireTimer(node, number: event.value)
        case .datagram: deliver(datagrams.take(event.value))
        case .frame: deliver(frames.take(event.value))
        case .disk:
            if event.value == nodes[node].life { finishWrite(node) }
        case .portClosed: deliverPortClosed(node, slot: Int(event.value))
        case .streamGivenUp: giveUp(event.value)
        case .faultBegins: beginFault(Int(event.value))
        case .faultEnds: endFault(Int(event.value))
        case .processStarts: preconditionFailure("a start is never put off")
        }
    }

    // MARK: Processes and their timers

    private mutating func fireTimer(_ node: Int, number: Int32) {
        guard number == pulses[node].timerNumber else { return }
        pulses[node].timerAt = Int64.max
        guard pulses[node].isUp, pulses[node].pauses == 0 else { return }
        tickIfDue(node)
    }

    mutating func tickIfDue(_ node: Int) {
        guard pulses[node].isUp else { return }
        let local = localTime(node)
        guard pulses[node].deadline <= local else { return arm(node) }
        log.add(now.microseconds, node, .timer, 0)
        nodes[node].process?.tick(now: local)
        settle(node, earliest: now.microseconds + 1)
    }

    /// Has done what the process wants, and sees to its timer.
    mutating func settle(_ node: Int, earliest: Int64 = 0) {
        guard let effects = nodes[node].process?.takeEffects() else { return }
        if !effects.isEmpty { perform(effects, on: node) }
        guard let deadline = nodes[node].process?.readDeadline() else { return }
        pulses[node].deadline = deadline
        arm(node, earliest: earliest)
    }

    mutating func perform(_ effects: [Process.Effect], on node: Int) {
        let life = nodes[node].life
        for effect in effects {
            // An effect may end the process; what it wanted after that is not done any more.
            guard nodes[node].life == life, pulses[node].isUp else { return }
            Process.carry(effect, from: node, in: &self)
        }
    }

    /// Sees to it that the timer fires by the process's deadline; an earlier firing looks again.
    mutating func arm(_ node: Int, earliest: Int64 = 0) {
        let deadline = pulses[node].deadline.microseconds
        let due = max(pulses[node].clock.global(deadline), now.microseconds, earliest)
        guard due < pulses[node].timerAt else { return }
        pulses[node].timerAt = due
        pulses[node].timerNumber &+= 1
        events.add(.timer, at: due, node: node, value: pulses[node].timerNumber)
    }

    /// Calls a process as its owner would, and has done what it wants; nothing while none runs.
    package mutating func act(_ node: Int, _ body: (inout Process, Instant) -> Void) {
        guard pulses[node].isUp else { return }
        let local = localTime(node)
        nodes[node].process?.lend { body(&$0, local) }
        settle(node)
    }
}

/// A node's monotonic clock: starts somewhere, and runs a little fast or slow.
struct Clock: Sendable {
    private var localBase: Int64 = 0
    private var globalBase: Int64 = 0
    private var partsPerMillion: Int64 = 0

    init() {}

    init(local: Int64, at global: Int64, partsPerMillion: Int64) {
        localBase = local
        globalBase = global
        self.partsPerMillion = partsPerMillion
    }

    func local(_ global: Int64) -> Int64 {
        let passed = global - globalBase
        guard partsPerMillion != 0 else { return localBase + passed }
        return localBase + passed + passed * partsPerMillion / 1_000_000
    }

    /// The first time of the world at which this clock shows `time` or more.
    func global(_ time: Int64) -> Int64 {
        guard partsPerMillion != 0 else {
            let (sum, overflow) = (time - localBase).addingReportingOverflow(globalBase)
            return overflow ? Int64.max : sum
        }
        let wanted = time - localBase
        // Far future: no need to be exact, and multiplying would overflow.
        guard wanted < 1 << 42 else { return Int64.max }
        var result = globalBase + wanted * 1_000_000 / (1_000_000 + partsPerMillion)
        while local(result) < time { result += 1 }
        return result
    }
}
