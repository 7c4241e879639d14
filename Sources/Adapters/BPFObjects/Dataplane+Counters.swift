package import Addressing
internal import CGenieABI
internal import CLibBPF

/// Why a packet was dropped; the list is the one of `genie/abi.h`.
package struct DropReason: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number in the map.
    package let number: UInt32
    /// The label of metrics and of listings, such as `spoofed_address`.
    package let name: String

    /// Every reason there is, by number.
    package static let all: [DropReason] = (1..<DROP_REASON_COUNT.rawValue)
        .compactMap(DropReason.init(number:))

    /// The reason with this number; nil when there is none.
    package init?(number: UInt32) {
        guard let name = drop_reason_name(number) else { return nil }
        self.number = number
        self.name = String(cString: name)
    }

    package static func < (lhs: DropReason, rhs: DropReason) -> Bool { lhs.number < rhs.number }

    package var description: String { name }
}

/// Whose packets a counter counts.
package enum CountedPod: Hashable, Comparable, Sendable {
    /// Nobody's on this node.
    case none
    /// The pod's behind this host-side veth.
    case port(ifindex: UInt32)
    /// Those of pods that are gone, added up.
    case gone

    init(ifindex: UInt32) {
        self =
            ifindex == 0 ? .none : ifindex == GENIE_GONE_IFINDEX ? .gone : .port(ifindex: ifindex)
    }
}

/// How many packets of one VPC and pod were dropped for one reason since the map was made.
package struct DropCount: Hashable, Sendable {
    /// The VPC; nil when the packet's is unknown on this node.
    package let vni: VNI?
    /// The pod that sent them, or that would have got them.
    package let pod: CountedPod
    /// Why.
    package let reason: DropReason
    /// Packets, over all CPUs.
    package let count: UInt64
}

/// What one pod interface sent and received since it was attached.
package struct TrafficCount: Hashable, Sendable {
    /// The VPC.
    package let vni: VNI
    /// The pod.
    package let pod: CountedPod
    /// Frames it sent, dropped ones included; a super-packet counts as its segments.
    package let sentPackets: UInt64
    /// Bytes of these, with their Ethernet headers.
    package let sentBytes: UInt64
    /// Frames it was given.
    package let receivedPackets: UInt64
    /// Bytes of these.
    package let receivedBytes: UInt64
}

/// A total of the dataplane since the map was made.
package struct PacketCount: Hashable, Sendable {
    /// The label of metrics and of listings, such as `pod_to_remote_pod`.
    package let name: String
    /// Packets over all CPUs, where GRO's merged ones count as one.
    package let count: UInt64
}

extension Dataplane {
    /// Every drop counter that is not zero, by VPC, reason and pod.
    package func drops() throws(BPFError) -> [DropCount] {
        try dropRows()
            .compactMap { row in
                DropReason(number: row.key.reason).map {
                    DropCount(
                        vni: VNI(row.key.vni),
                        pod: CountedPod(ifindex: row.key.ifindex),
                        reason: $0,
                        count: row.values.reduce(0, &+)
                    )
                }
            }
            .filter { $0.count > 0 }
            .sorted {
                ($0.vni?.number ?? 0, $0.reason, $0.pod) < ($1.vni?.number ?? 0, $1.reason, $1.pod)
            }
    }

    /// What every pod interface sent and received, by VPC and pod.
    package func traffic() throws(BPFError) -> [TrafficCount] {
        try trafficRows()
            .compactMap { row in
                guard let vni = VNI(row.key.vni) else { return nil }
                let sum = row.values.reduce(traffic_value(), +)
                return TrafficCount(
                    vni: vni,
                    pod: CountedPod(ifindex: row.key.ifindex),
                    sentPackets: sum.sent_packets,
                    sentBytes: sum.sent_bytes,
                    receivedPackets: sum.received_packets,
                    receivedBytes: sum.received_bytes
                )
            }
            .sorted { ($0.vni, $0.pod) < ($1.vni, $1.pod) }
    }

    /// Every total, zeroes included, in the order of `genie/abi.h`.
    package func counts() throws(BPFError) -> [PacketCount] {
        var counts: [PacketCount] = []
        for index in 0..<COUNT_COUNT.rawValue {
            guard let name = packet_count_name(index) else { continue }
            let values = try map(.count).get(index, empty: UInt64(0), count: Self.cpuCount)
            let sum = (values ?? []).reduce(0, &+)
            counts.append(PacketCount(name: String(cString: name), count: sum))
        }
        return counts
    }

