internal import CBenchTraffic
import Glibc
import Statistics

/// What is sent along a path, and what is measured of it.
enum TrafficCase: String, CaseIterable, Hashable, Sendable {
    /// One TCP stream.
    case tcp1
    /// Eight TCP streams at once.
    case tcp8
    /// Datagrams of 64 bytes, as fast as one sender can.
    case udp64
    /// Datagrams of 1,400 bytes.
    case udp1400
    /// A datagram of 64 bytes there and back, then the next.
    case echo

    /// What the number of a run counts.
    var unit: String {
        switch self {
        case .tcp1, .tcp8: "Gb/s"
        case .udp64, .udp1400: "kpps"
        case .echo: "us"
        }
    }
}

/// One end of a path: an address in a network namespace.
struct PathEnd: Hashable, Sendable {
    /// The namespace's path.
    let netns: String
    /// The address.
    let address: String
    /// The address of the other family, where one pod has both.
    var address6: String?

    /// The same end by its address of the other family.
    var overIPv6: PathEnd? { address6.map { PathEnd(netns: netns, address: $0) } }
}

/// What one run of a case showed.
struct TrafficResult: Sendable {
    /// Gb/s of payload, or thousands of datagrams received a second; of ``TrafficCase/echo`` the
    /// median round trip in microseconds.
    var value: Double
    /// The 99th percentile of round trips, in microseconds; of ``TrafficCase/echo`` only.
    var p99: Double?
    /// Busy processor seconds of the whole machine for each 10⁹ bytes; of TCP only.
    var processorPerGB: Double?
}

/// One load from one end to the other, run by threads of this process.
struct TrafficLoad {
    let from: PathEnd
    let to: PathEnd

    private static let port: UInt16 = 5_300
    private static let warmUpMilliseconds: UInt32 = 200
    /// /proc/stat counts in USER_HZ.
    private static let ticksPerSecond = 100.0
    private static let roundTripsMax = 1 << 20

    /// Runs a case.
    ///
    /// - Throws: ``BenchError/refused(call:reason:)`` where the ends do not reach one another, and
    ///   where nothing arrived.
    func run(_ what: TrafficCase, milliseconds: Int) throws(BenchError) -> TrafficResult {
        var result = traffic_result()
        var times = [UInt32](repeating: 0, count: what == .echo ? Self.roundTripsMax : 0)
        let code = from.netns.withCString { fromNetns in
            to.netns.withCString { toNetns in
                from.address.withCString { fromAddress in
                    to.address.withCString { toAddress in
                        var load = Self.load(what, milliseconds)
                        load.from_netns = fromNetns
                        load.to_netns = toNetns
                        load.from = fromAddress
                        load.to = toAddress
                        return traffic_run(&load, &result, &times, times.count)
                    }
                }
            }
        }
        let path = "\(what.rawValue) from \(from.address) to \(to.address)"
        guard code == 0 else {
            let call = result.failed.map { String(cString: $0) } ?? "traffic"
            throw .refused(call: "\(call) of \(path)", reason: BenchError.reason(code))
        }
        guard what == .echo ? result.packets > 0 : result.bytes > 0 else {
            throw .timedOut(
                waitingFor: "anything of \(path)",
                seconds: Double(milliseconds) / 1_000
            )
        }
        return Self.sum(what, result, times)
    }

    private static func load(_ what: TrafficCase, _ milliseconds: Int) -> traffic_load {
        var load = traffic_load()
        switch what {
        case .tcp1, .tcp8: load.kind = TRAFFIC_TCP
        case .udp64, .udp1400: load.kind = TRAFFIC_UDP
        case .echo: load.kind = TRAFFIC_ECHO
        }
        load.port = port
        load.streams = what == .tcp8 ? 8 : 1
        load.bytes = what == .udp1400 ? 1_400 : 64
        load.warm_up_ms = warmUpMilliseconds
        load.measured_ms = UInt32(milliseconds)
        return load
    }

    private static func sum(
        _ what: TrafficCase,
        _ result: traffic_result,
        _ times: [UInt32]
    ) -> TrafficResult {
        let seconds = Double(result.nanoseconds) / 1e9
        switch what {
        case .tcp1, .tcp8:
            let busy = Double(result.busy_ticks) / ticksPerSecond
            return TrafficResult(
                value: Double(result.bytes) * 8 / seconds / 1e9,
                processorPerGB: busy / (Double(result.bytes) / 1e9)
            )
        case .udp64, .udp1400:
            return TrafficResult(value: Double(result.packets) / seconds / 1e3)
        case .echo:
            let all = Percentiles(times[..<Int(result.packets)].map { Double($0) / 1e3 })
            return TrafficResult(value: all?.p50 ?? 0, p99: all?.p99)
        }
    }
}
