import Addressing
import BPFObjects
import Determinism
import LocalAPI
import Logging
import Netlink

extension NodeAgent {
    /// What the dataplane is and did, as its maps and the kernel say.
    ///
    /// Without `hasMaps` the maps are left out: how full one is takes a walk through its rows.
    func dataplaneStatus(hasMaps: Bool = true) throws(AgentError) -> DataplaneStatus {
        guard let dataplane, let first = uplinks.first, let podMTU else { throw .noDataplane }
        do throws(BPFError) {
            let traffic = try dataplane.traffic()
            let drops = try dataplane.drops()
            return DataplaneStatus(
                uplinks: uplinks.map {
                    .init(
                        interface: $0.name,
                        mode: $0.mode == .nativeXDP ? "xdp" : "tc",
                        modeReason: $0.reason,
                        mtu: $0.mtu
                    )
                },
                hook: first.hook == .clsact ? "clsact" : "tcx",
                hookReason: first.hookReason,
                merging: merging,
                vtep: settings.vtep.description,
                podMTU: podMTU,
                programs: try dataplane.loadedPrograms().map {
                    .init(
                        name: $0.program.rawValue,
                        id: $0.id,
                        tag: $0.tag,
                        machineCodeBytes: $0.machineCodeBytes
                    )
                },
                attachments: try dataplane.attachments().map(payload),
                maps: try (hasMaps ? dataplane.mapFill() : []).map {
                    .init(
                        name: $0.name,
                        entries: $0.entries,
                        entriesMax: $0.entriesMax,
                        memoryBytes: $0.memoryBytes
                    )
                },
                endpoints: endpointTraffic(traffic, drops),
                vpcs: vpcTraffic(traffic),
                drops: Self.dropsByVPC(drops),
                counts: try dataplane.counts().map { .init(name: $0.name, packets: $0.count) }
            )
        } catch {
            throw .dataplane(error)
        }
    }

    /// What pods get of the least of the uplinks' MTUs, in bytes; nil without an uplink.
    var podMTU: Int? {
        let overhead = Int(NodeConfiguration.tunnelOverhead(over: settings.vtep))
        return uplinks.map(\.mtu).min().map { $0 - overhead }
    }

    private func payload(_ attachment: BPFObjects.Attachment) -> DataplaneStatus.Attachment {
        let uplink = uplinks.first { $0.index == attachment.ifindex }?.name ?? "(gone)"
        let (interface, program) =
            switch attachment.role {
            case .pod(let key): (key, Dataplane.Program.podEgress)
            case .uplinkXDP: (uplink, .uplinkXDP)
            case .uplinkIngress: (uplink, .uplinkIngress)
            case .mergeGuard: (Self.mergeDevice, .podEgress)
            }
        return .init(
            interface: interface,
            hook: "\(attachment.hook)",
            program: program.rawValue,
            programID: attachment.programID
        )
    }

    private func endpointTraffic(
        _ traffic: [TrafficCount],
        _ drops: [DropCount]
    ) -> [EndpointTraffic] {
        journal.all.filter { $0.state == .attached }.map { attachment in
            let pod = CountedPod.port(ifindex: attachment.hostIndex)
            let count = traffic.first { $0.vni.number == attachment.vni && $0.pod == pod }
            var endpoint = EndpointTraffic(
                hostInterface: attachment.hostInterface,
                containerID: attachment.containerID,
                interface: attachment.interface,
                pod: attachment.podName.isEmpty
                    ? "" : "\(attachment.podNamespace)/\(attachment.podName)",
                netns: attachment.netns,
                vpc: attachment.vpc,
                vni: attachment.vni,
                group: attachment.group,
                addresses: attachment.held.map { "\($0.address)" },
                mac: attachment.mac,
                totals: count?.totals ?? TrafficTotals()
            )
            endpoint.drops = drops.filter { $0.vni?.number == attachment.vni && $0.pod == pod }
                .map { .init(reason: $0.reason.name, packets: $0.count) }
            return endpoint
        }
    }

    private func vpcTraffic(_ traffic: [TrafficCount]) -> [VPCTraffic] {
        var sums = SortedMap<UInt32, TrafficTotals>()
        for count in traffic {
            sums[count.vni.number] = sums[count.vni.number, default: TrafficTotals()] + count.totals
        }
        var names: [UInt32: String] = [:]
        for attachment in journal.attachments.values { names[attachment.vni] = attachment.vpc }
        return sums.map { VPCTraffic(vpc: names[$0.key] ?? "", vni: $0.key, totals: $0.value) }
    }

    /// One row for each VPC and reason, whichever pods it was.
    private static func dropsByVPC(_ drops: [DropCount]) -> [DataplaneStatus.Drop] {
        var rows: [DataplaneStatus.Drop] = []
        for drop in drops {
            let vni = drop.vni?.number ?? 0
            // They come in the order of VPC and reason.
            if let last = rows.last, last.vni == vni, last.reason == drop.reason.name {
                rows[rows.count - 1].packets &+= drop.count
            } else {
                rows.append(.init(vni: vni, reason: drop.reason.name, packets: drop.count))
            }
        }
        return rows
    }
}

