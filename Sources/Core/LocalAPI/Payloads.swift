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
            self.roundTripMicroseconds = roundTripMicroseconds
            self.sinceMilliseconds = sinceMilliseconds
            self.heldMilliseconds = heldMilliseconds
            self.isSelf = isSelf
        }
    }
}

/// The agreed ring configuration.
package struct RingStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The ring's identity.
    package var id: String
    /// The configuration's number.
    package var epoch: UInt64
    /// The number of slots.
    package var slotCount: Int
    /// The owners of each slot.
    package var replicationFactor: Int
    /// The members, by name.
    package var members: [Item]
    /// The names of the nodes that hold the registers.
    package var stewards: [String]
    /// What is under way between this node and the other owners of records.
    package var records: Records

    /// What is under way between owners, as one node sees it.
    package struct Records: Codable, Hashable, Sendable {
        /// Slots whose records this node still takes over from their former owners.
        package var slotsArriving: Int
        /// Slots that this node keeps until their new owners hold all of it.
        package var slotsLeaving: Int
        /// Sets that are kept for owners that are away.
        package var hints: Int
        /// The bytes of these sets.
        package var hintBytes: Int
        /// Groups of which some owner has not acknowledged what this node tells last.
        package var publicationsUnsettled: Int

        /// Makes a value.
        package init(
            slotsArriving: Int,
            slotsLeaving: Int,
            hints: Int,
            hintBytes: Int,
            publicationsUnsettled: Int
        ) {
            self.slotsArriving = slotsArriving
            self.slotsLeaving = slotsLeaving
            self.hints = hints
            self.hintBytes = hintBytes
            self.publicationsUnsettled = publicationsUnsettled
        }
    }

    /// Makes a status.
    package init(
        id: String,
        epoch: UInt64,
        slotCount: Int,
        replicationFactor: Int,
        members: [Item],
        stewards: [String],
        records: Records
    ) {
        self.records = records
        self.id = id
        self.epoch = epoch
        self.slotCount = slotCount
        self.replicationFactor = replicationFactor
        self.members = members
        self.stewards = stewards
    }

    /// One member of the configuration.
    package struct Item: Codable, Hashable, Sendable {
        /// The node's identity.
        package var id: String
        /// Its name.
        package var name: String
        /// Its failure domain.
        package var zone: String
        /// Its share relative to others.
        package var weight: Int
        /// Where its ring port listens.
        package var address: String
        /// The slots that it is among the owners of.
        package var slots: Int

        /// Makes an item.
        package init(
            id: String,
            name: String,
            zone: String,
            weight: Int,
            address: String,
            slots: Int
        ) {
            self.id = id
            self.name = name
            self.zone = zone
            self.weight = weight
            self.address = address
            self.slots = slots
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
