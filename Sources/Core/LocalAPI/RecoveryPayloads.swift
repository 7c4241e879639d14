/// What is left of the registers, and what founding them anew would mean.
package struct RecoveryStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The registry that was asked for.
    package var registry: String
    /// Whether the registers answer, so that there is nothing to recover.
    package var isServing: Bool
    /// How many stewards have to agree.
    package var quorum: Int
    /// The stewards.
    package var stewards: [Steward]
    /// The names of the members that told what they have.
    package var told: [String]
    /// The names of the members that did not.
    package var untold: [String]
    /// The address blocks that were told of.
    package var blocks: Int

    /// Makes a status.
    package init(
        registry: String,
        isServing: Bool,
        quorum: Int,
        stewards: [Steward],
        told: [String],
        untold: [String],
        blocks: Int
    ) {
        self.registry = registry
        self.isServing = isServing
        self.quorum = quorum
        self.stewards = stewards
        self.told = told
        self.untold = untold
        self.blocks = blocks
    }

    /// One steward.
    package struct Steward: Codable, Hashable, Sendable {
        /// The node's name.
        package var name: String
        /// The node's identity.
        package var id: String
        /// The database that it should have.
        package var storage: String
        /// present, forgot (it answers and has its registers no longer) or silent.
        package var state: String
        /// For how long it has been silent, in milliseconds; absent where it was not heard before.
        package var silentMilliseconds: Int64?

        /// Makes one.
        package init(
            name: String,
            id: String,
            storage: String,
            state: String,
            silentMilliseconds: Int64?
        ) {
            self.name = name
            self.id = id
            self.storage = storage
            self.state = state
            self.silentMilliseconds = silentMilliseconds
        }
    }

    /// The names of the stewards that a recovery has to give up.
    package var lost: [String] { stewards.filter { $0.state != "present" }.map(\.name) }
}

/// Asks for a new registry out of what is left.
package struct Recover: Codable, Hashable, Sendable {
    /// The stewards that are given up, by name or identity: all that are lost and no other.
    package var giveUp: [String]

    /// Makes a request.
    package init(giveUp: [String]) {
        self.giveUp = giveUp
    }
}

/// What a recovery came to.
package struct RecoveryResult: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The new registry.
    package var registry: String
    /// The epoch of the configuration that brought it.
    package var epoch: UInt64
    /// The node that holds it until other stewards have joined.
    package var founder: String
    /// The members that told of their blocks.
    package var told: [String]
    /// The members that could not be asked: until each is back or removed, no block is claimed.
    package var untold: [String]
    /// The blocks that were told of.
    package var blocks: Int
    /// The blocks that were found by the endpoints in them only.
    package var blocksOfEndpoints: Int

    /// Makes a result.
    package init(
        registry: String,
        epoch: UInt64,
        founder: String,
        told: [String],
        untold: [String],
        blocks: Int,
        blocksOfEndpoints: Int
    ) {
        self.registry = registry
        self.epoch = epoch
        self.founder = founder
        self.told = told
        self.untold = untold
        self.blocks = blocks
        self.blocksOfEndpoints = blocksOfEndpoints
    }
}
