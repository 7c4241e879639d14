/// What happened to the endpoints of a group, as one node learned it.
///
/// A first question is answered with all endpoints, and so is one that comes too late for what lies
/// between (``isGap``); the revision of each answer is what the next question asks after. Changes
/// of one node's endpoints keep their order.
package struct GroupEvents: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The group, VPC/GROUP.
    package var group: String
    /// The revision of the answer; it means something to the answering node alone.
    package var revision: UInt64
    /// All endpoints as of the revision; absent where the events say it all.
    package var endpoints: [Endpoint]?
    /// Whether events were missed, so that ``endpoints`` stands in for them.
    package var isGap: Bool
    /// Whether nothing is missing that the ring held when watching began; false while no owner of
    /// the group answers.
    package var isComplete: Bool
    /// What happened after the revision that was asked for, oldest first.
    package var events: [Item]

    /// Makes an answer.
    package init(
        group: String,
        revision: UInt64,
        endpoints: [Endpoint]?,
        isGap: Bool,
        isComplete: Bool,
        events: [Item]
    ) {
        self.group = group
        self.revision = revision
        self.endpoints = endpoints
        self.isGap = isGap
        self.isComplete = isComplete
        self.events = events
    }

    /// One event.
    package struct Item: Codable, Hashable, Sendable {
        /// What happened.
        package enum Change: String, Codable, Hashable, Sendable {
            /// The endpoint is new.
            case added
            /// It has become another: its fence, its pod.
            case changed
            /// It is gone; ``endpoint`` says what it was.
            case removed
            /// From here on nothing is missing; there is no endpoint.
            case complete
        }

        /// Its number.
        package var revision: UInt64
        /// When the node learned of it, in milliseconds since 1970 (UTC).
        package var timeMilliseconds: Int64
        /// What happened.
        package var change: Change
        /// The endpoint.
        package var endpoint: Endpoint?

        /// Makes an event.
        package init(
            revision: UInt64,
            timeMilliseconds: Int64,
            change: Change,
            endpoint: Endpoint?
        ) {
            self.revision = revision
            self.timeMilliseconds = timeMilliseconds
            self.change = change
            self.endpoint = endpoint
        }
    }

    /// One endpoint of the group.
    package struct Endpoint: Codable, Hashable, Sendable {
        /// The address.
        package var address: String
        /// The Ethernet address.
        package var mac: String
        /// The node's name.
        package var node: String
        /// The node's underlay address.
        package var vtep: String
        /// The container.
        package var containerID: String
        /// The interface in the pod.
        package var interface: String
        /// The pod, as namespace/name; empty outside Kubernetes.
        package var pod: String
        /// The fence of its address block.
        package var fence: UInt64

        /// Makes an endpoint.
        package init(
            address: String,
            mac: String,
            node: String,
            vtep: String,
            containerID: String,
            interface: String,
            pod: String,
            fence: UInt64
        ) {
            self.address = address
            self.mac = mac
            self.node = node
            self.vtep = vtep
            self.containerID = containerID
            self.interface = interface
            self.pod = pod
            self.fence = fence
        }
    }
}

/// How many of a group's owners have to take part in a read.
package enum ReadConsistency: String, CaseIterable, Codable, Sendable {
    /// None: what the answering node itself holds.
    case local
    /// Any one.
    case one
    /// So many that nothing is missing that was acknowledged: 2 of 3.
    case quorum
    /// Every one.
    case all
}
