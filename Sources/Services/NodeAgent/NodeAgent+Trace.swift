import Addressing
import BPFObjects
import Determinism
import Foundation
import LocalAPI
import NetForwarding
import NetModel
import Netlink
import PeerService
import RingMembership
import RingPlacement
import RingRecords

extension NodeAgent {
    /// Says where a packet would go by the rows in the maps; sends it where that is wanted.
    func trace(_ request: TraceRequest) async throws(AgentError) -> TraceAnswer {
        guard let dataplane else { throw .noDataplane }
        let sender = try findOwn(request.from)
        let named = IPAddress(request.from)
        let sources = sender.held.map(\.address).filter { named == nil || $0 == named }
        guard !sources.isEmpty else {
            throw .traceRefused(
                "\(request.from) has no address yet: try again when its ADD is done"
            )
        }
        let targets = try await findTargets(request.to, seenFrom: sender)
        guard let (source, target) = Self.pair(sources, targets) else {
            throw .traceRefused(
                "\(sources[0]) and \(targets[0]) are of two families: name an address of one"
            )
        }
        guard !target.isMany else {
            throw .traceRefused(
                "\(target) is many: a packet to it is copied to every pod of the sender's group; look "
                    + "for it with 'genie-ring capture' on a receiver"
            )
        }
        let packet = try Self.packet(request, from: source, to: target)
        let walk: PacketWalk
        do throws(BPFError) {
            walk = PacketWalk(packet, try tables(dataplane, sender, target))
        } catch {
            throw .dataplane(error)
        }
        var answer = TraceAnswer(
            packet: "\(request.transport) from \(source) to \(target), \(packet.size) bytes",
            steps: walk.steps.map { .init(at: $0.at, found: $0.found) },
            verdict: walk.verdict.name,
            reason: walk.verdict.reason
        )
        if case .sent(let vtep) = walk.verdict {
            answer.steps.append(.init(at: "node", found: await describeNode(vtep)))
        }
        if request.isLive {
            try await send(packet, sender, target, dataplane, into: &answer)
        }
        return answer
    }

    /// Traced packets that the programs of this node have met.
    func sightings() throws(AgentError) -> SightingList {
        guard let dataplane else { throw .noDataplane }
        do throws(BPFError) {
            return SightingList(seen: try dataplane.probesSeen().map(\.payload))
        } catch {
            throw .dataplane(error)
        }
    }

    // MARK: - Who is meant

    /// A pod interface of this node, by address, pod or container, with or without its interface.
    private func findOwn(_ text: String) throws(AgentError) -> Attachment {
        guard !text.isEmpty else { throw .badRequest("a pod has no name: say which") }
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        let address = IPAddress(text)
        let name = address == nil ? parts.first ?? text : text
        let interface = address == nil && parts.count == 2 ? parts[1] : nil
        let found = journal.all.filter { attachment in
            attachment.state == .attached && (interface == nil || attachment.interface == interface)
                && (attachment.held.contains { $0.address == address }
                    || [
                        attachment.containerID, attachment.podName,
                        "\(attachment.podNamespace)/\(attachment.podName)",
                    ].contains(name))
        }
        guard let first = found.first else { throw .unknownPod(text) }
        guard found.count == 1 else {
            let names = found.map { "\($0.containerID):\($0.interface) in VPC \($0.vpc)" }
            throw .ambiguousPod(text, names)
        }
        return first
    }

    /// An address, or those of a pod of the sender's VPC on any node; never none.
    private func findTargets(
        _ text: String,
        seenFrom sender: Attachment
    ) async throws(AgentError) -> [IPAddress] {
        if let address = IPAddress(text) { return [address] }
        do throws(AgentError) {
            let own = try findOwn(text)
            guard own.vni == sender.vni else {
                throw .traceRefused(
                    "\(text) is in VPC \(own.vpc), and the sender in \(sender.vpc): nothing leads from "
                        + "one VPC into another"
                )
            }
            if !own.held.isEmpty { return own.held.map(\.address) }
        } catch .unknownPod {
            // It may be on another node.
        }
        var found: [IPAddress] = []
        var containers: Set<String> = []
        for (topic, vni) in watchedTopics where vni.number == sender.vni {
            for set in await peer.watched(topic).sets {
                for record in set.records {
                    guard let endpoint = try? Endpoint(encoded: record.content) else { continue }
                    let names = [
                        endpoint.containerID, endpoint.podName,
                        "\(endpoint.podNamespace)/\(endpoint.podName)",
                    ]
                    guard names.contains(text) else { continue }
                    found.append(endpoint.address)
                    containers.insert("\(endpoint.containerID) on \(endpoint.nodeName)")
                }
            }
        }
        guard !found.isEmpty else { throw .unknownPod(text) }
        guard containers.count == 1 else { throw .ambiguousPod(text, containers.sorted()) }
        return found.sorted()
    }

