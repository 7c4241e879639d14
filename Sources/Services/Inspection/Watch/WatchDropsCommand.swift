import ArgumentParser
import Foundation
import LocalAPI

/// `genie-ring watch drops`.
struct WatchDropsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drops",
        abstract: "Print a line for each reason that packets are dropped for, as it happens.",
        discussion: """
            The programs' counters are read once a second (--interval) and compared: nothing is added \
            to the packets' way. A line says how many packets were dropped since the last one, of \
            which pod and VPC, and why; pod and VPC are absent for packets that no pod of this node \
            sent or should have got. --count ends it after so many lines, Ctrl-C at once.

            Example: genie-ring watch drops --count 1
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: "Milliseconds between two looks, 50 to 60,000.")
    var interval = 1_000
    @Option(help: "End after so many lines.")
    var count: Int?

    func validate() throws {
        guard (50...60_000).contains(interval) else {
            throw ValidationError("--interval \(interval) is none of 50 to 60000 milliseconds")
        }
        guard count.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--count has to be positive: leave it out to go on for ever")
        }
    }

    func run() throws {
        endOnInterrupt()
        var known = DropPicture(try status())
        var left = count ?? Int.max
        while left > 0 {
            Thread.sleep(forTimeInterval: Double(interval) / 1_000)
            let current: DropPicture
            do { current = DropPicture(try status()) } catch let error as InspectionError {
                FileHandle.standardError.write(Data("genie-ring: \(error); trying again\n".utf8))
                continue
            }
            let now = Int64(Date().timeIntervalSince1970 * 1_000)
            for line in current.lines(since: known, at: now).prefix(left) {
                let text = node.output == .json ? line.json : line.text
                // At once, whatever standard output is: who pipes it waits for each line.
                FileHandle.standardOutput.write(Data((text + "\n").utf8))
                left -= 1
            }
            known = current
        }
    }

    private func status() throws -> DataplaneStatus {
        try node.client.get("/v1/dataplane?maps=no", as: DataplaneStatus.self)
    }
}

/// The drop counters of one moment.
struct DropPicture {
    /// Whose packets, and why they were dropped.
    struct Key: Hashable {
        let vni: UInt32
        /// The pod with its interface; empty where it is no pod of this node.
        let pod: String
        let reason: String
    }

    private var counts: [Key: UInt64] = [:]
    private var order: [Key] = []
    private var vpcs: [UInt32: String] = [:]

    init(_ status: DataplaneStatus) {
        for vpc in status.vpcs where !vpc.vpc.isEmpty { vpcs[vpc.vni] = vpc.vpc }
        var ofPods: [Key: UInt64] = [:]
        for endpoint in status.endpoints {
            for drop in endpoint.drops {
                let whole = Key(vni: endpoint.vni, pod: "", reason: drop.reason)
                ofPods[whole, default: 0] += drop.packets
                add(
                    Key(vni: endpoint.vni, pod: endpoint.name, reason: drop.reason),
                    drop.packets
                )
            }
        }
        for drop in status.drops {
            let key = Key(vni: drop.vni, pod: "", reason: drop.reason)
            add(key, drop.packets - min(drop.packets, ofPods[key] ?? 0))
        }
    }

    private mutating func add(_ key: Key, _ packets: UInt64) {
        if counts[key] == nil { order.append(key) }
        counts[key, default: 0] += packets
    }

    /// What was dropped since `earlier`, one line for each pod and reason.
    ///
    /// A counter that went back (its pod went away) has nothing to tell.
    func lines(since earlier: DropPicture, at milliseconds: Int64) -> [DropLine] {
        order.compactMap { key in
            let (now, before) = (counts[key] ?? 0, earlier.counts[key] ?? 0)
            guard now > before else { return nil }
            // What a pod that went away had dropped is its VPC's from then on, and is not new.
            let isTaken = key.pod.isEmpty && earlier.podsLost(key, in: self) >= now - before
            guard !isTaken else { return nil }
            return DropLine(
                timeMilliseconds: milliseconds,
                vpc: vpcs[key.vni],
                vni: key.vni,
                pod: key.pod.isEmpty ? nil : key.pod,
                reason: key.reason,
                packets: now - before
            )
        }
    }

    /// Packets that pods had dropped here and have no more in `later`.
    private func podsLost(_ key: Key, in later: DropPicture) -> UInt64 {
        counts.reduce(0) { sum, entry in
            guard entry.key.vni == key.vni, entry.key.reason == key.reason, !entry.key.pod.isEmpty,
                later.counts[entry.key] == nil
            else { return sum }
            return sum + entry.value
        }
    }
}

/// One line of what is printed; as JSON, fields without a value are left out.
struct DropLine: Encodable {
    let schema = LocalAPI.schema
    var timeMilliseconds: Int64
    var vpc: String?
    var vni: UInt32
    var pod: String?
    var reason: String
    var packets: UInt64

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    var text: String {
        let date = Date(timeIntervalSince1970: Double(timeMilliseconds) / 1_000)
        let time = date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let place = vni == 0 ? "unknown VPC" : "\(vpc ?? "VPC") (\(vni))"
        return "\(time)  \(reason)  \(packets)  \(place)  \(pod ?? "-")"
    }
}
