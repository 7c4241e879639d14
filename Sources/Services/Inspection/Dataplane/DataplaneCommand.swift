import ArgumentParser
import LocalAPI

/// `genie-ring dataplane`: what this node's programs do.
struct DataplaneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dataplane",
        abstract: "Show this node's hooks, programs and maps, and what they carried and dropped.",
        discussion: """
            Frames and bytes are those of pods, without the tunnel; a super-packet counts as its \
            segments, and what a pod sent includes what was dropped of it. Map bytes are the kernel's.

            Example: genie-ring dataplane -o json
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let status = try node.client.get("/v1/dataplane", as: DataplaneStatus.self)
        switch node.output {
        case .json: try render(status, as: .json, empty: "") { _ in TextTable(header: []) }
        case .table: printTables(status)
        }
    }

    private func printTables(_ status: DataplaneStatus) {
        for uplink in status.uplinks {
            print(
                "uplink   \(uplink.interface), MTU \(uplink.mtu), receives through \(uplink.mode) "
                    + "(\(uplink.modeReason))"
            )
        }
        print("tc hook  \(status.hook) (\(status.hookReason))")
        print("merging  \(status.merging)")
        print("VTEP     \(status.vtep)")
        print("pod MTU  \(status.podMTU)\n")
        for table in [
            Self.programs(status), Self.attachments(status), Self.maps(status),
            Self.endpoints(status), Self.vpcs(status), Self.counts(status),
        ] where !table.rows.isEmpty { print(table.text + "\n") }
        let drops = Self.drops(status)
        print(drops.rows.isEmpty ? "no drops" : drops.text)
    }

    private static func programs(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["PROGRAM", "ID", "TAG", "BYTES"],
            rows: status.programs.map { [$0.name, "\($0.id)", $0.tag, "\($0.machineCodeBytes)"] }
        )
    }

    /// One that runs another program than this `genied` has loaded is marked.
    private static func attachments(_ status: DataplaneStatus) -> TextTable {
        let loaded = Set(status.programs.map(\.id))
        return TextTable(
            header: ["INTERFACE", "HOOK", "PROGRAM"],
            rows: status.attachments.map { attachment in
                let note = loaded.contains(attachment.programID) ? "" : ", of another start"
                return [
                    attachment.interface, attachment.hook,
                    "\(attachment.program) (\(attachment.programID)\(note))",
                ]
            }
        )
    }

    private static func maps(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["MAP", "ENTRIES", "MAX", "FILL", "BYTES"],
            rows: status.maps.map { map in
                let fill = map.entriesMax == 0 ? 0 : map.entries * 100 / map.entriesMax
                return [
                    map.name, "\(map.entries)", "\(map.entriesMax)", "\(fill)%",
                    map.memoryBytes.map { "\($0)" } ?? "-",
                ]
            }
        )
    }

    private static func endpoints(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["POD", "VPC/GROUP", "ADDRESS"] + totalsHeader + ["DROPPED"],
            rows: status.endpoints.map { endpoint in
                let dropped = endpoint.drops.map { "\($0.reason) \($0.packets)" }
                return [
                    endpoint.name, "\(endpoint.vpc)/\(endpoint.group)",
                    endpoint.addresses.joined(separator: ","),
                ] + row(endpoint.totals) + [
                    dropped.isEmpty ? "-" : dropped.joined(separator: ", ")
                ]
            }
        )
    }

    private static func vpcs(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["VPC", "VNI"] + totalsHeader,
            rows: status.vpcs.map {
                [$0.vpc.isEmpty ? "-" : $0.vpc, "\($0.vni)"] + row($0.totals)
            }
        )
    }

    private static let totalsHeader = ["SENT", "BYTES", "RECEIVED", "BYTES"]

    private static func row(_ totals: TrafficTotals) -> [String] {
        [totals.sentPackets, totals.sentBytes, totals.receivedPackets, totals.receivedBytes]
            .map { "\($0)" }
    }

    private static func counts(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["COUNTER", "PACKETS"],
            rows: status.counts.map { [$0.name, "\($0.packets)"] }
        )
    }

    private static func drops(_ status: DataplaneStatus) -> TextTable {
        TextTable(
            header: ["VNI", "DROP REASON", "PACKETS"],
            rows: status.drops.map { ["\($0.vni)", $0.reason, "\($0.packets)"] }
        )
    }
}
