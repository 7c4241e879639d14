package import Addressing
package import Determinism

/// One direction of a connection between a node and an address.
struct Stream: Sendable {
    let source: Int
    let targetSlot: Int
    /// When the last frame sent arrives; the next is not earlier.
    var lastArrival: Int64 = 0
    var isOpen = false
    /// How often it broke; frames of before a break are lost.
    var breaks: Int32 = 0
    /// Frames that stand before a partition.
    var stalled: [Int32] = []
}

extension World {
    // MARK: Sending

    /// Sends a datagram: it may be lost, doubled, delayed, overtaken, damaged.
    package mutating func send(
        datagram: Process.Datagram,
        from node: Int,
        to address: SocketAddress
    ) {
        guard let slot = Self.slot(of: address) else { return }
        let target = owner(slot: slot) ?? slot
        if network.loses, target != node {
            let loss = network.lossPerMille(node, target)
            guard loss == 0 || draw(below: 1_000) >= Int64(loss) else { return }
        }
        let packet = Packet(
            source: node,
            sourceSlot: nodes[node].addressSlot,
            targetSlot: slot,
            content: datagram
        )
        schedule(packet, to: target)
        if network.duplicatePerMille > 0,
            draw(below: 1_000) < Int64(network.duplicatePerMille)
        {
            schedule(packet, to: target)
        }
    }

    private mutating func schedule(_ packet: Packet<Process.Datagram>, to target: Int) {
        var time = now.microseconds + drawDelay()
        if network.reorderPerMille > 0, draw(below: 1_000) < Int64(network.reorderPerMille) {
            time += draw(below: 100_000)
        }
        time = max(time, network.clogEnd(packet.source, target))
        events.add(.datagram, at: time, node: target, value: datagrams.add(packet))
    }

    private mutating func drawDelay() -> Int64 {
        let least = conditions.delayMin.microseconds
        let most = conditions.delayMax.microseconds + network.extraDelayMicroseconds
        return least + draw(below: most - least + 1)
    }

    /// Sends a frame over the stream to an address, which is opened when there is none.
    ///
    /// Frames keep their order. They are lost together when the stream breaks: when either process
    /// ends and when a partition lasts. One is lost alone when another than `wanted` is at the
    /// address.
    package mutating func send(
        frame: Process.Frame,
        from node: Int,
        to wanted: NodeID?,
        at address: SocketAddress
    ) {
        guard let slot = Self.slot(of: address) else { return }
        let target = owner(slot: slot) ?? slot
        let number = stream(from: node, to: slot)
        // Greeting and certificates cost two round trips before the first frame.
        var time = now.microseconds + drawDelay()
        if !streams[Int(number)].isOpen {
            for _ in 0..<4 { time += drawDelay() }
            streams[Int(number)].isOpen = true
        }
        guard let retransmissions = retransmissions(node, target) else {
            return breakStream(number)
        }
        time += retransmissions
        time = max(
            time,
            streams[Int(number)].lastArrival,
            network.clogEnd(node, target),
            network.clogEnd(target, node)
        )
        streams[Int(number)].lastArrival = time
        let packet = Packet(
            source: node,
            sourceSlot: nodes[node].addressSlot,
            targetSlot: slot,
            content: frame,
            stream: number,
            breaks: streams[Int(number)].breaks,
            wanted: wanted
        )
        events.add(.frame, at: time, node: target, value: frames.add(packet))
    }

    /// The time that TCP needs to bring a segment over a lossy way, either direction of which may
    /// lose the segment or its receipt; nil when TCP gives up.
    private mutating func retransmissions(_ source: Int, _ target: Int) -> Int64? {
        guard network.loses, !streamsIgnoreLoss, source != target else { return 0 }
        let arriving =
            (1_000 - network.lossPerMille(source, target))
            * (1_000 - network.lossPerMille(target, source)) / 1_000
        var time: Int64 = 0
        var wait: Int64 = 200_000
        while draw(below: 1_000) >= Int64(arriving) {
            guard wait < 6_000_000 else { return nil }
            time += wait
            wait *= 2
        }
        return time
    }

    private mutating func stream(from node: Int, to slot: Int) -> Int32 {
        let key = UInt64(node) << 32 | UInt64(slot)
        if let number = streamNumbers[key] { return number }
        let number = Int32(streams.count)
        streams.append(Stream(source: node, targetSlot: slot))
        streamNumbers[key] = number
        nodes[node].streams.append(number)
        if let target = owner(slot: slot), target != node { nodes[target].streams.append(number) }
        return number
    }

    // MARK: Arriving

