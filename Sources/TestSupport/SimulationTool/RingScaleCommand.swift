import ArgumentParser
import Determinism
import Foundation
import Simulation

struct RingScaleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Measure a ring of thousands of whole peers with pods that come and go.",
        discussion: """
            One way over the network takes 1 to 5 ms, a write 1 to 8 ms; what a processor would take \
            is not modelled. Example: ring scale --nodes 1000 --seconds 20 --json scale.json
            """
    )

    @Option(help: ArgumentHelp("The nodes of the ring.", valueName: "count"))
    var nodes = 1_000

    @Option(help: ArgumentHelp("The pods of each node.", valueName: "count"))
    var pods = 110

    @Option(help: ArgumentHelp("Pod starts a second over the whole ring.", valueName: "count"))
    var startsPerSecond = 1_000

    @Option(help: ArgumentHelp("How long starts are measured.", valueName: "seconds"))
    var seconds = 20

    @Option(help: ArgumentHelp("Within which time all nodes start.", valueName: "seconds"))
    var joinSeconds = 10

    @Option(help: ArgumentHelp("Within which time the pods are there.", valueName: "seconds"))
    var fillSeconds = 20

    @Option(help: ArgumentHelp("Slots; 4096 above 500 nodes unless given.", valueName: "count"))
    var slots: Int?

    @Option(help: ArgumentHelp("What the run follows from.", valueName: "number"))
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Write the figures to this file as well.", valueName: "file"))
    var json: String?

    func validate() throws {
        guard (2...8_191).contains(nodes) else {
            throw ValidationError("--nodes takes 2 to 8191, not \(nodes)")
        }
        guard (1...1_000).contains(pods) else {
            throw ValidationError("--pods takes 1 to 1000, not \(pods)")
        }
        let spans = [startsPerSecond, seconds, joinSeconds, fillSeconds]
        guard spans.allSatisfy({ (1...1_000_000).contains($0) }) else {
            throw ValidationError("rates and seconds are numbers from 1 on")
        }
        if let slots, !RingScale.Options.isSlotCount(slots) {
            throw ValidationError("--slots takes a power of two up to 65536, not \(slots)")
        }
    }

    func run() throws {
        let start = Date()
        var options = RingScale.Options()
        options.nodes = nodes
        options.podsPerNode = pods
        options.startsPerSecond = startsPerSecond
        options.loadSpan = .seconds(Int64(seconds))
        options.joinSpan = .seconds(Int64(joinSeconds))
        options.fillSpan = .seconds(Int64(fillSeconds))
        options.slotCount = slots
        options.seed = seed
        var ring = RingScale(options)
        for note in ring.notes { print(note) }
        ring.progress = { text in
            let passed = String(format: "%.0f s", Date().timeIntervalSince(start))
            report("\(passed), \(Self.residentKilobytes() / 1_024) MB: \(text)")
        }
        let isDone = ring.run()
        let resident = Double(Self.residentKilobytes())
        ring.note(residentKilobytes: resident, wallSeconds: Date().timeIntervalSince(start))
        for row in ring.rows { print(FigureRows.line(row)) }
        for note in ring.notes.dropFirst() { print(note) }
        if let json { try FigureRows.write(ring.rows, to: json) }
        guard isDone else {
            report("the run did not come to its end; what it measured is above")
            throw ExitCode(2)
        }
    }

    /// The process's largest resident size so far, as the kernel counts it.
    private static func residentKilobytes() -> Int {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
            let number = line.split(whereSeparator: { !$0.isNumber }).first
        else { return 0 }
        return Int(number) ?? 0
    }
}
