import ArgumentParser
import Foundation
import LocalAPI
import Netlink

/// `genie-ring capture`: the packets of one pod, before and after encapsulation.
struct CaptureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Write the packets of a pod to a file, before and after encapsulation.",
        discussion: """
            The file is pcapng, with one interface for the pod's end and one for each uplink, where only \
            tunnel packets from and to the pod are taken (and what XDP has stripped of them already). \
            It ends after --seconds, --packets or --megabytes, whichever comes first, or with Ctrl-C; \
            the sockets are gone with it and nothing else was changed. Packets whose checksum the \
            kernel has left to the device show a wrong one.

            Example: genie-ring capture --seconds 1 --help
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "A pod of this node: namespace/name, container id or address, with :INTERFACE.")
    var pod: String
    @Option(name: .shortAndLong, help: "The file; - is standard output.")
    var write: String = "-"
    @Option(help: "End after so many seconds, 1 to 3,600.")
    var seconds = 60
    @Option(help: "End after so many packets.")
    var packets = 100_000
    @Option(help: "End when the file has so many megabytes.")
    var megabytes = 100
    @Option(help: "Keep so many bytes of each packet, 64 to 65,600.")
    var snap = 65_600

    func validate() throws {
        guard (1...3_600).contains(seconds), packets > 0, (1...100_000).contains(megabytes),
            (64...PacketTap.frameBytesMax).contains(snap)
        else { throw ValidationError("a bound is out of range; see --help") }
        if write == "-", isatty(STDOUT_FILENO) == 1 {
            throw ValidationError("name a file with --write, or pipe standard output somewhere")
        }
    }

    func run() throws {
        let status = try node.client.get("/v1/dataplane?maps=no", as: DataplaneStatus.self)
        let endpoint = try Self.find(pod, status)
        let output = try open()
        let taps: [PacketTap]
        do throws(NetlinkError) {
            var all = [try PacketTap(endpoint.interface, netnsPath: endpoint.netns)]
            for uplink in status.uplinks { all.append(try PacketTap(uplink.interface)) }
            taps = all
        } catch {
            throw InspectionError.uncapturable(pod: endpoint.name, detail: "\(error)")
        }
        let file = PcapFile(
            interfaces: ["\(endpoint.name) in \(endpoint.vpc)"]
                + status.uplinks.map { "uplink \($0.interface)" },
            snapBytes: snap
        )
        CaptureEnd.catchSignals()
        let counts = try copy(taps, EncapsulationFilter(endpoint), file, to: output)
        let losses = taps.reduce(0) { $0 + $1.takeLosses() }
        FileHandle.standardError.write(
            Data(
                ("genie-ring: \(counts[0]) packets at the pod, "
                    + "\(counts.dropFirst().reduce(0, +)) at the uplink"
                    + (losses > 0 ? ", \(losses) lost for lack of room" : "") + "\n").utf8
            )
        )
    }

    /// Copies until a bound is reached; how many packets of each tap were written.
    private func copy(
        _ taps: [PacketTap],
        _ filter: EncapsulationFilter,
        _ file: PcapFile,
        to output: FileHandle
    ) throws -> [Int] {
        var counts = [Int](repeating: 0, count: taps.count)
        var bytes = file.header.count
        try write(file.header, to: output)
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while ContinuousClock.now < deadline, !CaptureEnd.isDue {
            for (index, tap) in taps.enumerated() {
                // A busy one must not keep the other from being read.
                for _ in 0..<64 {
                    let wait: Int32 = index == 0 ? 1 : 0
                    let frame: PacketTap.Frame?
                    do throws(NetlinkError) {
                        frame = try tap.receive(withinMilliseconds: wait, bytesMax: snap)
                    } catch {
                        // What was captured until now is as good as ever.
                        printNote("this ends early, since an interface is gone or down: \(error)")
                        return counts
                    }
                    guard let frame else { break }
                    guard index == 0 || filter.takes(frame.bytes) else { continue }
                    let block = file.packet(frame, interface: index)
                    try write(block, to: output)
                    counts[index] += 1
                    bytes += block.count
                    if counts.reduce(0, +) >= packets || bytes >= megabytes << 20 { return counts }
                }
            }
        }
        return counts
    }

    private func write(_ bytes: [UInt8], to output: FileHandle) throws {
        do { try output.write(contentsOf: Data(bytes)) } catch {
            throw InspectionError.unwritable(path: write, detail: "\(error)")
        }
    }

    private func open() throws -> FileHandle {
        guard write != "-" else { return .standardOutput }
        // What is there is written to, be it a pipe, and only its owner reads what pods said.
        let descriptor = Glibc.open(write, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw InspectionError.unwritable(path: write, detail: reason)
        }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    static func find(_ text: String, _ status: DataplaneStatus) throws -> EndpointTraffic {
        let found = status.endpoints.filter { endpoint in
            let names = [endpoint.pod, endpoint.containerID]
            return endpoint.addresses.contains(text)
                || names.contains { $0 == text || "\($0):\(endpoint.interface)" == text }
        }
        guard found.count <= 1 else {
            let names = found.map { "\($0.containerID):\($0.interface) in \($0.vpc)" }
                .joined(separator: ", ")
            throw InspectionError.uncapturable(pod: text, detail: "it may be \(names): name one")
        }
        guard let endpoint = found.first else {
            let known = status.endpoints.prefix(8).map(\.name).joined(separator: ", ")
            throw InspectionError.uncapturable(
                pod: text,
                detail: "this node has no such pod; it has \(known.isEmpty ? "none" : known)"
            )
        }
        return endpoint
    }
}

/// Whether somebody asked for the end; what was written so far is a whole file.
enum CaptureEnd {
    private nonisolated(unsafe) static var wanted: sig_atomic_t = 0

    static var isDue: Bool { wanted != 0 }

    static func catchSignals() {
        for number in [SIGINT, SIGTERM, SIGPIPE] { signal(number) { _ in CaptureEnd.wanted = 1 } }
    }
}