    /// The first of each that are of one family.
    private static func pair(
        _ sources: [IPAddress],
        _ targets: [IPAddress]
    ) -> (source: IPAddress, target: IPAddress)? {
        for source in sources {
            if let target = targets.first(where: { $0.isV4 == source.isV4 }) {
                return (source, target)
            }
        }
        return nil
    }

    private static func packet(
        _ request: TraceRequest,
        from source: IPAddress,
        to target: IPAddress
    ) throws(AgentError) -> ProbePacket {
        let transport: ProbePacket.Transport
        switch request.transport {
        case "icmp": transport = .icmp
        case "udp": transport = .udp(port: request.port)
        case "tcp": transport = .tcp(port: request.port)
        default:
            throw .traceRefused(
                "protocol '\(request.transport.prefix(20))' is none of icmp, udp, tcp"
            )
        }
        guard ProbePacket.sizes.contains(request.bytes) else {
            throw .traceRefused(
                "\(request.bytes) bytes are out of range: ask for \(ProbePacket.sizes.lowerBound) to "
                    + "\(ProbePacket.sizes.upperBound)"
            )
        }
        return ProbePacket(
            source: source,
            target: target,
            transport: transport,
            size: request.bytes,
            mark: UInt16.random(in: 1...UInt16.max)
        )
    }

    // MARK: - What the tables say

    private func tables(
        _ dataplane: Dataplane,
        _ sender: Attachment,
        _ target: IPAddress
    ) throws(BPFError) -> PacketWalk.Tables {
        let port = try dataplane.ports().first { $0.ifindex == sender.hostIndex }
        let isAttached = try dataplane.attachments().contains {
            $0.role == .pod(key: sender.hostInterface) && $0.ifindex == sender.hostIndex
        }
        let node = try dataplane.node()
        var entry: ForwardingEntry?
        if let vni = port?.vni { entry = try dataplane.endpoint(vni: vni, target).map(Self.entry) }
        var pathMTU: UInt32?
        if case .remote(let vtep)? = entry?.place { pathMTU = try dataplane.pathMTU(to: vtep) }
        return PacketWalk.Tables(
            port: port.map {
                .init(
                    vni: $0.vni,
                    addresses: $0.addresses.map(\.address),
                    gateways: $0.addresses.map(\.gateway)
                )
            },
            isAttached: isAttached,
            node: node.map {
                let isOpen = $0.open.map { $0.vni == port?.vni && $0.ifindex != port?.ifindex }
                return .init(
                    vtep: $0.vtep,
                    podMTU: $0.podMTU,
                    isOpen: isOpen ?? false,
                    pathMTU: pathMTU
                )
            },
            target: entry
        )
    }

    private func describeNode(_ vtep: IPAddress) async -> String {
        guard let snapshot = await peer.snapshot() else { return "this node is in no ring yet" }
        guard
            let member = snapshot.configuration.members.first(where: { $0.address.address == vtep })
        else { return "\(vtep) is no member of the ring: nothing there takes the packet" }
        let state = snapshot.members.first { $0.fact.id == member.id }?.fact.status
        let dataplane = liveness.state(of: member.id).rawValue
        return
            "\(member.name) (\(state.map { "\($0)" } ?? "unknown"), dataplane \(dataplane)) checks "
            + "VTEP, VNI and address by its own tables: 'genie-ring trace --seen' there tells of a "
            + "packet that was sent with --live"
    }

    // MARK: - A packet that is sent

    private static let patienceMilliseconds: Int64 = 1_000

