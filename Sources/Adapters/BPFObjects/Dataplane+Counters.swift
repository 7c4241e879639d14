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

/// How many packets of one VPC were dropped for one reason since the map was made.
package struct DropCount: Hashable, Sendable {
    /// The VPC; nil when the packet's is unknown on this node.
    package let vni: VNI?
    /// Why.
    package let reason: DropReason
    /// Packets, over all CPUs.
    package let count: UInt64
}

/// A total of the dataplane since the map was made.
package struct PacketCount: Hashable, Sendable {
    /// The label of metrics and of listings, such as `pod_to_remote_pod`.
    package let name: String
    /// Packets over all CPUs, where GRO's merged ones count as one.
    package let count: UInt64
}

/// How full a map is.
package struct MapFill: Hashable, Sendable {
    /// The name it is pinned as.
    package let name: String
    /// Rows in it.
    package let entries: Int
    /// The most rows it can hold.
    package let entriesMax: Int
}

extension Dataplane {
    /// Every drop counter that is not zero, by VPC and reason.
    package func drops() throws(BPFError) -> [DropCount] {
        try map(.drop)
            .rows(emptyKey: drop_key(), emptyValue: UInt64(0), valuesEach: Self.cpuCount)
            .compactMap { row in
                DropReason(number: row.key.reason).map {
                    DropCount(vni: VNI(row.key.vni), reason: $0, count: row.values.reduce(0, &+))
                }
            }
            .filter { $0.count > 0 }
            .sorted {
                ($0.vni?.number ?? 0, $0.reason) < ($1.vni?.number ?? 0, $1.reason)
            }
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

    /// How full the maps are whose rows come and go.
    ///
    /// - Complexity: O(n) in the rows: the kernel keeps no count.
    package func mapFill() throws(BPFError) -> [MapFill] {
        var fill: [MapFill] = []
        fill.append(MapFill(of: map(.port), try ports().count))
        fill.append(MapFill(of: map(.endpoint), try endpoints().count))
        fill.append(MapFill(of: map(.vtep), try vteps().count))
        fill.append(MapFill(of: map(.vni), try vnis().count))
        fill.append(MapFill(of: map(.drop), try dropRowCount()))
        return fill
    }

    private func dropRowCount() throws(BPFError) -> Int {
        try map(.drop)
            .rows(emptyKey: drop_key(), emptyValue: UInt64(0), valuesEach: Self.cpuCount).count
    }

    /// Values in a row of a per-CPU map.
    private static var cpuCount: Int { Int(libbpf_num_possible_cpus()) }
}

extension MapFill {
    fileprivate init(of map: PinnedMap, _ entries: Int) {
        self.init(name: map.name, entries: entries, entriesMax: Int(map.layout.entriesMax))
    }
}
