package import Determinism

extension World {
    // MARK: Faults in time

    /// Lets a fault happen at its time.
    package mutating func schedule(_ timed: TimedFault) {
        let number = faults.count
        faults.append(
            RunningFault(
                fault: timed.fault,
                lasting: timed.lasting.microseconds,
                endsAt: Int64.max
            )
        )
        let begin = max(now.microseconds, timed.at.microseconds)
        events.add(.faultBegins, at: begin, node: 0, value: Int32(number))
    }

    /// Begins a fault at once; it lasts until ``end(_:)`` or ``healAll()``, or for `lasting`.
    @discardableResult
    package mutating func begin(_ fault: Fault, lasting: Span? = nil) -> Int {
        let number = faults.count
        faults.append(
            RunningFault(
                fault: fault,
                lasting: lasting?.microseconds ?? Int64.max,
                endsAt: Int64.max
            )
        )
        beginFault(number)
        return number
    }

    /// Ends a fault that ``begin(_:lasting:)`` began.
    package mutating func end(_ number: Int) { endFault(number) }

    /// Ends every fault, starts every node that is down; what was scheduled later does not happen.
    ///
    /// A node whose process was told that its identity is in use comes back with an empty disk, as
    /// an operator would have it.
    package mutating func healAll() {
        for number in faults.indices {
            if faults[number].isOn { endFault(number) }
            faults[number].endsAt = Int64.min
        }
        for node in nodes.indices where !pulses[node].isUp { start(node) }
    }

    mutating func beginFault(_ number: Int) {
        guard faults[number].endsAt != Int64.min else { return }
        let fault = faults[number].fault
        let (sum, overflow) = now.microseconds.addingReportingOverflow(faults[number].lasting)
        faults[number].endsAt = overflow ? Int64.max : sum
        faults[number].isOn = true
        log.line(now.microseconds, fault.nodes.first ?? 0, "fault begins: \(fault.summary)")
        log.add(now.microseconds, 0, .faultBegins, UInt64(number))
        if !overflow { events.add(.faultEnds, at: sum, node: 0, value: Int32(number)) }
        for node in fault.nodes where node < nodes.count {
            switch fault.kind {
            case .pause: if pulses[node].isUp { pulses[node].pauses += 1 }
            case .crash: crash(node, answersClosed: true)
            case .blackhole, .remove: crash(node, answersClosed: false)
            case .leave: leave(node)
            case .drift: setDrift(node, Int64(fault.amount))
            case .leap: setDrift(node, nil, ahead: .milliseconds(Int64(fault.amount)))
            case .crashAtWrite: if pulses[node].isUp { nodes[node].crashAtWrite = fault.amount }
            default: break
            }
            faults[number].lives.append(nodes[node].life)
        }
        countNetworkFaults()
    }

    mutating func endFault(_ number: Int) {
        guard faults[number].isOn else { return }
        faults[number].isOn = false
        let fault = faults[number].fault
        log.line(now.microseconds, fault.nodes.first ?? 0, "fault ends: \(fault.summary)")
        log.add(now.microseconds, 0, .faultEnds, UInt64(number))
        countNetworkFaults()
        for (node, life) in zip(fault.nodes.filter { $0 < nodes.count }, faults[number].lives) {
            switch fault.kind {
            case .pause: if nodes[node].life == life { resume(node) }
            case .crash, .blackhole, .leave, .crashAtWrite, .remove:
                nodes[node].crashAtWrite = nil
                if !pulses[node].isUp, nodes[node].life == life {
                    start(node, fault.restart)
                }
            case .drift: setDrift(node, 0)
            default: break
            }
        }
        releaseStalledStreams()
    }

    private mutating func countNetworkFaults() {
        network = NetworkFaults(
            faults.filter(\.isOn).map { ($0.fault, $0.endsAt) },
            nodes: nodes.count
        )
    }

    // MARK: Processes that end, stand still, start

    /// Ends a node's process at once: what was not durable is lost, and what waited for it.
    ///
    /// Of the writes under way a drawn number became durable without the process knowing.
    package mutating func crash(_ node: Int, answersClosed: Bool = true) {
        nodes[node].answersClosed = answersClosed
        guard pulses[node].isUp else { return }
        nodes[node].crashAtWrite = nil
        log.line(now.microseconds, node, "ends")
        let writes = nodes[node].disk.writes
        let durable = Int(draw(below: Int64(writes.count) + 1))
        for write in writes.prefix(durable) { nodes[node].disk.content.keep(write.rows) }
        nodes[node].disk.writes = []
        nodes[node].process = nil
        pulses[node].isUp = false
        pulses[node].pauses = 0
        nodes[node].backlog = []
        nodes[node].backlogDatagrams = 0
        pulses[node].timerAt = Int64.max
        pulses[node].timerNumber &+= 1
        for stream in nodes[node].streams { breakStream(stream) }
    }

    /// Says good-bye for a node and ends its process.
    package mutating func leave(_ node: Int) {
        act(node) { $0.leave(now: $1) }
        crash(node, answersClosed: true)
    }