// MARK: - Hooks of pods

/// A pod whose program is a filter and is to be a link.
struct QuickPod {
    let key: AttachmentKey
    let since = ContinuousClock.now
    var attempts = 0
}

extension NodeAgent {
    /// Interfaces have to be at rest for so long before hooks are changed: 2 s.
    private static let restSpan = Duration.seconds(2)
    /// A pod that waits for longer than this has its turn though they are not: 1 min.
    private static let restPatience = Duration.seconds(60)
    private static let attemptsMax = 3

    /// Makes links of filters, one by one, while no pod comes or goes.
    ///
    /// Each keeps the kernel from changing interfaces for some 10 ms. Where they never rest, those
    /// that have waited for a minute have their turn, one each second.
    func settleHooks() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            if let first = quickPods.first, ContinuousClock.now - first.since > Self.restPatience {
                settleHook()
            }
            while busy.isEmpty, !quickPods.isEmpty,
                ContinuousClock.now - interfacesChanged > Self.restSpan
            {
                guard settleHook() else { break }
                await Task.yield()
            }
        }
    }

    /// The first of those that wait; false where it has to be tried again a little later.
    @discardableResult
    private func settleHook() -> Bool {
        var pod = quickPods.removeFirst()
        guard let dataplane, let attachment = journal.attachments[pod.key],
            attachment.state == .attached,
            // A runtime may have taken the interface away, and the number may be another's.
            (try? Links.index(of: attachment.hostInterface)) == attachment.hostIndex
        else { return true }
        do throws(BPFError) {
            try dataplane.attachPod(ifindex: attachment.hostIndex, key: attachment.hostInterface)
            return true
        } catch {
            pod.attempts += 1
            if pod.attempts < Self.attemptsMax { quickPods.append(pod) }
            logger.warning(
                "a pod's filter could not be made a link",
                metadata: [
                    "interface": "\(attachment.hostInterface)", "attempts": "\(pod.attempts)",
                    "reason": "\(error)",
                ]
            )
            return false
        }
    }
}

// MARK: - Merging what the uplink receives

extension NodeAgent {
    /// The device whose UDP socket makes the kernel merge tunnel packets.
    static let mergeDevice = "genie-merge"

    /// Lets the kernel merge tunnel packets by their inner ones before tc strips them; what came of
    /// it, for people.
    ///
    /// Without it every segment that came off a wire climbs the stack alone. Measured over uplinks
    /// that segment everything, eight TCP streams: 0.70 of vxlan's throughput without, 1.12 with.
    func makeMergeDevice(_ dataplane: Dataplane, _ mode: UplinkMode) -> String {
        let port = UInt16(6_081)
        // One of an earlier start may be of another kind, or half made.
        _ = try? Links.delete(Self.mergeDevice)
        guard mode == .trafficControlOnly else {
            try? dataplane.detachMergeGuard()
            return "by GRO behind XDP"
        }
        var refusal: NetlinkError?
        for kind in TunnelReceiver.Kind.allCases {
            do throws(NetlinkError) {
                try TunnelReceiver(name: Self.mergeDevice, kind: kind, port: port).create()
            } catch {
                refusal = error
                continue
            }
            do {
                let index = try Links.index(of: Self.mergeDevice)
                try dataplane.attachMergeGuard(ifindex: index)
                try? Sysctl.write("1", to: "disable_ipv6", of: .ipv6, on: Self.mergeDevice)
                try Links.setUp(Self.mergeDevice)
                return "\(Self.mergeDevice), a \(kind.rawValue) device that hands nothing on"
            } catch {
                _ = try? Links.delete(Self.mergeDevice)
                return "none: \(error)"
            }
        }
        return "none: \(refusal.map { "\($0)" } ?? "the kernel has no such device")"
    }
}

extension TrafficCount {
    fileprivate var totals: TrafficTotals {
        TrafficTotals(
            sentPackets: sentPackets,
            sentBytes: sentBytes,
            receivedPackets: receivedPackets,
            receivedBytes: receivedBytes
        )
    }
}

extension AgentSettings.HookChoice {
    var choice: TrafficControlChoice {
        switch self {
        case .auto: .automatic
        case .tcx: .tcxOnly
        case .clsact: .clsactOnly
        }
    }

    /// Why programs are attached to `hook`.
    func reason(for hook: AttachHook) -> String {
        switch (self, hook) {
        case (.auto, .clsact): "this kernel has no tcx"
        case (.auto, _): "the kernel has tcx"
        case (.tcx, _), (.clsact, _): "as told by --tc-hook"
        }
    }
}