    mutating func deliver(_ packet: Packet<Process.Datagram>) {
        guard let node = owner(slot: packet.targetSlot) else { return }
        guard node == packet.source || !network.blocks(packet.source, node) else { return }
        guard pulses[node].isUp else { return answerClosed(packet, from: node) }
        guard pulses[node].pauses == 0 else {
            if nodes[node].backlogDatagrams < conditions.receiveBufferDatagramsMax {
                nodes[node].backlogDatagrams += 1
                nodes[node].backlog.append(.datagram(packet))
            }
            return
        }
        if network.corruptPerMille > 0, draw(below: 1_000) < Int64(network.corruptPerMille) {
            return Process.meetDamaged(packet.content, using: &generator)
        }
        log.add(now.microseconds, node, .datagram, Process.word(of: packet.content))
        log.line(
            now.microseconds,
            node,
            "<- n\(packet.source)  \(Process.describe(packet.content))"
        )
        let local = localTime(node)
        let source = Self.address(slot: packet.sourceSlot)
        nodes[node].process?.receive(datagram: packet.content, from: source, now: local)
        settle(node)
    }

    private mutating func answerClosed(_ packet: Packet<Process.Datagram>, from node: Int) {
        guard nodes[node].answersClosed, !network.blocks(node, packet.source) else { return }
        if network.loses {
            let loss = network.lossPerMille(node, packet.source)
            guard loss == 0 || draw(below: 1_000) >= Int64(loss) else { return }
        }
        events.add(
            .portClosed,
            at: now.microseconds + drawDelay(),
            node: packet.source,
            value: Int32(packet.targetSlot)
        )
    }

    mutating func deliverPortClosed(_ node: Int, slot: Int) {
        guard pulses[node].isUp else { return }
        guard pulses[node].pauses == 0 else {
            nodes[node].backlog.append(.portClosed(slot: slot))
            return
        }
        let address = Self.address(slot: slot)
        log.add(now.microseconds, node, .portClosed, UInt64(slot))
        log.line(now.microseconds, node, "port closed at \(address)")
        let local = localTime(node)
        nodes[node].process?.portClosed(at: address, now: local)
        settle(node)
    }

    mutating func deliver(_ packet: Packet<Process.Frame>) {
        guard packet.breaks == streams[Int(packet.stream)].breaks else { return }
        guard let node = owner(slot: packet.targetSlot) else { return breakStream(packet.stream) }
        let isBlocked =
            network.blocks(packet.source, node) || network.blocks(node, packet.source)
        if node != packet.source, isBlocked || !streams[Int(packet.stream)].stalled.isEmpty {
            return stall(packet)
        }
        guard pulses[node].isUp else { return breakStream(packet.stream) }
        // Another certificate than the sender wanted: it sends nothing.
        guard packet.wanted.map({ $0 == identity(node)?.node }) ?? true else { return }
        guard pulses[node].pauses == 0 else {
            nodes[node].backlog.append(.frame(packet))
            return
        }
        guard let sender = identity(packet.source)?.node else { return }
        log.add(now.microseconds, node, .frame, Process.word(of: packet.content))
        log.line(
            now.microseconds,
            node,
            "<= n\(packet.source)  \(Process.describe(packet.content))"
        )
        let local = localTime(node)
        nodes[node].process?.receive(frame: packet.content, from: sender, now: local)
        settle(node)
    }

    // MARK: Streams that stand or break

    private mutating func stall(_ packet: Packet<Process.Frame>) {
        let number = Int(packet.stream)
        if streams[number].stalled.isEmpty {
            stalledStreams.append(packet.stream)
            let patience = 5_000_000 + draw(below: 10_000_000)
            events.add(
                .streamGivenUp,
                at: now.microseconds + patience,
                node: packet.source,
                value: packet.stream
            )
        }
        streams[number].stalled.append(frames.add(packet))
    }

    mutating func giveUp(_ stream: Int32) {
        guard !streams[Int(stream)].stalled.isEmpty else { return }
        breakStream(stream)
    }

    mutating func breakStream(_ stream: Int32) {
        let number = Int(stream)
        streams[number].breaks &+= 1
        streams[number].isOpen = false
        streams[number].lastArrival = 0
        for place in streams[number].stalled { _ = frames.take(place) }
        streams[number].stalled = []
        stalledStreams.removeAll { $0 == stream }
    }

    /// What stood before a partition goes on once nothing is in its way.
    mutating func releaseStalledStreams() {
        let waiting = stalledStreams
        stalledStreams = []
        for stream in waiting {
            let number = Int(stream)
            let places = streams[number].stalled
            streams[number].stalled = []
            let delay = drawDelay()
            for place in places {
                let packet = frames.take(place)
                streams[number].lastArrival = max(
                    streams[number].lastArrival,
                    now.microseconds + delay
                )
                events.add(
                    .frame,
                    at: streams[number].lastArrival,
                    node: owner(slot: packet.targetSlot) ?? packet.targetSlot,
                    value: frames.add(packet)
                )
            }
        }
    }
}