    /// Starts a node's process, on what its disk is after the crash.
    package mutating func start(_ node: Int, _ restart: Fault.Restart = .kept) {
        guard !pulses[node].isUp else { return }
        if nodes[node].mustBeWiped || restart == .wiped {
            nodes[node].disk = Disk()
            nodes[node].mustBeWiped = false
        }
        if restart == .rolledBack { nodes[node].disk.rollBack() }
        if restart == .moved { move(node) }
        nodes[node].disk.copy()
        var identity =
            nodes[node].disk.content.identity
            ?? DiskIdentity(
                node: NodeID(using: &generator),
                storage: NodeID(using: &generator)
            )
        identity.boot += 1
        nodes[node].disk.content.identity = identity
        nodeNumbers[identity.node] = node
        nodes[node].life &+= 1
        let origin = clocksStartApart ? draw(below: 1_000_000_000_000) : now.microseconds
        pulses[node].clock = Clock(
            local: origin,
            at: now.microseconds,
            partsPerMillion: nodes[node].driftPartsPerMillion
        )
        log.line(now.microseconds, node, "starts: \(identity.node.short), boot \(identity.boot)")
        log.add(now.microseconds, node, .processStarts, identity.boot)
        let process = Process.launch(node, in: &self)
        nodes[node].process = process
        pulses[node].isUp = true
        settle(node)
    }

    private mutating func move(_ node: Int) {
        owners[nodes[node].addressSlot] = -1
        owners.append(Int32(node))
        nodes[node].addressSlot = owners.count - 1
    }

    /// Ends a process that found its identity in use; it comes back with an empty disk.
    package mutating func stopForGood(_ node: Int) {
        nodes[node].mustBeWiped = true
        crash(node)
    }

    private mutating func resume(_ node: Int) {
        guard pulses[node].pauses > 0 else { return }
        pulses[node].pauses -= 1
        guard pulses[node].pauses == 0, pulses[node].isUp else { return }
        log.line(now.microseconds, node, "goes on")
        let waiting = nodes[node].backlog
        nodes[node].backlog = []
        nodes[node].backlogDatagrams = 0
        // Which of its sources a process serves first after a pause is nobody's promise.
        let isTimerFirst = draw(below: 2) == 0
        if isTimerFirst { tickIfDue(node) }
        let life = nodes[node].life
        for thing in waiting where nodes[node].life == life && pulses[node].isUp {
            switch thing {
            case .datagram(let packet): deliver(packet)
            case .frame(let packet): deliver(packet)
            case .disk: finishWrite(node)
            case .portClosed(let slot): deliverPortClosed(node, slot: slot)
            }
        }
        if !isTimerFirst { tickIfDue(node) }
    }

    private mutating func setDrift(_ node: Int, _ rate: Int64?, ahead: Span = .zero) {
        let local = pulses[node].clock.local(now.microseconds) + ahead.microseconds
        let partsPerMillion = rate ?? nodes[node].driftPartsPerMillion
        nodes[node].driftPartsPerMillion = partsPerMillion
        pulses[node].clock = Clock(
            local: local,
            at: now.microseconds,
            partsPerMillion: partsPerMillion
        )
        pulses[node].timerAt = Int64.max
        if pulses[node].isUp { arm(node) }
    }

    // MARK: Disks

    /// Makes rows durable after a while, and only then has `then` carried out.
    package mutating func persist(_ rows: [DiskRow], then: [Process.Effect], on node: Int) {
        let time = now.microseconds + 1_000 + draw(below: max(1, diskDelayMax.microseconds - 999))
        let doneAt = max(nodes[node].disk.writes.last?.doneAt ?? 0, time)
        nodes[node].disk.writes.append(Disk.Write(doneAt: doneAt, rows: rows, then: then))
        events.add(.disk, at: doneAt, node: node, value: nodes[node].life)
    }

    /// Puts rows on a disk at once, as before a start.
    package mutating func keep(_ rows: [DiskRow], on node: Int) {
        nodes[node].disk.content.keep(rows)
    }

    /// How often a process was started on a node.
    package func life(_ node: Int) -> Int { Int(nodes[node].life) }

    /// The durable content of a node's disk.
    package func disk(_ node: Int) -> DiskContent { nodes[node].disk.content }

    mutating func finishWrite(_ node: Int) {
        guard !nodes[node].disk.writes.isEmpty, pulses[node].isUp else { return }
        guard pulses[node].pauses == 0 else {
            nodes[node].backlog.append(.disk)
            return
        }
        let left = nodes[node].crashAtWrite
        if left == 0 { return crash(node) }
        if let left, left > 1 { nodes[node].crashAtWrite = left - 2 }
        let write = nodes[node].disk.writes.removeFirst()
        nodes[node].disk.content.keep(write.rows)
        log.add(now.microseconds, node, .disk, UInt64(write.rows.count))
        if left == 1 { return crash(node) }
        guard !write.then.isEmpty else { return }
        perform(write.then, on: node)
        settle(node)
    }
}

extension Fault {
    var summary: String {
        let timed = TimedFault(at: .zero, lasting: .zero, self).description
        return timed.split(separator: " ").dropFirst(2).joined(separator: " ")
    }
}
