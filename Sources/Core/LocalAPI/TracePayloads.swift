/// Asks where a packet of a pod of this node would go.
package struct TraceRequest: Codable, Hashable, Sendable {
    /// The pod that sends: an address, namespace/name or container id, with :INTERFACE where it has
    /// several.
    package var from: String
    /// Who it is for: an address, or a pod like above, on any node.
    package var to: String
    /// icmp, udp or tcp.
    package var transport: String
    /// The port of udp and tcp.
    package var port: UInt16
    /// The size of the IP packet in bytes.
    package var bytes: Int
    /// Whether it is to be sent.
    package var isLive: Bool

    /// Makes a request.
    package init(
        from: String,
        to: String,
        transport: String,
        port: UInt16,
        bytes: Int,
        isLive: Bool
    ) {
        self.from = from
        self.to = to
        self.transport = transport
        self.port = port
        self.bytes = bytes
        self.isLive = isLive
    }
}

/// Where a packet would go, and where one went.
package struct TraceAnswer: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The packet, in words.
    package var packet: String
    /// What the tables say, in the order of the programs' checks.
    package var steps: [Step]
    /// answered, delivered, sent or dropped.
    package var verdict: String
    /// Why it is dropped; absent otherwise.
    package var reason: String?
    /// The mark that the packet was sent with; absent unless it was.
    package var mark: UInt32?
    /// What the programs of this node noted of it; absent unless it was sent.
    package var seen: [Sighting]?
    /// Whether it arrived in the pod it was for; absent where that is on another node, or unknown.
    package var isArrived: Bool?
    /// Microseconds until the target answered; absent where it did not.
    package var answeredMicroseconds: Int64?

    /// Makes an answer about a packet that was not sent.
    package init(packet: String, steps: [Step], verdict: String, reason: String?) {
        self.packet = packet
        self.steps = steps
        self.verdict = verdict
        self.reason = reason
    }

    /// One step.
    package struct Step: Codable, Hashable, Sendable {
        /// The map or hook.
        package var at: String
        /// What is there.
        package var found: String

        /// Makes a step.
        package init(at: String, found: String) {
            self.at = at
            self.found = found
        }
    }
}

/// What a program noted of a traced packet.
package struct Sighting: Codable, Hashable, Sendable {
    /// The program.
    package var program: String
    /// The packet's mark.
    package var mark: UInt32
    /// The VPC's number; zero where it is unknown here.
    package var vni: UInt32
    /// What the program decided, such as `to_other_node` or `dropped`.
    package var verdict: String
    /// Why it was dropped; absent otherwise.
    package var reason: String?
    /// How long ago, in microseconds.
    package var agoMicroseconds: Int64

    /// Makes a sighting.
    package init(
        program: String,
        mark: UInt32,
        vni: UInt32,
        verdict: String,
        reason: String?,
        agoMicroseconds: Int64
    ) {
        self.program = program
        self.mark = mark
        self.vni = vni
        self.verdict = verdict
        self.reason = reason
        self.agoMicroseconds = agoMicroseconds
    }
}

/// Traced packets that programs of a node have met, its own and those of others.
package struct SightingList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// In order of time.
    package var seen: [Sighting]

    /// Makes a list.
    package init(seen: [Sighting]) {
        self.seen = seen
    }
}