    private func send(
        _ packet: ProbePacket,
        _ sender: Attachment,
        _ target: IPAddress,
        _ dataplane: Dataplane,
        into answer: inout TraceAnswer
    ) async throws(AgentError) {
        guard let mac = MACAddress(sender.mac), let vni = VNI(sender.vni) else { return }
        guard !isTracing else {
            throw .traceRefused(
                "another packet is being traced on this node: try again in a second"
            )
        }
        isTracing = true
        defer { isTracing = false }
        do throws(BPFError) {
            try dataplane.watchFor(
                vni: vni,
                mark: UInt32(packet.mark),
                source: packet.source,
                target: packet.target
            )
        } catch {
            throw .dataplane(error)
        }
        defer { try? dataplane.stopWatching() }
        let receiver = journal.all.first {
            $0.vni == sender.vni && $0.state == .attached
                && $0.held.contains { $0.address == target }
        }
        let frame = packet.frame(from: mac, to: Self.gatewayMAC)
        let sent: ProbeFlight
        do {
            sent = try await blocking {
                try ProbeFlight(packet, frame, sender, receiver, Self.patienceMilliseconds)
            }
        } catch {
            throw Self.translate(error)
        }
        answer.mark = UInt32(packet.mark)
        answer.seen = try sightings().seen.filter { $0.mark == UInt32(packet.mark) }
        answer.isArrived = receiver == nil ? nil : sent.isArrived
        answer.answeredMicroseconds = sent.answeredMicroseconds
    }
}

/// One traced packet: sent from its pod's interface, looked for at both ends.
private struct ProbeFlight: Sendable {
    var isArrived = false
    var answeredMicroseconds: Int64?

    /// Sends, and returns as soon as nothing more is to be learned.
    init(
        _ packet: ProbePacket,
        _ frame: [UInt8],
        _ sender: Attachment,
        _ receiver: Attachment?,
        _ milliseconds: Int64
    ) throws(NetlinkError) {
        let near = try PacketTap(sender.interface, netnsPath: sender.netns)
        let far: PacketTap?
        if let receiver {
            far = try PacketTap(receiver.interface, netnsPath: receiver.netns)
        } else {
            far = nil
        }
        let start = ContinuousClock.now
        try near.send(frame)
        let deadline = start.advanced(by: .milliseconds(milliseconds))
        while ContinuousClock.now < deadline {
            if let far, !isArrived, let seen = try far.receive(withinMilliseconds: 1) {
                isArrived = !seen.isSent && packet.isSeen(in: seen.bytes)
            }
            if let seen = try near.receive(withinMilliseconds: 1), !seen.isSent,
                packet.isAnswered(by: seen.bytes)
            {
                let span = ContinuousClock.now - start
                answeredMicroseconds = Int64(span / .microseconds(1))
                // What answers has got it.
                isArrived = true
                return
            }
        }
    }
}

extension IPAddress {
    /// Whether it stands for more than one receiver.
    fileprivate var isMany: Bool {
        if let v4 { return v4 >= 0xe000_0000 }
        return high >> 56 == 0xff
    }
}

extension PacketWalk.Verdict {
    fileprivate var name: String {
        switch self {
        case .answered: "answered"
        case .delivered: "delivered"
        case .sent: "sent"
        case .handed: "handed_to_node"
        case .dropped: "dropped"
        }
    }

    fileprivate var reason: String? {
        if case .dropped(let reason) = self { reason } else { nil }
    }
}

extension ProbeSighting {
    fileprivate var payload: Sighting {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        var reason: String?
        let name: String
        switch verdict {
        case .passed: name = "passed"
        case .answered: name = "answered"
        case .toLocalPod: name = "to_local_pod"
        case .toOtherNode: name = "to_other_node"
        case .toNode: name = "to_node"
        case .toGroup: name = "to_group"
        case .dropped(let why): (name, reason) = ("dropped", why.name)
        case .unknown(let number): name = "unknown_\(number)"
        }
        return Sighting(
            program: program.rawValue,
            mark: mark,
            vni: vni?.number ?? 0,
            verdict: name,
            reason: reason,
            agoMicroseconds: Int64(now > nanoseconds ? (now - nanoseconds) / 1_000 : 0)
        )
    }
}
