import Foundation
import Simulation

/// Figures as lines for people and as JSON for programs.
enum FigureRows {
    static func line(_ row: ScaleTable.Row) -> String {
        let figure = String(format: row.ours.magnitude < 10 ? "%12.3f" : "%12.1f", row.ours)
        let bar = row.bar.map { String(format: $0 < 10 ? "bar %.2f" : "bar %.0f", $0) } ?? ""
        let verdict = row.holds.map { $0 ? "holds" : "MISSED" } ?? ""
        let name = row.name.padding(toLength: 62, withPad: " ", startingAt: 0)
        return "\(name)\(figure) \(row.unit)  \(bar) \(verdict)"
    }

    private struct JSONRow: Encodable {
        let name: String
        let unit: String
        let ours: Double
        let bar: Double?
        let holds: Bool?
        let runs: Int
    }

    static func write(_ rows: [ScaleTable.Row], to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let values = rows.map {
            JSONRow(
                name: $0.name,
                unit: $0.unit,
                ours: $0.ours,
                bar: $0.bar,
                holds: $0.holds,
                runs: $0.runs
            )
        }
        try encoder.encode(values).write(to: URL(filePath: path))
    }
}
