package import Addressing
internal import CGenieABI

/// What one program decided of a traced packet.
package struct ProbeSighting: Hashable, Sendable {
    /// What became of the packet there.
    package enum Verdict: Hashable, Sendable {
        /// It was left to the node's stack.
        case passed
        /// The dataplane answered it itself.
        case answered
        /// It was handed to a pod of this node.
        case toLocalPod
        /// It was encapsulated towards another node.
        case toOtherNode
        /// Handed to the stack of this node.
        case toNode
        /// Copied to the places of its group.
        case toGroup
        /// It was dropped.
        case dropped(DropReason)
        /// Something that this release does not know.
        case unknown(Int32)
    }

    /// Which program.
    package let program: Dataplane.Program
    /// The mark that the packet was sent with.
    package let mark: UInt32
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    package let nanoseconds: UInt64
    /// The VPC; nil where it is unknown on this node.
    package let vni: VNI?
    /// The sender's veth for ``Dataplane/Program/podEgress``, else the receiver's; zero for none.
    package let ifindex: UInt32
    /// The decision.
    package let verdict: Verdict
}

extension Dataplane {
    /// Lets programs watch for one packet of a pod; one at a time is watched for.
    ///
    /// It is known by its addresses and a mark: the identification of IPv4, the flow label of IPv6.
    package func watchFor(
        vni: VNI,
        mark: UInt32,
        source: IPAddress,
        target: IPAddress
    ) throws(BPFError) {
        precondition(mark != 0, "zero is no mark")
        let row = probe_value(
            vni: vni.number,
            mark: mark,
            source: ip_address(source),
            target: ip_address(target)
        )
        try map(.probe).put(UInt32(0), row)
    }

    /// Ends the watch.
    package func stopWatching() throws(BPFError) {
        try map(.probe).put(UInt32(0), probe_value())
    }

    /// What programs here noted of traced packets, of this node and others, in order of time; the
    /// oldest of more than 256 are gone.
    package func probesSeen() throws(BPFError) -> [ProbeSighting] {
        try map(.probeSeen)
            .rows(emptyKey: probe_seen_key(), emptyValue: probe_seen_value())
            .compactMap { row in
                guard let value = row.values.first, let program = Self.program(row.key.hook) else {
                    return nil
                }
                return ProbeSighting(
                    program: program,
                    mark: row.key.mark,
                    nanoseconds: value.nanoseconds,
                    vni: VNI(value.vni),
                    ifindex: value.ifindex,
                    verdict: ProbeSighting.Verdict(value.verdict)
                )
            }
            .sorted { $0.nanoseconds < $1.nanoseconds }
    }

    private static func program(_ hook: UInt32) -> Program? {
        switch hook {
        case PROBE_POD_EGRESS.rawValue: .podEgress
        case PROBE_UPLINK_XDP.rawValue: .uplinkXDP
        case PROBE_UPLINK_INGRESS.rawValue: .uplinkIngress
        default: nil
        }
    }
}

extension ProbeSighting.Verdict {
    /// Reads a number of `verdict.h`, or minus a drop reason.
    init(_ number: Int32) {
        switch number {
        case ..<0:
            self = DropReason(number: UInt32(-number)).map { .dropped($0) } ?? .unknown(number)
        case 0: self = .passed
        case 1: self = .answered
        case 2: self = .toLocalPod
        case 3: self = .toOtherNode
        case 5: self = .toNode
        case 6: self = .toGroup
        default: self = .unknown(number)
        }
    }
}
