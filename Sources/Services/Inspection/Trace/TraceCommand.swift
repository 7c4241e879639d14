import ArgumentParser
import LocalAPI

/// `genie-ring trace`: where a packet goes, and why.
struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Explain where a packet of a pod would go, or send one and tell what it met.",
        discussion: """
            FROM is a pod of this node, TO any: an address, namespace/name or a container id, with \
            :INTERFACE where a pod has several. Without --live nothing is sent: the rows of the maps \
            are read in the order in which the programs check a packet. With --live one marked packet \
            leaves the pod's interface; each program that meets it notes what it decided, also on \
            the other node, where --seen shows it. The pod at the other end gets that packet: an echo \
            request, a datagram of zeroes, or a SYN. The exit status is 0 unless the packet is dropped \
            or, with --live, nothing is known to have got it: 1 then.

            Example: genie-ring trace --seen
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The pod that sends.")
    var from: String?
    @Argument(help: "Who the packet is for.")
    var to: String?
    @Argument(help: "icmp, udp or tcp.")
    var transport = "icmp"
    @Argument(help: "The port of udp and tcp.")
    var port: UInt16 = 0
    @Option(help: "The size of the IP packet, headers included.")
    var bytes = 84
    @Flag(help: "Send a marked packet.")
    var live = false
    @Flag(help: "Show the traced packets that this node's programs have met.")
    var seen = false

    func validate() throws {
        guard !seen else {
            if from != nil { throw ValidationError("--seen takes no packet") }
            return
        }
        guard from != nil, to != nil else {
            throw ValidationError("name FROM and TO, or say --seen")
        }
        guard ["icmp", "udp", "tcp"].contains(transport) else {
            throw ValidationError("'\(transport)' is none of icmp, udp, tcp")
        }
        guard transport == "icmp" || port > 0 else {
            throw ValidationError("\(transport) needs a port, 1 to 65535")
        }
    }

    func run() throws {
        guard !seen else { return try printSeen() }
        let request = TraceRequest(
            from: from ?? "",
            to: to ?? "",
            transport: transport,
            port: port,
            bytes: bytes,
            isLive: live
        )
        let answer = try node.client.post("/v1/trace", request, as: TraceAnswer.self)
        switch node.output {
        case .json: try render(answer, as: .json, empty: "") { _ in TextTable(header: []) }
        case .table: print(Self.text(answer))
        }
        guard answer.isGood else { throw ExitCode(1) }
    }

    private func printSeen() throws {
        let list = try node.client.get("/v1/trace", as: SightingList.self)
        try render(list, as: node.output, empty: "no traced packet has come by") { list in
            TextTable(
                header: ["AGO", "MARK", "VNI", "PROGRAM", "DECIDED"],
                rows: list.seen.map {
                    [
                        describe(milliseconds: $0.agoMicroseconds / 1_000), "\($0.mark)",
                        "\($0.vni)",
                        $0.program, $0.decision,
                    ]
                }
            )
        }
    }

    static func text(_ answer: TraceAnswer) -> String {
        var lines = [answer.packet]
        lines += answer.steps.enumerated().map {
            "\($0.offset + 1). \($0.element.at): \($0.element.found)"
        }
        lines.append("=> \(answer.verdict)\(answer.reason.map { ": \($0)" } ?? "")")
        guard let seen = answer.seen else { return lines.joined(separator: "\n") }
        lines.append("sent with mark \(answer.mark ?? 0)")
        lines += seen.map { "   \($0.program): \($0.decision)" }
        if seen.isEmpty { lines.append("   no program met it") }
        if let isArrived = answer.isArrived {
            lines.append(isArrived ? "   it arrived in the pod" : "   it did not arrive in the pod")
        }
        if let microseconds = answer.answeredMicroseconds {
            lines.append("   answered after \(microseconds) us")
        } else {
            lines.append("   no answer came within a second")
        }
        return lines.joined(separator: "\n")
    }
}

extension Sighting {
    fileprivate var decision: String {
        verdict.replacing("_", with: " ") + (reason.map { ": \($0)" } ?? "")
    }
}

extension TraceAnswer {
    /// Whether it gets to where it should, as far as can be known.
    fileprivate var isGood: Bool {
        guard verdict != "dropped" else { return false }
        guard let seen else { return true }
        if isArrived == true || answeredMicroseconds != nil { return true }
        // On another node only an answer proves it, and not every port gives one.
        return isArrived == nil && seen.contains { $0.verdict == "to_other_node" }
    }
}
