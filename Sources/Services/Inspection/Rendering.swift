import Foundation

/// Columns for people: as wide as their widest cell, two blanks apart.
struct TextTable {
    let header: [String]
    var rows: [[String]] = []

    var text: String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            let cells = row.indices.map { index in
                let isLast = index == row.count - 1
                return isLast
                    ? row[index]
                    : row[index].padding(toLength: widths[index], withPad: " ", startingAt: 0)
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

/// Prints a payload as JSON, or as the table that `table` makes of it.
///
/// The switch is exhaustive: a new format does not compile until every list can be printed in it.
func render<Payload: Encodable>(
    _ payload: Payload,
    as format: OutputFormat,
    empty: String,
    table: (Payload) -> TextTable
) throws {
    switch format {
    case .json:
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(payload), as: UTF8.self))
    case .table:
        let table = table(payload)
        if table.rows.isEmpty {
            FileHandle.standardError.write(Data((empty + "\n").utf8))
        } else {
            print(table.text)
        }
    }
}

/// Says something beside the data.
func printNote(_ text: String) {
    FileHandle.standardError.write(Data(("genie-ring: " + text + "\n").utf8))
}

/// A length of time for people: 850ms, 12s, 5m, 3h, 2d.
func describe(milliseconds: Int64) -> String {
    switch milliseconds {
    case ..<1_000: "\(milliseconds)ms"
    case ..<120_000: "\(milliseconds / 1_000)s"
    case ..<7_200_000: "\(milliseconds / 60_000)m"
    case ..<172_800_000: "\(milliseconds / 3_600_000)h"
    default: "\(milliseconds / 86_400_000)d"
    }
}

/// What a command says while it goes on.
enum Console {
    /// Prints a line at once, whatever standard output is: who pipes it waits for each.
    static func print(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    /// Tells people something beside the output.
    static func report(_ text: String) {
        FileHandle.standardError.write(Data(("genie-ring: " + text + "\n").utf8))
    }
}
