import Foundation

/// One measured number, with the peer's from the same run where it was taken.
///
/// What could not be taken is absent in the JSON, and a dash in the table.
package struct Figure: Codable, Hashable, Sendable {
    /// What was measured, `bench.case.statistic`.
    package let name: String
    /// The unit of both numbers.
    package let unit: String
    /// Ours.
    package let ours: Double?
    /// The other program's.
    package let peer: Double?
    /// The other program.
    package let peerName: String?
    /// Ours in the peer's.
    package let ratio: Double?
    /// The most that ours may be; the least where ``isFloor`` says so.
    package let bar: Double?
    /// Whether ours keeps to the bar.
    package let holds: Bool?
    /// Samples behind ours, or behind the peer's where ours is absent.
    package let runs: Int
    /// Whether the bar is the least that ours may be; of the table only.
    package var isFloor = false

    private enum CodingKeys: String, CodingKey {
        case name, unit, ours, peer, peerName, ratio, bar, holds, runs
    }

    /// Makes a figure; ratio and verdict follow from the numbers.
    package init(
        _ name: String,
        unit: String,
        ours: Double?,
        peer: Double? = nil,
        peerName: String? = nil,
        atMost ceiling: Double? = nil,
        atLeast floor: Double? = nil,
        runs: Int
    ) {
        precondition(ceiling == nil || floor == nil, "a figure has one bar")
        self.name = name
        self.unit = unit
        self.ours = ours.map(Self.rounded)
        self.peer = peer.map(Self.rounded)
        self.peerName = peer == nil ? nil : peerName
        if let ours, let peer, peer != 0 {
            ratio = Self.rounded(ours / peer)
        } else {
            ratio = nil
        }
        bar = (ceiling ?? floor).map(Self.rounded)
        isFloor = floor != nil
        if let ours, let ceiling {
            holds = ours <= ceiling
        } else if let ours, let floor {
            holds = ours >= floor
        } else {
            holds = nil
        }
        self.runs = runs
    }

    /// Three digits after the point say more than any of these clocks can.
    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

    /// An array, one figure a line, as `--json` writes it.
    package static func json(_ figures: [Figure]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let lines = try figures.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
        return "[\n" + lines.map { "  \($0)" }.joined(separator: ",\n") + "\n]\n"
    }

    /// Reads what ``json(_:)`` wrote, or another program in the same form.
    package static func read(_ text: String) throws -> [Figure] {
        try JSONDecoder().decode([Figure].self, from: Data(text.utf8))
    }

    /// A table for people.
    package static func table(_ figures: [Figure]) -> String {
        let header = ["", "unit", "ours", "peer", "ratio", "bar", "holds", "runs"]
        let rows = figures.map { figure in
            [
                figure.name, figure.unit, text(figure.ours),
                text(figure.peer) + (figure.peerName.map { " \($0)" } ?? ""), text(figure.ratio),
                figure.bar.map { (figure.isFloor ? ">= " : "<= ") + text($0) } ?? "-",
                figure.holds.map { $0 ? "yes" : "NO" } ?? "-", "\(figure.runs)",
            ]
        }
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([header] + rows).map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return column < 2 ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    private static func text(_ value: Double?) -> String {
        guard let value else { return "-" }
        if value == value.rounded() { return String(format: "%.0f", value) }
        return String(
            format: abs(value) >= 100 ? "%.0f" : abs(value) >= 10 ? "%.1f" : "%.3f",
            value
        )
    }
}
