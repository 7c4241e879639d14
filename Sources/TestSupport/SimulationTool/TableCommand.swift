import ArgumentParser
import Determinism
import Foundation
import Simulation

struct TableCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "table",
        abstract: "Measure simulated rings: detection, rumors, traffic, bootstrap.",
        discussion: "One way between two nodes takes 1 to 5 ms. Detection is over all survivors."
    )

    @Option(help: ArgumentHelp("Sizes of the rings.", valueName: "list"))
    var nodes = "5,100,1000,5000"

    @Option(help: ArgumentHelp("Nodes that join through one; 0 for none.", valueName: "count"))
    var bootstrap = 2_000

    @Option(help: ArgumentHelp("Write the figures to this file as well.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("What the rings' draws follow from.", valueName: "number"))
    var seed: UInt64 = 1

    func run() throws {
        let sizes = nodes.split(separator: ",").map { Int($0) }
        guard sizes.allSatisfy({ $0 ?? 0 >= 2 }) else {
            throw ValidationError("--nodes takes numbers from 2 on, such as 5,100")
        }
        var table = ScaleTable(seed: seed)
        var printed = 0
        func printNew() {
            for row in table.rows.dropFirst(printed) { print(FigureRows.line(row)) }
            printed = table.rows.count
        }
        for size in sizes.compactMap(\.self) {
            let start = Date()
            let span = table.measure(nodes: size)
            table.note(
                nodes: size,
                virtualSeconds: Double(span.microseconds) / 1e6,
                wallSeconds: Date().timeIntervalSince(start)
            )
            printNew()
        }
        if bootstrap > 1 {
            table.measureBootstrap(nodes: bootstrap)
            printNew()
        }
        if let json { try FigureRows.write(table.rows, to: json) }
    }
}
