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
    /// The registry that holds the registers: the ring's identity unless they were recovered.
    package var registry: String
    /// How often the registers were founded anew.
    package var recoveries: Int
    /// The number of the group of stewards that is in force.
    package var stewardEpoch: UInt64
    /// The stewards one by one, in the order of ``stewards``.
    package var stewardStates: [Steward]
    /// The change of the stewards that this node leads or takes part in; absent while there is
    /// none.
    package var stewardChange: Change?
    /// The names of the members that are on their way out.
    package var leaving: [String]

    /// One steward, as the node that answers sees it.
    package struct Steward: Codable, Hashable, Sendable {
        /// The node's name.
        package var name: String
        /// The node's identity.
        package var id: String
        /// The identity of the database that holds the registers.
        package var storage: String
        /// Whether the node answers.
        package var isReachable: Bool
        /// For how long it has or has not, in milliseconds; absent where that is not known.
        package var sinceMilliseconds: Int64?

        /// Makes an item.
        package init(
            name: String,
            id: String,
            storage: String,
            isReachable: Bool,
            sinceMilliseconds: Int64?
        ) {
            self.name = name
            self.id = id
            self.storage = storage
            self.isReachable = isReachable
            self.sinceMilliseconds = sinceMilliseconds
        }
    }

    /// A change of the stewards under way.
    package struct Change: Codable, Hashable, Sendable {
        /// The number of the group that follows.
        package var stewardEpoch: UInt64
        /// The names of the stewards that follow.
        package var stewards: [String]
        /// How far it is: sealed, copying, installing or active.
        package var step: String

        /// Makes a change.
        package init(stewardEpoch: UInt64, stewards: [String], step: String) {
            self.stewardEpoch = stewardEpoch
            self.stewards = stewards
            self.step = step
        }
    }

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
        records: Records,
        registry: String,
        recoveries: Int,
        stewardEpoch: UInt64,
        stewardStates: [Steward],
        stewardChange: Change?,
        leaving: [String]
    ) {
        self.records = records
        self.registry = registry
        self.recoveries = recoveries
        self.stewardEpoch = stewardEpoch
        self.stewardStates = stewardStates
        self.stewardChange = stewardChange
        self.leaving = leaving
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
