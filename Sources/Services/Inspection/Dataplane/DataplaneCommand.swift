import ArgumentParser
import LocalAPI

/// `genie-ring dataplane`: what this node's programs do.
struct DataplaneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dataplane",
        abstract: "Show this node's programs, maps, and dropped packets.",
        discussion: "Example: genie-ring dataplane -o json"
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
        print("uplink   \(status.uplink), receives through \(status.mode) (\(status.modeReason))")
        print("VTEP     \(status.vtep)")
        print("pod MTU  \(status.podMTU)\n")
        let attachments = status.attachments.map { [$0.interface, $0.hook, $0.program] }
        print(TextTable(header: ["INTERFACE", "HOOK", "PROGRAM"], rows: attachments).text + "\n")
        let maps = status.maps.map { [$0.name, "\($0.entries)", "\($0.entriesMax)"] }
        print(TextTable(header: ["MAP", "ENTRIES", "MAX"], rows: maps).text + "\n")
        let counts = status.counts.map { [$0.name, "\($0.packets)"] }
        print(TextTable(header: ["COUNTER", "PACKETS"], rows: counts).text + "\n")
        let drops = status.drops.map { ["\($0.vni)", $0.reason, "\($0.packets)"] }
        if drops.isEmpty {
            print("no drops")
        } else {
            print(TextTable(header: ["VNI", "DROP REASON", "PACKETS"], rows: drops).text)
        }
    }
}