    // MARK: - Rows that come and go with pods

    /// Makes the row that programs count a pod's packets in; one that is there goes on.
    func startCounting(_ vni: VNI, _ ifindex: UInt32) throws(BPFError) {
        try map(.traffic).put(
            traffic_key(vni: vni.number, ifindex: ifindex),
            perCPU: Array(repeating: traffic_value(), count: Self.cpuCount),
            isNewOnly: true
        )
    }

    /// Adds a pod's counts to those of the VPC's pods that are gone: its interface's number may be
    /// another pod's tomorrow, and a VPC's totals never go back.
    func stopCounting(_ vni: VNI, _ ifindex: UInt32) throws(BPFError) {
        let own = traffic_key(vni: vni.number, ifindex: ifindex)
        let gone = traffic_key(vni: vni.number, ifindex: GENIE_GONE_IFINDEX)
        try fold(.traffic, own, into: gone, traffic_value(), +)
        for reason in DropReason.all {
            let own = drop_key(vni: vni.number, ifindex: ifindex, reason: reason.number)
            var gone = own
            gone.ifindex = GENIE_GONE_IFINDEX
            try fold(.drop, own, into: gone, UInt64(0), &+)
        }
    }

    /// Stops counting for interfaces that have no port: a daemon died between two steps.
    package func settleCounts() throws(BPFError) {
        let ports = Set(try ports().map { PortID(vni: $0.vni.number, ifindex: $0.ifindex) })
        var strays: Set<PortID> = []
        for row in try trafficRows() {
            strays.insert(PortID(vni: row.key.vni, ifindex: row.key.ifindex))
        }
        for row in try dropRows() {
            strays.insert(PortID(vni: row.key.vni, ifindex: row.key.ifindex))
        }
        for stray in strays.subtracting(ports) {
            guard case .port = CountedPod(ifindex: stray.ifindex), let vni = VNI(stray.vni) else {
                continue
            }
            try stopCounting(vni, stray.ifindex)
        }
    }

    /// Removes every count of a VPC.
    func forgetCounts(_ vni: VNI) throws(BPFError) {
        for row in try trafficRows() where row.key.vni == vni.number {
            try map(.traffic).delete(row.key)
        }
        for row in try dropRows() where row.key.vni == vni.number {
            try map(.drop).delete(row.key)
        }
    }

    private struct PortID: Hashable {
        let vni: UInt32
        let ifindex: UInt32
    }

    /// Only the agent writes to `gone`, so that nothing is lost between reading and writing it.
    private func fold<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ which: Map,
        _ key: Key,
        into gone: Key,
        _ zero: Value,
        _ add: (Value, Value) -> Value
    ) throws(BPFError) {
        let map = map(which)
        guard let values = try map.get(key, empty: zero, count: Self.cpuCount) else { return }
        var sums = Array(repeating: zero, count: Self.cpuCount)
        sums[0] = values.reduce(zero, add)
        if let held = try map.get(gone, empty: zero, count: Self.cpuCount) {
            sums[0] = held.reduce(sums[0], add)
        }
        try map.put(gone, perCPU: sums)
        try map.delete(key)
    }

    func trafficRows() throws(BPFError) -> [(key: traffic_key, values: ArraySlice<traffic_value>)] {
        try map(.traffic).rows(
            emptyKey: traffic_key(),
            emptyValue: traffic_value(),
            valuesEach: Self.cpuCount
        )
    }

    func dropRows() throws(BPFError) -> [(key: drop_key, values: ArraySlice<UInt64>)] {
        try map(.drop).rows(
            emptyKey: drop_key(),
            emptyValue: UInt64(0),
            valuesEach: Self.cpuCount
        )
    }

    /// Values in a row of a per-CPU map.
    private static var cpuCount: Int { Int(libbpf_num_possible_cpus()) }
}

private func + (lhs: traffic_value, rhs: traffic_value) -> traffic_value {
    traffic_value(
        sent_packets: lhs.sent_packets &+ rhs.sent_packets,
        sent_bytes: lhs.sent_bytes &+ rhs.sent_bytes,
        received_packets: lhs.received_packets &+ rhs.received_packets,
        received_bytes: lhs.received_bytes &+ rhs.received_bytes
    )
}
