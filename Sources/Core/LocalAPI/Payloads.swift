/// What `genied` answers on its socket, as JSON; `genie-ring -o json` prints the same values.
///
/// Fields are only ever added: a program that reads them ignores what it does not know.
package enum LocalAPI {
    /// The name and version of the schema, sent with every list.
    package static let schema = "genie/v1"
    /// The release.
    package static let version = "0.1.0"
    /// Where `genied` listens unless told otherwise.
    package static let defaultSocketPath = "/run/genie/genied.sock"
}

/// The members of the ring as one node sees them.
package struct MemberList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The ring's identity.
    package var ring: String
    /// The members, the answering node included, by name.
    package var members: [Item]

    /// Makes a list.
    package init(ring: String, members: [Item]) {
        self.ring = ring
        self.members = members
    }

    /// One member.
    package struct Item: Codable, Hashable, Sendable {
        /// The node's identity.
        package var id: String
        /// Its name.
        package var name: String
        /// Its failure domain.
        package var zone: String
        /// What its operator says of it, as `rack=r1`; may be empty.
        package var metadata: String
        /// Where its ring port listens.
        package var address: String
        /// alive, suspect, dead or left.
        package var state: String
        /// Whether its dataplane answers: alive, dead or unknown.
        package var dataplane: String
        /// The count of starts of its process.
        package var boot: UInt64
        /// The count of its refutations in this boot.
        package var incarnation: UInt64
        /// The versions of the protocol that it speaks, as `1` or `1 to 2`.
        package var versions: String
        /// The last round trip, in microseconds; absent where none was measured.
        package var roundTripMicroseconds: Int64?
        /// How long the state has lasted, in milliseconds.
        package var sinceMilliseconds: Int64
        /// How much longer it is not used although it is present, in milliseconds; absent for a
        /// member that does not come and go.
        package var heldMilliseconds: Int64?
        /// Whether it is the node that answers.
        package var isSelf: Bool

        /// Makes an item.
        package init(
            id: String,
            name: String,
            zone: String,
            metadata: String,
            address: String,
            state: String,
            dataplane: String,
            boot: UInt64,
            incarnation: UInt64,
            versions: String,
            roundTripMicroseconds: Int64?,
            sinceMilliseconds: Int64,
            heldMilliseconds: Int64?,
            isSelf: Bool
        ) {
            self.id = id
            self.name = name
            self.zone = zone
            self.metadata = metadata
            self.address = address
            self.state = state
            self.dataplane = dataplane
            self.boot = boot
            self.incarnation = incarnation
            self.versions = versions
            self.roundTripMicroseconds = roundTripMicroseconds
            self.sinceMilliseconds = sinceMilliseconds
            self.heldMilliseconds = heldMilliseconds
            self.isSelf = isSelf
        }
    }
}

/// What came in and went out at the ring's ports.
package struct TransportStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The counters, since the daemon started.
    package var counters: [Counter]

    /// Makes a status.
    package init(counters: [Counter]) {
        self.counters = counters
    }

    /// One counter.
    package struct Counter: Codable, Hashable, Sendable {
        /// What was counted, such as `datagrams_rejected`.
        package var name: String
        /// Why, for what was refused.
        package var reason: String?
        /// How many.
        package var count: UInt64

        /// Makes a counter.
        package init(name: String, reason: String? = nil, count: UInt64) {
            self.name = name
            self.reason = reason
            self.count = count
        }
    }
}

/// Which release answers.
package struct VersionStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The release of `genied`.
    package var version = LocalAPI.version
    /// The node's name.
    package var node: String

    /// Makes a status.
    package init(node: String) {
        self.node = node
    }
}

/// Why a request was refused.
package struct ErrorAnswer: Codable, Hashable, Sendable {
    /// A stable code for programs, such as `vpc.unknown`.
    package var code: String
    /// What happened and what to do, for people.
    package var message: String

    /// Makes an answer.
    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}
